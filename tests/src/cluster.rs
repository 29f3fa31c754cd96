//! Three instances with one Redis, behind the nginx of deploy/nginx/cluster.conf: each on a host of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{Host, Network, Nginx, Server, Shape, Surroundings, binary, free_address, listens, request};

/// The last parts of addresses: of nginx, of Redis, and of the instances as the sample has them.
const NGINX: u8 = 10;
const REDIS: u8 = 20;
const INSTANCES: [(Shape, u8); 3] = [(Shape::Native, 11), (Shape::Wasm, 12), (Shape::Native, 13)];
/// What opens the Redis. It is the test's own and gone with it.
const PASSWORD: &str = "a password of this test";
/// 32 bytes in base64, which all instances must have in common.
const MASTER_KEY: &str = "YSBrZXkgb2YgdGhpcyB0ZXN0LCBvZiAzMiBieXRlcy4=";

/// A running cluster; ended, and its files removed, when dropped.
#[derive(Debug)]
pub struct Cluster {
    /// In the order of [`INSTANCES`]: one of them is of the wasm shape, the others are native.
    pub instances: Vec<Server>,
    /// Where nginx listens without TLS, as the client sees the service.
    pub address: SocketAddr,
    /// Where it listens with TLS.
    pub encrypted: SocketAddr,
    host: Host,
    nginx: Option<Nginx>,
    redis: Child,
    folder: PathBuf,
}

impl Cluster {
    /// Starts all of it and waits until each instance is healthy.
    ///
    /// # Panics
    /// When one does not become so.
    pub fn start(network: Network, model: &Path) -> Self {
        let folder = std::env::temp_dir().join(format!("hearth-cluster-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let redis_host = Host::new(network, REDIS);
        let redis = redis(&redis_host, &folder);
        fs::write(folder.join("redis-url"), format!("redis://:{}@{}/0", PASSWORD.replace(' ', "%20"), redis_host.address)).expect("a file");
        let host = Host::new(network, NGINX);
        let encrypted = match network {
            Network::Namespaces => SocketAddr::new(host.address.ip(), 443),
            Network::Loopback => SocketAddr::new(host.address.ip(), free_address().port()),
        };
        let instances = INSTANCES.map(|(shape, number)| {
            let instance = Host::new(network, number);
            let surroundings = Surroundings {
                wrapper: instance.wrapper,
                environment: environment(),
                state: Some(folder.join(format!("state{number}"))),
                address: Some(instance.address),
                ..Surroundings::default()
            };
            let (proxy, redis) = (host.address.ip().to_string(), folder.join("redis-url").display().to_string());
            // The same model, mapped once; one thread each, as three share this machine.
            let computing = ["--context", "2048", "--cache-memory", "256", "--threads", "1"];
            let serving = ["--allow-exposed", "--trusted-proxy", &proxy, "--redis-url-file", &redis, "--metrics-allow", "0.0.0.0/0"];
            Server::start_amid(&surroundings, shape, model, &[&computing[..], &serving[..]].concat())
        });
        let (address, instances) = (host.address, Vec::from(instances));
        instances.iter().for_each(Server::wait);
        let mut cluster = Self { instances, address, encrypted, host, nginx: None, redis, folder };
        cluster.balance(&[]);
        cluster
    }

    /// Starts nginx anew with further changes of the sample.
    ///
    /// # Panics
    /// When it does not start.
    pub fn balance(&mut self, changes: &[(&str, &str)]) {
        self.nginx = None;
        let mut all = vec![
            ("    listen 443 ssl http2;".to_owned(), format!("    listen {} ssl http2;\n    listen {};", self.encrypted, self.address)),
            ("    listen 80;\n".to_owned(), format!("    listen {};\n", SocketAddr::new(self.address.ip(), free_address().port()))),
            ("    listen [::]:443 ssl http2;\n".to_owned(), String::new()),
            ("    listen [::]:80;\n".to_owned(), String::new()),
        ];
        let theirs = INSTANCES.map(|(_, number)| format!("192.0.2.{number}:18789"));
        all.extend(theirs.into_iter().zip(&self.instances).map(|(theirs, server)| (theirs, server.address.to_string())));
        all.extend(changes.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned())));
        let all: Vec<_> = all.iter().map(|(theirs, ours)| (&**theirs, &**ours)).collect();
        self.nginx = Some(Nginx::start(self.host.command("nginx"), "cluster.conf", &all, &[], self.address));
    }

    /// The addresses of the instances that nginx asked for the request with this id, in their order.
    ///
    /// # Panics
    /// When its log has no such request.
    pub fn asked(&self, id: &str) -> Vec<String> {
        let nginx = self.nginx.as_ref().expect("nginx runs");
        // It logs a request after its answer has been read.
        let deadline = Instant::now() + Duration::from_secs(30);
        let line = loop {
            if let Some(line) = nginx.log().lines().find(|line| line.contains(id)) {
                break line.to_owned();
            }
            assert!(Instant::now() < deadline, "nginx has not logged {id}");
            std::thread::sleep(Duration::from_millis(10));
        };
        let (_, asked) = line.split_once(id).expect("it was found by it");
        asked.split([',', ':']).map(str::trim).collect::<Vec<_>>().chunks(2).map(|pair| pair.join(":")).collect()
    }

    /// What `hearth keys` prints, as JSON, run beside the instances.
    ///
    /// # Panics
    /// When it fails.
    pub fn keys(&self, arguments: &[&str]) -> Value {
        let mut hearth = self.host.command(&binary("hearth").display().to_string());
        hearth.args(["keys", "--json"]).args(arguments).envs(environment());
        hearth.env("HEARTH_REDIS_URL_FILE", self.folder.join("redis-url"));
        let output = hearth.output().expect("hearth keys");
        assert!(output.status.success(), "hearth keys: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The sum of a measure of one instance over all its labels.
    ///
    /// # Panics
    /// When the instance does not answer.
    pub fn measure(&self, instance: usize, name: &str) -> f64 {
        let response = request(self.instances[instance].address, "GET", "/metrics", None).expect("measures");
        let text = String::from_utf8(response.body).expect("text");
        let values = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        values.map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number")).sum()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nginx = None;
        self.instances.clear();
        let _ = self.redis.kill();
        let _ = self.redis.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What both shapes are told by variables, each by its own.
fn environment() -> Vec<(String, String)> {
    let all = [
        ("HEARTH_MASTER_KEY", MASTER_KEY),
        ("SPIN_VARIABLE_MASTER_KEY", MASTER_KEY),
        ("HEARTH_KEYS", "required"),
        ("SPIN_VARIABLE_KEYS", "required"),
    ];
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// A Redis on `host`, which the host's own address and a password open.
fn redis(host: &Host, folder: &Path) -> Child {
    let (ip, port) = (host.address.ip().to_string(), host.address.port().to_string());
    let mut server = host.command("redis-server");
    server.args(["--bind", &ip, "--port", &port, "--save", "", "--requirepass", PASSWORD, "--dir"]).arg(folder);
    let child = server.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("redis-server starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !listens(host.address) {
        assert!(Instant::now() < deadline, "Redis does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

/// Whether nginx and Redis are here.
pub fn cluster_programs() -> bool {
    let runs = |program: &str, flag: &str| Command::new(program).arg(flag).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    runs("nginx", "-v") && runs("redis-server", "--version")
}
