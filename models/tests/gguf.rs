//! The GGUF parser against well-formed files, hostile headers and random damage.

mod support;

use hearth_models::gguf::{ElementType, Gguf, GgufError, MappedFile, ReadFile, Value};
use support::{Builder, Random, string};

const Q8_0: u32 = 8;
const F32: u32 = 0;

/// A small file with every kind of value and three tensors.
fn small() -> Builder {
    Builder::default()
        .str("general.architecture", "llama")
        .u32("llama.block_count", 2)
        .f32("llama.rope.freq_base", 10_000.0)
        .entry("a.bool", 7, &[1])
        .entry("a.i8", 1, &(-3_i8).to_le_bytes())
        .entry("a.u16", 2, &500_u16.to_le_bytes())
        .entry("a.i64", 11, &i64::MIN.to_le_bytes())
        .entry("a.u64", 10, &u64::MAX.to_le_bytes())
        .entry("a.f64", 12, &2.5_f64.to_le_bytes())
        .strings("tokens", &["a", "", "日本"])
        .array("types", 5, 3, &[1, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])
        .array("scores", 6, 2, &[1.5_f32.to_le_bytes(), (-0.5_f32).to_le_bytes()].concat())
        .array("nested", 9, 2, &[&[0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7, 8], &[7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1][..]].concat())
        .f32s("norm", &[4], &[1.0, 2.0, 3.0, 4.0])
        .tensor("quantized", &[64, 2], Q8_0, &[7; 2 * 2 * 34])
        .f32s("scalar", &[], &[9.0])
}

fn error(file: Builder) -> String {
    let bytes = file.build();
    Gguf::parse(&bytes).expect_err("the file is hostile").to_string()
}

