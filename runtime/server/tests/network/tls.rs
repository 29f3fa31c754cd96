//! TLS: versions and protocols, reloading, a certificate of its own, and what is none.

use std::{os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use hearth_server::{Options, Tls};
use http::Request;
use rustls::version::{TLS12, TLS13};
use tokio::time::{sleep, timeout};

use crate::{
    authority::{Authority, client, connect, get, usual},
    common::SOON,
    world::{Folder, World},
};

/// A server with a certificate of `authority`.
async fn start(authority: &Authority, folder: &Folder, options: Options) -> World {
    let (certificate, key) = authority.issue();
    let tls = Tls::files(&folder.write("cert.pem", &certificate), &folder.write("key.pem", &key)).unwrap();
    World::start(Options { tls: Some(tls), ..options }).await
}

#[tokio::test]
async fn both_versions_and_both_protocols_are_spoken() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let world = start(&authority, &folder, Options::default()).await;
    for version in [&TLS12, &TLS13] {
        let old = client(&authority.pem(), &[version], &["http/1.1"]);
        let mut stream = connect(&old, world.address, "chat.example").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        let answer = get(&mut stream, "chat.example", "/who").await.unwrap();
        assert!(answer.starts_with("http/1.1 200 ok\r\n") && answer.ends_with(" true"), "{answer}");

        let both = client(&authority.pem(), &[version], &["h2", "http/1.1"]);
        let stream = connect(&both, world.address, "localhost").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("https://chat.example/").body(()).unwrap();
        let answer = timeout(SOON, client.send_request(request, true).unwrap().0).await.unwrap().unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["strict-transport-security"]), (200, &"max-age=31536000".parse().unwrap()));
    }
    // Who asks for no protocol in the handshake speaks what he will.
    let mut stream = connect(&client(&authority.pem(), &[&TLS13], &[]), world.address, "127.0.0.1").await.unwrap();
    assert!(get(&mut stream, "x", "/").await.unwrap().starts_with("http/1.1 200 ok\r\n"));
    assert!(connect(&client(&authority.pem(), &[&TLS13], &["spdy/1"]), world.address, "localhost").await.is_err());
}

#[tokio::test]
async fn names_are_bound_to_tls_and_nothing_else_is() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let world = start(&authority, &folder, Options::default()).await;
    let client = usual(&authority.pem());
    for (host, bound) in
        [("chat.example", true), ("chat.example:8443", true), ("127.0.0.1", false), ("[::1]:1", false), ("localhost:1", false)]
    {
        let mut stream = connect(&client, world.address, "localhost").await.unwrap();
        let answer = get(&mut stream, host, "/").await.unwrap();
        assert_eq!(answer.contains("strict-transport-security: max-age=31536000\r\n"), bound, "{host}: {answer}");
    }
    let plain = World::start(Options::default()).await;
    let mut plain = plain.connect().await;
    plain.send("GET / HTTP/1.1\r\nhost: chat.example\r\n\r\n").await;
    assert!(!plain.head().await.1.contains("strict-transport-security"));
}

#[tokio::test]
async fn plain_http_is_told_and_junk_is_closed() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let world = start(&authority, &folder, Options { header_timeout: Duration::from_millis(300), ..Options::default() }).await;
    let mut plain = world.connect().await;
    plain.get("/").await;
    let (status, head, body) = plain.response().await;
    assert_eq!(status, 400);
    assert!(head.contains("connection: close\r\n") && body.contains("https://"), "{head}{body}");
    assert!(serde_json::from_str::<serde_json::Value>(&body).unwrap()["error"]["message"].is_string());
    assert_eq!(plain.rest().await, "");
    let mut silent = world.connect().await;
    for junk in ["\0\0\0\0", "get / http\r\n\r\n", "\u{16}\u{3}\u{1}\0\u{5}junk!"] {
        let mut client = world.connect().await;
        client.send(junk).await;
        // What is no handshake at all may be answered by an alert, which begins with 21.
        let answer = client.bytes().await;
        assert!(answer.is_empty() || answer[0] == 21, "{junk:?}: {answer:?}");
    }
    assert!(silent.bytes().await.is_empty(), "who says nothing is closed in time");
}

