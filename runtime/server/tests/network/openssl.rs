//! The same from OpenSSL's side, with its own client: what is taken, and what is too weak.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

use hearth_server::{Options, Tls};

use crate::{
    authority::Authority,
    world::{Folder, World},
};

/// What `openssl s_client` says with these arguments, and whether it got a connection.
async fn s_client(address: SocketAddr, arguments: &[&str]) -> (bool, String) {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", &address.to_string(), "-servername", "localhost"]).args(arguments);
    // It ends when there is nothing to send.
    openssl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || openssl.output().expect("openssl runs")).await.unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test]
async fn openssl_gets_strong_connections_and_no_weak_ones() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "openssl is missing: apt-get install openssl");
        eprintln!("SKIPPED: openssl's client is not installed (apt-get install openssl)");
        return;
    }
    let (authority, folder) = (Authority::new(), Folder::new());
    let (certificate, key) = authority.issue();
    let tls = Tls::files(&folder.write("cert.pem", &certificate), &folder.write("key.pem", &key)).unwrap();
    let world = World::start(Options { tls: Some(tls), ..Options::default() }).await;
    let root = folder.write("root.pem", &authority.pem());
    let root = ["-CAfile", root.to_str().unwrap(), "-verify_return_error", "-verify_hostname", "localhost"];

    let strong: [(&[&str], &[&str]); 5] = [
        (&["-tls1_3"], &["New, TLSv1.3", "Verify return code: 0 (ok)"]),
        (&["-tls1_2"], &["New, TLSv1.2", "Verify return code: 0 (ok)", "Secure Renegotiation IS supported", "Compression: NONE"]),
        (&["-alpn", "h2,http/1.1"], &["ALPN protocol: h2"]),
        (&["-alpn", "http/1.1"], &["ALPN protocol: http/1.1"]),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], &["ECDHE-ECDSA-CHACHA20-POLY1305"]),
    ];
    for (arguments, said) in strong {
        let (connected, output) = s_client(world.address, &[&root, arguments].concat()).await;
        assert!(connected, "{arguments:?}: {output}");
        said.iter().for_each(|said| assert!(output.contains(said), "{arguments:?} has no {said:?}: {output}"));
    }
    // At level 0 OpenSSL offers what is long broken, so that it is the server who refuses.
    let weak: [&[&str]; 6] = [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "DHE:@SECLEVEL=0"],
    ];
    for arguments in weak {
        let (connected, output) = s_client(world.address, arguments).await;
        assert!(!connected && output.contains("alert"), "{arguments:?} is refused by the server: {output}");
    }
}
