//! The machine: processors, memory, and the room on file systems. From `/proc` and `/sys` on Linux, nothing elsewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{cards, process::ticks_per_second, text::Text};

/// What the columns of the line `cpu` are called (proc_stat(5)).
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

pub(super) fn write(text: &mut Text) {
    if let Some(times) = fs::read_to_string("/proc/stat").ok().and_then(|stat| cpu(&stat)) {
        let name = "hearth_machine_cpu_seconds_total";
        text.family(name, "counter", "Time of all processors of the machine, by what they did.");
        for (mode, ticks) in MODES.iter().zip(times) {
            text.value(name, &[("mode", mode)], ticks as f64 / ticks_per_second());
        }
    }
    let cpus = std::thread::available_parallelism().ok();
    text.single("hearth_machine_cpus", "gauge", "Processors that this process may use.", cpus);
    if let Ok(memory) = fs::read_to_string("/proc/meminfo") {
        text.single("hearth_machine_memory_bytes", "gauge", "Memory of the machine.", bytes(&memory, "MemTotal:"));
        text.single(
            "hearth_machine_memory_available_bytes",
            "gauge",
            "Memory that can be taken without swapping.",
            bytes(&memory, "MemAvailable:"),
        );
    }
    cards::write(text);
}

/// Ticks of all processors together.
fn cpu(stat: &str) -> Option<Vec<u64>> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    line.split_whitespace().take(MODES.len()).map(|ticks| ticks.parse().ok()).collect()
}

fn bytes(memory: &str, name: &str) -> Option<u64> {
    let line = memory.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The room on the file systems of `folders`. It may take as long as these take.
#[cfg(unix)]
pub(super) fn room(folders: &[(&'static str, PathBuf)]) -> Text {
    let mut text = Text::default();
    let room: Vec<_> = folders.iter().filter_map(|(name, path)| Some((name, rustix::fs::statvfs(existing(path)?).ok()?))).collect();
    if !room.is_empty() {
        let (size, free) = ("hearth_disk_bytes", "hearth_disk_free_bytes");
        text.family(size, "gauge", "Size of the file system of a folder.");
        room.iter().for_each(|(name, room)| text.value(size, &[("folder", name)], room.f_blocks.saturating_mul(room.f_frsize)));
        text.family(free, "gauge", "Room on the file system of a folder that this process may take.");
        room.iter().for_each(|(name, room)| text.value(free, &[("folder", name)], room.f_bavail.saturating_mul(room.f_frsize)));
    }
    text
}

#[cfg(not(unix))]
pub(super) fn room(_folders: &[(&'static str, PathBuf)]) -> Text {
    Text::default()
}

/// The folder, or the nearest above it that is there yet.
#[cfg(unix)]
fn existing(path: &Path) -> Option<&Path> {
    let nearest = path.ancestors().find(|path| !path.as_os_str().is_empty() && path.exists());
    nearest.or_else(|| path.is_relative().then(|| Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_says() {
        assert_eq!(cpu("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 1\n"), Some(vec![1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(bytes("MemTotal:       2048 kB\nMemAvailable:   1024 kB\n", "MemAvailable:"), Some(1 << 20));
        assert_eq!(bytes("", "MemTotal:"), None);
    }

    #[cfg(unix)]
    #[test]
    fn folders_that_are_not_there_yet_have_room() {
        let folder = tempfile::tempdir().unwrap();
        let text = room(&[("state", folder.path().join("not/yet")), ("models", "relative".into())]).0;
        assert!(text.contains("hearth_disk_free_bytes{folder=\"state\"} ") && text.contains("{folder=\"models\"}"), "{text}");
    }
}
