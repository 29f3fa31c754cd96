//! The layers over a small service of its own: which goes over which, and what is said when one is wrong.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use hearth_config::{Environment, Failure, Keys, Layers, PlainName, Problems, Rank, Resolved, Search, Setting, prepare};
use tempfile::TempDir;

fn program() -> Command {
    let service = Command::new("serve")
        .arg(Arg::new("config").long("config").env("S_CONFIG"))
        .arg(Arg::new("port").long("port").env("S_PORT").default_value("80").value_parser(value_parser!(u16).range(1..)))
        .arg(Arg::new("device").long("device").env("S_DEVICE").default_value("auto").value_parser(["auto", "cpu", "gpu"]))
        .arg(Arg::new("models").long("model").alias("model-path").action(ArgAction::Append))
        .arg(Arg::new("origin").long("allow-origin").env("S_ALLOW_ORIGIN").action(ArgAction::Append).value_delimiter(','))
        .arg(Arg::new("preload").long("preload").env("S_PRELOAD").action(ArgAction::SetTrue))
        .arg(Arg::new("name").long("name").env("S_NAME"))
        .arg(Arg::new("cert").long("tls-cert").env("S_TLS_CERT").requires("key").conflicts_with("self_signed"))
        .arg(Arg::new("key").long("tls-key").env("S_TLS_KEY").requires("cert"))
        .arg(Arg::new("self_signed").long("tls-self-signed").env("S_TLS_SELF_SIGNED").action(ArgAction::SetTrue))
        .arg(Arg::new("master").long("master-key-command").env("S_MASTER_KEY_COMMAND"))
        .arg(Arg::new("api_key").long("api-key").env("S_API_KEY").hide_env_values(true));
    Command::new("s").subcommand(prepare(service))
}

const PLAIN: [PlainName; 2] = [
    PlainName { variable: "PORT", key: "port", meant: |_| true },
    PlainName { variable: "HOST", key: "name", meant: |text| text.starts_with("our") },
];

/// One run: a folder, the files in it, variables, and what is typed.
struct Case {
    folder: TempDir,
    variables: Vec<(OsString, OsString)>,
}

