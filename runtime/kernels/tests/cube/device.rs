//! Finding and opening adapters.

use std::process::Command;

use hearth_kernels::gpus;

use crate::{gpu, tensor, values};

#[test]
fn adapters_are_described_and_open_twice() {
    let Some(device) = gpu() else { return };
    for gpu in gpus() {
        assert!(!gpu.name.is_empty() && !gpu.backend.is_empty(), "{gpu:?}");
        assert!(gpu.max_buffer >= 1 << 27, "WebGPU promises 128 MiB: {gpu:?}");
        if gpu.backend == "vulkan" {
            assert!(gpu.memory.is_some_and(|bytes| bytes > 1 << 24), "{gpu:?}");
        }
    }
    let first = &gpus()[0];
    assert!(gpus().iter().all(|gpu| gpu.kind >= first.kind), "software adapters come last");
    assert_eq!(first.open().expect("opens again"), device);
    assert_eq!(values(tensor(&[1.0, 2.0], [2], &device).mul_scalar(2.0)), [2.0, 4.0]);
}

const CHILD: &str = "HEARTH_TEST_NO_VULKAN";

/// A process whose Vulkan loader finds no driver.
#[test]
fn no_driver_is_no_panic() {
    if std::env::var_os(CHILD).is_some() {
        let found = gpus();
        assert!(found.iter().all(|gpu| gpu.backend != "vulkan"), "{found:?}");
        println!("probed: {}", found.len());
        return;
    }
    let output = Command::new(std::env::current_exe().expect("this test's file"))
        .args(["--exact", "device::no_driver_is_no_panic", "--nocapture"])
        .env(CHILD, "1")
        .env("VK_DRIVER_FILES", "/nonexistent.json")
        .env("VK_ICD_FILENAMES", "/nonexistent.json")
        .env("__EGL_VENDOR_LIBRARY_FILENAMES", "/nonexistent.json")
        .output()
        .expect("this test runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("probed: "), "{out}\n{err}");
    assert!(!err.contains("panicked"), "{err}");
}
