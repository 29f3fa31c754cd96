//! Measures redb and SQLite as the store would use them, each writer by itself and with writes that wait for one another's commit put together: durable sets a second, gets,
//! size, opening, what a kill leaves, and whether a second process gets in.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use redb::{Database, ReadableDatabase, TableDefinition};
use rusqlite::{Connection, OptionalExtension, params};

const TABLE: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("records");
/// Bytes of a value: a message of a conversation.
const VALUE: usize = 1024;
const SPAN: Duration = Duration::from_secs(3);
const WRITERS: [usize; 3] = [1, 8, 32];

type Pair = (String, Vec<u8>);

trait Kept: Send + Sync {
    /// One transaction for all of these.
    fn write(&self, pairs: &[Pair]);
    fn get(&self, key: &str) -> Option<Vec<u8>>;
}

struct Redb(Database);

impl Redb {
    fn open(path: &Path) -> Result<Self, String> {
        let database = Database::create(path).map_err(|error| error.to_string())?;
        let transaction = database.begin_write().unwrap();
        transaction.open_table(TABLE).unwrap();
        transaction.commit().unwrap();
        Ok(Self(database))
    }
}

impl Kept for Redb {
    fn write(&self, pairs: &[Pair]) {
        let transaction = self.0.begin_write().unwrap();
        {
            let mut table = transaction.open_table(TABLE).unwrap();
            for (key, value) in pairs {
                table.insert(("default", key.as_str()), value.as_slice()).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let table = self.0.begin_read().unwrap().open_table(TABLE).unwrap();
        table.get(("default", key)).unwrap().map(|value| value.value().to_vec())
    }
}

struct Sqlite {
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    path: PathBuf,
}

impl Sqlite {
    fn connect(path: &Path) -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")?;
        Ok(connection)
    }

    fn open(path: &Path) -> Result<Self, String> {
        let open = || -> rusqlite::Result<Connection> {
            let writer = Self::connect(path)?;
            writer.execute_batch(
                "CREATE TABLE IF NOT EXISTS records(label TEXT, key TEXT, value BLOB, PRIMARY KEY(label, key)) STRICT",
            )?;
            Ok(writer)
        };
        let writer = open().map_err(|error| error.to_string())?;
        Ok(Self { writer: Mutex::new(writer), readers: Mutex::default(), path: path.to_owned() })
    }
}

impl Kept for Sqlite {
    fn write(&self, pairs: &[Pair]) {
        let mut writer = self.writer.lock().unwrap();
        let transaction = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        for (key, value) in pairs {
            let mut set = transaction.prepare_cached("INSERT OR REPLACE INTO records VALUES('default', ?1, ?2)").unwrap();
            set.execute(params![key, value]).unwrap();
        }
        transaction.commit().unwrap();
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let reader = self.readers.lock().unwrap().pop().unwrap_or_else(|| Self::connect(&self.path).unwrap());
        let value = {
            let mut get = reader.prepare_cached("SELECT value FROM records WHERE label = 'default' AND key = ?1").unwrap();
            get.query_row(params![key], |row| row.get(0)).optional().unwrap()
        };
        self.readers.lock().unwrap().push(reader);
        value
    }
}

/// Puts what waits into one commit.
struct Grouped(mpsc::Sender<(Pair, mpsc::SyncSender<()>)>);

impl Grouped {
    fn new(kept: Arc<dyn Kept>) -> Self {
        let (sender, receiver) = mpsc::channel::<(Pair, mpsc::SyncSender<()>)>();
        std::thread::spawn(move || {
            while let Ok(first) = receiver.recv() {
                let (pairs, waiting): (Vec<_>, Vec<_>) = std::iter::once(first).chain(receiver.try_iter().take(255)).unzip();
                kept.write(&pairs);
                waiting.iter().for_each(|waiting| waiting.send(()).unwrap());
            }
        });
        Self(sender)
    }

