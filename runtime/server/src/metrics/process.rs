//! The process, under the names that all of Prometheus' clients give it. From `/proc` on Linux, nothing elsewhere.

use std::fs;

use super::text::Text;

pub(super) fn write(text: &mut Text) {
    let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| Stat::parse(&stat)) else { return };
    let (ticks, page) = (ticks_per_second(), page_size());
    text.single("process_cpu_seconds_total", "counter", "CPU time that the process has used.", Some(stat.ticks as f64 / ticks));
    text.single("process_threads", "gauge", "Threads of the process.", Some(stat.threads));
    text.single("process_virtual_memory_bytes", "gauge", "Address space of the process.", Some(stat.virtual_bytes));
    text.single(
        "process_resident_memory_bytes",
        "gauge",
        "Memory of the process that is in RAM, mapped files included.",
        Some(stat.pages * page),
    );
    let booted = fs::read_to_string("/proc/stat").ok().and_then(|stat| {
        let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
        line.trim().parse::<f64>().ok()
    });
    let started = booted.map(|booted| booted + stat.started as f64 / ticks);
    text.single("process_start_time_seconds", "gauge", "When the process was started, in seconds since 1970.", started);
    // The folder itself is open while it is read.
    let open = fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count().saturating_sub(1));
    text.single("process_open_fds", "gauge", "Open file descriptors.", open);
    text.single("process_max_fds", "gauge", "File descriptors that may be open.", most_files());
}

/// What `/proc/self/stat` says (proc_pid_stat(5)).
#[derive(Debug, PartialEq)]
struct Stat {
    /// In user and kernel mode.
    ticks: u64,
    threads: u64,
    /// Ticks after the machine's start.
    started: u64,
    virtual_bytes: u64,
    /// In RAM.
    pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name in parentheses may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            ticks: field(14)? + field(15)?,
            threads: field(20)?,
            started: field(22)?,
            virtual_bytes: field(23)?,
            pages: field(24)?,
        })
    }
}

#[cfg(unix)]
pub(super) fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

#[cfg(unix)]
fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

#[cfg(unix)]
fn most_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Without `/proc` none of these is asked for.
#[cfg(not(unix))]
pub(super) fn ticks_per_second() -> f64 {
    100.0
}

#[cfg(not(unix))]
fn page_size() -> u64 {
    4096
}

#[cfg(not(unix))]
fn most_files() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_fields_behind_any_name() {
        let line = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 7 0 9000 123456 789 18446744073709551615 0";
        assert_eq!(Stat::parse(line), Some(Stat { ticks: 300, threads: 7, started: 9000, virtual_bytes: 123_456, pages: 789 }));
        assert_eq!(Stat::parse("42 (cut) S 1"), None);
    }
}
