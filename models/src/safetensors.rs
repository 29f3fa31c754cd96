//! Hugging Face's safetensors: bounded parsing of the header, and the tensors' bytes in place.
//!
//! A file is the header's length in 8 bytes, the header as JSON (for each tensor its type, its shape, and where its bytes begin and end in what follows), and the bytes.
//! The parser of the crate `safetensors` is not used because it takes a tensor that stands there twice, does not name what is wrong, and reads headers of 100 MB.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    ops::Range,
};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

/// Bytes of a header. A tensor takes about a hundred, and models have up to some ten thousand.
const MAX_HEADER: u64 = 16 << 20;
/// Bytes of a tensor's name.
const MAX_NAME: usize = 512;
/// Dimensions of a tensor.
const MAX_RANK: usize = 8;

/// The types that the format knows, and their bits.
const TYPES: [(&str, usize); 22] = [
    ("F32", 32),
    ("F16", 16),
    ("BF16", 16),
    ("F64", 64),
    ("F8_E4M3", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2", 8),
    ("F8_E5M2FNUZ", 8),
    ("F8_E8M0", 8),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("F4", 4),
    ("C64", 64),
    ("I64", 64),
    ("U64", 64),
    ("I32", 32),
    ("U32", 32),
    ("I16", 16),
    ("U16", 16),
    ("I8", 8),
    ("U8", 8),
    ("BOOL", 8),
];

/// Why a file could not be taken. It is named by whoever opened it.
#[derive(Debug, thiserror::Error)]
pub enum SafetensorsError {
    /// The header is malformed.
    #[error("not a valid safetensors file: {0}")]
    Malformed(String),
    /// A tensor's type, shape or place is impossible.
    #[error("tensor `{name}`: {problem}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// A tensor's place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The type, as the format names it: `BF16`.
    pub dtype: &'static str,
    /// Dimensions, the contiguous one (columns) last.
    pub shape: Vec<usize>,
    /// Byte range in the whole file.
    pub range: Range<usize>,
}

/// A parsed header over the file's bytes.
#[derive(Debug)]
pub struct Safetensors<'a> {
    /// Tensors by name.
    pub tensors: BTreeMap<String, TensorInfo>,
    bytes: &'a [u8],
}

/// A tensor as the header states it.
#[derive(Deserialize)]
struct Stated {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header's entries in their order, a name that stands there twice included.
struct Header(Vec<(String, Stated)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Header(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'a> Safetensors<'a> {
    /// Parses the header of `bytes`, the whole file.
    ///
    /// # Errors
    /// [`SafetensorsError`]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SafetensorsError> {
        let malformed = |problem: String| SafetensorsError::Malformed(problem);
        let Some((len, rest)) = bytes.split_first_chunk::<8>() else {
            return Err(malformed(format!("it has {} bytes, fewer than the 8 of its header's length", bytes.len())));
        };
        let len = u64::from_le_bytes(*len);
        if len > MAX_HEADER {
            return Err(malformed(format!("its header would have {len} bytes, at most {MAX_HEADER} are read")));
        }
        let Some((header, data)) = rest.split_at_checked(len as usize) else {
            return Err(malformed(format!("its header would have {len} bytes, but only {} are left; is it cut short?", rest.len())));
        };
        let Header(entries) =
            serde_json::from_slice(header).map_err(|error| malformed(format!("its header is not as it should be: {error}")))?;
        let begin = bytes.len() - data.len();
        let mut tensors = BTreeMap::new();
        for (name, stated) in entries {
            if name.len() > MAX_NAME {
                return Err(malformed(format!("a tensor's name of {} bytes is longer than {MAX_NAME}", name.len())));
            }
            let info = place(stated, begin, data.len()).map_err(|problem| SafetensorsError::Tensor { name: name.clone(), problem })?;
            match tensors.entry(name) {
                Entry::Vacant(entry) => drop(entry.insert(info)),
                Entry::Occupied(entry) => {
                    return Err(SafetensorsError::Tensor { name: entry.key().clone(), problem: "stands in the file twice".into() });
                }
            }
        }
        refuse_overlaps(&tensors)?;
        Ok(Self { tensors, bytes })
    }

    /// The bytes of a tensor of this file.
    pub fn tensor_bytes(&self, tensor: &TensorInfo) -> &'a [u8] {
        &self.bytes[tensor.range.clone()]
    }
}

/// Checks that the tensor's bytes are in the file, whose data of `len` bytes begin at `begin`.
fn place(stated: Stated, begin: usize, len: usize) -> Result<TensorInfo, String> {
    let Stated { dtype, shape, data_offsets: (start, end) } = stated;
    let Some(&(dtype, bits)) = TYPES.iter().find(|(name, _)| *name == dtype) else {
        return Err(format!("its type `{}` is not known", dtype.chars().take(40).collect::<String>()));
    };
    if shape.len() > MAX_RANK {
        return Err(format!("has {} dimensions, more than {MAX_RANK}", shape.len()));
    }
    let elements = shape.iter().try_fold(1_usize, |product, &d| usize::try_from(d).ok()?.checked_mul(product));
    let Some(all_bits) = elements.and_then(|elements| elements.checked_mul(bits)) else {
        return Err(format!("its shape {shape:?} overflows"));
    };
    let need = all_bits.div_ceil(8) as u64;
    if start > end || end > len as u64 {
        return Err(format!("its bytes {start} to {end} do not lie in the data of {len} bytes; is the file cut short?"));
    }
    if end - start != need {
        return Err(format!("its shape {shape:?} of {dtype} needs {need} bytes, but it has {}", end - start));
    }
    Ok(TensorInfo { dtype, shape: shape.iter().map(|&d| d as usize).collect(), range: begin + start as usize..begin + end as usize })
}

fn refuse_overlaps(tensors: &BTreeMap<String, TensorInfo>) -> Result<(), SafetensorsError> {
    let mut by_place: Vec<_> = tensors.iter().filter(|(_, t)| !t.range.is_empty()).collect();
    by_place.sort_unstable_by_key(|(_, t)| t.range.start);
    for pair in by_place.windows(2) {
        let [(before, a), (name, b)] = pair else { continue };
        if b.range.start < a.range.end {
            return Err(SafetensorsError::Tensor { name: name.to_string(), problem: format!("its bytes overlap those of `{before}`") });
        }
    }
    Ok(())
}