/// Refused, with a message that has all of these parts.
#[track_caller]
fn refuses(file: Builder, parts: &[&str]) {
    let message = error(file);
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn reads_every_kind_of_value() {
    for version in [2, 3] {
        let bytes = Builder { version, ..small() }.build();
        let gguf = Gguf::parse(&bytes).unwrap();
        assert_eq!(gguf.get_str("general.architecture").unwrap(), "llama");
        assert_eq!(gguf.get_u32("llama.block_count").unwrap(), 2);
        assert_eq!(gguf.get_f32("llama.rope.freq_base").unwrap(), 10_000.0);
        assert!(gguf.get_bool("a.bool").unwrap());
        assert_eq!(gguf.get_i32("a.i8").unwrap(), -3);
        assert_eq!(gguf.get_u32("a.u16").unwrap(), 500);
        assert_eq!(gguf.get("a.i64"), Some(&Value::I64(i64::MIN)));
        assert_eq!(gguf.get_u64("a.u64").unwrap(), u64::MAX);
        assert_eq!(gguf.get("a.f64"), Some(&Value::F64(2.5)));
        assert_eq!(gguf.get_array_str("tokens").unwrap(), ["a", "", "日本"]);
        assert_eq!(gguf.get_array_i32("types").unwrap(), [1, 2, -1]);
        assert_eq!(gguf.get_array_f32("scores").unwrap(), [1.5, -0.5]);
        let nested = gguf.get_array("nested").unwrap();
        assert_eq!((nested.element_type(), nested.len()), (ElementType::Array, 2));
        let inner: Vec<Vec<Value<'_>>> = nested.iter().map(|v| if let Value::Array(a) = v { a.iter().collect() } else { vec![] }).collect();
        assert_eq!(inner, [vec![Value::U64(7), Value::U64(8)], vec![Value::Bool(true)]]);
    }
}

#[test]
fn getters_tell_missing_from_mistyped() {
    let bytes = small().build();
    let gguf = Gguf::parse(&bytes).unwrap();
    assert_eq!(gguf.opt_u32("nothing").unwrap(), None);
    assert_eq!(gguf.get_u32("nothing").unwrap_err().to_string(), "GGUF metadata `nothing`: missing; an unsigned 32-bit integer is needed");
    assert_eq!(
        gguf.opt_u32("a.i8").unwrap_err().to_string(),
        "GGUF metadata `a.i8`: it is the integer -3, but an unsigned 32-bit integer is needed"
    );
    assert!(gguf.opt_u32("a.u64").unwrap_err().to_string().contains("it is the integer 18446744073709551615"));
    assert!(gguf.get_str("a.bool").unwrap_err().to_string().contains("it is the boolean true, but a UTF-8 string is needed"));
    assert!(
        gguf.get_array_str("types").unwrap_err().to_string().contains("it is an array of 3 × I32, but an array of UTF-8 strings is needed")
    );
    assert!(gguf.get_array_u32("types").is_err(), "-1 is not unsigned");

    // Strings of any bytes parse; only reading them as text fails.
    let bytes = small().entry("raw", 8, &string([0xff, 0xfe])).array("raws", 8, 1, &string([0xff])).build();
    let gguf = Gguf::parse(&bytes).unwrap();
    assert!(gguf.get_str("raw").is_err() && gguf.get_array_str("raws").is_err());
    assert_eq!(gguf.get_array_bytes("raws").unwrap(), [&[0xff][..]]);
}

#[test]
fn finds_the_tensors_bytes() {
    for alignment in [32, 8, 4096] {
        let file = Builder { alignment, ..Builder::default() }.u32("general.alignment", alignment as u32);
        let bytes = file.f32s("a", &[3], &[1.0, 2.0, 3.0]).tensor("b", &[32], Q8_0, &[5; 34]).build();
        let gguf = Gguf::parse(&bytes).unwrap();
        let (a, b) = (&gguf.tensors["a"], &gguf.tensors["b"]);
        assert_eq!(*gguf.tensor_bytes(a), [1.0_f32, 2.0, 3.0].map(f32::to_le_bytes).concat());
        assert_eq!(*gguf.tensor_bytes(b), [5; 34]);
        assert_eq!((&*b.dimensions, b.range.start % alignment), (&[32_u64][..], 0));
    }
}

#[test]
fn refuses_what_is_not_gguf() {
    for bytes in [&b""[..], b"GG", b"GGUF", b"GGUF\x03\0\0\0", b"PK\x03\x04 a zip, renamed"] {
        assert!(matches!(Gguf::parse(bytes), Err(GgufError::Malformed(_))));
    }
    let zip = Gguf::parse(b"PK\x03\x04 a zip, renamed").unwrap_err().to_string();
    assert!(zip.contains(r#"begins with PK\x03\x04, not with "GGUF""#), "{zip}");
    refuses(Builder { version: 1, ..small() }, &["version 1 is not supported"]);
    refuses(Builder { version: 4, ..small() }, &["version 4 is not supported"]);
    refuses(Builder { version: 3_u32.swap_bytes(), ..small() }, &["big endian"]);
}

#[test]
fn every_truncation_is_refused_or_harmless() {
    let bytes = small().build();
    for len in 0..bytes.len() {
        assert!(Gguf::parse(&bytes[..len]).is_err(), "the first {len} of {} bytes parse", bytes.len());
    }
}

#[test]
fn refuses_counts_that_the_file_cannot_hold() {
    for claim in [1 << 20, u64::MAX / 2, u64::MAX] {
        refuses(Builder { claimed_entries: Some(claim), ..small() }, &["metadata count", "cannot be"]);
        refuses(Builder { claimed_tensors: Some(claim), ..small() }, &["tensor count", "cannot be"]);
        refuses(Builder::default().array("k", 8, claim, b""), &["k", "cannot be"]);
        refuses(Builder::default().array("k", 0, claim, b""), &["k", "cannot be"]);
        refuses(Builder::default().array("k", 9, claim, b""), &["k", "cannot be"]);
        refuses(Builder::default().entry("k", 8, &claim.to_le_bytes()), &["k needs", "left"]);
    }
}

#[test]
fn refuses_deep_nesting() {
    // An array of one array of one array …: each level costs 12 bytes, so a small file could nest deep enough to overflow a stack.
    let levels = 100_000;
    let mut value = Vec::new();
    for _ in 0..levels {
        value.extend(9_u32.to_le_bytes());
        value.extend(1_u64.to_le_bytes());
    }
    refuses(Builder::default().entry("deep", 9, &value), &["deep nests arrays more than"]);
}

#[test]
fn refuses_bad_metadata() {
    refuses(small().u32("llama.block_count", 3), &["`llama.block_count`", "twice"]);
    refuses(Builder::default().entry("k", 13, &[0; 8]), &["k has the unknown value type 13"]);
    refuses(Builder::default().array("k", 99, 0, b""), &["k has the unknown value type 99"]);
    refuses(Builder::default().entry("k", 7, &[2]), &["k is a boolean of value 2"]);
    refuses(Builder::default().u32(&"k".repeat(70_000), 1), &["metadata key of 70000 bytes"]);
    for alignment in [0, 3, 33, u32::MAX] {
        refuses(small().u32("general.alignment", alignment), &["`general.alignment`", "not a power of two"]);
    }
    refuses(small().str("general.alignment", "32"), &["`general.alignment`", "an unsigned 32-bit integer is needed"]);
    // A huge alignment puts the data behind the end of the file.
    refuses(small().u32("general.alignment", 1 << 31), &["do not lie in the file"]);
}

#[test]
fn refuses_bad_tensors() {
    let file = || Builder::default().data(&[0; 256]);
    refuses(file().raw_tensor("t", &[4, 1, 1, 1, 1], F32, 0), &["`t`", "5 dimensions"]);
    refuses(file().raw_tensor("t", &[4, 0], F32, 0), &["`t`", "hold no element"]);
    refuses(file().raw_tensor("t", &[1 << 32, 1 << 32], F32, 0), &["`t`", "overflow"]);
    refuses(file().raw_tensor("t", &[u64::MAX], F32, 0), &["`t`"]);
    refuses(file().raw_tensor("t", &[1 << 62], F32, 0), &["`t`", "overflow"]);
    refuses(file().raw_tensor("t", &[33], Q8_0, 0), &["`t`", "not whole blocks"]);
    // 2 rows of 16 hold 32 elements, but a block must not cross rows.
    refuses(file().raw_tensor("t", &[16, 2], Q8_0, 0), &["`t`", "not whole blocks"]);
    refuses(file().raw_tensor("t", &[65], F32, 0), &["`t`", "do not lie in the file"]);
    refuses(file().raw_tensor("t", &[4], F32, 256), &["`t`", "do not lie in the file"]);
    refuses(file().raw_tensor("t", &[4], F32, u64::MAX - 31), &["`t`", "do not lie in the file"]);
    refuses(file().raw_tensor("t", &[4], F32, 8), &["`t`", "not a multiple of the alignment 32"]);
    refuses(file().raw_tensor("t", &[4], F32, 0).raw_tensor("t", &[4], F32, 32), &["`t`", "twice"]);
    refuses(file().raw_tensor("t", &[16], F32, 0).raw_tensor("u", &[4], F32, 32), &["`u`", "overlap", "`t`"]);
    refuses(file().raw_tensor("t", &[4], 20, 0), &["`t`", "IQ4_NL (number 20) is not supported"]);
    refuses(file().raw_tensor("t", &[4], 1234, 0), &["`t`", "number 1234 is not supported"]);
    refuses(file().raw_tensor(&"t".repeat(300), &[4], F32, 0), &["tensor name of 300 bytes"]);
}

#[test]
fn random_damage_never_panics() {
    let good = small().build();
    let mut random = Random(1);
    let mut refused = 0;
    for round in 0..30_000 {
        let mut bytes = good.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            match random.below(6) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = random.next() as u8,
                2 => bytes.truncate(at.max(1)),
                3 => {
                    bytes.remove(at);
                }
                4 => bytes.insert(at, random.next() as u8),
                // A number where a count, a length or an offset may stand: the values on which checked arithmetic matters.
                _ => {
                    let number = [0, 1, u64::from(u32::MAX), u64::MAX, u64::MAX - 31, 1 << 63][random.below(6)].to_le_bytes();
                    let len = number.len().min(bytes.len() - at);
                    bytes[at..at + len].copy_from_slice(&number[..len]);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        match Gguf::parse(&bytes) {
            Err(e) => {
                refused += 1;
                assert!(e.to_string().len() < 4096, "round {round}: a long message");
            }
            // What parses must be readable to the end.
            Ok(gguf) => {
                for tensor in gguf.tensors.values() {
                    assert!(tensor.range.end <= bytes.len());
                    let _ = gguf.tensor_bytes(tensor);
                }
                for value in gguf.metadata.values() {
                    if let Value::Array(array) = value {
                        assert_eq!(array.iter().count(), array.len(), "round {round}");
                    }
                }
            }
        }
    }
    assert!((5_000..30_000).contains(&refused), "{refused} of 30000 refused: the damage is too mild or too wild to test anything");
}

#[test]
fn a_file_is_mapped_or_the_error_says_what_to_do() {
    let dir = std::env::temp_dir().join(format!("hearth-gguf-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("small.gguf");
    std::fs::write(&path, small().build()).unwrap();
    let file = MappedFile::open(&path).unwrap();
    assert_eq!(Gguf::parse(&file).unwrap().tensors.len(), 3);

    let missing = MappedFile::open(&dir.join("missing.gguf")).unwrap_err().to_string();
    assert!(missing.contains("missing.gguf: No such file"), "{missing}");
    let folder = MappedFile::open(&dir).unwrap_err().to_string();
    assert!(folder.contains("not a regular file"), "{folder}");

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o200)).unwrap();
        // Root reads anything, so there the error cannot be seen.
        if let Err(e) = MappedFile::open(&path) {
            let message = e.to_string();
            assert!(message.contains("mode 0200") && message.contains("chmod a+r") && message.contains("small.gguf"), "{message}");
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_file_that_is_read_piece_by_piece_is_the_one_that_is_mapped() {
    let folder = std::env::temp_dir().join(format!("hearth-read-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("model.gguf");
    // Metadata beyond what is read at once, and a tensor behind them.
    let long = "x".repeat(9 << 20);
    let bytes = small().str("a.long", &long).f32s("far", &[2], &[5.0, 6.0]).build();
    std::fs::write(&path, &bytes).unwrap();
    let (read, mapped) = (ReadFile::open(&path).unwrap(), MappedFile::open(&path).unwrap());
    let (read, mapped) = (read.gguf().unwrap(), mapped.gguf().unwrap());
    assert_eq!(read.metadata, mapped.metadata);
    assert_eq!(read.tensors.len(), mapped.tensors.len());
    for (name, tensor) in &mapped.tensors {
        assert_eq!(read.tensor_bytes(&read.tensors[name]), mapped.tensor_bytes(tensor), "{name}");
    }
    for cut in [bytes.len() - 1, 20, 0] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let whole = Gguf::parse(&bytes[..cut]).unwrap_err().to_string();
        assert_eq!(ReadFile::open(&path).unwrap().gguf().unwrap_err().to_string(), whole);
    }
    std::fs::remove_file(&path).unwrap();
    assert!(ReadFile::open(&path).unwrap_err().to_string().contains("model.gguf"));
    std::fs::remove_dir_all(&folder).unwrap();
}
