//! What a request may hold, as data: one table for each object, with each field's name, type, range, default and meaning. The tables both check requests ([`Table::check`])
//! and are printed as OpenAPI's schemas (`schema`), so that what is documented is what is held.
//!
//! `null` is the same as a field that is not there, as in OpenAI's API. A field that no table has is refused by its name, so that a misspelt `temprature` does not silently
//! count for nothing.

use serde_json::{Map, Value};

use super::ApiError;

/// The fields of an object.
#[derive(Debug)]
pub struct Table {
    /// Its name among OpenAPI's schemas.
    pub name: &'static str,
    /// What several of it are called in a message.
    pub plural: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its fields, in the order in which they are checked and printed.
    pub fields: &'static [Field],
    /// Whether fields beside these are let be. Otherwise they are refused.
    pub open: bool,
}

/// A field of an object.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it means.
    pub about: &'static str,
    /// Whether it has to be there.
    pub required: bool,
    /// What its absence means, if that is a value.
    pub default: Option<Literal>,
    /// What is done with it.
    pub effect: Effect,
}

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any JSON.
    Any,
    /// A string.
    Text,
    /// A string of so many bytes.
    TextOf(usize, usize),
    /// One of these strings.
    Word(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A number between these, both included.
    Number(f64, f64),
    /// A whole number between these, both included; `128.0` is one, as some clients know only floating point.
    Integer(i128, i128),
    /// An array of so many values of a kind.
    List(&'static Kind, usize, usize),
    /// An object with any names, and values of a kind.
    Map(&'static Kind),
    /// An object of these fields.
    Object(&'static Table),
    /// An object whose field of this name says by which of the tables it is read.
    Tagged(&'static str, &'static [(&'static str, &'static Table)]),
    /// The same, where the field may be left out: then it is the first table.
    TaggedOr(&'static str, &'static [(&'static str, &'static Table)]),
    /// The first of these whose JSON type the value has.
    OneOf(&'static [Kind]),
}

/// A default.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Literal {
    Flag(bool),
    Integer(i64),
    Number(f64),
    Text(&'static str),
}

/// What is done with a field.
#[derive(Debug, Clone, Copy)]
pub enum Effect {
    /// It counts.
    Counts,
    /// It is taken, since clients send it, and changes nothing here.
    Nothing,
    /// It would change the answer and cannot: refused, unless its value asks for nothing.
    Refused(fn(&Value) -> bool),
}

/// A number of things.
pub(crate) const COUNT: Kind = Kind::Integer(0, i64::MAX as i128);
/// Any number.
pub(crate) const REAL: Kind = Kind::Number(f64::NEG_INFINITY, f64::INFINITY);

impl Field {
    /// A field that may be left out.
    pub const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, about, required: false, default: None, effect: Effect::Counts }
    }

    /// A field that is known and changes nothing here, whatever it holds.
    pub const fn ignored(name: &'static str) -> Self {
        Self { effect: Effect::Nothing, ..Self::new(name, Kind::Any, "Taken, and without effect here.") }
    }

    /// A field that is refused unless `asks_nothing` of its value.
    pub const fn refused(name: &'static str, asks_nothing: fn(&Value) -> bool) -> Self {
        Self { effect: Effect::Refused(asks_nothing), ..Self::new(name, Kind::Any, "Not supported: refused, unless it asks for nothing.") }
    }

    /// It has to be there.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// What its absence means.
    #[must_use]
    pub const fn or(self, default: Literal) -> Self {
        Self { default: Some(default), ..self }
    }
}

impl Table {
    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Checks an object, which is called `path` in errors; the root's path is empty.
    ///
    /// # Errors
    /// 400 that names the parameter, what is wrong with it and what would be right.
    pub fn check(&self, value: &Value, path: &str) -> Result<(), ApiError> {
        let Value::Object(map) = value else {
            return Err(if path.is_empty() {
                ApiError::bad_request(format!("The request body must be a JSON object, but is {}.", kind(value)))
            } else {
                wrong_type(path, "an object", value)
            });
        };
        for field in self.fields {
            field.check(map, path)?;
        }
        if !self.open
            && let Some((name, _)) = map.iter().find(|(name, value)| !value.is_null() && self.field(name).is_none())
        {
            let path = shorten(&join(path, name));
            return Err(ApiError::parameter(&path, format!("Unrecognized request argument supplied: {path}.")).code("unknown_parameter"));
        }
        Ok(())
    }
}

impl Field {
    fn check(&self, map: &Map<String, Value>, path: &str) -> Result<(), ApiError> {
        let path = join(path, self.name);
        let Some(value) = map.get(self.name).filter(|value| !value.is_null()) else {
            return if self.required { Err(missing(&path)) } else { Ok(()) };
        };
        match self.effect {
            Effect::Counts => self.kind.check(value, &path),
            Effect::Nothing => Ok(()),
            Effect::Refused(asks_nothing) if asks_nothing(value) => Ok(()),
            Effect::Refused(_) => Err(unsupported(&path)),
        }
    }
}

impl Kind {
    fn check(&self, value: &Value, path: &str) -> Result<(), ApiError> {
        match (self, value) {
            (Self::Any, _) | (Self::Text, Value::String(_)) | (Self::Flag, Value::Bool(_)) => Ok(()),
            (Self::TextOf(low, high), Value::String(text)) if (*low..=*high).contains(&text.len()) => Ok(()),
            (Self::TextOf(low, high), Value::String(text)) => {
                Err(invalid(path, format!("{} bytes, where {low} to {high} are taken.", text.len())))
            }
            (Self::Word(words), Value::String(text)) if words.contains(&text.as_str()) => Ok(()),
            (Self::Word(words), Value::String(text)) => Err(unknown_word(path, text, words.iter().copied())),
            (Self::Number(low, high), Value::Number(number)) => match number.as_f64() {
                Some(number) if (*low..=*high).contains(&number) => Ok(()),
                _ => Err(out_of_range(path, value, low, high)),
            },
            (Self::Integer(low, high), Value::Number(number)) => match whole(value) {
                None => Err(ApiError::parameter(path, format!("Invalid '{path}': {number} is not an integer.")).code("invalid_type")),
                Some(number) if (*low..=*high).contains(&number) => Ok(()),
                Some(_) => Err(out_of_range(path, value, low, high)),
            },
            (Self::List(_, low, high), Value::Array(items)) if !(*low..=*high).contains(&items.len()) => Err(match items.len() {
                0 => invalid(path, format!("an empty array. Send at least {low} of {}.", self.items())),
                count => invalid(path, format!("{count} {}, where at most {high} are taken.", self.items())),
            }),
            (Self::List(kind, ..), Value::Array(items)) => {
                items.iter().enumerate().try_for_each(|(index, item)| kind.check(item, &format!("{path}[{index}]")))
            }
            (Self::Map(kind), Value::Object(map)) => {
                map.iter().try_for_each(|(name, value)| kind.check(value, &join(path, &shorten(name))))
            }
            (Self::Object(table), Value::Object(_)) => table.check(value, path),
            (Self::Tagged(tag, tables) | Self::TaggedOr(tag, tables), Value::Object(map)) => {
                let tag_path = join(path, tag);
                match map.get(*tag) {
                    None | Some(Value::Null) if matches!(self, Self::TaggedOr(..)) => {
                        tables.first().map_or(Ok(()), |(_, table)| table.check(value, path))
                    }
                    None | Some(Value::Null) => Err(missing(&tag_path)),
                    Some(Value::String(name)) => match tables.iter().find(|(known, _)| known == name) {
                        Some((_, table)) => table.check(value, path),
                        None => Err(unknown_word(&tag_path, name, tables.iter().map(|(name, _)| *name))),
                    },
                    Some(other) => Err(wrong_type(&tag_path, "a string", other)),
                }
            }
            (Self::OneOf(kinds), _) => match kinds.iter().find(|kind| kind.is_of_type(value)) {
                Some(kind) => kind.check(value, path),
                None => Err(wrong_type(path, &self.words(), value)),
            },
            _ => Err(wrong_type(path, &self.words(), value)),
        }
    }

    /// Whether a value has this kind's JSON type.
    fn is_of_type(&self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Text | Self::TextOf(..) | Self::Word(_) => value.is_string(),
            Self::Flag => value.is_boolean(),
            Self::Number(..) | Self::Integer(..) => value.is_number(),
            Self::List(..) => value.is_array(),
            Self::Map(_) | Self::Object(_) | Self::Tagged(..) | Self::TaggedOr(..) => value.is_object(),
            Self::OneOf(kinds) => kinds.iter().any(|kind| kind.is_of_type(value)),
        }
    }

    /// What is expected, with its article.
    fn words(&self) -> String {
        match self {
            Self::Any => "any value".to_owned(),
            Self::Text | Self::TextOf(..) | Self::Word(_) => "a string".to_owned(),
            Self::Flag => "a boolean".to_owned(),
            Self::Number(..) => "a number".to_owned(),
            Self::Integer(..) => "an integer".to_owned(),
            Self::List(..) => format!("an array of {}", self.items()),
            Self::Map(_) | Self::Object(_) | Self::Tagged(..) | Self::TaggedOr(..) => "an object".to_owned(),
            Self::OneOf(kinds) => kinds.iter().map(Self::words).collect::<Vec<_>>().join(" or "),
        }
    }

    /// What a list holds.
    fn items(&self) -> String {
        match self {
            Self::List(kind, ..) => kind.several(),
            other => other.several(),
        }
    }

    fn several(&self) -> String {
        match self {
            Self::Any => "values".to_owned(),
            Self::Text | Self::TextOf(..) | Self::Word(_) => "strings".to_owned(),
            Self::Flag => "booleans".to_owned(),
            Self::Number(..) => "numbers".to_owned(),
            Self::Integer(..) => "integers".to_owned(),
            Self::List(kind, ..) => format!("arrays of {}", kind.several()),
            Self::Map(_) => "objects".to_owned(),
            Self::Object(table) => table.plural.to_owned(),
            Self::Tagged(_, tables) | Self::TaggedOr(_, tables) => tables.first().map_or("objects", |(_, table)| table.plural).to_owned(),
            Self::OneOf(kinds) => kinds.iter().map(Self::several).collect::<Vec<_>>().join(" or "),
        }
    }
}

/// The path of a field.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A number that is whole, in whichever form. Above 2^53 a float no longer says which integer is meant.
pub(crate) fn whole(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    number.as_i128().or_else(|| {
        number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).map(|float| float as i128)
    })
}

