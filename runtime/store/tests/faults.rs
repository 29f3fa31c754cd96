//! What must not harm the store: its process is killed at any moment, the disk is full. A program of its own, since the process that suffers is this one, started again.

mod server;

use std::{
    collections::HashMap,
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use hearth_store::{RedisUrl, Store, StoreError};

/// How often a writer is killed.
const KILLS: usize = 100;
/// Threads of a writer.
const THREADS: usize = 4;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", path, round] => write(Path::new(path), round),
        ["fill", path] => fill(Path::new(path)),
        ["encrypted", url] => Store::redis(&RedisUrl::parse(url).unwrap()).unwrap().check().unwrap_or_else(|error| panic!("{error}")),
        // As cargo calls a test, whose arguments mean nothing here.
        _ => {
            for (name, test) in [
                ("killed_writers_lose_nothing", killed_writers_lose_nothing as fn()),
                ("a_full_disk_is_said_and_harms_nothing", a_full_disk_is_said_and_harms_nothing),
                ("redis_is_reached_over_tls", redis_is_reached_over_tls),
            ] {
                let start = Instant::now();
                test();
                println!("test {name} ... ok ({:.1} s)", start.elapsed().as_secs_f64());
            }
        }
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn again() -> Command {
    Command::new(env::current_exe().unwrap())
}

/// Writes until it is killed, and says what was acknowledged: a value that was set, a total, a key that was deleted.
fn write(path: &Path, round: &str) {
    let store = Store::open(path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let space = store.namespace("default").unwrap();
            scope.spawn(move || {
                for at in 0.. {
                    let key = format!("{round}/{thread}/{at}");
                    space.set(&key, key.repeat(1 + at % 50).as_bytes()).unwrap();
                    say(&format!("set {key}"));
                    let total = space.increment(&format!("total/{thread}"), 1).unwrap();
                    say(&format!("total {thread} {total}"));
                    if at % 3 == 2 {
                        let key = format!("{round}/{thread}/{}", at - 1);
                        space.delete(&key).unwrap();
                        say(&format!("deleted {key}"));
                    }
                }
            });
        }
    });
}

/// One line in one write: a kill leaves all of it or nothing.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

fn killed_writers_lose_nothing() {
    let path = folder("killed").join("records.db");
    // What was told; and what each total is, of which the last may have been added and not told.
    let (mut told, mut totals) = (0, HashMap::<usize, i64>::new());
    for round in 0..KILLS {
        let mut writer = again().args(["write"]).arg(&path).arg(round.to_string()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut out, mut said) = (BufReader::new(writer.stdout.take().unwrap()), String::new());
        // One of four while it opens the file, the others in the midst of its writing.
        if round % 4 != 0 {
            out.read_line(&mut said).unwrap();
        }
        std::thread::sleep(Duration::from_micros((round as u64 * 7919) % 50_000));
        writer.kill().unwrap();
        writer.wait().unwrap();
        out.read_to_string(&mut said).unwrap();
        let mut there: HashMap<&str, bool> = HashMap::new();
        for line in said.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            told += 1;
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["set", key] => drop(there.insert(key, true)),
                ["deleted", key] => drop(there.insert(key, false)),
                ["total", thread, total] => drop(totals.insert(thread.parse().unwrap(), total.parse().unwrap())),
                _ => panic!("{line}"),
            }
        }
        let store = Store::open(&path).unwrap_or_else(|error| panic!("after kill {round}: {error}"));
        let space = store.namespace("default").unwrap();
        // Only the last change of each thread may have been made and not told: a deletion of a key that was set, among them.
        let mut untold = 0;
        for (key, there) in there {
            let value = space.get(key).unwrap();
            if there {
                match value {
                    Some(value) => assert!(value.starts_with(key.as_bytes()) && value.len().is_multiple_of(key.len()), "{key}"),
                    None => untold += 1,
                }
            } else {
                assert_eq!(value, None, "{key} was deleted (kill {round})");
            }
        }
        assert!(untold <= THREADS, "{untold} keys are gone after kill {round}");
        for (thread, total) in &mut totals {
            let found = space.increment(&format!("total/{thread}"), 0).unwrap();
            assert!((*total..=*total + 1).contains(&found), "{found} for {total} after kill {round}");
            *total = found;
        }
        if round % 10 == 9 {
            store.check().unwrap_or_else(|error| panic!("after kill {round}: {error}"));
        }
    }
    assert!(told > KILLS * 5, "only {told} changes were acknowledged in all");
    println!("{KILLS} kills, {told} changes acknowledged, none lost");
}

/// Writes until it may not any more, then what still goes, and reads.
fn fill(path: &Path) {
    let store = Store::open(path).unwrap();
    let space = store.namespace("default").unwrap();
    space.set("first", b"kept").unwrap();
    let mut written = 0;
    let error = loop {
        match space.set(&format!("{written}"), &vec![b'x'; 100_000]) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 10_000, "the limit was never met");
    };
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(path.to_str().unwrap()) && message.contains("make room"), "{message}");
    assert!(written > 0);
    assert_eq!(space.get("first").unwrap().as_deref(), Some(&b"kept"[..]));
    assert_eq!(space.get(&format!("{}", written - 1)).unwrap().map(|value| value.len()), Some(100_000));
    println!("{written}");
}

/// A limit on the size of files stands in for a disk that is full: it needs no rights, and its error comes at the same places.
fn a_full_disk_is_said_and_harms_nothing() {
    let path = folder("full").join("records.db");
    // In blocks of 512 bytes. Who is told by an error wants no signal.
    let script = "trap '' XFSZ; ulimit -f 4000; exec \"$0\" fill \"$1\"";
    let output = Command::new("sh").args(["-c", script]).arg(env::current_exe().unwrap()).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written: usize = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    let store = Store::open(&path).unwrap();
    store.check().unwrap();
    let space = store.namespace("default").unwrap();
    assert_eq!(space.keys().unwrap().len(), written + 1, "what was acknowledged, and nothing else");
    space.set("after", b"there is room again").unwrap();
}

fn redis_is_reached_over_tls() {
    let folder = folder("tls");
    let (key, certificate) = (folder.join("key.pem"), folder.join("certificate.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let redis = server::Redis::start_with_tls("tls", &key, &certificate);
    let ask = |trusted: &Path| again().args(["encrypted", &redis.url("")]).env("SSL_CERT_FILE", trusted).output().unwrap();
    let output = ask(&certificate);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Another's certificate is not taken.
    let other = ask(Path::new("/etc/ssl/certs/ca-certificates.crt"));
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(!other.status.success() && said.contains("ertificate"), "{said}");
}
