//! Hosts with addresses of their own on one machine: network namespaces around a switch, all inside a namespace that ends with the test. Where those are not allowed, the hosts are
//! addresses of the loopback.

use std::{
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::free_address;

/// Tells the test that it runs inside.
const INSIDE: &str = "TEST_NETWORK";
/// What comes before a program in a namespace for the network and the mounts. /run is where `ip netns` keeps its names: an empty one, as the machine's is others'.
const UNSHARE: [&str; 5] = ["--map-root-user", "--net", "--mount", "sh", "-c"];
const SCRIPT: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && exec \"$@\"";
/// Whether all of it is allowed.
const PROBE: &str = "ip link add probe type bridge && ip netns add probe && ip link add v-probe type veth peer name eth0 netns probe && nsenter --net=/run/netns/probe true";

/// A network for documentation (RFC 5737): nothing of this machine has an address in it.
const NET: [u8; 3] = [192, 0, 2];
/// The port of every host's service in a namespace of its own.
const PORT: u16 = 18789;

/// Where hosts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Each in a namespace.
    Namespaces,
    /// All on the loopback.
    Loopback,
}

/// Has `body` run in a network of the test's own, by running the test with this name anew in one; says so where it cannot be had. One at a time.
///
/// # Panics
/// When the test fails in there.
pub fn in_network(test: &str, body: impl FnOnce(Network)) {
    static ALONE: Mutex<()> = Mutex::new(());
    if env::var_os(INSIDE).is_some() {
        run("ip", &["link", "add", "switch", "type", "bridge"]);
        run("ip", &["address", "add", &format!("{}/24", address(1)), "dev", "switch"]);
        run("ip", &["link", "set", "switch", "up"]);
        return body(Network::Namespaces);
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(UNSHARE).args([SCRIPT, "sh"]);
        command
    };
    let probe = unshare().args(["sh", "-c", PROBE]).stdin(Stdio::null()).output();
    if let Err(why) = probe
        .map_err(|error| error.to_string())
        .and_then(|probe| if probe.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&probe.stderr).into_owned()) })
    {
        eprintln!("NOT ISOLATED: network namespaces are not allowed here, all hosts are addresses of the loopback: {why}");
        return body(Network::Loopback);
    }
    let this = env::current_exe().expect("the test's own path");
    let again = unshare().arg(this).args([test, "--exact", "--nocapture"]).env(INSIDE, "1").status().expect("unshare starts");
    assert!(again.success(), "{test} failed in its network");
}

/// A host of such a network.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where its service listens.
    pub address: SocketAddr,
    /// What a command line is to begin with so that it runs there.
    pub wrapper: Vec<String>,
}

impl Host {
    /// A host whose address ends with `number`.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(network: Network, number: u8) -> Self {
        let port = |ip| SocketAddr::new(ip, PORT);
        match network {
            Network::Loopback => {
                let ip = IpAddr::from(Ipv4Addr::new(127, 0, 0, number));
                Self { address: SocketAddr::new(ip, free_address().port()), wrapper: Vec::new() }
            }
            Network::Namespaces => {
                let (name, cable) = (format!("host{number}"), format!("port{number}"));
                run("ip", &["netns", "add", &name]);
                run("ip", &["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &name]);
                run("ip", &["link", "set", &cable, "master", "switch", "up"]);
                run("ip", &["-netns", &name, "address", "add", &format!("{}/24", address(number)), "dev", "eth0"]);
                run("ip", &["-netns", &name, "link", "set", "eth0", "up"]);
                run("ip", &["-netns", &name, "link", "set", "lo", "up"]);
                Self { address: port(address(number)), wrapper: vec!["nsenter".to_owned(), format!("--net=/run/netns/{name}")] }
            }
        }
    }

    /// A program that is to run there.
    pub fn command(&self, program: &str) -> Command {
        match self.wrapper.split_first() {
            Some((wrapper, arguments)) => {
                let mut command = Command::new(wrapper);
                command.args(arguments).arg(program);
                command
            }
            None => Command::new(program),
        }
    }
}

fn address(number: u8) -> IpAddr {
    IpAddr::from(Ipv4Addr::new(NET[0], NET[1], NET[2], number))
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
