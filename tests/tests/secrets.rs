//! After everything that a server can do, in both shapes, no key, no password and nothing that was said is found where it does not belong: not in a log, a measure, a trace, an
//! error, the bytes of the store or of a backup, nor in the arguments or the environment of any process.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use hearth_tests::{Keys, Redis, Scratch, Server, Shape, Surroundings, python, request, root, succeeded, test_data};
use serde_json::{Value, json};

/// Where a client says something, each time another text.
const TEXTS: [&str; 33] = [
    "system",
    "chat",
    "user",
    "stream",
    "stop",
    "left",
    "tool",
    "argument",
    "result",
    "schema",
    "response",
    "instructions",
    "metadata",
    "conversation",
    "item",
    "deleted",
    "completion",
    "anthropic",
    "ollama",
    "tokens",
    "embedding",
    "cookie",
    "agent",
    "referer",
    "query",
    "unheard",
    "broken",
    "wrong",
    "long",
    "pattern",
    "large",
    "junk",
    "socket",
];
/// As much as each part can say; all else says what it says to people who look for faults.
const LEVEL: &str = "debug,hearth_server=trace,hearth_host=trace,hearth_function=trace,hearth_engine=trace,hearth_store=trace,hyper=trace,h2=trace,\
                     hyper_util=trace,rustls=trace,tokio_tungstenite=trace,tungstenite=trace,redis=trace,ureq=trace,ureq_proto=trace";
const MASTER_KEY: usize = 32;

/// How a server gets its secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    /// From files; it keeps things in its folder, which is backed up.
    ByFiles,
    /// From the environment; it keeps things in Redis.
    ByEnvironment,
}

#[test]
fn nothing_secret_is_where_it_does_not_belong() {
    let (Some(_), Some(models), Some(python)) = (test_data("models/all-minilm-l6-v2"), test_data("models"), python()) else { return };
    for shape in Shape::ALL {
        for given in [Given::ByFiles, Given::ByEnvironment] {
            let Some(place) = Place::new(shape, given) else { return };
            place.run(&models, &python);
        }
    }
}

/// A service and all that it writes to.
struct Place {
    shape: Shape,
    given: Given,
    scratch: Scratch,
    redis: Option<Redis>,
    texts: BTreeMap<&'static str, String>,
    /// What only the service or its clients know, by what it is.
    secrets: BTreeMap<&'static str, String>,
}

impl Place {
    fn new(shape: Shape, given: Given) -> Option<Self> {
        let texts = TEXTS.map(|name| (name, word())).into();
        let master: Vec<u8> = (0..MASTER_KEY).map(|_| random().to_le_bytes()[0]).collect();
        let secrets = [("static", word()), ("wrong", word()), ("redis password", word()), ("master key", STANDARD.encode(master))];
        let secrets = BTreeMap::from(secrets);
        let redis = match given {
            Given::ByFiles => None,
            Given::ByEnvironment => Some(Redis::start(&secrets["redis password"])?),
        };
        Some(Self { shape, given, scratch: Scratch::new("secrets"), redis, texts, secrets })
    }

    fn state(&self) -> PathBuf {
        self.scratch.join("state")
    }

    fn log(&self) -> PathBuf {
        self.scratch.join("logs/service.log")
    }

    /// Variables by which the service gets secrets: they are in its environment, as whoever runs it has put them there.
    fn environment(&self) -> Vec<(String, String)> {
        let Some(redis) = &self.redis else { return Vec::new() };
        let prefix = match self.shape {
            Shape::Native => "HEARTH",
            Shape::Wasm => "SPIN_VARIABLE",
        };
        vec![
            (format!("{prefix}_API_KEY"), self.secrets["static"].clone()),
            (format!("{prefix}_MASTER_KEY"), self.secrets["master key"].clone()),
            ("HEARTH_REDIS_URL".to_owned(), redis.url()),
        ]
    }

