//! ACME against Pebble, the test server of Let's Encrypt's makers, as Debian packages it: it connects back to the server and checks the domain in earnest.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use hearth_server::{Options, Tls, tls::Acme};
use tokio::time::{sleep, timeout};

use crate::{
    authority::{Authority, connect, get, usual},
    world::{Folder, World},
};

/// An order with its checks takes a second or two; more where the machine is busy.
const ISSUED: Duration = Duration::from_secs(60);

struct Pebble {
    child: Child,
    directory: SocketAddr,
    management: SocketAddr,
    authority: Authority,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that nobody listens on at the moment.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Pebble {
    /// One that checks domains at `port`, and issues for `seconds`; `None` where it is not installed.
    fn start(folder: &Folder, port: u16, seconds: u32) -> Option<Self> {
        if Command::new("pebble").arg("-h").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "pebble is missing: apt-get install pebble");
            eprintln!("SKIPPED: Pebble is not installed (apt-get install pebble)");
            return None;
        }
        let (directory, management, authority) = (free(), free(), Authority::new());
        let (certificate, key) = authority.issue();
        let config = serde_json::json!({"pebble": {
            "listenAddress": directory.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": folder.write("pebble.pem", &certificate),
            "privateKey": folder.write("pebble.key", &key),
            "httpPort": 9,
            "tlsPort": port,
            "certificateValidityPeriod": seconds,
        }});
        let config = folder.write("pebble.json", &config.to_string());
        let mut pebble = Command::new("pebble");
        // It would wait at random before each check.
        pebble.arg("-config").arg(config).env("PEBBLE_VA_NOSLEEP", "1").stdout(Stdio::null()).stderr(Stdio::null());
        Some(Self { child: pebble.spawn().unwrap(), directory, management, authority })
    }

    fn acme(&self, folder: &Folder) -> Acme {
        Acme {
            domains: vec!["localhost".to_owned()],
            directory: format!("https://{}/dir", self.directory),
            contacts: vec!["mailto:admin@chat.example".to_owned()],
            cache: folder.path().join("acme"),
            root: Some(folder.write("root.pem", &self.authority.pem())),
        }
    }

    /// The root of what it issues, which it makes anew at each start.
    async fn root(&self) -> String {
        let client = usual(&self.authority.pem());
        let answer = timeout(ISSUED, async {
            loop {
                if let Ok(mut stream) = connect(&client, self.management, "127.0.0.1").await
                    && let Ok(answer) = get_as_sent(&mut stream).await
                {
                    return answer;
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        let answer = answer.await.expect("pebble starts");
        answer[answer.find("-----BEGIN").unwrap_or_else(|| panic!("no root in {answer}"))..].to_owned()
    }
}

/// The root, whose letters have two cases.
async fn get_as_sent(stream: &mut tokio_rustls::client::TlsStream<tokio::net::TcpStream>) -> std::io::Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all(b"GET /roots/0 HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn start(address: SocketAddr, acme: Acme) -> impl Future<Output = World> {
    World::start_at(address, Options { tls: Some(Tls::acme(acme).unwrap()), ..Options::default() })
}

/// Waits until the server shows a certificate of `root`, and asks it something.
async fn serves(world: &World, root: &str) {
    let client = usual(root);
    let served = timeout(ISSUED, async {
        loop {
            if let Ok(mut stream) = connect(&client, world.address, "localhost").await {
                return get(&mut stream, "localhost", "/").await.unwrap();
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(served.await.expect("a certificate is issued").contains(" 200 "));
}

/// The serial numbers differ, and so do the files.
fn kept(cache: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .map(|path| {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_issued_kept_and_renewed() {
    let folder = Folder::new();
    let address = free();
    // Renewed after two thirds of it.
    let Some(mut pebble) = Pebble::start(&folder, address.port(), 15) else { return };
    let root = pebble.root().await;
    let world = start(address, pebble.acme(&folder)).await;
    serves(&world, &root).await;
    let acme = pebble.acme(&folder);
    let first = kept(&acme.cache);
    assert!(first.len() == 2 && first[0].0.starts_with("account-") && first[1].0.starts_with("localhost-"), "{first:?}");

    let renewed = timeout(ISSUED, async {
        while kept(&acme.cache)[1].1 == first[1].1 {
            sleep(Duration::from_millis(100)).await;
        }
    });
    renewed.await.expect("it is renewed in time");
    let second = kept(&acme.cache);
    assert_eq!(second[0], first[0], "by the same account");
    serves(&world, &root).await;
    drop(world);

    // The next run has it at once, even where the directory is gone.
    pebble.child.kill().unwrap();
    pebble.child.wait().unwrap();
    let world = start(free(), acme).await;
    let mut stream = connect(&usual(&root), world.address, "localhost").await.expect("at the first handshake");
    assert!(get(&mut stream, "localhost", "/").await.unwrap().contains(" 200 "));
}

/// A directory that was set up anew knows none of the accounts that it gave out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_forgot_the_account_gets_another() {
    let folder = Folder::new();
    let address = free();
    let Some(mut pebble) = Pebble::start(&folder, address.port(), 3600) else { return };
    let root = pebble.root().await;
    let acme = pebble.acme(&folder);
    let world = start(address, acme.clone()).await;
    serves(&world, &root).await;
    drop(world);
    let first = kept(&acme.cache);
    std::fs::remove_file(acme.cache.join(&first[1].0)).unwrap();

    pebble.child.kill().unwrap();
    pebble.child.wait().unwrap();
    let config = folder.path().join("pebble.json");
    let again =
        Command::new("pebble").arg("-config").arg(config).env("PEBBLE_VA_NOSLEEP", "1").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    pebble.child = again.unwrap();
    let root = pebble.root().await;
    let world = start(address, acme.clone()).await;
    serves(&world, &root).await;
    assert_ne!(kept(&acme.cache)[0].1, first[0].1);
}
