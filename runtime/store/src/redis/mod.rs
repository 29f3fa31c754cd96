//! Records in Redis. A record `key` of a label is `hearth/LABEL/key`; the keys of a label are also members of the sorted set `hearth-keys/LABEL`, from which those that begin
//! alike are read in order, without a walk over all that Redis holds. Counts expire and are in no such set.
//!
//! While Redis is away, clients' keys are known as they were last seen, counts are this process's own, and all else fails with a reason.

mod seen;
mod server;

use std::{collections::BTreeSet, sync::Arc};

use redis::{Cmd, FromRedisValue, Pipeline, cmd, pipe};

use crate::{Backend, COUNTERS_LIFE, KEYS_MAX, Memory, StoreError, file::File};
use seen::Seen;
use server::Failure;

pub(crate) use server::Server;

/// Records that are read at once to be copied: a value may have 8 MiB.
const PAGE: usize = 16;

/// Sets a key where its value is what is expected, and remembers its name. ARGV: the value, the key's name, whether one is expected (1 or 0), the expected one, seconds to
/// live (0 for ever).
const REPLACE: &str = "\
local found = redis.call('GET', KEYS[1])
if ARGV[3] == '1' then
  if found ~= ARGV[4] then return 0 end
elseif found then
  return 0
end
if ARGV[5] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
  redis.call('ZADD', KEYS[2], 0, ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[5])
end
return 1";

#[derive(Debug)]
pub(crate) struct Redis {
    server: Arc<Server>,
    away: Away,
}

/// What stands in for Redis while it is away.
#[derive(Debug)]
enum Away {
    Records(Seen),
    Counters(Memory),
}

impl Redis {
    pub(crate) fn records(server: Arc<Server>) -> Self {
        Self { server, away: Away::Records(Seen::default()) }
    }

    pub(crate) fn counters(server: Arc<Server>) -> Self {
        Self { server, away: Away::Counters(Memory::new(Some(COUNTERS_LIFE))) }
    }

    fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.server.call(true, |connection| command.query(connection))
    }

    fn ask_all<T: FromRedisValue>(&self, twice: bool, pipe: &Pipeline) -> Result<T, Failure> {
        self.server.call(twice, |connection| pipe.query(connection))
    }

    /// Hands every record over, label by label, each as it is when it is read.
    pub(crate) fn each(&self, mut take: impl FnMut(&str, &str, &[u8]) -> Result<(), StoreError>) -> Result<(), StoreError> {
        for label in self.labels()? {
            let mut after = b"-".to_vec();
            loop {
                let mut range = cmd("ZRANGEBYLEX");
                range.arg(index(&label)).arg(&after).arg("+").arg("LIMIT").arg(0).arg(PAGE);
                let keys: Vec<String> = self.ask(&range).map_err(Failure::error)?;
                let Some(last) = keys.last() else { break };
                after = [b"(", last.as_bytes()].concat();
                let mut get = cmd("MGET");
                for key in &keys {
                    get.arg(place(&label, key));
                }
                let values: Vec<Option<Vec<u8>>> = self.ask(&get).map_err(Failure::error)?;
                for (key, value) in keys.iter().zip(values) {
                    // One that was deleted meanwhile is not there any more.
                    value.map_or(Ok(()), |value| take(&label, key, &value))?;
                }
            }
        }
        Ok(())
    }

    /// Puts all records of a file into it, where there are none yet; how many.
    pub(crate) fn fill(&self, file: &File) -> Result<usize, StoreError> {
        if let Some(label) = self.labels()?.first() {
            return Err(self.server.error(format!(
                "holds records already (of '{label}'), and none is written over: give an empty one, as another database of it (redis://HOST/1)"
            )));
        }
        let mut records = 0;
        file.each(|label, key, value| {
            records += 1;
            self.set(label, key, value)
        })?;
        Ok(records)
    }

    /// Labels under which there are records.
    fn labels(&self) -> Result<BTreeSet<String>, StoreError> {
        let (mut labels, mut cursor) = (BTreeSet::new(), 0_u64);
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(index("*")).arg("COUNT").arg(1000);
            let (next, found): (u64, Vec<String>) = self.ask(&scan).map_err(Failure::error)?;
            labels.extend(found.iter().filter_map(|name| Some(unescaped(name.strip_prefix(&index(""))?))));
            cursor = next;
            if cursor == 0 {
                return Ok(labels);
            }
        }
    }

    /// Seconds that a record lives; 0 for ever.
    fn life(&self) -> u64 {
        match self.away {
            Away::Records(_) => 0,
            Away::Counters(_) => COUNTERS_LIFE.as_secs(),
        }
    }

    /// The result, or what stands in for it: counts of this process.
    fn counted<T>(&self, done: Result<T, Failure>, instead: impl FnOnce(&Memory) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match (done, &self.away) {
            (Err(Failure::Unreachable(_)), Away::Counters(memory)) => instead(memory),
            (done, _) => done.map_err(Failure::error),
        }
    }
}

