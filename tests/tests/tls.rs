//! A scan of what TLS is spoken, from outside: OpenSSL's client, hellos made by hand where it is too young for them, and clients that users have. Both shapes, one with a key on
//! a curve, the other with RSA's.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use hearth_tests::{Scratch, Server, Shape, Surroundings, listens, python, root, skip, succeed, test_data};

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// Alerts (RFC 8446, 6.2).
const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;
/// TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 and its like of RSA, and TLS_RSA_WITH_AES_128_CBC_SHA, which every old client has.
const SUITES: [[u8; 2]; 3] = [[0xc0, 0x2b], [0xc0, 0x2f], [0x00, 0x2f]];

#[test]
fn only_what_is_good_is_spoken() {
    let (Some(model), Some(python)) = (test_data("smollm2.gguf"), python()) else { return };
    if Command::new("openssl").arg("version").output().is_err() {
        return skip("openssl is missing");
    }
    for (shape, kind) in Shape::ALL.into_iter().zip(["ECDSA", "RSA"]) {
        let scratch = Scratch::new("tls");
        chain(scratch.path(), kind);
        let at = |name: &str| scratch.join(name).display().to_string();
        let surroundings = Surroundings { state: Some(scratch.join("state")), ..Surroundings::default() };
        let flags = ["--context", "1024", "--tls-cert", &at("chain.pem"), "--tls-key", &at("leaf.key")];
        let server = Server::start_amid(&surroundings, shape, &model, &flags);
        let scan = Scan { address: server.address, root: at("root.pem"), shape };
        scan.listening();
        scan.versions();
        scan.ciphers(kind);
        scan.nothing_dangerous();
        scan.protocols();
        scan.certificates();
        let mut client = Command::new(&python);
        client.arg(root().join("tests/python/tls_client.py")).args([server.address.port().to_string(), at("root.pem")]);
        succeed(shape, &mut client);
    }
}

/// A root, what it issued, and what that issued for `localhost`: `chain.pem` has the last two.
fn chain(folder: &Path, kind: &str) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let new = if kind == "RSA" { "-newkey rsa:2048" } else { "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1" };
    let authority = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign";
    openssl(&format!("req -x509 {new} -nodes -days 2 -subj /CN=root {authority} -keyout root.key -out root.pem"));
    let issued = |name: &str, by: &str, extensions: &str| {
        fs::write(folder.join("extensions"), extensions).expect("extensions");
        openssl(&format!("req {new} -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -days 2 -extfile extensions -out {name}.pem"
        ));
    };
    issued("middle", "root", "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n");
    let names = "subjectAltName=DNS:localhost,DNS:chat.example,IP:127.0.0.1";
    issued("leaf", "middle", &format!("{names}\nextendedKeyUsage=serverAuth\nkeyUsage=critical,digitalSignature,keyEncipherment\n"));
    let both = ["leaf.pem", "middle.pem"].map(|name| fs::read_to_string(folder.join(name)).expect("a certificate")).concat();
    fs::write(folder.join("chain.pem"), both).expect("the chain");
}

struct Scan {
    address: SocketAddr,
    root: String,
    shape: Shape,
}

