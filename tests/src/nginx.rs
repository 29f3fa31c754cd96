//! An nginx with a sample of deploy/nginx, as it lies there but for its ports, its addresses and the folders of its files.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use crate::{listens, root};

/// A running nginx; ended, and its files removed, when dropped.
#[derive(Debug)]
pub struct Nginx {
    /// Where its files lie: `hearth.crt`, the certificate; `hearth.log`, the access log.
    pub folder: PathBuf,
    child: Child,
}

impl Nginx {
    /// Starts `nginx` (the program, as a command) with the sample `name`, in which `changes` are made (each must have something to change), and with further `files` (names and
    /// texts) where the sample's lie; waits until it listens at `address`.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(mut nginx: Command, name: &str, changes: &[(&str, &str)], files: &[(&str, &str)], address: SocketAddr) -> Self {
        let folder = std::env::temp_dir().join(format!("hearth-nginx-{}-{}", std::process::id(), address.port()));
        fs::create_dir_all(&folder).expect("a folder");
        let at = |name: &str| folder.join(name).display().to_string();
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("a file");
        }
        let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"];
        let pair = ["-addext", "subjectAltName=DNS:localhost", "-keyout", &at("hearth.key"), "-out", &at("hearth.crt")];
        openssl(&[&request[..], &pair[..]].concat());

        let mut sample = fs::read_to_string(root().join("deploy/nginx").join(name)).expect("the sample");
        let folders = [("/etc/nginx/", &*at("")), ("/var/log/nginx/", &at("")), ("chat.example.org", "localhost")];
        for (theirs, ours) in changes.iter().chain(&folders) {
            assert!(sample.contains(theirs), "the sample has no {theirs:?} any more");
            sample = sample.replace(theirs, ours);
        }
        fs::write(folder.join("sample.conf"), sample).expect("the sample");
        fs::write(folder.join("nginx.conf"), around(&folder)).expect("a configuration");
        let child = nginx.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf")).spawn().expect("nginx starts");
        let mut started = Self { folder, child };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !listens(address) {
            assert!(started.child.try_wait().is_ok_and(|ended| ended.is_none()), "nginx ended: what it said is above");
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        started
    }

    /// What it has logged of requests so far.
    ///
    /// # Panics
    /// When there is no log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("hearth.log")).expect("nginx's access log")
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

/// What openssl prints.
///
/// # Panics
/// When it fails.
pub fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().expect("openssl");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What Debian's /etc/nginx/nginx.conf is around the files of conf.d, with all that is written in `folder`.
fn around(folder: &Path) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let temporary: String =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].iter().map(|what| format!("    {what}_temp_path {};\n", at(what))).collect();
    let user = if is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid {};\nerror_log {} warn;\nevents {{}}\nhttp {{\n{temporary}    access_log {};\n    include {};\n}}\n",
        at("nginx.pid"),
        at("error.log"),
        at("access.log"),
        at("sample.conf")
    )
}

/// Whether this is root, whose workers nginx would give to another user, who may not read the folder.
fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}