    /// `hearth` beside the service, which knows its store and its master key.
    fn commands(&self) -> Keys {
        let master = ("HEARTH_MASTER_KEY".to_owned(), self.secrets["master key"].clone());
        let redis = self.redis.as_ref().map(|redis| ("HEARTH_REDIS_URL".to_owned(), redis.url()));
        let environment: Vec<_> = redis.into_iter().chain([master]).collect();
        Keys::amid(&self.state(), &environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>())
    }

    fn start(&self, models: &Path, collector: SocketAddr) -> Server {
        let file = |name: &str, secret: &str| self.scratch.write(name, &format!("{}\n", self.secrets[secret])).display().to_string();
        let mut flags: Vec<String> = match self.shape {
            Shape::Native => ["--keys", "required", "--response-cache", "100"].map(str::to_owned).into(),
            Shape::Wasm => ["--variable", "keys=required", "--variable", "response_cache=100"].map(str::to_owned).into(),
        };
        if self.given == Given::ByFiles {
            let (key, master) = (file("static.key", "static"), file("master.key", "master key"));
            flags.extend(match self.shape {
                Shape::Native => ["--api-key-file".to_owned(), key, "--master-key-file".to_owned(), master],
                Shape::Wasm => {
                    ["--variable".to_owned(), format!("api_key=@{key}"), "--variable".to_owned(), format!("master_key=@{master}")]
                }
            });
        }
        let log = self.log().display().to_string();
        let collector = format!("http://{collector}");
        let rest = ["--context", "1024", "--model", "all-minilm-l6-v2", "--otlp-endpoint", &collector];
        let logs = ["--log-level", LEVEL, "--log-format", "json", "--log-file", &log];
        flags.extend(rest.into_iter().chain(logs).map(str::to_owned));
        let mut environment = self.environment();
        environment.push(("HEARTH_MODELS".to_owned(), models.display().to_string()));
        let surroundings =
            Surroundings { environment, state: Some(self.state()), output: Some(self.scratch.join("output")), ..Surroundings::default() };
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        // By its name, for an answer is only kept to be given again where it is known which model it is of.
        let server = Server::start_amid(&surroundings, self.shape, Path::new("smollm2-135m-instruct"), &flags);
        server.wait();
        server
    }

