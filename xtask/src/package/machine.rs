//! The Debian package on a fresh Debian: installed, started by its unit's command, chatted with, upgraded, removed, purged; and the same machine with `install.sh`.
//!
//! The machine is a root of Debian's own packages that processes are put into by chroot. There is no systemd in it: this program reads the unit and does what systemd would,
//! and is the socket that the service says its readiness to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Binaries, VERSION, deb, documents};
use crate::{
    archive,
    command::{run, run_quietly},
    system, test,
    toolchain::output,
};

/// The release whose glibc the package has to live with: Debian's stable of 2023.
const SUITE: &str = "bookworm";
/// How long the service may take to load its model, and to end.
const PATIENCE: Duration = Duration::from_secs(300);
/// What may be left of the package after it was purged: what it was there for, and what the machine itself keeps a note of.
const LEFT: [&str; 2] = ["/var/lib/hearth", "/etc/hearth"];
const NOTES: [&str; 6] = ["/var/lib/dpkg", "/var/log", "/var/cache", "/etc/passwd", "/etc/group", "/run"];
const MORE_NOTES: [&str; 4] = ["/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"];

/// Does all of it.
pub(super) fn check(root: &Path, binaries: &Binaries) -> Result<()> {
    if output("id", &["-u"]).as_deref() != Some("0\n") {
        eprintln!("\nSKIPPED: a fresh Debian needs root (mounts, chroot): sudo cargo xtask package --check\n");
        return Ok(());
    }
    let model = model(root)?;
    let work = archive::empty(root.join("target/package-work/check"))?;
    let documents = documents(&binaries.path("hearth"), &work.join("documents"))?;
    let epoch = archive::epoch(root);
    let package = |version: &str| deb::build(root, binaries, &documents, version, &work, epoch);
    let (old, new) = (package(VERSION)?, package(&format!("{VERSION}+1"))?);

    let debian = Debian::unpack(root, &work)?;
    let bare = debian.files()?;
    debian.put(&old, "/tmp/old.deb")?;
    debian.put(&new, "/tmp/new.deb")?;
    eprintln!("a fresh Debian: installing {}", old.display());
    debian.run(&["dpkg", "--install", "/tmp/old.deb"])?;
    debian.run(&["hearth", "--version"])?;

    // What an administrator does: a port, a model, a key.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let configuration = debian.path("/etc/hearth/hearth.toml");
    let text = fs::read_to_string(&configuration)?;
    ensure!(text.contains("127.0.0.1:18789"), "the configuration of the package names another port");
    fs::write(&configuration, text.replace("127.0.0.1:18789", &address.to_string()))?;
    debian.model(&model)?;
    let changed = fs::read_to_string(&configuration)?;
    let made = debian.run(&[
        "setpriv",
        "--reuid=hearth",
        "--regid=hearth",
        "--clear-groups",
        "hearth",
        "keys",
        "--config",
        "/etc/hearth/hearth.toml",
        "--json",
        "create",
        "check",
        "--scope",
        "chat",
    ])?;
    let key = serde_json::from_str::<Value>(&made)?["token"].as_str().context("no key was made")?.to_owned();

    eprintln!("starting it as its unit says, and chatting");
    let service = debian.start(address)?;
    ensure!(ask(address, "", "GET", "/v1/models", None)?.0 == 401, "without a key it answers");
    let kept = chat(address, &key)?;
    service.stop()?;

    eprintln!("upgrading to {}", new.display());
    debian.run(&["dpkg", "--install", "/tmp/new.deb"])?;
    ensure!(fs::read_to_string(&configuration)? == changed, "the upgrade changed the administrator's configuration");
    let service = debian.start(address)?;
    let (status, found) = ask(address, &key, "GET", &format!("/v1/responses/{kept}"), None)?;
    ensure!(status == 200 && found["id"] == kept.as_str(), "what was kept before the upgrade is not there: {status} {found}");
    chat(address, &key)?;
    service.stop()?;

    eprintln!("removing and purging it");
    debian.run(&["dpkg", "--remove", "hearth"])?;
    ensure!(
        !debian.path("/usr/bin/hearth").exists() && configuration.exists(),
        "removed, a package leaves its configuration and nothing else"
    );
    debian.run(&["dpkg", "--purge", "hearth"])?;
    ensure!(!configuration.exists(), "the purge left the package's configuration");
    ensure!(
        debian.path("/var/lib/hearth/state/key-value.db").exists() && debian.path("/etc/hearth/master.key").exists(),
        "the purge took data"
    );
    debian.nothing_left(&bare)?;

    eprintln!("the same machine with install.sh");
    let release = debian.path("/tmp/release");
    super::release(root, &debian.path("/tmp"), "release", &documents, |to| binaries.install("hearth", to))?;
    for _ in ["install", "upgrade"] {
        debian.run(&["sh", "/tmp/release/install.sh", "--no-start", "--cpu"])?;
    }
    ensure!(
        debian.path("/usr/local/bin/hearth").exists() && debian.path("/etc/systemd/system/hearth.service.d/cpu.conf").exists(),
        "install.sh left out something"
    );
    debian.run(&["hearth", "config", "check", "/etc/hearth/hearth.toml"])?;
    debian.run(&["sh", "/tmp/release/install.sh", "--uninstall"])?;
    fs::remove_dir_all(&release)?;
    debian.nothing_left(&bare)?;
    eprintln!("a fresh Debian took the package and gave it back: nothing is left but the data");
    Ok(())
}

