//! Serving others, in both shapes: an address that is open to them needs keys and TLS, and TLS is what the flags say.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use hearth_tests::{Shape, binary, free_address, python, root, succeed, test_data};

/// A server of `shape` that keeps its state in `folder`.
fn server(shape: Shape, folder: &std::path::Path, listen: &str) -> Command {
    let mut command = Command::new(binary(match shape {
        Shape::Native => "hearth",
        Shape::Wasm => "trigger-nn-http",
    }));
    match shape {
        Shape::Native => command.arg("serve"),
        Shape::Wasm => command.arg("--from").arg(root().join("spin.toml")),
    };
    command.arg("--state-dir").arg(folder).args(["--listen", listen, "--device", "cpu", "--context", "512", "--model"]);
    command
}

/// Ends with the test, and its folder too.
struct Running(Child, std::path::PathBuf);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

#[test]
fn an_open_address_needs_keys_and_tls_or_a_word() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    for shape in Shape::ALL {
        let folder = std::env::temp_dir().join(format!("hearth-exposed-{}", std::process::id()));
        let output = server(shape, &folder, "0.0.0.0:0").arg(&model).output().expect("the server runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{shape:?}: {said}");
        for cure in ["0.0.0.0:0", "hearth keys create", "--tls-cert", "127.0.0.1", "--allow-exposed"] {
            assert!(said.contains(cure), "{shape:?} does not say {cure}: {said}");
        }
        assert!(!folder.exists(), "nothing was begun");
    }
}

#[test]
fn a_trial_of_tls_prints_the_fingerprint_and_answers() {
    let (Some(model), Some(python)) = (test_data("smollm2.gguf"), python()) else { return };
    const CLIENT: &str = "import hashlib, ssl, sys, urllib.request
url, pem, printed = sys.argv[1:]
own = hashlib.sha256(ssl.PEM_cert_to_DER_cert(open(pem).read().split('-----BEGIN PRIVATE')[0])).hexdigest().upper()
assert printed.replace(':', '') == own, (printed, own)
answer = urllib.request.urlopen(url + '/health', context=ssl.create_default_context(cafile=pem))
print(answer.status, answer.read())";
    for shape in Shape::ALL {
        let address = free_address();
        let folder = std::env::temp_dir().join(format!("hearth-tls-{}", address.port()));
        // An open address is fine where somebody says so.
        let mut command = server(shape, &folder, &format!("0.0.0.0:{}", address.port()));
        let child = command.arg(&model).args(["--tls-self-signed", "--allow-exposed"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut running = Running(child.expect("the server starts"), folder.clone());
        let lines = BufReader::new(running.0.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let mut fingerprint = None;
        for line in lines {
            if let Some((_, found)) = line.split_once("SHA-256 fingerprint ") {
                fingerprint = Some(found.trim().to_owned());
                break;
            }
        }
        let fingerprint = fingerprint.unwrap_or_else(|| panic!("{shape:?} prints no fingerprint"));
        let mut client = Command::new(&python);
        client.args(["-c", CLIENT, &format!("https://{address}")]).arg(folder.join("tls/self-signed.pem")).arg(fingerprint);
        assert!(succeed(shape, &mut client).starts_with("200 "));
    }
}
