//! The safetensors parser against well-formed files, hostile headers and random damage.

mod support;

use hearth_models::safetensors::{Safetensors, SafetensorsError};
use support::Random;

/// A file with this header and `data` bytes behind it.
fn file(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![7; data]].concat()
}

const SMALL: &str = r#"{"__metadata__":{"format":"pt"},
    "norm":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},
    "matrix":{"dtype":"BF16","shape":[2,3],"data_offsets":[16,28]},
    "scalar":{"dtype":"I64","shape":[],"data_offsets":[28,36]},
    "empty":{"dtype":"F16","shape":[0,5],"data_offsets":[36,36]},
    "mask":{"dtype":"BOOL","shape":[2],"data_offsets":[36,38]}}   "#;

#[track_caller]
fn refuses(bytes: &[u8], parts: &[&str]) {
    let message = Safetensors::parse(bytes).expect_err("the file is hostile").to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
    assert!(message.len() < 4096);
}

#[test]
fn reads_names_types_shapes_and_bytes() {
    let bytes = file(SMALL, 38);
    let parsed = Safetensors::parse(&bytes).unwrap();
    assert_eq!(parsed.tensors.keys().collect::<Vec<_>>(), ["empty", "mask", "matrix", "norm", "scalar"]);
    let matrix = &parsed.tensors["matrix"];
    assert_eq!((matrix.dtype, &matrix.shape[..], parsed.tensor_bytes(matrix)), ("BF16", &[2, 3][..], &[7; 12][..]));
    assert_eq!(matrix.range, bytes.len() - 22..bytes.len() - 10);
    assert!(parsed.tensor_bytes(&parsed.tensors["empty"]).is_empty());
    assert!(Safetensors::parse(&file("{}", 0)).unwrap().tensors.is_empty());
}

#[test]
fn refuses_what_is_not_safetensors() {
    refuses(b"", &["0 bytes"]);
    refuses(b"GGUF", &["4 bytes"]);
    refuses(b"PK\x03\x04 a zip, renamed", &["header would have", "are read"]);
    for len in [u64::MAX, 1 << 40, 100_000_000] {
        refuses(&[&len.to_le_bytes(), &b"{}"[..]].concat(), &["at most 16777216"]);
    }
    refuses(&[&9_u64.to_le_bytes(), &b"{}"[..]].concat(), &["only 2 are left", "cut short"]);
    refuses(&file("", 0), &["not a valid safetensors file", "EOF"]);
    refuses(&file("[]", 0), &["an object of tensors by name"]);
    refuses(&file("{\"a\":1}", 0), &["not a valid safetensors file"]);
    refuses(&file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4), &["data_offsets"]);
    refuses(&file("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4), &["not a valid safetensors file"]);
    refuses(&file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4), &["not a valid safetensors file"]);
    refuses(&[&3_u64.to_le_bytes(), &b"{\xff}"[..]].concat(), &["not a valid safetensors file"]);
    // Brackets in brackets: as many as could overflow a stack.
    refuses(&file(&format!("{{\"__metadata__\":{}", "[".repeat(1 << 20)), 0), &["not a valid safetensors file"]);
    refuses(&file(&format!("{{\"a\":{}", "{\"b\":".repeat(1 << 18)), 0), &["not a valid safetensors file"]);
}

#[test]
fn refuses_impossible_tensors() {
    let tensor = |entry: &str| file(&format!("{{\"t\":{entry}}}"), 64);
    let refuses = |entry: &str, parts: &[&str]| refuses(&tensor(entry), &[&["tensor `t`"], parts].concat());
    refuses(r#"{"dtype":"F31","shape":[4],"data_offsets":[0,16]}"#, &["type `F31` is not known"]);
    refuses(r#"{"dtype":"F32","shape":[4],"data_offsets":[0,12]}"#, &["needs 16 bytes", "has 12"]);
    refuses(r#"{"dtype":"F32","shape":[4],"data_offsets":[56,72]}"#, &["56 to 72", "64 bytes"]);
    refuses(r#"{"dtype":"F32","shape":[4],"data_offsets":[16,0]}"#, &["16 to 0"]);
    refuses(r#"{"dtype":"F32","shape":[0],"data_offsets":[18446744073709551615,18446744073709551615]}"#, &["do not lie"]);
    refuses(r#"{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}"#, &["overflows"]);
    refuses(r#"{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}"#, &["overflows"]);
    refuses(r#"{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}"#, &["9 dimensions"]);
    let twice = r#"{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
    assert!(
        matches!(Safetensors::parse(&file(twice, 2)), Err(SafetensorsError::Tensor { name, problem }) if name == "t" && problem.contains("twice"))
    );
    let overlapping = r#"{"t":{"dtype":"U8","shape":[4],"data_offsets":[3,7]},"s":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    assert!(Safetensors::parse(&file(overlapping, 8)).unwrap_err().to_string().contains("overlap those of `s`"));
    let long = format!("{{\"{}\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}}}", "n".repeat(600));
    assert!(Safetensors::parse(&file(&long, 1)).unwrap_err().to_string().contains("name of 600 bytes"));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = file(SMALL, 38);
    for len in 0..bytes.len() {
        assert!(Safetensors::parse(&bytes[..len]).is_err(), "the first {len} of {} bytes parse", bytes.len());
    }
}

#[test]
fn random_damage_never_panics() {
    let whole = file(SMALL, 38);
    let mut random = Random(0x5afe);
    let mut refused = 0;
    for round in 0..30_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            match random.below(6) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = random.next() as u8,
                2 => bytes.truncate(at.max(1)),
                3 => drop(bytes.remove(at)),
                // What JSON is made of.
                4 => bytes[at] = b"{}[],:\"0123456789-.e"[random.below(20)],
                _ => {
                    let number = [&b"18446744073709551615"[..], b"-1", b"1e400", b"4294967296", b"null", b"\\u0000"][random.below(6)];
                    bytes.splice(at..at, number.iter().copied());
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        match Safetensors::parse(&bytes) {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().len() < 4096, "round {round}: a long message");
            }
            Ok(parsed) => {
                for tensor in parsed.tensors.values() {
                    assert!(tensor.range.end <= bytes.len());
                    let _ = parsed.tensor_bytes(tensor);
                }
            }
        }
    }
    assert!((5_000..29_500).contains(&refused), "{refused} of 30000 refused: the damage is too mild or too wild to test anything");
}
