//! `/metrics`, in Prometheus' text format: what this crate and others count through the facade `metrics`, and what the system says of the process and the machine.

mod cards;
pub(crate) mod http;
mod machine;
mod process;
mod text;

use std::{sync::OnceLock, time::Duration};

use ::http::{
    HeaderMap, HeaderValue, Method, Request, Response,
    header::{ALLOW, CONTENT_TYPE, FORWARDED},
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::timeout;

use crate::{Observe, Options, Peer, body::ServedBody, refuse};
use text::Text;

/// Where they are read.
pub(crate) const PATH: &str = "/metrics";
/// How often what was measured is put into its buckets, whether anybody reads them or not.
const UPKEEP: Duration = Duration::from_secs(5);
/// How long a file system may take to say how much room it has.
const PATIENCE: Duration = Duration::from_secs(1);

static EXPOSITION: OnceLock<PrometheusHandle> = OnceLock::new();

/// Makes this process count what is told to the facade `metrics`; each of `histograms` gets its buckets. Whatever was told before is lost, so this comes before an engine is
/// started. A second call does nothing.
pub fn install(histograms: &[(&'static str, &'static [f64])]) {
    EXPOSITION.get_or_init(|| {
        let mut builder = PrometheusBuilder::new();
        for (name, buckets) in histograms.iter().chain(http::HISTOGRAMS) {
            builder = builder
                .set_buckets_for_metric(Matcher::Full((*name).to_owned()), buckets)
                .expect("it fails for an empty list alone, and every histogram has buckets");
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another part of this process takes its measures; /metrics will show the system's alone");
        }
        http::describe();
        crate::trace::describe();
        handle
    });
}

/// Samples wait in memory until they are put into buckets: this does it for as long as a server runs.
pub(crate) async fn upkeep() {
    loop {
        tokio::time::sleep(UPKEEP).await;
        if let Some(handle) = EXPOSITION.get() {
            handle.run_upkeep();
        }
    }
}

/// The answer to a request for them.
pub(crate) async fn answer<T>(request: &Request<T>, options: &Options) -> Response<ServedBody> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = refuse::method();
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    if !may_read(request.extensions().get().copied(), request.headers(), options) {
        return refuse::metrics();
    }
    let mut response = Response::new(ServedBody::whole(render(&options.observe).await));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

/// This machine, and the networks that are allowed. A request that was passed on by a proxy on this machine is not this machine's, and one that a trusted proxy passed on is not of
/// the proxy's network: it is whoever's the proxy serves.
fn may_read(peer: Option<Peer>, fields: &HeaderMap, options: &Options) -> bool {
    let Some(Peer(peer)) = peer else { return false };
    // An address of IPv4 that came in through a socket of IPv6.
    let address = peer.ip().to_canonical();
    let forwarded =
        fields.contains_key(FORWARDED) || fields.keys().any(|name| name.as_str().starts_with("x-forwarded-") || name == "x-real-ip");
    let allowed = options.observe.metrics_allow.iter().any(|network| network.contains(&address));
    (address.is_loopback() && !forwarded) || (allowed && !(forwarded && options.trusts(address)))
}

async fn render(observe: &Observe) -> String {
    let mut page = EXPOSITION.get().map(PrometheusHandle::render).unwrap_or_default();
    let mut text = Text::default();
    process::write(&mut text);
    machine::write(&mut text);
    page += &text.0;
    // A file system over a network may hang.
    let folders = observe.folders.clone();
    let room = tokio::task::spawn_blocking(move || machine::room(&folders));
    if let Ok(Ok(room)) = timeout(PATIENCE, room).await {
        page += &room.0;
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_allowed_networks_may_read() {
        let mut options = Options::default();
        options.observe.metrics_allow = vec!["10.0.0.0/8".parse().unwrap()];
        options.trusted_proxies = vec!["10.9.0.0/16".parse().unwrap()];
        let with =
            |name: &'static str| HeaderMap::from_iter([(::http::HeaderName::from_static(name), HeaderValue::from_static("for=10.0.0.1"))]);
        let peer = |address: &str| Some(Peer(format!("{address}:5000").parse().unwrap()));
        let none = HeaderMap::new();
        for (address, may) in
            [("127.0.0.1", true), ("[::1]", true), ("[::ffff:127.0.0.1]", true), ("10.9.8.7", true), ("[::ffff:10.1.1.1]", true)]
        {
            assert_eq!(may_read(peer(address), &none, &options), may, "{address}");
        }
        for address in ["192.168.0.1", "[fe80::1]", "11.0.0.1"] {
            assert!(!may_read(peer(address), &none, &options), "{address}");
        }
        for name in ["forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-proto"] {
            for address in ["127.0.0.1", "10.9.8.7"] {
                assert!(!may_read(peer(address), &with(name), &options), "{name} from {address}");
            }
            assert!(may_read(peer("10.1.1.1"), &with(name), &options), "{name} from a proxy whose word is not believed");
        }
        assert!(!may_read(None, &none, &options));
    }
}