/// The default model's file, from where the tests keep it.
fn model(root: &Path) -> Result<PathBuf> {
    let data = root.join("target/test-data");
    let models = if data.join("smollm2.gguf").exists() { data.join("smollm2.gguf") } else { test::models(root, &data)?.remove(0) };
    fs::canonicalize(models).context("the model")
}

/// A chat, its answer kept; the answer's id.
fn chat(address: SocketAddr, key: &str) -> Result<String> {
    let body = json!({"instructions": "You are a helpful assistant.", "input": "What is the capital of France?", "temperature": 0, "max_output_tokens": 32});
    let (status, answer) = ask(address, key, "POST", "/v1/responses", Some(&body))?;
    ensure!(status == 200, "{status}: {answer}");
    let text = answer["output"][0]["content"][0]["text"].as_str().unwrap_or_default();
    ensure!(!text.trim().is_empty(), "that is no answer: {answer}");
    eprintln!("  {text}");
    Ok(answer["id"].as_str().context("the answer has no id")?.to_owned())
}

/// One request; the status and the JSON of the answer.
fn ask(address: SocketAddr, key: &str, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let body = body.map(ToString::to_string).unwrap_or_default();
    let key = if key.is_empty() { String::new() } else { format!("authorization: Bearer {key}\r\n") };
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{key}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no answer in HTTP")?;
    let (_, text) = answer.split_once("\r\n\r\n").context("no body")?;
    let json = text.find('{').zip(text.rfind('}')).and_then(|(from, to)| serde_json::from_str(&text[from..=to]).ok());
    Ok((status, json.unwrap_or(Value::Null)))
}

/// A root with /proc and /dev of its own, all gone when dropped.
struct Debian {
    folder: PathBuf,
}

