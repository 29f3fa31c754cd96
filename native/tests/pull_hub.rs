//! `hearth pull` over HTTP, from a hub on this machine.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use common::{Home, Hub, gguf, read_file, run, send, send_file, sha256};

const ALL: usize = usize::MAX;
const SOURCE: &str = "{ hf = { repo = 'owner/name', revision = 'main', file = 'sub/m.gguf' } }";

#[test]
fn the_token_goes_to_the_endpoints_host_and_no_other() {
    let (home, file) = (Home::new(), gguf(300_000));
    home.catalog("tiny", &file, SOURCE);
    let content = file.clone();
    let hub = Hub::start(move |_, request, socket| {
        let port = socket.local_addr().unwrap().port();
        match request.path.as_str() {
            "/owner/name/resolve/main/sub/m.gguf" => {
                send(socket, &["307 Temporary Redirect", "location: /same/host", "content-length: 0"], b"")
            }
            // The same machine by another name is another host.
            "/same/host" => {
                send(
                    socket,
                    &["302 Found", &format!("location: http://localhost:{port}/other?signature=s3cret"), "content-length: 0"],
                    b"",
                );
            }
            "/other?signature=s3cret" => send_file(socket, request, &content, ALL),
            _ => send(socket, &["404 Not Found", "content-length: 0"], b""),
        }
    });
    let ran = run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url("")).env("HF_TOKEN", "hf_t0ken")).succeeded();
    assert_eq!(read_file(&home.models("tiny/m.gguf")), file);
    assert!(ran.out.contains("tiny is here and verified"), "{}", ran.out);
    assert!(!ran.err.contains("t0ken") && !ran.err.contains("s3cret"), "{}", ran.err);
    let tokens: Vec<_> = hub.requests().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    let bearer = Some("Bearer hf_t0ken".to_owned());
    assert_eq!(tokens, [bearer.clone(), bearer, None]);
    assert_eq!(home.files("tiny"), ["m.gguf"]);
}

#[test]
fn a_cut_connection_goes_on_where_it_ended() {
    let (home, file) = (Home::new(), gguf(500_000));
    home.catalog("tiny", &file, SOURCE);
    let content = file.clone();
    let hub = Hub::start(move |number, request, socket| send_file(socket, request, &content, [200_000, 350_000, ALL][number]));
    run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).succeeded();
    assert_eq!(read_file(&home.models("tiny/m.gguf")), file);
    let offsets: Vec<_> = hub.requests().iter().map(common::Request::offset).collect();
    assert_eq!(offsets, [None, Some(200_000), Some(350_000)]);
}

#[test]
fn a_killed_pull_is_resumed_by_the_next() {
    let (home, file) = (Home::new(), gguf(500_000));
    home.catalog("tiny", &file, SOURCE);
    let content = file.clone();
    let hub = Hub::start(move |number, request, socket| {
        if number == 0 {
            // Half of it, and then silence.
            send(socket, &["200 OK", "content-length: 500000"], &content[..250_000]);
            std::thread::sleep(Duration::from_secs(120));
        } else {
            send_file(socket, request, &content, ALL);
        }
    });
    let mut first = home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url("")).stderr(Stdio::null()).spawn().unwrap();
    let part = home.models("tiny/m.gguf.part");
    let begun = Instant::now();
    while part.metadata().map_or(0, |metadata| metadata.len()) < 250_000 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the first half never came");
        std::thread::sleep(Duration::from_millis(10));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(home.files("tiny"), ["m.gguf.part"], "nothing has the good name yet");
    run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).succeeded();
    assert_eq!(hub.requests()[1].offset(), Some(250_000));
    assert_eq!(read_file(&home.models("tiny/m.gguf")), file);
    assert_eq!(home.files("tiny"), ["m.gguf"]);
}

#[test]
fn what_is_left_of_another_file_is_thrown_away() {
    let file = gguf(100_000);
    // Of the same size and shorter: the bytes are wrong. Longer: they cannot be right.
    for left in [50_000, 100_000, 150_000] {
        let home = Home::new();
        home.catalog("tiny", &file, SOURCE);
        fs::create_dir(home.models("tiny")).unwrap();
        fs::write(home.models("tiny/m.gguf.part"), vec![7; left]).unwrap();
        let content = file.clone();
        let hub = Hub::start(move |_, request, socket| send_file(socket, request, &content, ALL));
        run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).succeeded();
        assert_eq!(read_file(&home.models("tiny/m.gguf")), file);
        assert_eq!(hub.requests().last().unwrap().offset(), None);
    }
}

#[test]
fn a_server_without_ranges_sends_it_all_again() {
    let (home, file) = (Home::new(), gguf(100_000));
    home.catalog("tiny", &file, SOURCE);
    fs::create_dir(home.models("tiny")).unwrap();
    fs::write(home.models("tiny/m.gguf.part"), &file[..60_000]).unwrap();
    let content = file.clone();
    let hub = Hub::start(move |_, _, socket| send(socket, &["200 OK", "content-length: 100000"], &content));
    run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).succeeded();
    assert_eq!(read_file(&home.models("tiny/m.gguf")), file);
    assert_eq!(hub.requests().len(), 1);
}

#[test]
fn a_416_means_whole_or_of_another_file() {
    let file = gguf(100_000);
    for (left, requests) in [(file.clone(), 1), (vec![7; 120_000], 2)] {
        // An address, whose size only the server knows.
        let (home, content) = (Home::new(), file.clone());
        let hub = Hub::start(move |_, request, socket| send_file(socket, request, &content, ALL));
        fs::create_dir(home.models("mine")).unwrap();
        fs::write(home.models("mine/x.gguf.part"), left).unwrap();
        run(&mut home.hearth(&["pull", &hub.url("/a/x.gguf"), "--name", "mine", "--sha256", &sha256(&file)])).succeeded();
        assert_eq!(read_file(&home.models("mine/x.gguf")), file);
        assert_eq!(hub.requests().len(), requests);
    }
}

