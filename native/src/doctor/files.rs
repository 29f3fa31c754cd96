//! The files of a service: who may read them, and whether they are what they should be.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use hearth_server::{Tls, tls::expiry};
use hearth_store::{COUNTERS, DEFAULT, RedisUrl, Store};

use super::Report;
use crate::{
    cli::{KeysMode, ServeArgs, state_dir},
    config::{self, Service},
    state,
};

/// A certificate that ends sooner is told.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const DAY: u64 = 24 * 60 * 60;

/// Secrets that others may read, and the state folder.
pub(super) fn modes(report: &mut Report, service: &Service) {
    let Service { args, resolved } = service;
    let mut secrets: Vec<(String, PathBuf)> = Vec::new();
    for setting in resolved.settings.iter().filter(|setting| setting.is_secret) {
        match &setting.source {
            hearth_config::Source::File { path, .. } => secrets.push((format!("`{}` stands in it", setting.name), path.clone())),
            hearth_config::Source::SecretFile(path) => secrets.push((format!("it is `{}`", setting.name), path.clone())),
            _ => {}
        }
    }
    secrets.extend(args.server.tls_key.iter().map(|path| ("it is the private key of TLS".to_owned(), path.clone())));
    let Ok(state) = state_dir(args.state_dir.clone()) else {
        return report.error("state", "no home folder is set", "say where to keep what outlives the server with --state-dir FOLDER");
    };
    let store = state::store_file(&state);
    if store.exists() {
        secrets.push(("keys, responses and conversations are in it".to_owned(), store));
    }
    let mut open = 0;
    for (what, path) in &secrets {
        match mode(path) {
            Some(mode) if mode & 0o077 != 0 => {
                open += 1;
                let path = path.display();
                report.error(
                    "files",
                    format!("{path} can be read or written by other users (mode {mode:o}), and {what}"),
                    format!("chmod 600 {path}"),
                );
            }
            _ => {}
        }
    }
    if open == 0 {
        report.ok("files", format!("{} files with secrets, for their owner only", secrets.len()));
    }
    writable(report, &state);
}

fn writable(report: &mut Report, state: &Path) {
    // The folder that is there, of those that are to be made.
    let there = state.ancestors().find(|folder| folder.exists()).unwrap_or(state);
    #[cfg(unix)]
    let can = rustix::fs::access(there, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    #[cfg(not(unix))]
    let can = fs::metadata(there).is_ok_and(|metadata| !metadata.permissions().readonly());
    let path = state.display();
    if !can {
        report.error(
            "state",
            format!("this user may not write {}", there.display()),
            format!("run the service as the owner of {path}, or name another folder with --state-dir"),
        );
    } else if there != state {
        report.note("state", format!("{path} is not there yet; the first start makes it"));
    } else {
        report.ok("state", format!("{path} can be written"));
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode(_path: &Path) -> Option<u32> {
    None
}

/// Whether there is a master key, and it is one.
pub(super) fn master_key(report: &mut Report, service: &Service) {
    match config::master_key(&service.args, &service.resolved) {
        Ok(Some(_)) => report.ok("master key", "conversations and responses are encrypted under it"),
        Ok(None) if service.args.no_store => {}
        Ok(None) => report.warning(
            "master key",
            "there is none: whoever has the store's file can read what is kept",
            "hearth init makes one; or openssl rand -base64 32 > FILE, and --master-key-file FILE",
        ),
        Err(error) => report.failed("master key", &error),
    }
}

/// The certificate: whether it fits its key, and how long it is good.
pub(super) fn tls(report: &mut Report, args: &ServeArgs) {
    let (Some(certificate), Some(key)) = (&args.server.tls_cert, &args.server.tls_key) else {
        if args.server.wants_tls() {
            report.note("tls", "the certificate is the server's own or comes by ACME: it renews it itself");
        }
        return;
    };
    if let Err(error) = Tls::files(certificate, key) {
        return report.error(
            "tls",
            error.to_string(),
            "name a certificate in PEM and the key that it was made for with --tls-cert and --tls-key",
        );
    }
    let path = certificate.display();
    match expiry(certificate).map(|end| end.duration_since(SystemTime::now())) {
        Err(error) => report.failed("tls", &error.into()),
        Ok(Err(since)) => {
            let days = since.duration().as_secs() / DAY;
            report.error(
                "tls",
                format!("the certificate in {path} expired {days} days ago"),
                "get another one and put it in its place: it is loaded at once",
            );
        }
        Ok(Ok(left)) if left < SOON => {
            let days = left.as_secs() / DAY;
            report.warning(
                "tls",
                format!("the certificate in {path} expires in {days} days"),
                "renew it, and put it in its place: it is loaded at once",
            );
        }
        Ok(Ok(left)) => report.ok("tls", format!("the certificate in {path} is good for {} days", left.as_secs() / DAY)),
    }
}

/// Whether the store opens and all of it can be read.
pub(super) fn store(report: &mut Report, args: &ServeArgs) {
    if let Some(url) = &args.redis_url {
        let asked = RedisUrl::parse(url.reveal()).and_then(|url| Store::redis(&url)?.check());
        return match asked {
            Ok(()) => report.ok("store", "Redis answers"),
            Err(error) => report.error(
                "store",
                error.to_string(),
                "start Redis, or mend `redis-url`; chats go on meanwhile, and what is kept is missing",
            ),
        };
    }
    if args.no_store && args.keys == KeysMode::None {
        return report.note("store", "nothing is kept (--no-store)");
    }
    let Ok(folder) = state_dir(args.state_dir.clone()) else { return };
    let file = state::store_file(&folder);
    if !file.exists() {
        return report.note("store", format!("{} is not there yet; the first start makes it", file.display()));
    }
    let read = || {
        let store = Store::open(&file)?;
        let records = store.namespace(DEFAULT)?;
        let keys = records.keys()?;
        for key in &keys {
            records.get(key)?;
        }
        store.namespace(COUNTERS)?;
        Ok::<_, hearth_store::StoreError>(keys)
    };
    match read() {
        Ok(keys) => {
            let clients = keys.iter().filter(|key| key.starts_with("key/")).count();
            report.ok("store", format!("{} opens and all of its {} values can be read", file.display(), keys.len()));
            if args.keys == KeysMode::Required && clients == 0 && args.api_key.is_none() {
                report.error("keys", "requests need a key, and there is none", "hearth keys create NAME");
            }
        }
        Err(error) => report.error("store", error.to_string(), "restore the last backup, or move the file away to begin anew"),
    }
}
