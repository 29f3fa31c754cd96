//! Any bytes: parsing ends, without a panic, and what parses has all its bytes in the file.
#![no_main]

use hearth_models::safetensors::Safetensors;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(parsed) = Safetensors::parse(bytes) {
        for tensor in parsed.tensors.values() {
            std::hint::black_box(parsed.tensor_bytes(tensor));
        }
    }
});