    /// Uses everything, and then looks everywhere.
    fn run(mut self, models: &Path, python: &Path) {
        let name = format!("{:?} {:?}", self.shape, self.given);
        let commands = self.commands();
        let chat = commands.create("chat", &[]);
        let [read, limited, revoked, old] = [["--scope", "read"], ["--requests-per-minute", "2"], ["--scope", "chat"], ["--scope", "chat"]]
            .map(|flags| commands.create("other", &flags));
        commands.revoke(&revoked.id);
        let turned = commands.rotate(&old.id);
        let collector = Collector::start();
        let mut server = self.start(models, collector.address);

        let keys = json!({
            "chat": chat.token, "id": chat.id, "secret": chat.secret, "read": read.token, "limited": limited.token,
            "revoked": revoked.token, "old": old.token, "static": self.secrets["static"], "wrong": self.secrets["wrong"],
        });
        let told = json!({"keys": keys, "texts": self.texts, "models": {"embedder": "all-minilm-l6-v2"}});
        let mut client = Command::new(python);
        let said = with_input(
            client.arg(root().join("tests/python/every_feature.py")).arg(format!("http://{}", server.address)),
            &told.to_string(),
        );
        assert!(said.status.success(), "{name}: {}", String::from_utf8_lossy(&said.stderr));
        let said: Value = serde_json::from_slice(&said.stdout).expect("JSON");
        self.over_http2(server.address, &chat.token);
        for (what, key) in
            [("secret", &chat), ("read", &read), ("limited", &limited), ("revoked", &revoked), ("old", &old), ("turned", &turned)]
        {
            self.secrets.insert(what, key.secret.clone());
        }
        let measures = request(server.address, "GET", "/metrics", None).expect("measures");
        let mut printed = vec![commands.run(&["keys", "list"]), commands.run(&["keys", "list", "--json"])];
        assert!(commands.run(&["keys", "rotate-data-key"]).contains("values written anew"), "{name}");
        for words in [&["config", "show"][..], &["config", "show", "--json"], &["config", "check"], &["doctor", "--json"]] {
            let output = commands.output(words);
            printed.extend([output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")));
        }
        let backups = self.scratch.join("backups");
        if self.given == Given::ByFiles {
            printed.extend(self.back_up(&commands, &backups));
        }

        let everything = Search::new(self.secrets.iter().chain(&self.texts).chain(&answers(&said)));
        let secrets = Search::new(&self.secrets);
        let nothing_in = |what: &str, bytes: &[u8]| everything.nothing_in(&format!("{name}: {what}"), bytes);
        self.processes(&name, &everything, server.pid());
        for (path, bytes) in contents(&self.state()) {
            nothing_in(&format!("{} in use", path.display()), &bytes);
        }
        server.end();

        // Each place is one where something was written, or this would prove nothing.
        let log = fs::read(self.log()).expect("a log");
        for (what, bytes, witness) in [
            ("the log", &log, &*chat.id),
            ("the log", &log, "\"level\":\"DEBUG\""),
            ("the log", &log, "\"path\":\"/v1/responses\""),
            ("the measures", &measures.body, "hearth_request_success_total"),
            ("the traces", &collector.heard(), "gen_ai.usage.output_tokens"),
            ("the traces", &collector.heard(), &chat.id),
            ("what it prints", &fs::read(self.scratch.join("output")).expect("its output"), "smollm2-135m-instruct"),
            ("what commands print", &printed.concat().into_bytes(), &chat.id),
        ] {
            assert!(contains(bytes, witness.as_bytes()), "{name}: no {witness} in {what}");
            nothing_in(what, bytes);
        }
        let kept = match &self.redis {
            Some(redis) => redis.folder(),
            None => self.state(),
        };
        let kept: Vec<_> = contents(&kept).into_iter().chain(contents(&self.scratch.join("logs"))).chain(contents(&backups)).collect();
        assert!(
            kept.iter().any(|(_, bytes)| contains(bytes, chat.id.as_bytes()) && contains(bytes, b"conv")),
            "{name}: where is what was kept?"
        );
        for (path, bytes) in &kept {
            nothing_in(&path.display().to_string(), bytes);
        }
        let errors = said["errors"].as_array().expect("errors");
        assert!(errors.len() > 25, "{name}: only {} errors", errors.len());
        for error in errors {
            // A client is told what is wrong with what it said itself; but never a key.
            secrets.nothing_in(&format!("{name}: an error"), error.as_str().expect("text").as_bytes());
        }
        // The search would have found each of them.
        for (what, text) in self.secrets.iter().chain(&self.texts) {
            assert!(everything.first_in(&[b"12".as_slice(), text.as_bytes(), b"34"].concat()).is_some(), "{what}");
        }
        eprintln!("{name}: {} bytes of log, {} errors, {} files of what is kept", log.len(), errors.len(), kept.len());
    }

    /// A chat over HTTP/2, whose library has a log of its own.
    fn over_http2(&self, address: SocketAddr, key: &str) {
        const CLIENT: &str = "
            const { url, key, text } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
            const session = require('node:http2').connect(url);
            const headers = { ':method': 'POST', ':path': `/v1/chat/completions?${text}`, authorization: `Bearer ${key}` };
            const request = session.request(headers);
            request.on('response', (headers) => console.log(headers[':status'])).resume().on('end', () => session.close());
            request.end(JSON.stringify({ messages: [{ role: 'user', content: text }], max_tokens: 8, stream: true }));";
        let told = json!({"url": format!("http://{address}"), "key": key, "text": self.texts["query"]});
        let output = with_input(Command::new("node").args(["-e", CLIENT]), &told.to_string());
        assert_eq!(succeeded(self.shape, &output).trim(), "200");
    }

    /// A full backup and an incremental one, with the master key's file. What that prints.
    fn back_up(&mut self, commands: &Keys, place: &Path) -> [String; 3] {
        let key = self.scratch.join("backup.key");
        let made = commands.run(&["backup", "key", "--out", key.to_str().unwrap()]);
        let text = fs::read_to_string(&key).expect("the key");
        self.secrets.insert("backup key", text.split_whitespace().last().expect("the key").to_owned());
        let master = self.scratch.join("master.key").display().to_string();
        let at = ["--place", place.to_str().unwrap(), "--key-file", key.to_str().unwrap(), "--include", &master];
        let full = commands.run(&[&["backup"][..], &at].concat());
        [made, full, commands.run(&[&["backup", "--incremental"][..], &at].concat())]
    }

    /// What every process of this machine was started with. The server's environment has what was put there; it has no children that could inherit it.
    fn processes(&self, name: &str, search: &Search, server: u32) {
        let own = self.environment();
        let mut seen = 0;
        for entry in fs::read_dir("/proc").expect("processes").filter_map(Result::ok) {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // A process may be over, or somebody else's.
            let read = |what: &str| fs::read(entry.path().join(what)).unwrap_or_default();
            search.nothing_in(&format!("{name}: the arguments of process {pid}"), &read("cmdline"));
            let mut environment = read("environ");
            if pid == server {
                let variables = environment.split(|byte| *byte == 0);
                let (known, rest): (Vec<_>, Vec<_>) =
                    variables.partition(|variable| own.iter().any(|(name, value)| *variable == format!("{name}={value}").as_bytes()));
                assert_eq!(known.len(), own.len(), "{name}: its environment is what it was given");
                seen = rest.len();
                environment = rest.join(&0);
            }
            search.nothing_in(&format!("{name}: the environment of process {pid}"), &environment);
            let status = String::from_utf8_lossy(&read("status")).into_owned();
            assert!(!status.lines().any(|line| *line == format!("PPid:\t{server}")), "{name}: the server has a child: {status}");
        }
        assert!(seen > 0, "{name}: the server's environment was looked at");
    }
}

/// The longest piece of plain text of each answer that is long enough to be nobody else's.
fn answers(said: &Value) -> BTreeMap<&'static str, String> {
    let answers = said["answers"].as_array().expect("answers");
    let pieces = answers.iter().filter_map(|answer| {
        let pieces = answer.as_str().expect("text").split(|letter: char| !letter.is_ascii_alphanumeric() && letter != ' ');
        // Spaces alone, as before code, are in many texts.
        let letters = |piece: &str| piece.bytes().filter(|letter| *letter != b' ').count();
        pieces.max_by_key(|piece| letters(piece)).filter(|piece| letters(piece) >= 16).map(str::to_owned)
    });
    ["an answer", "another answer", "a third answer", "a fourth answer"].into_iter().zip(pieces).collect()
}

/// Texts, and the forms that they may be hidden in.
struct Search {
    forms: Vec<(String, Vec<u8>)>,
    /// Forms by their first eight bytes.
    by_head: HashMap<[u8; 8], Vec<usize>>,
    /// Whether a form begins with these two bytes.
    begins: Vec<bool>,
}

impl Search {
    fn new<'a>(texts: impl IntoIterator<Item = (&'a &'static str, &'a String)>) -> Self {
        let mut search = Self { forms: Vec::new(), by_head: HashMap::new(), begins: vec![false; 1 << 16] };
        for (what, text) in texts {
            search.add(what, text.as_bytes());
            // What a text of bytes stands for.
            for decoded in [STANDARD.decode(text).ok().filter(|bytes| bytes.len() == MASTER_KEY), unhex(text)].into_iter().flatten() {
                search.add(&format!("the bytes of {what}"), &decoded);
            }
        }
        search
    }

    fn add(&mut self, what: &str, bytes: &[u8]) {
        let hex =
            |digits: &[u8; 16]| bytes.iter().flat_map(|byte| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]).collect();
        let mut forms =
            vec![("", bytes.to_vec()), (" in hexadecimal", hex(b"0123456789abcdef")), (" in hexadecimal", hex(b"0123456789ABCDEF"))];
        for shift in 0..3 {
            // The characters that its bytes alone decide, wherever it stands in what was encoded.
            let (first, end) = ([0, 2, 3][shift], (shift + bytes.len()) * 8 / 6);
            let shifted = [&vec![0; shift], bytes].concat();
            forms.extend(
                [STANDARD.encode(&shifted), URL_SAFE.encode(&shifted)].map(|text| (" in base64", text.as_bytes()[first..end].to_vec())),
            );
        }
        for (form, bytes) in forms {
            let head: [u8; 8] = bytes[..8].try_into().expect("a text that is long enough to be found");
            self.begins[usize::from(u16::from_le_bytes([head[0], head[1]]))] = true;
            self.by_head.entry(head).or_default().push(self.forms.len());
            self.forms.push((format!("{what}{form}"), bytes));
        }
    }

    /// What is found first, and where.
    fn first_in(&self, bytes: &[u8]) -> Option<(&str, usize)> {
        let begins = |pair: &[u8]| self.begins[usize::from(u16::from_le_bytes([pair[0], pair[1]]))];
        let candidates = bytes.windows(8).enumerate().filter(|(_, window)| begins(window));
        candidates.into_iter().find_map(|(at, window)| {
            let forms = self.by_head.get(window)?;
            forms.iter().find(|form| bytes[at..].starts_with(&self.forms[**form].1)).map(|form| (&*self.forms[*form].0, at))
        })
    }

    #[track_caller]
    fn nothing_in(&self, place: &str, bytes: &[u8]) {
        if let Some((what, at)) = self.first_in(bytes) {
            let around = &bytes[at.saturating_sub(300)..(at + 300).min(bytes.len())];
            panic!("{place} has the text of {what}: …{}…", String::from_utf8_lossy(around));
        }
    }
}

