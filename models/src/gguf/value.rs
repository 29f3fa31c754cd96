//! Metadata values. Strings and arrays are borrowed from the file; the parser has walked them once, so that reading them again cannot fail.

use super::{GgufError, cursor::Cursor};

/// How deep arrays of arrays may nest. No known file nests them at all.
const MAX_DEPTH: usize = 4;

/// A metadata value.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)] // GGUF's own value types
pub enum Value<'a> {
    U64(u64),
    I64(i64),
    F64(f64),
    Bool(bool),
    String(&'a [u8]),
    Array(Array<'a>),
}

/// The type of an array's elements, as GGUF numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // GGUF's own value types
pub enum ElementType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

/// An array as it stands in the file: [`Self::iter`] decodes it, the getters of [`super::Gguf`] collect it.
#[derive(Clone, Copy, PartialEq)]
pub struct Array<'a> {
    ty: ElementType,
    len: usize,
    bytes: &'a [u8],
}

impl std::fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{:?}; {}]", self.ty, self.len)
    }
}

impl ElementType {
    fn from_number(number: u32, what: &str) -> Result<Self, GgufError> {
        use ElementType::*;
        [U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64]
            .get(number as usize)
            .copied()
            .ok_or_else(|| GgufError::Malformed(format!("{what} has the unknown value type {number}")))
    }

    /// The least bytes of one element: all of them for numbers, the empty one for strings and arrays.
    fn least_bytes(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::String => 8,
            Self::Array => 12,
        }
    }
}

impl<'a> Value<'a> {
    /// Reads a value and its type.
    pub(super) fn read(cursor: &mut Cursor<'a>, what: &str) -> Result<Self, GgufError> {
        let ty = ElementType::from_number(cursor.u32(what)?, what)?;
        Self::read_typed(cursor, ty, what, 0)
    }

    fn read_typed(cursor: &mut Cursor<'a>, ty: ElementType, what: &str, depth: usize) -> Result<Self, GgufError> {
        Ok(match ty {
            ElementType::Array => Self::Array(Array::read(cursor, what, depth)?),
            ElementType::String => Self::String(cursor.string(what)?),
            ElementType::Bool => match cursor.u8(what)? {
                0 => Self::Bool(false),
                1 => Self::Bool(true),
                other => return Err(GgufError::Malformed(format!("{what} is a boolean of value {other}"))),
            },
            number => Self::number(number, cursor.take(number.least_bytes(), what)?),
        })
    }

    /// A number from exactly its bytes.
    fn number(ty: ElementType, bytes: &[u8]) -> Self {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        let unsigned = u64::from_le_bytes(wide);
        match ty {
            ElementType::I8 => Self::I64(i64::from(unsigned as u8 as i8)),
            ElementType::I16 => Self::I64(i64::from(unsigned as u16 as i16)),
            ElementType::I32 => Self::I64(i64::from(unsigned as u32 as i32)),
            ElementType::I64 => Self::I64(unsigned as i64),
            ElementType::F32 => Self::F64(f64::from(f32::from_bits(unsigned as u32))),
            ElementType::F64 => Self::F64(f64::from_bits(unsigned)),
            ElementType::Bool => Self::Bool(unsigned != 0),
            _ => Self::U64(unsigned),
        }
    }

    /// The value as an integer of any width, if it is one.
    pub(super) fn integer(&self) -> Option<i128> {
        match *self {
            Self::U64(u) => Some(i128::from(u)),
            Self::I64(i) => Some(i128::from(i)),
            _ => None,
        }
    }

    /// What it is, for an error. Long strings are left out.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::U64(u) => format!("the integer {u}"),
            Self::I64(i) => format!("the integer {i}"),
            Self::F64(f) => format!("the float {f}"),
            Self::Bool(b) => format!("the boolean {b}"),
            Self::String(s) => format!("a string of {} bytes", s.len()),
            Self::Array(a) => format!("an array of {} × {:?}", a.len, a.ty),
        }
    }
}

impl<'a> Array<'a> {
    fn read(cursor: &mut Cursor<'a>, what: &str, depth: usize) -> Result<Self, GgufError> {
        if depth == MAX_DEPTH {
            return Err(GgufError::Malformed(format!("{what} nests arrays more than {MAX_DEPTH} deep")));
        }
        let ty = ElementType::from_number(cursor.u32(what)?, what)?;
        // Every element takes at least one byte, so no count can exceed the file, nested or not.
        let len = cursor.count(ty.least_bytes(), what)?;
        let start = cursor.clone();
        match ty {
            ElementType::Array | ElementType::String => {
                for _ in 0..len {
                    Value::read_typed(cursor, ty, what, depth + 1)?;
                }
            }
            number => drop(cursor.take(len * number.least_bytes(), what)?),
        }
        let bytes = start.clone().take((cursor.position() - start.position()) as u64, what)?;
        Ok(Self { ty, len: len as usize, bytes })
    }

    /// The type of its elements.
    pub fn element_type(&self) -> ElementType {
        self.ty
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (ty, mut cursor) = (self.ty, Cursor::new(self.bytes));
        (0..self.len).map_while(move |_| match ty {
            // A byte other than 0 and 1 is not worth a walk at parse time: it counts as true.
            ElementType::Bool => Some(Value::Bool(cursor.u8("").ok()? != 0)),
            // `read` has walked these bytes: no element can fail now.
            _ => Value::read_typed(&mut cursor, ty, "", 0).ok(),
        })
    }

    pub(super) fn byte_strings(&self) -> Option<Vec<&'a [u8]>> {
        self.iter().map(|v| if let Value::String(s) = v { Some(s) } else { None }).collect()
    }

    pub(super) fn strings(&self) -> Option<Vec<&'a str>> {
        self.iter().map(|v| if let Value::String(s) = v { std::str::from_utf8(s).ok() } else { None }).collect()
    }

    pub(super) fn floats(&self) -> Option<Vec<f32>> {
        self.iter().map(|v| if let Value::F64(f) = v { Some(f as f32) } else { None }).collect()
    }

    pub(super) fn integers<T: TryFrom<i128>>(&self) -> Option<Vec<T>> {
        self.iter().map(|v| v.integer()?.try_into().ok()).collect()
    }

    pub(super) fn booleans(&self) -> Option<Vec<bool>> {
        self.iter().map(|v| if let Value::Bool(b) = v { Some(b) } else { None }).collect()
    }
}
