//! Graphics cards: their memory, and how busy they are, from whatever tells it: files of the kernel's drivers, as amdgpu's, and NVIDIA's library where there is one.

use std::{ffi::OsStr, fs, path::Path, sync::OnceLock};

use nvml_wrapper::Nvml;

use super::text::Text;

/// NVIDIA's library, as its driver installs it.
const NVIDIA: &str = "libnvidia-ml.so.1";

/// A card; what its driver does not tell is `None`.
#[derive(Debug, Default, PartialEq)]
struct Card {
    name: String,
    /// Bytes.
    memory: Option<u64>,
    /// Bytes.
    used: Option<u64>,
    /// 0 to 1.
    busy: Option<f64>,
}

pub(super) fn write(text: &mut Text) {
    // Once: what is not there at the start is no driver that this process could use.
    static LIBRARY: OnceLock<Option<Nvml>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| open(NVIDIA.as_ref()));
    let mut cards = of_files(Path::new("/sys/class/drm"));
    cards.extend(library.iter().flat_map(of_nvidia));
    tell(text, &cards);
}

fn tell(text: &mut Text, cards: &[Card]) {
    let mut family = |name, help, value: fn(&Card) -> Option<f64>| {
        let values: Vec<_> = cards.iter().filter_map(|card| Some((card.name.as_str(), value(card)?))).collect();
        if !values.is_empty() {
            text.family(name, "gauge", help);
            values.iter().for_each(|(card, value)| text.value(name, &[("card", card)], value));
        }
    };
    family("hearth_gpu_memory_bytes", "Memory of a graphics card.", |card| Some(card.memory? as f64));
    family("hearth_gpu_memory_used_bytes", "Memory of a graphics card that is in use, by whomever.", |card| Some(card.used? as f64));
    family("hearth_gpu_busy_ratio", "How busy a graphics card is, 0 to 1.", |card| card.busy);
}

/// Those that tell it in files.
fn of_files(folder: &Path) -> Vec<Card> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.flatten().filter_map(|card| card.file_name().into_string().ok()).collect();
    names.retain(|name| {
        name.strip_prefix("card").is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    names.sort();
    let card = |name: String| {
        let device = folder.join(&name).join("device");
        let read = |file| fs::read_to_string(device.join(file)).ok()?.trim().parse::<u64>().ok();
        let busy = read("gpu_busy_percent").map(|percent| percent as f64 / 100.0);
        Card { memory: read("mem_info_vram_total"), used: read("mem_info_vram_used"), busy, name }
    };
    names.into_iter().map(card).collect()
}

fn open(library: &OsStr) -> Option<Nvml> {
    Nvml::builder().lib_path(library).init().ok()
}

fn of_nvidia(library: &Nvml) -> Vec<Card> {
    let card = |number| {
        let device = library.device_by_index(number).ok()?;
        let memory = device.memory_info().ok();
        let busy = device.utilization_rates().ok().map(|rates| f64::from(rates.gpu) / 100.0);
        Some(Card {
            name: format!("nvidia{number}"),
            memory: memory.as_ref().map(|memory| memory.total),
            used: memory.map(|memory| memory.used),
            busy,
        })
    };
    (0..library.device_count().unwrap_or(0)).filter_map(card).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn values(cards: &[Card]) -> Vec<String> {
        let mut text = Text::default();
        tell(&mut text, cards);
        text.0.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn cards_tell_in_files() {
        let folder = tempfile::tempdir().unwrap();
        for (card, file, value) in
            [("card0", "mem_info_vram_used", "4096\n"), ("card0", "gpu_busy_percent", "50\n"), ("card0-DP-1", "gpu_busy_percent", "9")]
        {
            let device = folder.path().join(card).join("device");
            fs::create_dir_all(&device).unwrap();
            fs::write(device.join(file), value).unwrap();
        }
        let told = values(&of_files(folder.path()));
        assert_eq!(told, ["hearth_gpu_memory_used_bytes{card=\"card0\"} 4096", "hearth_gpu_busy_ratio{card=\"card0\"} 0.5"]);
    }

    /// A library with the functions of NVIDIA's that are called here, and two cards of which one does not tell how busy it is.
    const LIBRARY: &str = r"
        typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory;
        typedef struct { unsigned gpu, memory; } rates;
        int nvmlInit_v2(void) { return 0; }
        int nvmlShutdown(void) { return 0; }
        int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
        int nvmlDeviceGetHandleByIndex_v2(unsigned number, void **device) { *device = (void *)(long)(number + 1); return 0; }
        int nvmlDeviceGetMemoryInfo_v2(void *device, memory *told) { told->total = 8192; told->used = 1024 * (long)device; return 0; }
        int nvmlDeviceGetUtilizationRates(void *device, rates *told) { if ((long)device == 2) return 3; told->gpu = 25; return 0; }
    ";

    #[cfg(target_os = "linux")]
    #[test]
    fn cards_of_nvidia_tell_by_their_library() {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("nvml.c"), folder.path().join("libnvidia-ml.so.1"));
        fs::write(&source, LIBRARY).unwrap();
        // What links Rust's programs as well.
        assert!(Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().unwrap().success());
        let told = values(&of_nvidia(&open(library.as_os_str()).expect("it can be loaded")));
        let expected = [
            "hearth_gpu_memory_bytes{card=\"nvidia0\"} 8192",
            "hearth_gpu_memory_bytes{card=\"nvidia1\"} 8192",
            "hearth_gpu_memory_used_bytes{card=\"nvidia0\"} 1024",
            "hearth_gpu_memory_used_bytes{card=\"nvidia1\"} 2048",
            "hearth_gpu_busy_ratio{card=\"nvidia0\"} 0.25",
        ];
        assert_eq!(told, expected);
        assert!(open(folder.path().join("none").as_os_str()).is_none());
    }
}
