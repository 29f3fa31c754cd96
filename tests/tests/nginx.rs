//! The sample of deploy/nginx before both shapes, with a real nginx: TLS, Basic Auth, streams and WebSockets through it.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

use hearth_tests::{Nginx, Server, Shape, free_address, openssl, python, root, skip, succeed, test_data};

const USER: (&str, &str) = ("alice", "a pass: with /signs");

#[test]
fn the_sample_configuration_serves_both_shapes() {
    let (Some(model), Some(python)) = (test_data("smollm2.gguf"), python()) else { return };
    if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
        return skip("nginx is missing");
    }
    for shape in Shape::ALL {
        let server = Server::start(shape, &model, &["--context", "2048", "--trusted-proxy", "127.0.0.1"]);
        let (nginx, port) = start(server.address);
        let mut client = Command::new(&python);
        client.arg(root().join("tests/python/nginx_client.py")).arg(format!("https://localhost:{port}"));
        succeed(shape, client.arg(nginx.folder.join("hearth.crt")).args([USER.0, USER.1]));
        let log = nginx.log();
        assert!(log.contains("/v1/chat/completions\" 200") && log.contains("/v1/chat/ws\" 101"), "{log}");
    }
}

/// nginx before `upstream`, with a user; its port.
fn start(upstream: SocketAddr) -> (Nginx, u16) {
    let (address, plain) = (free_address(), free_address());
    let users = format!("{}:{}", USER.0, openssl(&["passwd", "-6", "-salt", "hearth", USER.1]));
    let changes = [
        ("server 127.0.0.1:18789;", &*format!("server {upstream};")),
        ("listen 443 ssl http2;", &format!("listen {address} ssl http2;")),
        ("listen 80;", &format!("listen {plain};")),
        ("    listen [::]:443 ssl http2;\n", ""),
        ("    listen [::]:80;\n", ""),
    ];
    (Nginx::start(Command::new("nginx"), "hearth.conf", &changes, &[("hearth.htpasswd", &users)], address), address.port())
}