impl Case {
    fn new(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        Self { folder: tempfile::tempdir().unwrap(), variables }
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(self.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn resolve(&self, typed: &[&str]) -> Result<Resolved, Failure> {
        let arguments: Vec<OsString> = ["s", "serve"].iter().chain(typed).map(OsString::from).collect();
        let search = Search { here: Some(self.path("here.toml")), elsewhere: vec![self.path("user.toml"), self.path("etc.toml")] };
        let environment: Environment = self.variables.iter().cloned().collect();
        let layers = Layers {
            program: program(),
            subcommand: "serve",
            arguments: &arguments,
            environment: &environment,
            prefix: "S_",
            other_variables: &["S_CONFIG", "S_MODELS"],
            plain_names: &PLAIN,
            search,
        };
        layers.resolve()
    }

    #[track_caller]
    fn good(&self, typed: &[&str]) -> Resolved {
        self.resolve(typed).unwrap_or_else(|failure| panic!("{failure}"))
    }

    #[track_caller]
    fn bad(&self, typed: &[&str]) -> Problems {
        match self.resolve(typed) {
            Err(Failure::Problems(problems)) => problems,
            Err(Failure::CommandLine(error)) => panic!("{error}"),
            Ok(resolved) => panic!("{:?}", resolved.settings),
        }
    }

    /// A file of this name and text is refused in these words, its path left out.
    #[track_caller]
    fn refused(name: &str, text: &str, expected: &[&str]) {
        let case = Self::new(&[]).file(name, text);
        let path = case.path(name);
        let problems = case.bad(&["--config", path.to_str().unwrap()]);
        let found: Vec<String> = problems
            .problems
            .iter()
            .map(|problem| problem.to_string().replace(path.parent().unwrap().to_str().unwrap(), "").replace('/', ""))
            .collect();
        assert_eq!(found, expected);
    }
}

fn serve(resolved: &Resolved) -> &ArgMatches {
    resolved.matches.subcommand_matches("serve").unwrap()
}

fn port(resolved: &Resolved) -> (u16, Rank, String) {
    let setting = resolved.setting("port").unwrap();
    let source = setting.source.to_string();
    let name = source.rsplit('/').next().unwrap_or_default().to_owned();
    (*serve(resolved).get_one::<u16>("port").unwrap(), setting.rank, name)
}

#[test]
fn each_layer_goes_over_those_below_it() {
    assert_eq!(port(&Case::new(&[]).good(&[])), (80, Rank::Default, "default".into()));
    let file = || "\n# a comment\nport = 81\n";
    let case = Case::new(&[]).file("here.toml", file());
    assert_eq!(port(&case.good(&[])), (81, Rank::File, "here.toml:3".into()));
    let case = Case::new(&[("PORT", "82")]).file("here.toml", file());
    assert_eq!(port(&case.good(&[])), (82, Rank::PlainEnvironment, "$PORT".into()));
    let case = Case::new(&[("PORT", "82"), ("S_PORT", "83")]).file("here.toml", file());
    assert_eq!(port(&case.good(&[])), (83, Rank::Environment, "$S_PORT".into()));
    assert_eq!(port(&case.good(&["--port", "84"])).0, 84);
    assert_eq!(case.good(&["--port", "84"]).rank("port"), Rank::CommandLine);
}

#[test]
fn a_variable_that_is_empty_is_not_set() {
    let case = Case::new(&[("S_PORT", ""), ("PORT", "")]).file("here.toml", "port = 81");
    assert_eq!(port(&case.good(&[])).0, 81);
}

#[test]
fn what_kubernetes_sets_for_a_service_of_this_name_is_not_ours() {
    let linked = [("S_PORT", "tcp://10.0.0.1:80"), ("S_SERVICE_HOST", "10.0.0.1"), ("S_PORT_80_TCP", "tcp://10.0.0.1:80")];
    assert_eq!(port(&Case::new(&linked).good(&[])).1, Rank::Default);
    let alone = Case::new(&linked[..1]).bad(&[]).to_string();
    assert!(alone.starts_with("$S_PORT: `port` cannot be `tcp://10.0.0.1:80`"), "{alone}");
}

#[test]
fn the_first_file_that_is_there_is_read_and_no_other() {
    let case = Case::new(&[("S_CONFIG", "")]).file("etc.toml", "port = 1");
    assert_eq!(port(&case.good(&[])).0, 1);
    let case = case.file("user.toml", "port = 2");
    assert_eq!(port(&case.good(&[])).0, 2);
    let case = case.file("here.toml", "name = 'x'");
    assert_eq!(port(&case.good(&[])).0, 80, "files are not merged");
    let case = case.file("named.json", "{\"port\": 4}").file("variable.ini", "[service]\nport = 5");
    let named = case.path("named.json");
    let variable = case.path("variable.ini");
    assert_eq!(port(&case.good(&["--config", named.to_str().unwrap()])).0, 4);
    let case = Case { variables: vec![("S_CONFIG".into(), variable.into())], folder: case.folder };
    assert_eq!(port(&case.good(&[])).0, 5);
    assert_eq!(port(&case.good(&["--config", named.to_str().unwrap()])).0, 4, "the flag goes over the variable");
}

#[test]
fn the_same_keys_in_three_languages() {
    let languages = [
        ("a.toml", "PORT = 0x51\nDevice = 'cpu'\nmodel_path = ['a', 'b,c']\nallow-origin = 'x,y'\npreload = true\n"),
        ("b.toml", "[service]\nport = 81\ndevice = 'cpu'\nmodel = ['a', 'b,c']\nallow_origin = ['x', 'y']\npreload = true\n"),
        ("a.json", r#"{"port": 81, "device": "cpu", "model": ["a", "b,c"], "allow-origin": "x,y", "PRELOAD": true}"#),
        ("b.json", r#"{"service": {"port": "81", "device": "cpu", "model": ["a", "b,c"], "allow_origin": ["x", "y"], "preload": true}}"#),
        ("a.ini", "; comment\n[service]\nPORT = 81\ndevice: cpu\nmodel = a , b\nallow_origin = x,y\npreload = yes\n"),
    ];
    for (name, text) in languages {
        let case = Case::new(&[]).file(name, text);
        let resolved = case.good(&["--config", case.path(name).to_str().unwrap()]);
        let matches = serve(&resolved);
        let many = |id: &str| matches.get_many::<String>(id).unwrap().cloned().collect::<Vec<_>>();
        assert_eq!((port(&resolved).0, matches.get_one::<String>("device").unwrap().as_str()), (81, "cpu"), "{name}");
        let models = if name.ends_with("ini") { ["a", "b"] } else { ["a", "b,c"] };
        assert_eq!((many("models"), many("origin")), (models.map(String::from).to_vec(), vec!["x".to_owned(), "y".to_owned()]), "{name}");
        assert!(matches.get_flag("preload"), "{name}");
    }
}

#[test]
fn lists_of_a_higher_layer_replace_those_below() {
    let case = Case::new(&[]).file("here.toml", "model = ['a', 'b']");
    let many = |resolved: &Resolved| serve(resolved).get_many::<String>("models").unwrap().cloned().collect::<Vec<_>>();
    assert_eq!(many(&case.good(&[])), ["a", "b"]);
    assert_eq!(many(&case.good(&["--model", "c"])), ["c"]);
}

#[test]
fn a_switch_can_be_put_off_again_by_a_higher_layer() {
    let case = Case::new(&[("S_PRELOAD", "0")]).file("here.toml", "preload = true");
    assert!(!serve(&case.good(&[])).get_flag("preload"));
    let case = Case { variables: Vec::new(), ..case };
    assert!(serve(&case.good(&[])).get_flag("preload"));
    assert!(!serve(&case.good(&["--preload=false"])).get_flag("preload"));
    assert!(serve(&Case::new(&[]).good(&["--preload"])).get_flag("preload"));
    assert!(!serve(&Case::new(&[]).good(&[])).get_flag("preload"));
}

#[test]
fn what_is_wrong_is_said_with_key_file_line_and_cure_and_all_at_once() {
    Case::refused(
        "a.toml",
        "prot = 1\nport = 70000\nmodels_path = 'x'\n[quite_else]\ncert = 1\n",
        &[
            "a.toml:1: there is no key `prot`; did you mean `port`?",
            "a.toml:2: `port` cannot be `70000`: 70000 is not in 1..=65535",
            "a.toml:3: there is no key `models_path`; did you mean `model-path`?",
            "a.toml:4: there is no key `quite_else`; `hearth config show` lists them",
        ],
    );
    Case::refused("b.toml", "port = true", &["b.toml:1: `port` cannot be `true`: invalid digit found in string"]);
    Case::refused(
        "c.toml",
        "\ndevice = 'gpuu'",
        &["c.toml:2: `device` cannot be `gpuu`: it is one of auto, cpu, gpu; did you mean `gpu`?"],
    );
    Case::refused(
        "d.toml",
        "port = [1]\nname = false",
        &["d.toml:1: `port` takes one value, and no list", "d.toml:2: `name` is a text: write it in quotes"],
    );
    Case::refused("e.toml", "port = 1\nPORT = 2", &["e.toml:2: `port` was set before, at e.toml:1"]);
    Case::refused(
        "f.toml",
        "port = 2001-01-01\nmodel = [['a']]",
        &[
            "f.toml:1: `port` cannot be a date or time",
            "f.toml:2: `model` cannot be a list of something else than texts, numbers, true and false",
        ],
    );
    Case::refused("g.toml", "preload = 'maybe'", &["g.toml:1: `preload` cannot be `maybe`: value was not a boolean"]);
    Case::refused("h.toml", "name = \"a\\u0000b\"", &["h.toml:1: `name` holds a character that no value can have"]);
    Case::refused("i.toml", "port = ", &["i.toml:1: string values must be quoted, expected literal string"]);
    Case::refused("a.json", "{\n\"port\": 1,\n\"nme\": null}", &["a.json:3: there is no key `nme`; did you mean `name`?"]);
    Case::refused("b.json", "{\"port\": {}, \"name\": null}", &["b.json:1: `port` cannot be an object", "b.json:1: `name` cannot be null"]);
    Case::refused("c.json", "{\n\"port\": 1,\n}", &["c.json:3: trailing comma"]);
    Case::refused("d.json", "[1]", &["d.json:1: invalid type: sequence, expected an object of keys and values"]);
    Case::refused("a.ini", "port = 1", &["a.ini:1: `port` stands before any section: begin the file with [service]"]);
    Case::refused("b.ini", "[server]\nport = 1", &["b.ini:1: the section [server] is not known: all keys stand in [service]"]);
    Case::refused("c.ini", "[service]\nport", &["c.ini:2: `port` has no value: write port = value"]);
    Case::refused("d.ini", "[service]\nport = x", &["d.ini:2: `port` cannot be `x`: invalid digit found in string"]);
}

#[test]
fn a_file_that_is_none_is_refused() {
    let case = Case::new(&[]);
    let missing = case.path("missing.toml");
    assert!(case.bad(&["--config", missing.to_str().unwrap()]).to_string().contains("missing.toml: cannot be read: "));
    assert!(case.bad(&["--config", case.folder.path().to_str().unwrap()]).to_string().contains("is a folder"));
    let long = format!("# {}", "x".repeat(300_000));
    Case::refused("long.toml", &long, &["long.toml: is longer than 256 KiB, which no configuration is"]);
    std::fs::write(case.path("bytes.toml"), b"port = 1\nname = '\xff'").unwrap();
    assert!(case.bad(&["--config", case.path("bytes.toml").to_str().unwrap()]).to_string().ends_with("bytes.toml:2: is not UTF-8"));
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_write_is_refused_and_a_secret_that_they_may_read_is_told() {
    let mode = |case: &Case, mode| {
        std::fs::set_permissions(case.path("here.toml"), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let case = Case::new(&[]).file("here.toml", "api_key = 's3cret'");
    assert!(case.good(&[]).warnings.is_empty());
    mode(&case, 0o644);
    let warnings = case.good(&[]).warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("chmod 600") && !warnings[0].contains("s3cret"), "{warnings:?}");
    mode(&case, 0o646);
    assert!(case.bad(&[]).to_string().contains("chmod o-w"));
}

#[test]
fn commands_are_not_taken_from_a_file_that_merely_lies_here() {
    let case = Case::new(&[]).file("here.toml", "master-key-command = 'rm -rf'").file("user.toml", "");
    assert!(case.bad(&[]).to_string().contains("name the file with --config"));
    let named = case.path("here.toml");
    assert_eq!(case.good(&["--config", named.to_str().unwrap()]).rank("master-key-command"), Rank::File);
}

#[test]
fn secrets_come_from_files_and_variables_are_masked_and_never_typed() {
    let typed = Case::new(&[]).bad(&["--api-key", "s3cret"]).to_string();
    assert!(typed.contains("not taken on the command line") && typed.contains("--api-key-file") && !typed.contains("s3cret"), "{typed}");
    let of = |resolved: &Resolved| serve(resolved).get_one::<String>("api_key").cloned();
    let case = Case::new(&[("S_API_KEY", "variable")]).file("key", "from a file\n").file("here.toml", "api_key = 'inline'");
    let key = case.path("key").to_str().unwrap().to_owned();
    assert_eq!(of(&case.good(&[])).as_deref(), Some("variable"));
    let resolved = case.good(&["--api-key-file", &key]);
    assert_eq!(of(&resolved).as_deref(), Some("from a file"), "a flag goes over a variable");
    let setting = resolved.setting("api-key").unwrap();
    assert!(setting.is_secret && setting.values == [Setting::MASK] && setting.source.to_string() == format!("the file {key}"));
    let shown = format!("{}{}", hearth_config::text(&resolved), hearth_config::json(&resolved, &Keys::of(&program(), &[])));
    assert!(shown.contains(Setting::MASK) && !shown.contains("from a file"), "{shown}");
    // In a file and named by it: no order says which.
    let both = Case::new(&[]).file("key", "k").file("here.toml", "api_key = 'inline'\napi_key_file = 'key'");
    assert!(both.bad(&[]).to_string().contains("are both set: choose one"));
    let empty = Case::new(&[]).file("empty", "\n");
    assert!(empty.bad(&["--api-key-file", empty.path("empty").to_str().unwrap()]).to_string().ends_with("is empty"));
    assert!(empty.bad(&["--api-key-file", "/no/such"]).to_string().contains("--api-key-file: `api-key-file`: /no/such: cannot be read"));
}

#[test]
fn variables_that_are_none_of_ours_are_told_when_they_look_so() {
    let variables = [("S_DEVIC", "x"), ("S_MODELS", "folder"), ("S_QUITE_ELSE", "x"), ("HOST", "machine")];
    let resolved = Case::new(&variables).good(&[]);
    assert_eq!(
        resolved.warnings,
        [
            "$HOST is not taken for `name`, as other programs set it too; $S_NAME is ours",
            "$S_DEVIC is no variable of this service; did you mean $S_DEVICE?"
        ]
    );
    assert_eq!(Case::new(&[("HOST", "our.host")]).good(&[]).rank("name"), Rank::PlainEnvironment);
    let wrong = Case::new(&[("S_DEVICE", "tpu"), ("PORT", "0")]).bad(&[]);
    let texts: Vec<String> = wrong.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "$PORT: `port` cannot be `0`: 0 is not in 1..=65535",
            "$S_DEVICE: `device` cannot be `tpu`: it is one of auto, cpu, gpu; did you mean `gpu`?"
        ]
    );
}

#[test]
fn two_readings_can_be_compared_also_where_they_are_masked() {
    let case = Case::new(&[]).file("here.toml", "api_key = 'one'\nport = 1");
    let one = case.good(&[]);
    let case = case.file("here.toml", "port = 1\napi_key = 'two'\npreload = false");
    let two = case.good(&[]);
    let changed: Vec<&str> =
        one.settings.iter().zip(&two.settings).filter(|(one, two)| one.differs(two)).map(|(one, _)| one.name.as_str()).collect();
    assert_eq!(changed, ["api-key"]);
}

#[test]
fn what_flags_need_of_each_other_holds_over_all_layers() {
    let case = Case::new(&[("S_TLS_KEY", "key")]).file("here.toml", "tls-cert = 'cert'\ntls-self-signed = false");
    assert_eq!(serve(&case.good(&[])).get_one::<String>("key").unwrap(), "key");
    assert_eq!(case.good(&["--tls-cert", "other"]).rank("tls-key"), Rank::Environment);
    let alone = Case::new(&[]).file("here.toml", "tls-cert = 'cert'");
    let message = alone.bad(&[]).to_string();
    assert!(message.contains("were not provided: --tls-key"), "{message}");
    let message = case.bad(&["--tls-self-signed"]).to_string();
    assert!(message.contains("cannot be used with") && message.contains("here.toml:1"), "{message}");
}

#[test]
fn help_and_wrong_flags_are_claps_own() {
    for typed in [&["--help"][..], &["--prot", "1"], &["--port", "x"]] {
        assert!(matches!(Case::new(&[("S_PORT", "x")]).resolve(typed), Err(Failure::CommandLine(_))), "{typed:?}");
    }
    let mut program = program();
    let help = program.find_subcommand_mut("serve").unwrap().render_long_help().to_string();
    assert!(help.contains("--api-key-file <FILE>") && !help.contains("--api-key <"), "{help}");
    program.debug_assert();
}

/// The deterministic share of the fuzz target `config`: any damage to a file ends in a configuration or in refusals of bounded length.
#[test]
fn random_damage_never_panics() {
    let seeds = [
        ("s.toml", "port = 81\ndevice = 'cpu'\nmodel = ['a', 'b']\npreload = true\n[service]\nname = \"x\\u00e9\"\n"),
        ("s.json", r#"{"port": 81, "service": {"device": "cpu", "model": ["a", 1.5, true]}, "na\u006de": "x"}"#),
        ("s.ini", "[service]\nport = 81\n# c\ndevice: cpu\nallow-origin = a, b\npreload = off\n"),
    ];
    let mut state = 7u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let (mut good, mut bad) = (0, 0);
    for (name, seed) in seeds {
        let case = Case::new(&[]).file(name, seed);
        let path = case.path(name);
        for _ in 0..120 {
            let mut bytes = seed.as_bytes().to_vec();
            for _ in 0..=next(2) {
                let at = next(bytes.len());
                match next(4) {
                    0 => bytes[at] = next(256) as u8,
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, b"\"'[]{}=,:#\n\\0"[next(13)]),
                    _ => bytes.extend_from_within(at..),
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            match case.resolve(&["--config", path.to_str().unwrap()]) {
                Ok(resolved) => {
                    good += 1;
                    assert!(hearth_config::text(&resolved).lines().count() >= resolved.settings.len());
                }
                Err(Failure::Problems(problems)) => {
                    bad += 1;
                    assert!(problems.problems.iter().all(|problem| problem.to_string().len() < 2000), "{problems}");
                }
                Err(Failure::CommandLine(error)) => panic!("{error}: {}", String::from_utf8_lossy(&bytes)),
            }
        }
    }
    assert!(good > 5 && bad > 50, "{good} {bad}");
}