#[test]
fn a_text_is_found_in_each_form() {
    let (what, text) = ("a text", "zb4k7wqpd2mx".to_owned());
    let search = Search::new([(&what, &text)]);
    for before in ["", "a", "ab", "abc"] {
        let whole = format!("{before}{text}?");
        let hex: String = whole.bytes().map(|byte| format!("{byte:02x}")).collect();
        for (form, hidden) in [("a text", whole.clone()), ("base64", STANDARD.encode(&whole)), ("hexadecimal", hex)] {
            let (found, _) =
                search.first_in(format!("{{\"x\":\"{hidden}\"}}").as_bytes()).unwrap_or_else(|| panic!("not found in {hidden}"));
            assert!(found.contains(form), "{found}: {hidden}");
        }
    }
    assert_eq!(search.first_in(&text.as_bytes()[..11]), None);
}

/// A collector of traces that keeps all that it is sent.
struct Collector {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, heard) = (listener.local_addr().expect("its address"), Arc::default());
        let all: Arc<Mutex<Vec<u8>>> = Arc::clone(&heard);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let all = Arc::clone(&all);
                // Until the server closes the connection.
                std::thread::spawn(move || while hear(&socket, &all).is_some() {});
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }
}

/// Keeps one request, its head included, and answers it.
fn hear(mut socket: &TcpStream, all: &Mutex<Vec<u8>>) -> Option<()> {
    let mut reader = BufReader::new(socket);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let begin = head.len();
        reader.read_line(&mut head).ok().filter(|length| *length > 0)?;
        let line = head[begin..].trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    all.lock().unwrap().extend([head.as_bytes(), &body].concat());
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}").ok()
}

/// All files below a folder, which need not be there, with their bytes.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            // A temporary file may be over.
            found.extend(fs::read(&path).ok().map(|bytes| (path, bytes)));
        }
    }
    found
}

fn with_input(command: &mut Command, input: &str) -> std::process::Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("its end")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| (0..32).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).expect("hexadecimal")).collect())
}

/// A word that nobody has said before.
fn word() -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..20).map(|_| char::from(LETTERS[random() as usize % LETTERS.len()])).collect()
}

fn random() -> u64 {
    // Each has keys of its own, which begin at the system's randomness.
    RandomState::new().hash_one(0)
}