/// Where a record is. A slash in a label would make it another's key.
fn place(label: &str, key: &str) -> String {
    format!("hearth/{}/{key}", escaped(label))
}

fn index(label: &str) -> String {
    format!("hearth-keys/{}", escaped(label))
}

fn escaped(label: &str) -> String {
    label.replace('%', "%25").replace('/', "%2F")
}

fn unescaped(label: &str) -> String {
    label.replace("%2F", "/").replace("%25", "%")
}

impl Backend for Redis {
    fn get(&self, label: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let done: Result<Option<Vec<u8>>, _> = self.ask(cmd("GET").arg(place(label, key)));
        match (&done, &self.away) {
            (Ok(value), Away::Records(seen)) => seen.saw(label, key, value.as_deref()),
            (Err(Failure::Unreachable(_)), Away::Records(seen)) => {
                if let Some(value) = seen.last(label, key) {
                    return Ok(Some(value));
                }
            }
            _ => {}
        }
        self.counted(done, |memory| memory.get(label, key))
    }

    fn exists(&self, label: &str, key: &str) -> Result<bool, StoreError> {
        let done = self.ask(cmd("EXISTS").arg(place(label, key)));
        self.counted(done, |memory| memory.exists(label, key))
    }

    fn set(&self, label: &str, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let mut all = pipe();
        match self.life() {
            0 => all.atomic().set(place(label, key), value).zadd(index(label), key, 0),
            life => all.atomic().set_ex(place(label, key), value, life),
        };
        let done = self.ask_all::<redis::Value>(true, &all).map(drop);
        if let (Ok(()), Away::Records(seen)) = (&done, &self.away) {
            seen.saw(label, key, Some(value));
        }
        self.counted(done, |memory| memory.set(label, key, value))
    }

    fn delete(&self, label: &str, key: &str) -> Result<(), StoreError> {
        let mut all = pipe();
        all.atomic().del(place(label, key)).zrem(index(label), key);
        let done = self.ask_all::<redis::Value>(true, &all).map(drop);
        if let (Ok(()), Away::Records(seen)) = (&done, &self.away) {
            seen.saw(label, key, None);
        }
        self.counted(done, |memory| memory.delete(label, key))
    }

    fn increment(&self, label: &str, key: &str, delta: i64) -> Result<i64, StoreError> {
        let mut all = pipe();
        all.atomic();
        match self.life() {
            0 => all.zadd(index(label), key, 0).ignore(),
            life => all.cmd("SET").arg(place(label, key)).arg(0).arg("EX").arg(life).arg("NX").ignore(),
        };
        all.incr(place(label, key), delta);
        // A count that was added to twice does less harm than one that is not known; a number that is kept may not be.
        let done = self.ask_all::<(i64,)>(self.life() > 0, &all).map(|(total,)| total);
        let done = done.map_err(|failure| match failure {
            Failure::Refused(StoreError::Redis { reason, .. }) if reason.contains("not an integer") => {
                Failure::Refused(StoreError::Number(key.to_owned()))
            }
            Failure::Refused(StoreError::Redis { reason, .. }) if reason.contains("overflow") => {
                Failure::Refused(StoreError::Overflow(key.to_owned()))
            }
            failure => failure,
        });
        self.counted(done, |memory| memory.increment(label, key, delta))
    }

    fn replace(&self, label: &str, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, StoreError> {
        let mut script = cmd("EVAL");
        script.arg(REPLACE).arg(2).arg(place(label, key)).arg(index(label));
        script.arg(value).arg(key).arg(i32::from(expected.is_some())).arg(expected.unwrap_or_default()).arg(self.life());
        let done: Result<bool, _> = self.server.call(false, |connection| script.query(connection));
        if let (Ok(true), Away::Records(seen)) = (&done, &self.away) {
            seen.saw(label, key, Some(value));
        }
        self.counted(done, |memory| memory.replace(label, key, expected, value))
    }

    fn keys(&self, label: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        if let Away::Counters(_) = self.away {
            return Err(StoreError::Address(format!(
                "the keys of '{label}' are not listed where Redis holds them: they come and go by the minute"
            )));
        }
        // The least name that is beyond all that begin so: no UTF-8 has this byte.
        let (least, beyond) = ([b"[", prefix.as_bytes()].concat(), [b"(", prefix.as_bytes(), b"\xff"].concat());
        let mut range = cmd("ZRANGEBYLEX");
        range.arg(index(label)).arg(least).arg(beyond).arg("LIMIT").arg(0).arg(KEYS_MAX + 1);
        let keys: Vec<String> = self.ask(&range).map_err(Failure::error)?;
        if keys.len() > KEYS_MAX { Err(StoreError::Keys(label.to_owned())) } else { Ok(keys) }
    }

    fn blocks(&self) -> bool {
        true
    }
}