#[tokio::test]
async fn a_full_server_says_so_over_tls() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let world = start(&authority, &folder, Options { connections: 1, ..Options::default() }).await;
    let both = client(&authority.pem(), rustls::ALL_VERSIONS, &["h2", "http/1.1"]);
    let _first = connect(&both, world.address, "localhost").await.unwrap();
    let mut second = connect(&both, world.address, "localhost").await.unwrap();
    let answer = get(&mut second, "localhost", "/").await.unwrap();
    assert!(answer.starts_with("http/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
}

/// Clients keep connecting while the certificate is replaced: none fails, and soon all see the new one. A pair that does not fit changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_taken_under_load_and_a_bad_one_is_not() {
    let (first, second, folder) = (Authority::new(), Authority::new(), Folder::new());
    let world = Arc::new(start(&first, &folder, Options { rate_per_address: 0, ..Options::default() }).await);
    let both = usual(&(first.pem() + &second.pem()));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (world, both) = (world.clone(), both.clone());
            tokio::spawn(async move {
                for count in 0.. {
                    let mut stream =
                        connect(&both, world.address, "localhost").await.unwrap_or_else(|error| panic!("after {count}: {error}"));
                    assert!(get(&mut stream, "localhost", "/").await.unwrap().contains(" 200 "));
                }
            })
        })
        .collect();
    let serves = async |authority: &Authority| connect(&usual(&authority.pem()), world.address, "localhost").await.is_ok();
    let becomes = async |authority: &Authority| {
        let waited = timeout(SOON, async {
            while !serves(authority).await {
                sleep(Duration::from_millis(50)).await;
            }
        });
        waited.await.expect("the certificate is replaced");
    };
    assert!(serves(&first).await && !serves(&second).await);
    // An open connection lives on.
    let mut open = connect(&usual(&first.pem()), world.address, "localhost").await.unwrap();

    let (certificate, key) = second.issue();
    folder.write("cert.pem", &certificate);
    // The two files are never replaced at the same moment.
    sleep(Duration::from_millis(200)).await;
    folder.write("key.pem", &key);
    becomes(&second).await;
    assert!(!serves(&first).await);
    assert!(get(&mut open, "localhost", "/").await.unwrap().contains(" 200 "));

    let (certificate, key) = first.issue();
    folder.write("cert.pem", &certificate);
    sleep(Duration::from_secs(5)).await;
    assert!(serves(&second).await && !serves(&first).await, "a certificate without its key is not taken");
    folder.write("key.pem", &key);
    becomes(&first).await;
    for task in load {
        assert!(!task.is_finished(), "no client failed");
        task.abort();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    }
}

#[tokio::test]
async fn a_certificate_of_its_own_is_made_once_and_kept_for_itself() {
    let folder = Folder::new();
    let state = folder.path().join("state");
    let tls = Tls::self_signed(&state, "127.0.0.1".parse().unwrap()).unwrap();
    let fingerprint = tls.fingerprint().unwrap();
    assert_eq!(fingerprint.len(), 32 * 3 - 1);
    assert!(tls.describe().contains(&fingerprint), "{}", tls.describe());
    let path = state.join("tls/self-signed.pem");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let again = Tls::self_signed(&state, "0.0.0.0".parse().unwrap()).unwrap();
    assert_eq!(again.fingerprint().unwrap(), fingerprint, "it is kept");

    let world = World::start(Options { tls: Some(tls), ..Options::default() }).await;
    let pem = std::fs::read_to_string(&path).unwrap();
    for name in ["localhost", "127.0.0.1"] {
        let mut stream = connect(&usual(&pem), world.address, name).await.unwrap();
        let answer = get(&mut stream, "chat.example", "/who").await.unwrap();
        assert!(answer.ends_with(" true") && !answer.contains("strict-transport-security"), "{answer}");
    }
    assert!(connect(&usual(&Authority::new().pem()), world.address, "localhost").await.is_err(), "nobody trusts it unseen");

    let other = Tls::self_signed(&state, "192.0.2.7".parse().unwrap()).unwrap();
    assert_ne!(other.fingerprint().unwrap(), fingerprint, "another address needs another");
    std::fs::write(&path, "junk").unwrap();
    let error = Tls::self_signed(&state, "127.0.0.1".parse().unwrap()).unwrap_err().to_string();
    assert!(error.contains("Delete the file"), "{error}");
}

#[test]
fn a_pair_that_cannot_serve_is_an_error_at_the_start() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let ((certificate, key), (_, other)) = (authority.issue(), authority.issue());
    let error = |certificate: &str, key: &str| {
        let paths = (folder.write("cert.pem", certificate), folder.write("key.pem", key));
        Tls::files(&paths.0, &paths.1).unwrap_err().to_string()
    };
    assert!(error(&certificate, &other).contains("another certificate's"));
    assert!(error("", &key).contains("cert.pem: there is no certificate"));
    assert!(error(&certificate, &certificate).contains("key.pem: there is no private key"));
    let missing = Tls::files(&folder.path().join("none.pem"), &folder.path().join("key.pem")).unwrap_err().to_string();
    assert!(missing.contains("none.pem"), "{missing}");
    let end = hearth_server::tls::expiry(&folder.write("cert.pem", &certificate)).unwrap();
    let left = end.duration_since(std::time::SystemTime::now()).unwrap();
    assert!(left > Duration::from_secs(3500) && left <= Duration::from_secs(3600), "{left:?}");
}
