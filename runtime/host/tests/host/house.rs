//! A host on a port of its own, as the trigger sets one up.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc};

use hearth_engine::{DeviceChoice, Engine, EngineOptions};
use hearth_host::{
    GuestOptions, Runtime, Service,
    app::{App, Component, Trigger},
};
use hearth_store::Store;

use crate::client::Client;

/// What a test varies.
pub(crate) struct Plan {
    pub(crate) app: App,
    pub(crate) options: GuestOptions,
    pub(crate) variables: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) store: Option<Store>,
    pub(crate) engine: Engine,
}

/// A running host; it ends with the test.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) failures: Vec<String>,
    pub(crate) engine: Engine,
}

/// An engine without models.
pub(crate) fn engine() -> Engine {
    Engine::start(EngineOptions {
        device: DeviceChoice::Cpu,
        threads: 1,
        context: 2048,
        sequences: 4,
        queue: 4,
        kv_bytes: 0,
        load_cap: 1 << 20,
        ..EngineOptions::default()
    })
    .unwrap()
}

impl Plan {
    /// One component on `/...`.
    pub(crate) fn of(source: &Path) -> Self {
        let component = Component { id: "guest".into(), source: source.to_owned(), ..Component::default() };
        let app = App {
            name: "test".into(),
            triggers: vec![Trigger { route: "/...".into(), component: "guest".into() }],
            components: vec![component],
            ..App::default()
        };
        // Compiled once, not for every test.
        let cache = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("components"));
        let options = GuestOptions { load_cap: 1 << 20, instances: 8, cache, ..GuestOptions::default() };
        Self { app, options, variables: BTreeMap::new(), store: None, engine: engine() }
    }

    /// One more component under a route.
    pub(crate) fn and(mut self, route: &str, id: &str, source: &Path) -> Self {
        self.app.triggers.push(Trigger { route: route.into(), component: id.into() });
        self.app.components.push(Component { id: id.into(), source: source.to_owned(), ..Component::default() });
        self
    }

    pub(crate) fn options(mut self, change: impl FnOnce(&mut GuestOptions)) -> Self {
        change(&mut self.options);
        self
    }

    pub(crate) fn component(mut self, change: impl FnOnce(&mut Component)) -> Self {
        change(&mut self.app.components[0]);
        self
    }

    pub(crate) fn service(self) -> (Service, Engine) {
        let runtime = Runtime::new(self.engine.clone(), self.options, self.app.components.len()).unwrap();
        (Service::load(&self.app, &runtime, self.variables, self.store.as_ref()).unwrap(), self.engine)
    }

    pub(crate) async fn serve(self) -> House {
        let (service, engine) = self.service();
        let failures = service.failures().map(ToString::to_string).collect();
        let listener = hearth_server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(hearth_server::serve(listener, Arc::new(service), std::future::pending(), hearth_server::Options::default()));
        House { address, failures, engine }
    }
}

impl House {
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// One request; the status and the body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        self.client().await.get(path).await
    }

    /// A connection on which `path` was asked for and begins to be answered; asked again while all instances are at work.
    pub(crate) async fn open_when_free(&self, path: &str) -> Client {
        loop {
            let mut client = self.client().await;
            client.ask(path).await;
            if client.status().await != 503 {
                return client;
            }
        }
    }

    /// [`Self::get`], asked again while all instances are at work: what a guest does after its response takes a moment.
    pub(crate) async fn get_when_free(&self, path: &str) -> (u16, String) {
        loop {
            let answer = self.get(path).await;
            if answer.0 != 503 {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