impl Scan {
    fn listening(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !listens(self.address) {
            assert!(Instant::now() < deadline, "{:?} does not listen", self.shape);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// SSL 3 to TLS 1.1 are refused, whatever else is offered; the versions after them are spoken.
    fn versions(&self) {
        let shape = self.shape;
        for (minor, name) in [(0, "SSL 3"), (1, "TLS 1.0"), (2, "TLS 1.1")] {
            let answer = self.hello(minor, &[0], &[0x00, 0xff]);
            // Whoever speaks SSL 3 cannot say either which signatures it knows, which is refused before its version.
            let expected = if minor == 0 { HANDSHAKE_FAILURE } else { PROTOCOL_VERSION };
            assert_eq!(alert(&answer), Some(expected), "{shape:?}: {name} is answered by {answer:02x?}");
        }
        // The same hello is good where the version is.
        let answer = self.hello(3, &[0], &[]);
        assert_eq!(answer.first(), Some(&HANDSHAKE), "{shape:?}: TLS 1.2 is answered by {answer:02x?}");
        for (old, name) in [("-tls1", "TLSv1"), ("-tls1_1", "TLSv1.1")] {
            let said = self.client(&[old, "-cipher", "ALL:@SECLEVEL=0"]);
            assert!(!connected(&said), "{shape:?} speaks {name}: {}", text(&said));
        }
        for (new, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
            let said = self.client(&[new]);
            assert!(connected(&said) && text(&said).contains(name), "{shape:?} does not speak {name}: {}", text(&said));
        }
    }

    /// Every cipher that OpenSSL has is offered alone.
    fn ciphers(&self, kind: &str) {
        let list = |arguments: &[&str]| {
            let output = Command::new("openssl").arg("ciphers").args(arguments).output().expect("openssl");
            let names = String::from_utf8(output.stdout).expect("names");
            names.trim().split(':').map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let old = list(&["-tls1_2", "-s", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]);
        assert!(old.len() > 60 && old.contains("AES128-SHA"), "OpenSSL offers but {old:?}");
        let old: BTreeSet<String> = old.into_iter().filter(|name| !name.starts_with("TLS_")).collect();
        let taken = |name: &&String| connected(&self.client(&["-tls1_2", "-cipher", &format!("{name}:@SECLEVEL=0")]));
        let taken: BTreeSet<&String> = old.iter().filter(taken).collect();
        let good = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"].map(|name| format!("ECDHE-{kind}-{name}"));
        assert_eq!(taken, good.iter().collect(), "{:?}: TLS 1.2, of {} ciphers", self.shape, old.len());

        let suites = [
            "TLS_AES_256_GCM_SHA384",
            "TLS_CHACHA20_POLY1305_SHA256",
            "TLS_AES_128_GCM_SHA256",
            "TLS_AES_128_CCM_SHA256",
            "TLS_AES_128_CCM_8_SHA256",
        ];
        let taken = suites.map(|suite| connected(&self.client(&["-tls1_3", "-ciphersuites", suite])));
        assert_eq!(taken, [true, true, true, false, false], "{:?}: of {suites:?}", self.shape);
    }

    /// No compression, no renegotiation, no early data, no keys that all connections share.
    fn nothing_dangerous(&self) {
        let shape = self.shape;
        let answer = self.hello(3, &[1], &[]);
        assert!(alert(&answer).is_some(), "{shape:?}: a hello that can only compress is answered by {answer:02x?}");
        let answer = self.hello(3, &[1, 0], &[]);
        assert_eq!(compression(&answer), Some(0), "{shape:?}: {answer:02x?}");

        assert!(self.answers(false), "{shape:?}: a client that asks for no renegotiation has its answer");
        assert!(!self.answers(true), "{shape:?}: what is said behind a renegotiation is heard");

        let said = text(&self.client(&["-tls1_3"]));
        assert!(!said.contains("Early data was accepted"), "{shape:?}: {said}");
        let said = text(&self.client(&["-tls1_2", "-cipher", "ALL:@SECLEVEL=0", "-groups", "secp256k1"]));
        assert!(!said.contains("Cipher is ECDHE"), "{shape:?}: a curve that nobody should want: {said}");
    }

    /// HTTP/2 where the client wants it, HTTP/1.1 else; a client that wants neither is refused.
    fn protocols(&self) {
        for (offered, chosen) in
            [("h2,http/1.1", Some("h2")), ("http/1.1,h2", Some("h2")), ("http/1.1", Some("http/1.1")), ("spdy/1", None)]
        {
            for version in ["-tls1_2", "-tls1_3"] {
                let said = self.client(&[version, "-alpn", offered]);
                let told = text(&said);
                let got = told.lines().find_map(|line| line.strip_prefix("ALPN protocol: "));
                assert_eq!((connected(&said), got), (chosen.is_some(), chosen), "{:?} {version}, {offered}: {told}", self.shape);
            }
        }
    }

    /// The whole chain is sent, so that a client which knows the root alone can follow it; and it is for the names that it says.
    fn certificates(&self) {
        let shape = self.shape;
        let verify = ["-verify_return_error", "-showcerts", "-CAfile", &self.root, "-no-CApath"];
        for name in ["localhost", "chat.example"] {
            let said = self.client(&[&verify[..], &["-verify_hostname", name]].concat());
            let told = text(&said);
            assert!(connected(&said) && told.contains("Verify return code: 0 (ok)"), "{shape:?} {name}: {told}");
            assert_eq!(told.matches("-----BEGIN CERTIFICATE-----").count(), 2, "{shape:?}: leaf and issuer: {told}");
        }
        let said = self.client(&[&verify[..], &["-verify_hostname", "other.example"]].concat());
        assert!(!connected(&said), "{shape:?}: {}", text(&said));
        let said = self.client(&["-verify_return_error", "-no-CAfile", "-no-CApath"]);
        assert!(!connected(&said), "{shape:?} is trusted without its root: {}", text(&said));
    }

    /// `openssl s_client` with these options, which ends after the handshake.
    fn client(&self, options: &[&str]) -> Output {
        self.command(options).stdin(Stdio::null()).output().expect("openssl")
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &self.address.to_string(), "-servername", "localhost"]).args(options);
        // Its own configuration could forbid what is to be tried.
        client.env("OPENSSL_CONF", "/dev/null").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        client
    }

    /// Whether a client has an answer, which may ask for a renegotiation before (by its command `R`). The server does not answer that, and what comes behind it would be in vain.
    fn answers(&self, renegotiates: bool) -> bool {
        let mut client = self.command(&["-tls1_2", "-alpn", "http/1.1"]).spawn().expect("openssl");
        let lines = |output: Box<dyn Read + Send>| {
            let (sender, lines) = mpsc::channel();
            thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
            lines
        };
        let mut input = client.stdin.take().expect("its input");
        let output = lines(Box::new(client.stdout.take().expect("its output")));
        let errors = lines(Box::new(client.stderr.take().expect("its errors")));
        let long = Duration::from_secs(60);
        if renegotiates {
            // The client takes all that it reads at once for the command: the request comes when that was heard.
            input.write_all(b"R\n").expect("it reads");
            while !errors.recv_timeout(long).expect("it asks").contains("RENEGOTIATING") {}
        }
        let _ = input.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let patience = if renegotiates { Duration::from_secs(2) } else { long };
        let deadline = Instant::now() + patience;
        let mut answered = false;
        while let Ok(line) = output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            answered |= line.contains("HTTP/1.1 200");
        }
        let _ = client.kill();
        let _ = client.wait();
        answered
    }

