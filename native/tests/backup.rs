//! `hearth backup` and `hearth restore` as they are typed: to a folder and to a bucket, and back.

mod common;

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::{Home, gguf, model, run};

/// A home with a store that holds a record, and a key.
fn home() -> Home {
    let home = Home::new();
    set(&home, "one");
    run(&mut home.hearth(&["backup", "key", "--out", home.path("key").to_str().unwrap()])).succeeded();
    home
}

fn set(home: &Home, value: &str) {
    let store = hearth_store::StateFolder::open(&home.path("state")).unwrap().store().unwrap();
    store.namespace("default").unwrap().set("record", value.as_bytes()).unwrap();
}

fn get(home: &Home) -> String {
    let store = hearth_store::StateFolder::open(&home.path("state")).unwrap().store().unwrap();
    String::from_utf8(store.namespace("default").unwrap().get("record").unwrap().unwrap()).unwrap()
}

/// `hearth WORDS` with the place and the key.
fn with(home: &Home, place: &str, words: &[&str]) -> Command {
    let mut command = home.hearth(words);
    command.args(["--place", place, "--key-file", home.path("key").to_str().unwrap()]);
    command
}

/// Takes a full and an incremental backup, spoils what is there, and restores it; then drops the old ones.
fn there_and_back(home: &Home, place: &str, environment: &[(&str, &str)]) {
    let hearth = |words: &[&str]| run(with(home, place, words).envs(environment.iter().copied()));
    fs::write(home.path("hearth.toml"), "port = 1\n").unwrap();
    home.catalog("mine", &gguf(600_000), "");
    fs::create_dir_all(home.models("mine")).unwrap();
    fs::write(home.models("mine").join("m.gguf"), gguf(600_000)).unwrap();

    let included = home.path("hearth.toml");
    let full = hearth(&["backup", "--with-models", "--include", included.to_str().unwrap()]).succeeded().out;
    assert!(full.contains("-full: 3 files") && full.contains("1 models") && full.contains(" 0 were there"), "{full}");
    set(home, "two");
    let incremental = hearth(&["backup", "--incremental"]).succeeded().out;
    assert!(incremental.contains("-incremental: 1 files"), "{incremental}");
    let listed = hearth(&["backup", "list"]).succeeded().out;
    let names: Vec<&str> = listed.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(names.len(), 2, "{listed}");
    assert_eq!(hearth(&["backup", "verify", "--all"]).succeeded().out.lines().count(), 2);

    set(home, "spoilt");
    let held = hearth_store::StateFolder::open(&home.path("state")).unwrap();
    hearth(&["restore"]).failed_with(&["stop that first"]);
    drop(held);
    let restored = hearth(&["restore"]).succeeded().out;
    assert_eq!(get(home), "two");
    assert!(restored.contains("state.before"), "{restored}");
    assert!(home.path("state.before").is_dir());

    fs::remove_dir_all(home.models("mine")).unwrap();
    let restored = hearth(&["restore", names[0]]).succeeded().out;
    assert_eq!(get(home), "one");
    assert_eq!(fs::read(home.models("mine").join("m.gguf")).unwrap(), gguf(600_000), "{restored}");
    assert_eq!(fs::read_to_string(home.path("state.included/hearth.toml")).unwrap(), "port = 1\n");
    let beside: Vec<_> = fs::read_dir(home.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!beside.iter().any(|name| name.contains("restoring")), "{beside:?}");

    let drill = hearth(&["backup", "drill", "--scratch", home.path("").to_str().unwrap()]).succeeded().out;
    assert!(drill.contains("1 records") && drill.contains("NOT TRIED") && drill.contains("passed"), "{drill}");
    let pruned = hearth(&["backup", "prune", "--keep-daily", "1", "--keep-hourly", "0"]).succeeded().out;
    assert!(pruned.contains(&format!("removed {}", names[0])), "{pruned}");
    hearth(&["restore", names[0]]).failed_with(&["no backup", names[0], "hearth backup list"]);
    hearth(&["backup", "verify"]).succeeded();
}

#[test]
fn a_folder_gives_back_what_it_got() {
    let home = home();
    let place = home.path("backups");
    there_and_back(&home, place.to_str().unwrap(), &[]);
}

