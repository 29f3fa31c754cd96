//! A backup that is taken while clients chat and keep things: restored elsewhere, a server there answers as the first one did; and no byte of it can change unnoticed.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use hearth_tests::{Keys, Scratch, Server, Shape, Surroundings, request, stream, test_data};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
/// Bytes of a backup that are changed, one at a time.
const FLIPS: usize = 40;

#[test]
fn a_backup_under_load_restores_to_equal_answers() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    for shape in Shape::ALL {
        let scratch = Scratch::new("recovery");
        let (first, second) = (scratch.join("first"), scratch.join("second"));
        let master = scratch.write("master.key", "3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8=");
        let variable = format!("master_key=@{}", master.display());
        let flags: &[&str] = match shape {
            Shape::Native => &["--context", "1024", "--master-key-file", master.to_str().unwrap()],
            Shape::Wasm => &["--context", "1024", "--variable", &variable],
        };
        let start = |state: &Path| {
            let server =
                Server::start_amid(&Surroundings { state: Some(state.to_owned()), ..Surroundings::default() }, shape, &model, flags);
            server.wait();
            server
        };
        let server = start(&first);
        let load = Load::new(server.address);
        let commands = Keys::at(&first);
        let key = scratch.join("backup.key");
        commands.run(&["backup", "key", "--out", key.to_str().unwrap()]);
        let backup = |words: &[&str], commands: &Keys, place: &str| {
            let at = ["--place", place, "--key-file", key.to_str().unwrap()];
            commands.output(&[words, &at].concat())
        };
        let taken = |words: &[&str], place: &str| {
            let output = backup(words, &commands, place);
            assert!(output.status.success(), "{shape:?} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let (place, sample) = (scratch.join("place"), scratch.join("sample"));
        let (kept, told) = thread::scope(|scope| {
            for client in 0..3 {
                let load = &load;
                scope.spawn(move || load.keep(client));
                scope.spawn(move || load.chat(client));
            }
            let _over = Over(&load.over);
            load.grow(4);
            taken(&["backup"], place.to_str().unwrap());
            load.grow(4);
            let (kept, told) = (load.kept(), load.tell(&load.kept()));
            // What was acknowledged until now has to be in this one.
            taken(&["backup", "--incremental"], place.to_str().unwrap());
            taken(&["backup"], sample.to_str().unwrap());
            load.grow(4);
            (kept, told)
        });
        drop(server);

        let elsewhere = Keys::at(&second);
        let output = backup(&["restore"], &elsewhere, place.to_str().unwrap());
        assert!(output.status.success(), "{shape:?}: {}", String::from_utf8_lossy(&output.stderr));
        let server = start(&second);
        assert_eq!(Load::new(server.address).tell(&kept), told, "{shape:?}: what the restored one says");
        let later = load.kept().len() - kept.len();
        eprintln!("{shape:?}: {} kept before the backup, and {later} after, say the same", kept.len());
        drop(server);
        // It is the same store and the same command for both shapes.
        if shape == Shape::Native {
            each_change_is_noticed(&sample, |words| backup(words, &elsewhere, sample.to_str().unwrap()), &second);
        }
    }
}

/// Changes a byte here and there in the files of `place`, and has each noticed by `restore`, which then changes nothing.
fn each_change_is_noticed(place: &Path, hearth: impl Fn(&[&str]) -> std::process::Output, state: &Path) {
    let files = files(place);
    let sizes: Vec<usize> = files.iter().map(|file| fs::metadata(file).expect("a file").len() as usize).collect();
    let before = names(state);
    let restores = || {
        let output = hearth(&["restore"]);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // The first and the last byte of each file's are among them where they fit, then others, everywhere alike.
    let total: usize = sizes.iter().sum();
    let places = (0..FLIPS).map(|at| match at % 4 {
        0 => (at / 4 % files.len(), 0),
        1 => (at / 4 % files.len(), usize::MAX),
        _ => located(&sizes, (total - 1) * at / (FLIPS - 1)),
    });
    for (file, offset) in places {
        let (file, offset) = (&files[file], offset.min(sizes[file] - 1));
        let whole = fs::read(file).expect("a file");
        let mut changed = whole.clone();
        changed[offset] ^= 1 << (offset % 8);
        fs::write(file, &changed).expect("a change");
        let (done, said) = restores();
        assert!(!done, "byte {offset} of {} may be any", file.display());
        assert!(said.contains("in the backups is not what was written"), "{}, byte {offset}: {said}", file.display());
        assert_eq!(names(state), before, "{}, byte {offset}: something was changed all the same", file.display());
        fs::write(file, whole).expect("as it was");
    }
    let (done, said) = restores();
    assert!(done, "as it was, it is restored: {said}");
}

/// The file in which the byte of this number of all lies, and where there.
fn located(sizes: &[usize], mut byte: usize) -> (usize, usize) {
    for (file, size) in sizes.iter().enumerate() {
        if byte < *size {
            return (file, byte);
        }
        byte -= size;
    }
    unreachable!("there are fewer bytes");
}

/// All files below a folder, manifests first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort_by_key(|path| (path.components().any(|part| part.as_os_str() == "chunks"), path.clone()));
    found
}

/// What lies beside and in a state folder.
fn names(state: &Path) -> Vec<(PathBuf, Option<std::time::SystemTime>)> {
    let parent = state.parent().expect("a folder lies in one");
    let entries = [parent, state].into_iter().flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let mut names: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            // Whoever opens a store writes in it, and the lock is a file too: when these were written counts in the folder above only.
            let written = (path.is_dir() && path != state).then(|| fs::metadata(&path).and_then(|data| data.modified()).expect("a time"));
            (path, written)
        })
        .collect();
    names.sort();
    names
}

