//! The machine: device and drivers, memory, disk, clock.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{Report, models::bytes};
use crate::{
    cli::{Device, ServeArgs, models_dir, state_dir},
    engine::{self, Load},
    select::Selected,
    text,
};

/// Free bytes below which nothing can be kept for long, and below which it ends at once.
const DISK_LOW: u64 = 2 << 30;
const DISK_FULL: u64 = 100 << 20;

/// What is computed on, as the engine would choose it.
pub(super) fn device(report: &mut Report, args: &ServeArgs) {
    let chosen = match engine::start(&args.engine, Load::own(1)) {
        Ok(engine) => engine.device_description(),
        Err(error) => return report.failed("device", &error),
    };
    report.ok("device", chosen.clone());
    let driver = ["/proc/driver/nvidia/version", "/dev/kfd"].into_iter().find(|path| Path::new(path).exists());
    if let Some(driver) = driver.filter(|_| args.engine.device == Device::Auto && chosen.to_lowercase().contains("cpu")) {
        report.warning(
            "device",
            format!("there is the driver of a GPU ({driver}), but no GPU that can be used: the CPU is taken"),
            "install the driver's Vulkan library (libvulkan1 and the vendor's; in a container the capability `graphics`), or say --device cpu",
        );
    }
}

/// What the models at the start need, against what is free.
pub(super) fn memory(report: &mut Report, args: &ServeArgs, models: &[Selected], running: bool) {
    let at_start = if args.preload { models.len() } else { 1 };
    let weights: u64 = models.iter().take(at_start).map(bytes).sum();
    let need = weights.saturating_add(args.engine.cache_memory.saturating_mul(1 << 20));
    let Some(free) = free_memory() else { return report.note("memory", format!("the models at the start need {}", text::bytes(need))) };
    let message = format!("the models at the start need {} at least, {} are free", text::bytes(need), text::bytes(free));
    if running {
        report.note("memory", format!("{message} beside the running server"));
    } else if need > free {
        report.error(
            "memory",
            message,
            "choose a smaller model (hearth models), or one that is quantized further; or set less --cache-memory",
        );
    } else if need > free / 10 * 8 {
        report.warning("memory", message, "little is left for chats: choose a smaller model, or a shorter --context");
    } else {
        report.ok("memory", message);
    }
}

/// Main memory that can be taken without swapping; in a container, of its limit.
fn free_memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    let group = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse::<u64>().ok();
    let left = group("memory.max").zip(group("memory.current")).map(|(most, now)| most.saturating_sub(now));
    Some(left.map_or(free, |left| left.min(free)))
}

/// What is free where something is written.
pub(super) fn disk(report: &mut Report, args: &ServeArgs) {
    let folders = [("the state", state_dir(args.state_dir.clone()).ok()), ("models", models_dir().ok())];
    for (what, folder) in folders {
        let Some(folder) = folder.as_deref().and_then(|folder| folder.ancestors().find(|folder| folder.exists())) else { continue };
        let Some(free) = free_disk(folder) else { continue };
        let message = format!("{} are free for {what} ({})", text::bytes(free), folder.display());
        let cure = "make room, or name another folder (--state-dir, HEARTH_MODELS)";
        match free {
            ..DISK_FULL => report.error("disk", message, cure),
            DISK_FULL..DISK_LOW => report.warning("disk", message, cure),
            DISK_LOW.. => report.ok("disk", message),
        }
    }
}

#[cfg(unix)]
fn free_disk(folder: &Path) -> Option<u64> {
    let figures = rustix::fs::statvfs(folder).ok()?;
    Some(figures.f_bavail.saturating_mul(figures.f_frsize))
}

#[cfg(not(unix))]
fn free_disk(_folder: &Path) -> Option<u64> {
    None
}

/// Whether the clock is later than this program was made. That it is right, only another machine could say.
pub(super) fn clock(report: &mut Report) {
    let made = std::env::current_exe().and_then(fs::metadata).and_then(|metadata| metadata.modified());
    let slack = Duration::from_secs(24 * 60 * 60);
    match made {
        Ok(made) if SystemTime::now() + slack < made => {
            report.error(
                "clock",
                "the clock is before the day on which this program was made",
                "set it, as with systemd-timesyncd: keys expire by it, and TLS needs it",
            );
        }
        _ => report.ok(
            "clock",
            format!("{} UTC", time::OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)),
        ),
    }
}
