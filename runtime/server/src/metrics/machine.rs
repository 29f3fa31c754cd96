//! The machine: processors, memory, graphics memory where the kernel tells it, and the room on file systems. From `/proc` and `/sys` on Linux, nothing elsewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{process::ticks_per_second, text::Text};

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
    graphics(text, Path::new("/sys/class/drm"));
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

/// Cards of drivers that tell it in files, as amdgpu does. NVIDIA's tells it to its own library alone.
fn graphics(text: &mut Text, folder: &Path) {
    let Ok(cards) = fs::read_dir(folder) else { return };
    let mut names: Vec<String> = cards.flatten().filter_map(|card| card.file_name().into_string().ok()).collect();
    names.retain(|name| {
        name.strip_prefix("card").is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    names.sort();
    let families = [
        ("hearth_gpu_memory_bytes", "Memory of a graphics card.", "mem_info_vram_total", 1.0),
        ("hearth_gpu_memory_used_bytes", "Memory of a graphics card that is in use, by whomever.", "mem_info_vram_used", 1.0),
        ("hearth_gpu_busy_ratio", "How busy a graphics card is, 0 to 1.", "gpu_busy_percent", 0.01),
    ];
    for (family, help, file, unit) in families {
        let read = |name: &String| {
            let value = fs::read_to_string(folder.join(name).join("device").join(file)).ok()?;
            Some((name.clone(), value.trim().parse::<f64>().ok()? * unit))
        };
        let values: Vec<(String, f64)> = names.iter().filter_map(read).collect();
        if !values.is_empty() {
            text.family(family, "gauge", help);
            values.iter().for_each(|(card, value)| text.value(family, &[("card", card)], value));
        }
    }
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

    #[test]
    fn cards_tell_their_memory_in_files() {
        let folder = tempfile::tempdir().unwrap();
        for (card, file, value) in
            [("card0", "mem_info_vram_used", "4096\n"), ("card0", "gpu_busy_percent", "50\n"), ("card0-DP-1", "gpu_busy_percent", "9")]
        {
            let device = folder.path().join(card).join("device");
            fs::create_dir_all(&device).unwrap();
            fs::write(device.join(file), value).unwrap();
        }
        let mut text = Text::default();
        graphics(&mut text, folder.path());
        let values: Vec<&str> = text.0.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(values, ["hearth_gpu_memory_used_bytes{card=\"card0\"} 4096", "hearth_gpu_busy_ratio{card=\"card0\"} 0.5"]);
    }

    #[cfg(unix)]
    #[test]
    fn folders_that_are_not_there_yet_have_room() {
        let folder = tempfile::tempdir().unwrap();
        let text = room(&[("state", folder.path().join("not/yet")), ("models", "relative".into())]).0;
        assert!(text.contains("hearth_disk_free_bytes{folder=\"state\"} ") && text.contains("{folder=\"models\"}"), "{text}");
    }
}