/// Clients that chat and keep things until it is over.
struct Load {
    address: SocketAddr,
    over: AtomicBool,
    /// Paths of what was acknowledged as kept, responses and conversations.
    kept: Mutex<Vec<String>>,
    chats: Mutex<usize>,
}

impl Load {
    fn new(address: SocketAddr) -> Self {
        Self { address, over: AtomicBool::new(false), kept: Mutex::default(), chats: Mutex::default() }
    }

    fn kept(&self) -> Vec<String> {
        self.kept.lock().unwrap().clone()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let answer = request(self.address, "POST", path, Some(body.to_string().as_bytes())).expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// Keeps a conversation, and a response which goes on from the one before.
    fn keep(&self, client: usize) {
        let mut previous = Value::Null;
        for turn in 0.. {
            if self.over.load(Relaxed) {
                return;
            }
            let words = format!("Client {client} counts {turn}.");
            let conversation = self.post("/v1/conversations", &json!({"items": [{"role": "user", "content": words}]}));
            let asked = json!({"input": words, "max_output_tokens": 4, "temperature": 0, "previous_response_id": previous});
            let response = self.post("/v1/responses", &asked);
            // A chain of a few: with all of them it would be longer than the context.
            previous = if turn % 4 == 3 { Value::Null } else { response["id"].clone() };
            let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
            let paths = [format!("/v1/conversations/{}/items", id(&conversation)), format!("/v1/responses/{}", id(&response))];
            self.kept.lock().unwrap().extend(paths);
        }
    }

    fn chat(&self, client: usize) {
        while !self.over.load(Relaxed) {
            let body =
                json!({"messages": [{"role": "user", "content": format!("Tell {client} stories.")}], "stream": true, "max_tokens": 16});
            let mut events = stream(self.address, "/v1/chat/completions", &body).expect("a stream");
            assert_eq!(events.status, 200);
            events.text().expect("a whole answer");
            *self.chats.lock().unwrap() += 1;
        }
    }

    /// Waits until so many more were kept and chats answered.
    fn grow(&self, count: usize) {
        let so_far = || (self.kept().len(), *self.chats.lock().unwrap());
        let (kept, chats) = so_far();
        let deadline = Instant::now() + SOON;
        loop {
            let now = so_far();
            if now.0 >= kept + count && now.1 >= chats + count {
                return;
            }
            assert!(Instant::now() < deadline, "from {kept} kept and {chats} chats only to {now:?} within {SOON:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// All that was kept, and what the model says: to a question, and to one that goes on from the last response.
    fn tell(&self, kept: &[String]) -> Vec<Value> {
        let mut told: Vec<Value> = kept
            .iter()
            .map(|path| {
                let found = request(self.address, "GET", path, None).expect("an answer");
                assert_eq!(found.status, 200, "{path}: {}", String::from_utf8_lossy(&found.body));
                found.json()
            })
            .collect();
        let question =
            json!({"messages": [{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 24, "temperature": 0});
        told.push(self.post("/v1/chat/completions", &question)["choices"][0]["message"].clone());
        let last = kept.iter().rev().find_map(|path| path.strip_prefix("/v1/responses/")).expect("a response");
        let asked = json!({"input": "And now?", "previous_response_id": last, "max_output_tokens": 24, "temperature": 0, "store": false});
        let going_on = self.post("/v1/responses", &asked);
        told.extend([going_on["output"][0]["content"].clone(), going_on["usage"]["input_tokens"].clone()]);
        told
    }
}

/// Ends the load with the scope that it lives in.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
