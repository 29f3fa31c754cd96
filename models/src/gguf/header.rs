//! The header: magic, version, metadata, and where the tensors lie.

use std::collections::{BTreeMap, btree_map::Entry};

use hearth_kernels::WeightType;

use super::{Gguf, GgufError, TensorInfo, Value, cursor::Cursor};

pub(super) const MAGIC: &[u8] = b"GGUF";
const DEFAULT_ALIGNMENT: u64 = 32;
/// The specification's bound on a key.
const MAX_KEY: usize = 65_535;
/// ggml's bound on a tensor's name (`GGML_MAX_NAME` is 64; some converters go further).
const MAX_NAME: usize = 255;
/// ggml's `GGML_MAX_DIMS`.
const MAX_DIMENSIONS: u32 = 4;
/// A key, a type and a value of one byte.
const LEAST_ENTRY: u64 = 8 + 4 + 1;
/// A name, a dimension count, a type and an offset.
const LEAST_TENSOR: u64 = 8 + 4 + 4 + 8;

/// A tensor as the header states it, before the start of the data is known.
struct Stated<'a> {
    name: &'a str,
    dimensions: Vec<u64>,
    ty: WeightType,
    offset: u64,
    bytes: usize,
}

/// Parses the header at the beginning of `bytes`, which may end anywhere behind it, of a file of `size` bytes.
pub(super) fn parse(bytes: &[u8], size: usize) -> Result<Gguf<'_>, GgufError> {
    let mut cursor = Cursor::new(bytes);
    let magic = cursor.take(4, "the magic")?;
    if magic != MAGIC {
        return Err(malformed(format!("it begins with {}, not with \"GGUF\"", magic.escape_ascii())));
    }
    match cursor.u32("the version")? {
        2 | 3 => {}
        1 => return Err(malformed("version 1 is not supported, only 2 and 3: convert the model again".into())),
        // Written on a big-endian machine, 3 reads as 0x0300_0000.
        version if matches!(version.swap_bytes(), 1..=0xffff) => {
            return Err(malformed("it is big endian, and only little-endian files are supported: convert the model again".into()));
        }
        version => return Err(malformed(format!("version {version} is not supported, only 2 and 3"))),
    }
    let tensor_count = cursor.count(LEAST_TENSOR, "the tensor count")?;
    let entry_count = cursor.count(LEAST_ENTRY, "the metadata count")?;

    let mut metadata = BTreeMap::new();
    for _ in 0..entry_count {
        let key = name(cursor.string("a metadata key")?, MAX_KEY, "metadata key")?;
        let value = Value::read(&mut cursor, key)?;
        if metadata.insert(key, value).is_some() {
            return Err(GgufError::Metadata { key: key.into(), problem: "stands in the file twice".into() });
        }
    }

    let mut stated = Vec::new();
    for _ in 0..tensor_count {
        stated.push(tensor(&mut cursor)?);
    }

    let mut gguf = Gguf { metadata, tensors: BTreeMap::new(), bytes, maker: None, map: None };
    let alignment = match gguf.opt_u32("general.alignment")? {
        None => DEFAULT_ALIGNMENT,
        Some(alignment) if alignment.is_power_of_two() => u64::from(alignment),
        Some(alignment) => {
            return Err(GgufError::Metadata { key: "general.alignment".into(), problem: format!("{alignment} is not a power of two") });
        }
    };
    // The position is below 2^63 and the alignment at most 2^31: no overflow.
    let data = (cursor.position() as u64).next_multiple_of(alignment);
    for tensor in stated {
        place(&mut gguf, tensor, data, alignment, size)?;
    }
    refuse_overlaps(&gguf.tensors)?;
    Ok(gguf)
}