#[test]
fn a_wrong_hash_names_both_and_keeps_nothing() {
    let (home, file) = (Home::new(), gguf(100_000));
    home.catalog("tiny", &file, SOURCE);
    let mut other = file.clone();
    other[99_999] ^= 1;
    let got = sha256(&other);
    let hub = Hub::start(move |_, request, socket| send_file(socket, request, &other, ALL));
    run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).failed_with(&[&got, &sha256(&file), "owner/name"]);
    assert_eq!(home.files("tiny"), Vec::<String>::new());
    assert_eq!(hub.requests().len(), 1, "a wrong file is not fetched twice");
}

#[test]
fn a_file_of_another_size_is_not_even_read() {
    let (home, file) = (Home::new(), gguf(100_000));
    home.catalog("tiny", &file, SOURCE);
    let hub = Hub::start(|_, request, socket| send_file(socket, request, &gguf(100_001), ALL));
    run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).failed_with(&["100001 bytes", "100000"]);
    // A body without a length is stopped at the limit.
    let hub = Hub::start(|_, _, socket| send(socket, &["200 OK"], &gguf(2_000_000)));
    run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).failed_with(&["larger than the 100000 bytes"]);
    assert!(!home.models("tiny/m.gguf").exists());
}

#[test]
fn passing_failures_are_tried_again_and_others_not() {
    let (home, file) = (Home::new(), gguf(10_000));
    home.catalog("tiny", &file, SOURCE);
    let content = file.clone();
    let hub = Hub::start(move |number, request, socket| match number {
        0 => send(socket, &["503 Service Unavailable", "retry-after: 0", "content-length: 0"], b""),
        1 => {} // closed without a word
        _ => send_file(socket, request, &content, ALL),
    });
    run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).succeeded();
    assert_eq!(hub.requests().len(), 3);

    for (status, text) in [("401 Unauthorized", "HF_TOKEN"), ("404 Not Found", "there is nothing at")] {
        let home = Home::new();
        home.catalog("tiny", &file, SOURCE);
        let hub = Hub::start(move |_, _, socket| send(socket, &[status, "content-length: 0"], b""));
        run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).failed_with(&[text, status]);
        assert_eq!(hub.requests().len(), 1);
    }
}

#[test]
fn a_server_that_never_gives_it_is_given_up() {
    let (home, file) = (Home::new(), gguf(10_000));
    home.catalog("tiny", &file, SOURCE);
    let content = file.clone();
    let hub = Hub::start(move |number, request, socket| match number {
        0 => send_file(socket, request, &content, 4_000),
        _ => send(socket, &["429 Too Many Requests", "retry-after: 0", "content-length: 0"], b""),
    });
    run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).failed_with(&["gave up", "429", "4.0 kB are kept"]);
    assert_eq!(home.files("tiny"), ["m.gguf.part"]);
}

#[test]
fn redirects_have_an_end_and_lead_to_no_other_scheme() {
    let (home, file) = (Home::new(), gguf(10_000));
    home.catalog("tiny", &file, SOURCE);
    let hub = Hub::start(|number, _, socket| send(socket, &["302 Found", &format!("location: /{number}"), "content-length: 0"], b""));
    run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).failed_with(&["redirects more than 10 times"]);
    assert!(hub.requests().len() < 20);
    let hub = Hub::start(|_, _, socket| send(socket, &["302 Found", "location: file:///etc/hostname", "content-length: 0"], b""));
    run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).failed_with(&["not safe to follow"]);
}

#[test]
fn two_pulls_at_once_fetch_it_once() {
    let (home, file) = (Home::new(), gguf(100_000));
    home.catalog("tiny", &file, SOURCE);
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (opened, content) = (Arc::clone(&gate), file.clone());
    let hub = Hub::start(move |_, request, socket| {
        let _open = opened.1.wait_while(opened.0.lock().unwrap(), |open| !*open).unwrap();
        send_file(socket, request, &content, ALL);
    });
    let start = || {
        let mut command = home.hearth(&["pull", "tiny"]);
        command.env("HF_ENDPOINT", hub.url("")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let first = start();
    let begun = Instant::now();
    while hub.requests().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the first pull asked for nothing");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut second = start();
    let mut said = String::new();
    BufReader::new(second.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("another pull of tiny is under way"), "{said}");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    assert!(common::ran(first.wait_with_output().unwrap()).succeeded().out.contains("is here and verified"));
    assert!(common::ran(second.wait_with_output().unwrap()).succeeded().out.contains("is already here"));
    assert_eq!(hub.requests().len(), 1);
}

#[test]
fn progress_is_plain_lines_without_a_terminal() {
    let (home, file) = (Home::new(), gguf(2_000_000));
    home.catalog("tiny", &file, SOURCE);
    let content = file.clone();
    let hub = Hub::start(move |_, request, socket| send_file(socket, request, &content, ALL));
    let ran = run(home.hearth(&["pull", "tiny"]).env("HF_ENDPOINT", hub.url(""))).succeeded();
    assert!(ran.err.contains("pulling tiny: 100% of 2.0 MB\n"), "{}", ran.err);
    assert!(!ran.err.contains('\x1b') && !ran.err.contains('\r'), "{:?}", ran.err);
}