impl Debian {
    /// A fresh one. What it is unpacked from is made once, of Debian's packages, and kept below target/tools.
    fn unpack(root: &Path, work: &Path) -> Result<Self> {
        let kept = root.join("target/tools").join(format!("debian-{SUITE}.tar"));
        if !kept.exists() {
            fs::create_dir_all(root.join("target/tools"))?;
            make(root, &kept)?;
        }
        let debian = Self { folder: work.join("debian") };
        fs::create_dir_all(&debian.folder)?;
        run_quietly(
            Command::new("tar")
                .args(["--extract", "--numeric-owner", "--exclude=./dev/*", "--file"])
                .arg(&kept)
                .arg("--directory")
                .arg(&debian.folder),
        )?;
        run_quietly(Command::new("mount").args(["-t", "proc", "proc"]).arg(debian.path("/proc")))?;
        run_quietly(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=755", "tmpfs"]).arg(debian.path("/dev")))?;
        for device in ["null", "zero", "urandom", "random"] {
            let path = debian.path("/dev").join(device);
            fs::write(&path, "")?;
            run_quietly(Command::new("mount").arg("--bind").arg(Path::new("/dev").join(device)).arg(&path))?;
        }
        Ok(debian)
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.join(inside.trim_start_matches('/'))
    }

    fn command(&self, program: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.folder).args(program).env_clear().current_dir("/");
        command
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs a program in it to its end; what it printed.
    fn run(&self, program: &[&str]) -> Result<String> {
        let output = self.command(program).output()?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
        ensure!(output.status.success(), "{}: {}\n{out}{err}", program.join(" "), output.status);
        Ok(out)
    }

    fn put(&self, file: &Path, inside: &str) -> Result<()> {
        archive::install(file, &self.path(inside), 0o644)
    }

    /// The model as a pull would leave it, and named by its path.
    fn model(&self, file: &Path) -> Result<()> {
        self.put(file, "/var/lib/hearth/models/smollm2.gguf")?;
        self.run(&["chown", "-R", "hearth:hearth", "/var/lib/hearth/models"])?;
        let configuration = self.path("/etc/hearth/hearth.toml");
        let text = fs::read_to_string(&configuration)?;
        let named = text.replace("model = [\"smollm2-135m-instruct\"]", "model = [\"smollm2=/var/lib/hearth/models/smollm2.gguf\"]");
        ensure!(named != text, "the configuration of the package names another model");
        fs::write(configuration, named)?;
        Ok(())
    }

    /// Does what systemd would with the unit, as far as a chroot can, and waits for the service to say that it is ready.
    fn start(&self, address: SocketAddr) -> Result<Service> {
        let unit = Unit::parse(&fs::read_to_string(self.path("/lib/systemd/system/hearth.service"))?);
        let credentials = "/run/credentials/hearth.service";
        fs::create_dir_all(self.path(credentials))?;
        for credential in unit.all("LoadCredential") {
            let (name, from) = credential.split_once(':').context("a credential has a name and a file")?;
            let to = format!("{credentials}/{name}");
            fs::copy(self.path(from), self.path(&to)).with_context(|| format!("the credential {from}"))?;
            self.run(&["chown", "hearth:hearth", &to])?;
            fs::set_permissions(self.path(&to), fs::Permissions::from_mode(0o400))?;
        }
        ensure!(unit.one("Type")? == "notify", "the service is not waited for");
        let socket = self.path("/run/notify");
        let _ = fs::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket)?;
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
        notify.set_read_timeout(Some(PATIENCE))?;

        let (user, group) = (format!("--reuid={}", unit.one("User")?), format!("--regid={}", unit.one("Group")?));
        let start: Vec<&str> = unit.one("ExecStart")?.split(' ').collect();
        let mut command =
            self.command(&[&["setpriv", &user, &group, "--clear-groups", "--no-new-privs", "--inh-caps=-all"], &start[..]].concat());
        for variable in unit.all("Environment") {
            let (name, value) = variable.split_once('=').context("a variable has a name")?;
            command.env(name, value.replace("%d", credentials));
        }
        command.env("NOTIFY_SOCKET", "/run/notify").env("HEARTH_DEVICE", "cpu").env("HEARTH_CONTEXT", "1024");
        let log = self.path("/tmp/service.log");
        let errors = fs::File::create(&log)?;
        let child = command.stdin(Stdio::null()).stdout(errors.try_clone()?).stderr(errors).spawn()?;
        let mut service = Service { child, notify };
        let mut message = [0; 4096];
        loop {
            let length = service
                .notify
                .recv(&mut message)
                .with_context(|| format!("it did not become ready: {}", fs::read_to_string(&log).unwrap_or_default()))?;
            if String::from_utf8_lossy(&message[..length]).contains("READY=1") {
                break;
            }
        }
        if let Some(ended) = service.child.try_wait()? {
            bail!("it ended with {ended}: {}", fs::read_to_string(&log)?);
        }
        TcpStream::connect(address).context("it said that it is ready, and does not listen")?;
        Ok(service)
    }

