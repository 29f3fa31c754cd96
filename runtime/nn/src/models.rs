//! The engine of this instance, and its models as the environment names them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use hearth_engine::{DeviceChoice, DrivenEngine, EngineOptions, Error, ErrorKind};

/// `name=path` for each model, separated by commas.
const MODELS: &str = "HEARTH_NN_MODELS";
/// Where models lie that nobody names.
const FOLDER: &str = "/models";
/// The longest context of a sequence, in tokens; 0 takes the model's own.
const CONTEXT: &str = "HEARTH_NN_CONTEXT";
/// MiB for the KV cache of a model.
const CACHE: &str = "HEARTH_NN_CACHE_MIB";

/// Models that are part of the component.
const EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Execution contexts at a time: as many as `hearth-host` allows a guest.
pub(crate) const CONTEXTS_MAX: usize = 64;
/// Enough for the contexts of some chats with a small model, and not more: the memory of a component is never given back.
const CACHE_MIB: u64 = 64;

/// The engine, started by its first user.
pub(crate) fn engine() -> Result<&'static DrivenEngine, Error> {
    static ENGINE: OnceLock<Result<DrivenEngine, Error>> = OnceLock::new();
    ENGINE.get_or_init(start).as_ref().map_err(Clone::clone)
}

fn start() -> Result<DrivenEngine, Error> {
    crate::notes::begin();
    let options = EngineOptions {
        device: DeviceChoice::Cpu,
        threads: 1,
        context: number(CONTEXT, 0)? as usize,
        // None waits for another that only its own reader could wake.
        sequences: CONTEXTS_MAX,
        queue: CONTEXTS_MAX,
        kv_bytes: number(CACHE, CACHE_MIB)? << 20,
        ..EngineOptions::default()
    };
    let engine = DrivenEngine::start(options)?;
    for (name, bytes) in EMBEDDED {
        engine.engine().add_bytes(name, bytes)?;
    }
    for (name, path) in models()? {
        engine.engine().offer_model(&name, path, None);
    }
    Ok(engine)
}

/// Names and files.
fn models() -> Result<Vec<(String, PathBuf)>, Error> {
    match env::var(MODELS) {
        Ok(named) => named
            .split(',')
            .map(str::trim)
            .filter(|named| !named.is_empty())
            .map(|named| match named.split_once('=') {
                Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), PathBuf::from(path))),
                _ => Err(unusable(format!("{MODELS} has `{named}`, which is no `name=path`"))),
            })
            .collect(),
        Err(_) => mounted(Path::new(FOLDER)),
    }
}

/// The models of a folder: `<name>.gguf`, and `<name>/` with one, as `hearth pull` leaves them.
fn mounted(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let is_gguf = |path: &Path| path.extension().is_some_and(|extension| extension == "gguf");
    let entries = |folder: &Path| -> Option<Vec<PathBuf>> {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        Some(paths)
    };
    let Some(paths) = entries(folder) else {
        if !EMBEDDED.is_empty() {
            return Ok(Vec::new());
        }
        return Err(unusable(format!(
            "there is no model: mount a folder with GGUF files as {FOLDER}, or name them in {MODELS} as `name=path`, separated by commas"
        )));
    };
    let model = |path: PathBuf| match path.is_dir() {
        true => Some((path.file_name()?.to_str()?.to_owned(), entries(&path)?.into_iter().find(|path| is_gguf(path))?)),
        false => is_gguf(&path).then(|| Some((path.file_stem()?.to_str()?.to_owned(), path.clone())))?,
    };
    Ok(paths.into_iter().filter_map(model).collect())
}

fn number(name: &str, default: u64) -> Result<u64, Error> {
    match env::var(name) {
        Ok(text) => match text.trim().parse::<u64>() {
            Ok(number) if number <= 1 << 20 => Ok(number),
            _ => Err(unusable(format!("{name} is `{text}`: give a number from 0 to 1048576"))),
        },
        Err(_) => Ok(default),
    }
}

fn unusable(message: String) -> Error {
    Error { kind: ErrorKind::LoadFailed, message, param: None }
}