/// 400 for a value that is not taken.
pub(crate) fn invalid(path: &str, why: impl std::fmt::Display) -> ApiError {
    ApiError::parameter(path, format!("Invalid '{path}': {why}")).code("invalid_value")
}

/// 400 for a field that has to be there.
pub(crate) fn missing(path: &str) -> ApiError {
    ApiError::parameter(path, format!("Missing required parameter: '{path}'.")).code("missing_required_parameter")
}

/// 400 for a known field that would change the answer and cannot.
pub(crate) fn unsupported(path: &str) -> ApiError {
    ApiError::parameter(path, format!("'{path}' is not supported by this service: leave it out.")).code("unsupported_parameter")
}

/// 400 for a field of the wrong type.
pub(crate) fn wrong_type(path: &str, expected: &str, got: &Value) -> ApiError {
    ApiError::parameter(path, format!("Invalid type for '{path}': expected {expected}, but got {} instead.", kind(got)))
        .code("invalid_type")
}

fn out_of_range(path: &str, got: &Value, low: &impl std::fmt::Display, high: &impl std::fmt::Display) -> ApiError {
    invalid(path, format!("{got} is not between {low} and {high}."))
}

fn unknown_word<'a>(path: &str, got: &str, known: impl Iterator<Item = &'a str>) -> ApiError {
    let known: Vec<_> = known.map(|word| format!("'{word}'")).collect();
    let list = match &known[..] {
        [one] => format!("The supported value is {one}."),
        [first @ .., last] => format!("Supported values are {} and {last}.", first.join(", ")),
        [] => String::new(),
    };
    ApiError::parameter(path, format!("Invalid value for '{path}': '{}'. {list}", shorten(got))).code("invalid_value")
}

/// What a value is, with its article.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The beginning of a client's text, for a message: an error never repeats megabytes.
pub(crate) fn shorten(text: &str) -> String {
    const CHARACTERS: usize = 80;
    match text.char_indices().nth(CHARACTERS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A client's name of something, for a message.
pub(crate) fn quoted(name: &str) -> String {
    format!("'{}'", shorten(name))
}
