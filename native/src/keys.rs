//! `hearth keys`: the keys of clients, over the store of the configuration.

use std::io::{self, Write};

use anyhow::Context;
use hearth_function::keys::{self, Created, Key, Limits, New};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    cli::{KeyArgs, KeysArgs, KeysCommand},
    config::{self, Service},
    ports::KeyValue,
    state::{self, blocking},
};

const DAY: u64 = 24 * 60 * 60;

pub(crate) fn run(args: &KeysArgs) -> anyhow::Result<()> {
    let service = config::load_file(args.config.as_deref())?;
    let kept = state::open(&service.args)?;
    let records = state::records(&kept.store)?;
    let mut out = io::stdout().lock();
    match &args.command {
        KeysCommand::Create(new) => {
            let made = blocking(keys::create(&records, new_key(new)?))??;
            told(&mut out, args.json, &made)?;
        }
        KeysCommand::Rotate { id } => {
            let made = blocking(keys::rotate(&records, id))??;
            told(&mut out, args.json, &made)?;
        }
        KeysCommand::Revoke { id } => {
            let key = blocking(keys::revoke(&records, id))??;
            if args.json {
                writeln!(out, "{:#}", json!(key))?;
            } else {
                writeln!(out, "{} ({}) is revoked", key.id, key.name)?;
            }
        }
        KeysCommand::List => list(&mut out, args.json, &blocking(keys::list(&records))??)?,
        KeysCommand::RotateDataKey => {
            let master = present(&service)?.unwrap_or_default();
            let done = blocking(keys::rotate_data_key(&records, &master))??;
            let (renewed, unreadable, removed) = (done.renewed, done.unreadable, done.removed);
            if args.json {
                writeln!(out, "{:#}", json!({ "renewed": renewed, "unreadable": unreadable, "removed_keys": removed }))?;
            } else {
                writeln!(
                    out,
                    "{renewed} values written anew, {unreadable} that cannot be read left as they are, {removed} old data keys removed"
                )?;
            }
        }
        KeysCommand::RotateMasterKey { to } => rewrap(&mut out, args.json, &records, &service, &config::read_master_key(to)?)?,
    }
    Ok(())
}

fn present(service: &Service) -> anyhow::Result<Option<String>> {
    config::master_key(&service.args, &service.resolved)
}

fn rewrap(out: &mut impl Write, json: bool, records: &KeyValue, service: &Service, to: &str) -> anyhow::Result<()> {
    let from = present(service)?.unwrap_or_default();
    let count = blocking(keys::rewrap_data_keys(records, &from, to))??;
    if json {
        writeln!(out, "{:#}", json!({ "rewrapped": count }))?;
    } else {
        writeln!(
            out,
            "{count} data keys are wrapped in the new master key: put it in the place of the old one, and start the server anew"
        )?;
    }
    Ok(())
}

fn new_key(args: &KeyArgs) -> anyhow::Result<New> {
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).context("the clock of this machine is before 1970")?;
    Ok(New {
        name: args.name.clone(),
        scopes: args.scope.clone(),
        models: args.models.clone(),
        limits: Limits {
            requests_per_minute: args.requests_per_minute,
            tokens_per_minute: args.tokens_per_minute,
            concurrent: args.concurrent,
        },
        expires: args.expires_in.map(|days| now.saturating_add(days.saturating_mul(DAY))),
    })
}

fn told(out: &mut impl Write, json: bool, made: &Created) -> anyhow::Result<()> {
    if json {
        let mut document = json!(made.key);
        document["secret"] = Value::from(made.secret.reveal());
        document["token"] = Value::from(made.token.reveal());
        writeln!(out, "{document:#}")?;
        return Ok(());
    }
    print(out, made)?;
    writeln!(out, "\nIt is shown this once: only a hash of it is kept.")?;
    Ok(())
}

/// A key that was just made, with its secret.
pub(crate) fn print(out: &mut impl Write, made: &Created) -> io::Result<()> {
    writeln!(out, "{} ({})\n  {}", made.key.name, scopes(&made.key), made.token.reveal())
}

fn scopes(key: &Key) -> String {
    key.scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn list(out: &mut impl Write, json: bool, keys: &[Key]) -> anyhow::Result<()> {
    if json {
        writeln!(out, "{:#}", json!(keys))?;
        return Ok(());
    }
    if keys.is_empty() {
        writeln!(out, "there are no keys; make one: hearth keys create NAME")?;
    }
    for key in keys {
        let day = |second: u64| {
            let second = i64::try_from(second).ok().and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok());
            second.map_or_else(|| "?".to_owned(), |time| time.date().to_string())
        };
        let mut line = format!("{}  {}  {}  made {}", key.id, key.name, scopes(key), day(key.created));
        let mut more = |text: String| line += &format!("  {text}");
        if !key.models.is_empty() {
            more(format!("for {}", key.models.join(", ")));
        }
        let Limits { requests_per_minute, tokens_per_minute, concurrent } = key.limits;
        for (limit, unit) in [(requests_per_minute, "requests a minute"), (tokens_per_minute, "tokens a minute"), (concurrent, "at once")] {
            if let Some(limit) = limit {
                more(format!("{limit} {unit}"));
            }
        }
        if let Some(second) = key.last_used {
            more(format!("last used {}", day(second)));
        }
        if let Some(second) = key.expires {
            more(format!("until {}", day(second)));
        }
        if let Some(second) = key.revoked {
            more(format!("REVOKED {}", day(second)));
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}