    fn set(&self, pair: Pair) {
        let (done, wait) = mpsc::sync_channel(1);
        self.0.send((pair, done)).unwrap();
        wait.recv().unwrap();
    }
}

/// Operations a second of so many threads.
fn rate(threads: usize, operate: impl Fn(usize, usize) + Sync) -> f64 {
    let start = Instant::now();
    let operate = &operate;
    let done: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut at = 0;
                    while start.elapsed() < SPAN {
                        operate(thread, at);
                        at += 1;
                    }
                    at
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    done as f64 / start.elapsed().as_secs_f64()
}

fn open(name: &str, path: &Path) -> Result<Arc<dyn Kept>, String> {
    Ok(match name {
        "redb" => Arc::new(Redb::open(path)?),
        _ => Arc::new(Sqlite::open(path)?),
    })
}

fn pair(thread: usize, at: usize) -> Pair {
    (format!("item/{thread}/{at:08}"), vec![b'x'; VALUE])
}

fn measure(name: &str, folder: &Path) {
    let path = folder.join(format!("{name}.db"));
    for threads in WRITERS {
        let kept = open(name, &folder.join(format!("{name}-{threads}.db"))).unwrap();
        let alone = rate(threads, |thread, at| kept.write(&[pair(thread, at)]));
        drop(kept);
        let kept = open(name, &folder.join(format!("{name}-{threads}-grouped.db"))).unwrap();
        let grouped = Grouped::new(kept);
        let together = rate(threads, |thread, at| grouped.set(pair(thread, at)));
        println!("{name}: {threads} writers: {alone:.0} sets/s each by itself, {together:.0} grouped");
    }
    let kept = open(name, &path).unwrap();
    for block in 0..100 {
        kept.write(&(0..1000).map(|at| pair(block, at)).collect::<Vec<_>>());
    }
    for threads in [1, 8] {
        let gets = rate(threads, |thread, at| assert!(kept.get(&pair((thread + at) % 100, at * 7 % 1000).0).is_some()));
        println!("{name}: {threads} readers: {gets:.0} gets/s of 100,000 records");
    }
    let second = match open(name, &path) {
        Ok(_) => "gets in".to_owned(),
        Err(error) => format!("is refused: {error}"),
    };
    println!("{name}: a second user {second}");
    drop(kept);
    println!("{name}: {} bytes for 100,000 records of {VALUE} bytes", std::fs::metadata(&path).unwrap().len());
    let start = Instant::now();
    let kept = open(name, &path).unwrap();
    assert!(kept.get(&pair(5, 5).0).is_some());
    println!("{name}: opened and read in {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
    drop(kept);
    kill(name, &folder.join(format!("{name}-killed.db")));
}

/// Kills a writer 50 times and looks for every set that it acknowledged.
fn kill(name: &str, path: &Path) {
    let (mut lost, mut acknowledged, mut slowest) = (0, 0, Duration::ZERO);
    for round in 0..50_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["write", name])
            .arg(path)
            .arg(round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(10 + (round as u64 * 37) % 90));
        child.kill().unwrap();
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let start = Instant::now();
        let kept = match open(name, path) {
            Ok(kept) => kept,
            Err(error) => {
                println!("{name}: after a kill it cannot be opened: {error}");
                std::fs::remove_file(path).unwrap();
                continue;
            }
        };
        kept.get("first");
        slowest = slowest.max(start.elapsed());
        for at in said.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(|line| line.trim_end().parse::<usize>().unwrap()) {
            acknowledged += 1;
            lost += usize::from(kept.get(&pair(round, at).0).is_none());
        }
    }
    println!(
        "{name}: 50 kills: {lost} of {acknowledged} acknowledged sets lost; the slowest opening after one took {:.1} ms",
        slowest.as_secs_f64() * 1e3
    );
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [command, name, path, round] if command == "write" => {
            let kept = open(name, Path::new(path)).unwrap();
            for at in 0.. {
                kept.write(&[pair(round.parse().unwrap(), at)]);
                println!("{at}");
            }
        }
        [folder] => {
            std::fs::create_dir_all(folder).unwrap();
            measure("redb", Path::new(folder));
            measure("sqlite", Path::new(folder));
        }
        _ => panic!("name a folder on the disk that is to be measured"),
    }
}