/// Reads one tensor's entry.
fn tensor<'a>(cursor: &mut Cursor<'a>) -> Result<Stated<'a>, GgufError> {
    let name = name(cursor.string("a tensor's name")?, MAX_NAME, "tensor name")?;
    let wrong = |problem: String| GgufError::Tensor { name: name.into(), problem };
    let rank = cursor.u32(name)?;
    if rank > MAX_DIMENSIONS {
        return Err(wrong(format!("has {rank} dimensions, more than {MAX_DIMENSIONS}")));
    }
    let mut dimensions = Vec::with_capacity(rank as usize);
    for _ in 0..rank {
        dimensions.push(cursor.u64(name)?);
    }
    let number = cursor.u32(name)?;
    let ty = WeightType::from_ggml(number).ok_or_else(|| wrong(format!("its type {} is not supported", type_name(number))))?;
    let offset = cursor.u64(name)?;

    let elements = dimensions.iter().try_fold(1_usize, |product, &d| usize::try_from(d).ok()?.checked_mul(product));
    let elements = match elements {
        Some(0) => return Err(wrong(format!("its dimensions {dimensions:?} hold no element"))),
        Some(elements) => elements,
        None => return Err(wrong(format!("its dimensions {dimensions:?} overflow"))),
    };
    // Rows are whole blocks: a block never crosses from one row to the next.
    let columns = dimensions.first().map_or(1, |&d| d as usize);
    if !columns.is_multiple_of(ty.block_len()) {
        return Err(wrong(format!("rows of {columns} elements are not whole blocks of {} ({ty:?})", ty.block_len())));
    }
    let bytes = ty.bytes_of(elements).ok_or_else(|| wrong(format!("its dimensions {dimensions:?} overflow")))?;
    Ok(Stated { name, dimensions, ty, offset, bytes })
}

/// Checks that the tensor's bytes are in the file, and takes it over.
fn place<'a>(gguf: &mut Gguf<'a>, tensor: Stated<'a>, data: u64, alignment: u64, size: usize) -> Result<(), GgufError> {
    let Stated { name, dimensions, ty, offset, bytes } = tensor;
    let wrong = |problem: String| GgufError::Tensor { name: name.into(), problem };
    if !offset.is_multiple_of(alignment) {
        return Err(wrong(format!("its offset {offset} is not a multiple of the alignment {alignment}")));
    }
    let range = data.checked_add(offset).and_then(|start| {
        let start = usize::try_from(start).ok()?;
        let end = start.checked_add(bytes)?;
        (end <= size).then_some(start..end)
    });
    let Some(range) = range else {
        return Err(wrong(format!(
            "its {bytes} bytes at offset {offset} of the data (which begins at {data}) do not lie in the file of {size} bytes; is it cut short?"
        )));
    };
    match gguf.tensors.entry(name) {
        Entry::Occupied(_) => Err(wrong("stands in the file twice".into())),
        Entry::Vacant(entry) => {
            entry.insert(TensorInfo { dimensions, ty, range });
            Ok(())
        }
    }
}

fn refuse_overlaps(tensors: &BTreeMap<&str, TensorInfo>) -> Result<(), GgufError> {
    let mut by_place: Vec<_> = tensors.iter().collect();
    by_place.sort_unstable_by_key(|(_, t)| t.range.start);
    for pair in by_place.windows(2) {
        let [(before, a), (name, b)] = pair else { continue };
        if b.range.start < a.range.end {
            return Err(GgufError::Tensor { name: name.to_string(), problem: format!("its bytes overlap those of `{before}`") });
        }
    }
    Ok(())
}

/// A key or name: bounded, and UTF-8, so that an error can name it.
fn name<'a>(bytes: &'a [u8], limit: usize, what: &str) -> Result<&'a str, GgufError> {
    if bytes.len() > limit {
        return Err(malformed(format!("a {what} of {} bytes is longer than {limit}", bytes.len())));
    }
    std::str::from_utf8(bytes).map_err(|_| malformed(format!("the {what} \"{}\" is not UTF-8", bytes.escape_ascii())))
}

fn malformed(problem: String) -> GgufError {
    GgufError::Malformed(problem)
}

/// GGML's name for a type that is not supported, for the error.
fn type_name(number: u32) -> String {
    let name = match number {
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        40 => "NVFP4",
        _ => return format!("number {number}"),
    };
    format!("{name} (number {number})")
}
