//! `hearth pull` of the user's own files, and what `models` and `verify` say of them.

mod common;

use std::fs;

use common::{Home, Hub, gguf, read_file, run, send_file, sha256};

#[test]
fn a_path_with_its_hash_becomes_a_model() {
    let (home, file) = (Home::new(), gguf(50_000));
    let path = home.path("My Model.gguf");
    fs::write(&path, &file).unwrap();
    let path = path.to_str().unwrap();
    let hash = sha256(&file);

    run(&mut home.hearth(&["pull", path])).failed_with(&["--sha256", "sha256sum"]);
    run(&mut home.hearth(&["pull", path, "--sha256", "12"])).failed_with(&["64"]);
    let wrong = "0".repeat(64);
    run(&mut home.hearth(&["pull", path, "--sha256", &wrong])).failed_with(&[&hash, &wrong]);
    assert_eq!(home.files("my-model"), Vec::<String>::new());
    assert!(!run(&mut home.hearth(&["models"])).succeeded().out.contains("my-model"));
    run(&mut home.hearth(&["pull", path, "--sha256", &hash, "--name", "gemma-3-270m"])).failed_with(&["built-in", "--name"]);
    run(&mut home.hearth(&["pull", path, "--sha256", &hash, "--name", "../x"])).failed_with(&["lower-case"]);

    run(&mut home.hearth(&["pull", path, "--sha256", &hash.to_ascii_uppercase()])).succeeded();
    let here = home.models("my-model/My-Model.gguf");
    assert_eq!(read_file(&here), file);
    assert!(run(&mut home.hearth(&["pull", path, "--sha256", &hash])).succeeded().out.contains("already here"));
    let listed = run(&mut home.hearth(&["models"])).succeeded().out;
    assert!(listed.lines().any(|line| line.starts_with("my-model") && line.contains("yes") && line.contains("50.0 kB")), "{listed}");
    assert_eq!(run(&mut home.hearth(&["models", "--path", "my-model"])).succeeded().out.trim_end(), here.to_str().unwrap());
    assert!(run(&mut home.hearth(&["verify"])).succeeded().out.contains(&hash));

    // One bit, with the size and the time of change as they were: only a full reading finds it.
    let changed = here.metadata().unwrap().modified().unwrap();
    let mut damaged = file.clone();
    damaged[40_000] ^= 4;
    fs::write(&here, &damaged).unwrap();
    fs::File::options().write(true).open(&here).unwrap().set_modified(changed).unwrap();
    run(&mut home.hearth(&["verify", "my-model"])).failed_with(&[&hash, &sha256(&damaged), "1 of 1 models"]);
    run(&mut home.hearth(&["verify", "nothing"])).failed_with(&["there is no model `nothing`"]);
}

#[test]
fn a_file_that_is_no_model_is_not_kept() {
    let home = Home::new();
    let path = home.path("x.gguf");
    fs::write(&path, "no model").unwrap();
    let ran = run(&mut home.hearth(&["pull", path.to_str().unwrap(), "--sha256", &sha256(b"no model")]));
    ran.failed_with(&["not a model that can be loaded"]);
    assert_eq!(home.files("x"), Vec::<String>::new());
    assert!(!home.models("local.toml").exists());
    run(&mut home.hearth(&["pull", "./missing.gguf", "--sha256", &"0".repeat(64)])).failed_with(&["missing.gguf", "No such file"]);
}

#[test]
fn an_address_is_pulled_without_showing_its_secrets() {
    let (home, file) = (Home::new(), gguf(50_000));
    let content = file.clone();
    let hub = Hub::start(move |_, request, socket| send_file(socket, request, &content, usize::MAX));
    let url = hub.url("/files/tiny.gguf?signature=s3cret");
    let ran = run(home.hearth(&["pull", &url, "--sha256", &sha256(&file)]).env("HF_TOKEN", "hf_t0ken")).succeeded();
    assert!(!ran.err.contains("s3cret") && !ran.out.contains("s3cret"), "{}{}", ran.err, ran.out);
    assert_eq!(read_file(&home.models("tiny/tiny.gguf")), file);
    assert_eq!(hub.requests()[0].header("authorization"), None, "the token is the hub's");
    // By its name from now on.
    assert!(run(&mut home.hearth(&["pull", "tiny"])).succeeded().out.contains("already here"));
    assert_eq!(hub.requests().len(), 1);
    fs::remove_file(home.models("tiny/tiny.gguf")).unwrap();
    run(&mut home.hearth(&["pull", "tiny"])).succeeded();
    assert_eq!(read_file(&home.models("tiny/tiny.gguf")), file);
}

#[test]
fn a_damaged_model_is_said_and_pulled_again() {
    let (home, file) = (Home::new(), gguf(50_000));
    let content = file.clone();
    let hub = Hub::start(move |_, request, socket| send_file(socket, request, &content, usize::MAX));
    run(&mut home.hearth(&["pull", &hub.url("/tiny.gguf"), "--sha256", &sha256(&file)])).succeeded();
    fs::write(home.models("tiny/tiny.gguf"), &file[..20_000]).unwrap();
    let serve = run(&mut home.hearth(&["serve", "--listen", "127.0.0.1:0", "--model", "tiny"]));
    serve.failed_with(&["20000 bytes", "hearth pull tiny"]);
    let ran = run(&mut home.hearth(&["pull", "tiny"])).succeeded();
    assert!(ran.err.contains("20000 bytes"), "{}", ran.err);
    assert_eq!(read_file(&home.models("tiny/tiny.gguf")), file);
}
