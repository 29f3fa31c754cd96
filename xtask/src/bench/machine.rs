//! The machine that is measured on: what it is, and how to make it busy or forget a file.

use std::{
    fs::{self, File},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// What the page says about the machine. Nothing that names it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Machine {
    processor: String,
    cores: usize,
    /// Those instruction sets that matter here.
    features: Vec<String>,
    memory_gib: f64,
    system: String,
    /// The share of all cores that other processes used before the run.
    pub(super) busy: Option<f64>,
}

impl Machine {
    pub(super) fn look() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = info.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let known = ["avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "sve"];
        let flags = format!("{} {}", field("flags"), field("Features"));
        let features = known.iter().filter(|name| flags.split(' ').any(|flag| flag == **name)).map(ToString::to_string).collect();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("an unknown system");
        Self {
            processor: Some(field("model name")).filter(|name| !name.is_empty()).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: cores(),
            features,
            memory_gib: memory.unwrap_or(0.0) / 1_048_576.0,
            system: system.trim_matches('"').to_owned(),
            busy: busy(Duration::from_secs(2)),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processor, cores, features, memory_gib, system, .. } = self;
        write!(f, "{processor}, {cores} cores ({}), {memory_gib:.0} GiB of memory, {system}", features.join(", "))?;
        match self.busy {
            Some(busy) => write!(f, "; other processes used {:.0} % of it before the run", busy * 100.0),
            None => Ok(()),
        }
    }
}

/// Cores that threads can run on.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The share of all cores that was in use for a while.
fn busy(time: Duration) -> Option<f64> {
    let read = || {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let times: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).map_while(|time| time.parse().ok()).collect();
        // user, nice, system, idle, iowait, …
        Some((times.iter().sum::<f64>(), times.get(3)? + times.get(4)?))
    };
    let (total, idle) = read()?;
    thread::sleep(time);
    let (later, later_idle) = read()?;
    (later > total).then(|| 1.0 - (later_idle - idle) / (later - total))
}

/// Keeps all cores busy at this process's priority until it is dropped.
pub(super) struct Busy<'a>(&'a AtomicBool);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` while a thread of this process spins on each core.
pub(super) fn beside_busy_cores<T>(work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // Also when the work panics, or the scope would wait for ever.
        let _busy = Busy(&stop);
        for _ in 0..cores() {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        work()
    })
}

/// Asks the system to forget the cached pages of a file, so that the next read comes from the disk.
#[cfg(target_os = "linux")]
pub(super) fn forget(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
        .with_context(|| format!("cannot drop the pages of {}", path.display()))
}

/// Asks the system to forget the cached pages of a file, which it cannot here.
#[cfg(not(target_os = "linux"))]
pub(super) fn forget(_path: &Path) -> anyhow::Result<()> {
    anyhow::bail!("this system has no way to drop a file's pages")
}

/// Reads a file, so that its pages are cached.
pub(super) fn remember(path: &Path) -> anyhow::Result<()> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    std::io::copy(&mut file, &mut std::io::sink())?;
    Ok(())
}

/// The most memory that a process has had in use at once, in bytes.
pub(super) fn peak_memory(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("this system does not tell a process's memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in the process's status")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024.0)
}
