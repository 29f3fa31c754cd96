//! Who reads a page and types its commands: in a folder and a home of their own, with the built programs at hand, ports that nobody holds, and the models of the test data.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    os::unix::{fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use hearth_tests::{free_address, listens, request, root};

use crate::page::{Block, Page, Part};

/// The ports that pages name. Each stands for one that is free while the page is read.
const PORTS: [u16; 10] = [18789, 18790, 18791, 18792, 8443, 8080, 6379, 11434, 3000, 9000];
/// A command of a page takes seconds; a slow, busy machine may take its time.
const LIMIT: Duration = Duration::from_secs(300);

/// What became of a page's commands.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) run: usize,
    /// Their lines and the reasons.
    pub(crate) left_out: Vec<(usize, String)>,
    pub(crate) failed: Option<String>,
}

pub(crate) struct Reader<'a> {
    folder: PathBuf,
    data: &'a Path,
    ports: Vec<(u16, u16)>,
    servers: BTreeMap<u16, Child>,
    /// What the last block of commands printed, and how long more may come.
    printed: Option<(PathBuf, Duration)>,
}

impl<'a> Reader<'a> {
    /// `data` is the folder that `cargo xtask test` fills.
    pub(crate) fn new(name: &Path, data: &'a Path) -> Self {
        let name = name.with_extension("").display().to_string().replace('/', "-");
        let folder = std::env::temp_dir().join(format!("hearth-book-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let models = folder.join("home/.local/share/hearth/models");
        fs::create_dir_all(&models).expect("a folder");
        for model in fs::read_dir(data.join("models")).expect("the models") {
            let model = model.expect("an entry");
            symlink(model.path(), models.join(model.file_name())).expect("a link");
        }
        // What a reader has who stands in a clone of the repository.
        let clone = folder.join("page");
        fs::create_dir_all(clone.join("target")).expect("a folder");
        for name in ["deploy", "target/debug", "target/hearth_function.component.wasm"] {
            symlink(root().join(name), clone.join(name)).expect("a link");
        }
        // No link: the state of an application lies beside its manifest.
        fs::copy(root().join("spin.toml"), clone.join("spin.toml")).expect("the manifest");
        let ports = PORTS.map(|port| (port, free_address().port())).to_vec();
        Self { folder, data, ports, servers: BTreeMap::new(), printed: None }
    }

    /// Types what `page` says, up to the first thing that fails.
    pub(crate) fn read(mut self, page: &Page) -> Outcome {
        let mut outcome = Outcome::default();
        for block in &page.blocks {
            let done = match &block.part {
                Part::LeftOut(why) => {
                    outcome.left_out.push((block.line, why.clone().unwrap_or_default()));
                    continue;
                }
                Part::File(name) => self.write(name, &block.text),
                Part::Output => self.compare(&block.text),
                Part::Run { language, fails } => self.run(language, *fails, &block.text),
                Part::Serve { port } => self.serve(*port, block),
            };
            outcome.run += usize::from(matches!(block.part, Part::Run { .. } | Part::Serve { .. }));
            if let Err(why) = done {
                outcome.failed = Some(format!("line {}: {why}", block.line));
                break;
            }
        }
        outcome
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        fs::write(self.folder.join("page").join(name), self.with_free_ports(text)).map_err(|error| format!("{name}: {error}"))
    }

    fn run(&mut self, language: &str, fails: bool, text: &str) -> Result<(), String> {
        let text = self.with_free_ports(text);
        let script = match language {
            "python" => format!("python3 - <<'END OF THE BLOCK'\n{text}\nEND OF THE BLOCK\n"),
            "js" => format!("node --input-type=module - <<'END OF THE BLOCK'\n{text}\nEND OF THE BLOCK\n"),
            _ => text.clone(),
        };
        let log = self.folder.join("printed");
        let mut child = self.bash(&format!("{script}\n{{ export -p; printf 'cd %q\\n' \"$PWD\"; }} > \"$HOME/.left\""), &log);
        let status = ended(&mut child, LIMIT);
        match status {
            Some(status) if status.success() != fails => {
                self.printed = Some((log, Duration::ZERO));
                Ok(())
            }
            Some(status) => Err(format!("{status}\n{text}\nprinted:\n{}", said(&log))),
            None => {
                end(&mut child);
                Err(format!("it did not end within {LIMIT:?}\n{text}\nprinted:\n{}", said(&log)))
            }
        }
    }

    fn serve(&mut self, port: u16, block: &Block) -> Result<(), String> {
        if let Some(mut earlier) = self.servers.remove(&port) {
            end(&mut earlier);
        }
        let free = self.ports.iter().find(|(theirs, _)| *theirs == port).map(|(_, free)| *free);
        let free = free.ok_or_else(|| format!("{port} is not among the ports of tests/tests/book/reader.rs"))?;
        let log = self.folder.join(format!("server-{port}"));
        let mut child = self.bash(&self.with_free_ports(&block.text), &log);
        let deadline = Instant::now() + LIMIT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free));
        // Whatever it says to plain HTTP, if only that it wants TLS: it is there. A server whose model is being loaded says 503.
        let ready = || listens(address) && request(address, "GET", "/health", None).map_or(true, |response| response.status != 503);
        while !ready() {
            let over = child.try_wait().expect("a child");
            if over.is_some() || Instant::now() > deadline {
                end(&mut child);
                return Err(format!("no server at {port} ({over:?})\n{}\nprinted:\n{}", block.text, said(&log)));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // It may answer before it has said all that it says at its start.
        self.printed = Some((log, Duration::from_secs(60)));
        self.servers.insert(port, child);
        Ok(())
    }

    fn compare(&self, expected: &str) -> Result<(), String> {
        let (log, more) = self.printed.as_ref().ok_or("no commands stand before this output")?;
        let deadline = Instant::now() + *more;
        loop {
            let printed = self.with_pages_ports(&said(log));
            let Some(line) = missing(expected, &printed) else { return Ok(()) };
            if Instant::now() >= deadline {
                return Err(format!("nothing printed has this, or not in this order: {line}\nprinted:\n{printed}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A shell with what the blocks before it left, which leads a group of its own.
    fn bash(&self, script: &str, log: &Path) -> Child {
        let home = self.folder.join("home");
        let file = self.folder.join("script");
        let start = "set -eo pipefail\nif [ -e \"$HOME/.left\" ]; then . \"$HOME/.left\"; fi\n";
        fs::write(&file, format!("{start}{script}\n")).expect("a script");
        let log = File::create(log).expect("a log");
        let var = |name: &str| std::env::var_os(name);
        let folders = [
            root().join("target/debug"),
            self.data.join("python/bin"),
            self.data.join("debian/usr/bin"),
            self.data.join("debian/usr/sbin"),
        ];
        let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&var("PATH").unwrap_or_default())));
        let listen = self.with_free_ports("127.0.0.1:18789");
        let mut command = Command::new("bash");
        command.arg(&file).current_dir(self.folder.join("page")).env_clear().process_group(0);
        command.env("PATH", path.expect("a path")).env("HOME", home).env("LANG", "C.UTF-8").env("USER", "reader");
        command.env("HEARTH_LISTEN", &listen).env("SPIN_HTTP_LISTEN_ADDR", &listen);
        if let Some(libraries) = var("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        let both = log.try_clone().expect("a handle");
        command.stdin(Stdio::null()).stdout(log).stderr(both).spawn().expect("bash")
    }

    fn with_free_ports(&self, text: &str) -> String {
        self.ports.iter().fold(text.to_owned(), |text, (theirs, free)| replace_number(&text, *theirs, *free))
    }

    fn with_pages_ports(&self, text: &str) -> String {
        self.ports.iter().fold(text.to_owned(), |text, (theirs, free)| replace_number(&text, *free, *theirs))
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        for child in self.servers.values_mut() {
            end(child);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn said(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}

/// Replaces a port where it stands behind a colon, a space or an equals sign and is no part of a longer number.
fn replace_number(text: &str, from: u16, to: u16) -> String {
    let from = from.to_string();
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(&from) {
        let (before, behind) = (&rest[..at], &rest[at + from.len()..]);
        let last = before.chars().last().or(replaced.chars().last());
        let alone = last.is_none_or(|last| ": =".contains(last)) && !behind.starts_with(|next: char| next.is_alphanumeric() || next == '.');
        replaced.push_str(before);
        replaced.push_str(&if alone { to.to_string() } else { from.clone() });
        rest = behind;
    }
    replaced + rest
}

/// The first line of `expected` that no line of `printed` has, in order. Spaces count as one, and `…` stands for anything.
fn missing<'e>(expected: &'e str, printed: &str) -> Option<&'e str> {
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let printed: Vec<String> = printed.lines().map(squeezed).collect();
    let mut at = 0;
    expected.lines().filter(|line| !line.trim().is_empty()).find(|line| {
        let line = squeezed(line);
        let has = |printed: &String| {
            let mut rest = printed.as_str();
            line.split('…').all(|piece| rest.find(piece.trim()).map(|found| rest = &rest[found + piece.trim().len()..]).is_some())
        };
        let found = printed[at..].iter().position(has);
        at += found.map_or(0, |found| found + 1);
        found.is_none()
    })
}

/// How it ended; none where it did not within `limit`.
fn ended(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return Some(status);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends all of its group, as Ctrl-C does, and by force where that does not do.
fn end(child: &mut Child) {
    let group = format!("-{}", child.id());
    let signal = |name: &str| Command::new("kill").args(["-s", name, "--", &group]).stderr(Stdio::null()).status();
    let _ = signal("TERM");
    if ended(child, Duration::from_secs(30)).is_none() {
        let _ = signal("KILL");
        let _ = child.wait();
    }
}

#[test]
fn output_is_compared_loosely() {
    let printed = "hearth 0.1.0\n  the   model\nready in 12 ms at http://127.0.0.1:18789\n";
    assert_eq!(missing("the model\nready in … ms at http…18789", printed), None);
    assert_eq!(missing("ready in\nthe model", printed), Some("the model"));
    assert_eq!(missing("ready in … min at", printed), Some("ready in … min at"));
}

#[test]
fn ports_are_replaced_where_they_are_ports() {
    let text = replace_number("--port 8080 http://[::1]:8080/ port=8080 x8080 80801 8080.5", 8080, 40000);
    assert_eq!(text, "--port 40000 http://[::1]:40000/ port=40000 x8080 80801 8080.5");
}