    /// What the server answers to a hello of TLS 1.2's form: `minor` of version 3, these ways to compress, and a signalling suite or none.
    fn hello(&self, minor: u8, compression: &[u8], signalling: &[u8]) -> Vec<u8> {
        let mut suites = SUITES.concat();
        suites.extend(signalling);
        let mut body = vec![3, minor];
        body.extend([7; 32]);
        body.push(0);
        body.extend(u16::try_from(suites.len()).unwrap().to_be_bytes());
        body.extend(suites);
        body.push(u8::try_from(compression.len()).unwrap());
        body.extend(compression);
        if minor > 0 {
            // Curves (P-256, X25519), their form, and signatures with either kind of key: without them no suite would fit.
            let extensions: [&[u8]; 3] = [&[0, 10, 0, 6, 0, 4, 0, 23, 0, 29], &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1]];
            let extensions = extensions.concat();
            body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
            body.extend(extensions);
        }
        let mut message = vec![HANDSHAKE, 3, minor.min(1)];
        let length = u16::try_from(body.len()).unwrap();
        message.extend((length + 4).to_be_bytes());
        message.extend([1, 0]);
        message.extend(length.to_be_bytes());
        message.extend(body);
        let mut socket = TcpStream::connect(self.address).expect("a connection");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        socket.write_all(&message).expect("it is sent");
        let mut answer = vec![0; 4096];
        let mut length = 0;
        // A record's head, and as much as it says.
        while length < 5 || length < 5 + usize::from(u16::from_be_bytes([answer[3], answer[4]])).min(4000) {
            match socket.read(&mut answer[length..]) {
                Ok(0) | Err(_) => break,
                Ok(more) => length += more,
            }
        }
        answer.truncate(length);
        answer
    }
}

/// What a fatal alert says, where an answer is one.
fn alert(answer: &[u8]) -> Option<u8> {
    match answer {
        [ALERT, 3, _, 0, 2, 2, description, ..] => Some(*description),
        _ => None,
    }
}

/// How a server's hello says that what follows is compressed.
fn compression(answer: &[u8]) -> Option<u8> {
    let body = answer.strip_prefix(&[HANDSHAKE])?.get(4..)?.strip_prefix(&[2])?.get(3..)?;
    // Version, random, session id, suite.
    let session = usize::from(*body.get(34)?);
    body.get(35 + session + 2).copied()
}

/// Whether the client came to the end of a handshake.
fn connected(output: &Output) -> bool {
    let said = text(output);
    output.status.success() && said.contains("Cipher is ") && !said.contains("Cipher is (NONE)")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
