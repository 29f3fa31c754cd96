//! The sample of deploy/nginx before both shapes, with a real nginx: TLS, Basic Auth, streams and WebSockets through it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hearth_tests::{Server, Shape, free_address, python, root, skip, succeed, test_data};

const USER: (&str, &str) = ("alice", "a pass: with /signs");

#[test]
fn the_sample_configuration_serves_both_shapes() {
    let (Some(model), Some(python)) = (test_data("smollm2.gguf"), python()) else { return };
    if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
        return skip("nginx is missing");
    }
    for shape in Shape::ALL {
        let server = Server::start(shape, &model, &["--context", "2048", "--trusted-proxy", "127.0.0.1"]);
        let nginx = Nginx::start(server.address);
        let mut client = Command::new(&python);
        client.arg(root().join("tests/python/nginx_client.py")).arg(format!("https://localhost:{}", nginx.port));
        succeed(shape, client.arg(nginx.folder.join("hearth.crt")).args([USER.0, USER.1]));
        let log = fs::read_to_string(nginx.folder.join("hearth.log")).expect("nginx's access log");
        assert!(log.contains("/v1/chat/completions\" 200") && log.contains("/v1/chat/ws\" 101"), "{log}");
    }
}

/// A running nginx; ended, and its files removed, when dropped.
struct Nginx {
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl Nginx {
    /// nginx with the sample as it lies in deploy/, but for the ports and the folders of its files.
    fn start(upstream: SocketAddr) -> Self {
        let (port, plain) = (free_address().port(), free_address().port());
        let folder = std::env::temp_dir().join(format!("hearth-nginx-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let at = |name: &str| folder.join(name).display().to_string();
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).output().expect("openssl");
            assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("text")
        };
        let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"];
        let files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", &at("hearth.key"), "-out", &at("hearth.crt")];
        openssl(&[&request[..], &files[..]].concat());
        let hashed = openssl(&["passwd", "-6", "-salt", "hearth", USER.1]);
        fs::write(folder.join("hearth.htpasswd"), format!("{}:{hashed}", USER.0)).expect("a password file");

        let mut sample = fs::read_to_string(root().join("deploy/nginx/hearth.conf")).expect("the sample");
        for (theirs, ours) in [
            ("server 127.0.0.1:18789;", &*format!("server {upstream};")),
            ("listen 443 ssl http2;", &format!("listen 127.0.0.1:{port} ssl http2;")),
            ("listen 80;", &format!("listen 127.0.0.1:{plain};")),
            ("    listen [::]:443 ssl http2;\n", ""),
            ("    listen [::]:80;\n", ""),
            ("/etc/nginx/", &at("")),
            ("/var/log/nginx/", &at("")),
            ("chat.example.org", "localhost"),
        ] {
            assert!(sample.contains(theirs), "the sample has no {theirs:?} any more");
            sample = sample.replace(theirs, ours);
        }
        fs::write(folder.join("sample.conf"), sample).expect("the sample");
        fs::write(folder.join("nginx.conf"), around(&folder)).expect("a configuration");
        let mut nginx = Command::new("nginx");
        let child = nginx.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf")).spawn().expect("nginx starts");
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { folder, port, child }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked by its signal, for a killed one leaves its workers behind.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What Debian's /etc/nginx/nginx.conf is around the files of conf.d, with all that is written in `folder`.
fn around(folder: &Path) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let temporary: String =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].iter().map(|what| format!("    {what}_temp_path {};\n", at(what))).collect();
    let user = if is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid {};\nerror_log {} warn;\nevents {{}}\nhttp {{\n{temporary}    include {};\n}}\n",
        at("nginx.pid"),
        at("error.log"),
        at("sample.conf")
    )
}

/// Whether this is root, whose workers nginx would give to another user, who may not read the folder.
fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}