#[test]
fn what_is_missing_is_said_with_its_cure() {
    let home = home();
    let place = home.path("backups");
    let place = place.to_str().unwrap();
    run(&mut with(&home, place, &["restore"])).failed_with(&["there is no backup", "hearth backup list"]);
    run(&mut with(&home, place, &["backup", "--state-dir", "/nowhere"])).failed_with(&["/nowhere", "--state-dir"]);
    run(&mut home.hearth(&["backup", "--place", place, "--key-file", "/nowhere"])).failed_with(&["/nowhere"]);
    run(&mut home.hearth(&["backup", "key", "--out", home.path("key").to_str().unwrap()])).failed_with(&["exists"]);
    run(&mut with(&home, "s3://bucket", &["backup"])).failed_with(&["AWS_ACCESS_KEY_ID"]);
    run(&mut home.hearth(&["backup"])).failed_with(&["--place"]);
    run(&mut home.hearth(&["backup", "list", "--place", place])).failed_with(&["--key-file", "hearth backup key"]);

    run(&mut with(&home, place, &["backup"])).succeeded();
    let chunk = fs::read_dir(home.path("backups/chunks")).unwrap().next().unwrap().unwrap().path();
    let chunk = fs::read_dir(chunk).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&chunk).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&chunk, bytes).unwrap();
    run(&mut with(&home, place, &["backup", "verify"])).failed_with(&["is not what was written", "take a full one"]);
    set(&home, "newer");
    run(&mut with(&home, place, &["restore"])).failed_with(&["nothing was changed", "is not what was written"]);
    assert_eq!(get(&home), "newer");
}

/// A server of S3's protocol from PyPI; it ends with the test.
struct Bucket {
    process: Child,
    endpoint: String,
}

impl Bucket {
    fn start() -> Self {
        let python =
            std::env::var_os("HEARTH_TEST_PYTHON").map_or_else(|| PathBuf::from("../target/test-data/python/bin/python"), PathBuf::from);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(python)
            .args(["-m", "moto.server", "--host", "127.0.0.1", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the Python that `cargo xtask test` sets up");
        let start = Instant::now();
        while !listens(port) {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "moto's server does not listen: is it in tests/python/requirements.txt's environment?"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        let endpoint = format!("http://127.0.0.1:{port}");
        // A bucket is made by a request without a body; this server takes any signature.
        ureq::put(format!("{endpoint}/bucket")).send_empty().unwrap();
        Self { process, endpoint }
    }
}

/// Whether someone listens there. To call a free port may give it to the call itself, which then talks to itself and keeps the port from whom it waits for.
fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok_and(|socket| socket.local_addr().is_ok_and(|own| own.port() != port))
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn a_bucket_gives_back_what_it_got() {
    let (home, bucket) = (home(), Bucket::start());
    let environment = [("AWS_ACCESS_KEY_ID", "test-id"), ("AWS_SECRET_ACCESS_KEY", "test-secret"), ("AWS_ENDPOINT_URL", &bucket.endpoint)];
    there_and_back(&home, "s3://bucket/some/prefix", &environment);
    let ran = run(with(&home, "s3://other/prefix", &["backup"]).envs(environment));
    assert!(!ran.err.contains("test-secret") && !ran.err.contains("Signature"), "{}", ran.err);
    ran.failed_with(&["s3://other/prefix", "404", "NoSuchBucket"]);
}

#[test]
fn a_drill_asks_the_restored_server() {
    let Some(model) = model() else { return };
    let home = home();
    let place = home.path("backups");
    let place = place.to_str().unwrap();
    run(&mut with(&home, place, &["backup"])).succeeded();
    // The real service asks for keys and speaks TLS; the drill's server does neither.
    let config = home.path("hearth.toml");
    fs::write(&config, "keys = \"required\"\ntls-self-signed = true\n").unwrap();
    let drill = run(with(&home, place, &["backup", "drill", "--model", &model])
        .env("TMPDIR", home.path(""))
        .env("HEARTH_DEVICE", "cpu")
        .env("HEARTH_CONFIG", &config)
        .env("HEARTH_API_KEY", "one"))
    .succeeded()
    .out;
    assert!(drill.contains("server    ready") && drill.contains("answer    \"") && drill.contains("passed"), "{drill}");
    let left: Vec<_> = fs::read_dir(home.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.contains("drill")), "{left:?}");
}