    /// All paths of it, but those of the kernel and of temporary files.
    fn files(&self) -> Result<BTreeSet<String>> {
        let folder = self.folder.to_string_lossy().into_owned();
        let listed =
            output("find", &[&folder, "-xdev", "-not", "-path", &format!("{folder}/tmp/*"), "-printf", "/%P\n"]).context("find")?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// That there is nothing that was not there in the beginning, but the data and the machine's own notes.
    fn nothing_left(&self, bare: &BTreeSet<String>) -> Result<()> {
        let now = self.files()?;
        let allowed = |path: &String| {
            LEFT.iter().chain(&NOTES).chain(&MORE_NOTES).any(|allowed| path.starts_with(allowed)) && !path.starts_with("/var/cache/hearth")
        };
        let left: Vec<&String> = now.difference(bare).filter(|path| !allowed(path)).collect();
        ensure!(left.is_empty(), "what the package leaves behind: {left:?}");
        let gone: Vec<&String> = bare.difference(&now).filter(|path| !allowed(path)).collect();
        ensure!(gone.is_empty(), "what the package took with it: {gone:?}");
        Ok(())
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        for mount in ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/dev", "/proc"] {
            let _ = Command::new("umount").arg("--lazy").arg(self.path(mount)).output();
        }
    }
}

/// A service that was started.
struct Service {
    child: Child,
    notify: UnixDatagram,
}

impl Service {
    /// Ends it as systemd does, and waits for that: it says that it stops, and ends without an error.
    fn stop(mut self) -> Result<()> {
        run(Command::new("kill").arg(self.child.id().to_string()))?;
        let status = self.child.wait()?;
        ensure!(status.success(), "asked to end, it ended with {status}");
        self.notify.set_nonblocking(true)?;
        let mut message = [0; 4096];
        let mut said = String::new();
        while let Ok(length) = self.notify.recv(&mut message) {
            said += &String::from_utf8_lossy(&message[..length]);
        }
        ensure!(said.contains("STOPPING=1"), "it did not say that it stops: {said}");
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The settings of a unit's file.
struct Unit(BTreeMap<String, Vec<String>>);

impl Unit {
    fn parse(text: &str) -> Self {
        let mut settings = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')) {
            settings.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        Self(settings)
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }

    fn one(&self, name: &str) -> Result<&str> {
        self.all(name).last().with_context(|| format!("the unit has no {name}"))
    }
}

/// Makes a tarball of a small Debian. mmdebstrap is Debian's, unpacked and not installed.
fn make(root: &Path, tarball: &Path) -> Result<()> {
    eprintln!("making a fresh Debian {SUITE} (once, a minute or two)");
    let folder = archive::empty(root.join("target/tools/mmdebstrap"))?;
    let fetch = || run_quietly(Command::new("apt-get").args(["download", "mmdebstrap"]).current_dir(&folder));
    fetch().or_else(|_| system::update().and_then(|()| fetch())).context("mmdebstrap makes the Debian, and apt-get cannot fetch it")?;
    for package in fs::read_dir(&folder)? {
        run_quietly(Command::new("dpkg").arg("--extract").arg(package?.path()).arg(&folder))?;
    }
    let part = tarball.with_extension("part.tar");
    let mut bootstrap = Command::new(folder.join("usr/bin/mmdebstrap"));
    // As root: where a container forbids more, apt's own user may do nothing.
    bootstrap.args(["--variant=minbase", "--mode=root", "--aptopt=APT::Sandbox::User \"root\"", SUITE]).arg(&part);
    run_quietly(bootstrap.stdin(Stdio::null()))?;
    fs::rename(part, tarball).context("the tarball")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_unit_is_read() {
        let unit = super::Unit::parse("# A=b\n[Service]\nType=notify\nEnvironment=A=1\nEnvironment=B=%d/x\nUser=one\nUser=two\n");
        assert_eq!(unit.all("Environment").collect::<Vec<_>>(), ["A=1", "B=%d/x"]);
        assert_eq!(unit.one("User").unwrap(), "two");
        assert!(unit.one("Group").is_err() && unit.one("A").is_err());
    }
}
