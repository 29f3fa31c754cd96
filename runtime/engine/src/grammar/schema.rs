//! JSON schemas before they become grammars: nothing in them that would be passed over, bounds on what they cost, and white space that comes to an end.

use serde_json::{Map, Number, Value, json};

use super::rewrite;
use crate::Error;

/// Bytes of a schema's text.
const MAX_BYTES: usize = 512 << 10;
/// The sum over a schema's objects of their properties' number squared: what it costs to tell them apart.
const MAX_PAIRS: usize = 1 << 19;
/// Different references of a schema, each of which may lead to the next.
const MAX_REFERENCES: usize = 1024;

/// Where the engine's options stand in a schema.
const OPTIONS: &str = "x-guidance";
/// Options that change nothing but white space.
const HARMLESS: [&str; 4] = ["whitespace_pattern", "whitespace_flexible", "item_separator", "key_separator"];
/// White space between two parts of JSON: a space, or a new line with its indentation, and nothing without an end.
const WHITE_SPACE: &str = r"( |\r?\n[ \t]{0,32})";

/// Keywords whose value is a schema.
pub(super) const ONE: [&str; 3] = ["items", "additionalItems", "additionalProperties"];
/// Keywords whose value is an array of schemas.
pub(super) const MANY: [&str; 5] = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
/// Keywords whose value holds schemas by name.
pub(super) const NAMED: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];
/// Keywords that are honoured.
const OTHERS: [&str; 16] = [
    "$ref",
    "const",
    "enum",
    "type",
    "minItems",
    "maxItems",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "multipleOf",
];
/// Keywords with variants that differ by draft, honoured as well.
const EXCLUSIVE: [&str; 2] = ["exclusiveMinimum", "exclusiveMaximum"];
/// Keywords whose numbers the engine keeps as 64-bit floating point.
const NUMBERS: [&str; 7] = ["const", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
/// Beginning of the keywords of OpenAPI and its like that are for others.
const OTHERS_OWN: &str = "x-";
/// Keywords that say nothing about what is valid.
const NOTES: [&str; 17] = [
    "$anchor",
    "$schema",
    "$id",
    "id",
    "$comment",
    "title",
    "description",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "examples",
    "contentMediaType",
    "contentEncoding",
    "discriminator",
    "example",
    "externalDocs",
];

/// A schema with bounded white space.
///
/// # Errors
/// `invalid_request`: which part would be passed over or is too large.
pub(crate) fn json(schema: &Value) -> Result<Value, Error> {
    let Value::Object(fields) = schema else { return Err(Error::invalid("the schema is not an object; give one, `{}` for any JSON")) };
    if fields.contains_key(OPTIONS) {
        return Err(unsupported("#", OPTIONS));
    }
    check(schema)?;
    let Value::Object(fields) = rewrite::plain(schema.clone()) else { return Err(Error::internal("a schema is no object any more")) };
    Ok(with_white_space(fields))
}

/// The schema of any object.
pub(super) fn object() -> Value {
    with_white_space(Map::from_iter([("type".to_owned(), "object".into())]))
}

fn with_white_space(mut schema: Map<String, Value>) -> Value {
    schema.insert(OPTIONS.to_owned(), json!({"whitespace_pattern": WHITE_SPACE}));
    Value::Object(schema)
}

/// Checks the schemas that stand in a grammar in Lark, behind `%json`; the bytes of the text without them.
pub(super) fn check_embedded(lark: &str) -> Result<usize, Error> {
    const MARK: &str = "%json";
    let (mut outside, mut rest) = (lark.len(), lark);
    while let Some(at) = rest.find(MARK) {
        rest = &rest[at + MARK.len()..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        // What is no JSON is no schema either, but within a literal or a comment, or else an error that the engine will name.
        if let Some(Ok(schema)) = values.next() {
            let length = values.byte_offset();
            check(&schema)?;
            outside -= length;
            rest = &rest[length..];
        }
    }
    Ok(outside)
}

fn check(schema: &Value) -> Result<(), Error> {
    let bytes = schema.to_string().len();
    if bytes > MAX_BYTES {
        return Err(Error::invalid(format!("the schema has {bytes} bytes; give at most {MAX_BYTES}")));
    }
    let mut walk = Walk { root: schema, pairs: 0, embedded: 0, references: Vec::new() };
    walk.visit(schema, "#")?;
    // Where references lead, which may be anywhere in the document.
    let mut at = 0;
    while let Some(reference) = walk.references.get(at).cloned() {
        let target = unescaped(&reference).and_then(|pointer| schema.pointer(&pointer)).ok_or_else(|| {
            Error::invalid(format!("`$ref` to `{reference}`: there is nothing; give one within the schema, such as `#/$defs/name`"))
        })?;
        walk.visit(target, &reference)?;
        at += 1;
    }
    Ok(())
}

/// The JSON pointer of a reference within the schema, as the address behind `#` writes it; `None` of another document, or where an escape is broken.
pub(super) fn unescaped(reference: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = reference.strip_prefix('#')?.trim_end_matches('/').bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The number in a value that 64-bit floating point does not hold to the digit.
fn inexact(value: &Value) -> Option<&Number> {
    match value {
        Value::Number(number) => {
            let kept = |whole| i64::try_from(whole).is_ok() && number.as_f64().is_some_and(|float| float as i128 == whole);
            number.as_i128().is_some_and(|whole| !kept(whole)).then_some(number)
        }
        Value::Array(values) => values.iter().find_map(inexact),
        Value::Object(values) => values.values().find_map(inexact),
        _ => None,
    }
}

struct Walk<'a> {
    root: &'a Value,
    pairs: usize,
    /// Schemas about this one that have an `$id` of their own.
    embedded: usize,
    /// Each reference once.
    references: Vec<String>,
}

impl Walk<'_> {
    /// Visits a schema. Not deeper than JSON is parsed.
    fn visit(&mut self, schema: &Value, path: &str) -> Result<(), Error> {
        let Value::Object(fields) = schema else {
            return match schema {
                Value::Bool(_) => Ok(()),
                _ => Err(Error::invalid(format!("{path} is no schema: give an object or a boolean"))),
            };
        };
        // Within such a part references are meant from its beginning, which the engine does not know.
        let embedded = usize::from(fields.get("$id").is_some_and(Value::is_string) && !std::ptr::eq(schema, self.root));
        self.embedded += embedded;
        for (keyword, value) in fields {
            let at = || format!("{path}/{keyword}");
            let keyword = keyword.as_str();
            match value {
                Value::Array(values) if MANY.contains(&keyword) => {
                    values.iter().enumerate().try_for_each(|(number, value)| self.visit(value, &format!("{}/{number}", at())))?;
                }
                Value::Object(values) if NAMED.contains(&keyword) => {
                    self.pairs = self.pairs.saturating_add(values.len().saturating_mul(values.len()));
                    if self.pairs > MAX_PAIRS {
                        let given = values.len();
                        return Err(Error::invalid(format!(
                            "{} brings the schema beyond what can be told apart, with {given} names: give fewer (700 in one object, or 200 objects of 50)",
                            at()
                        )));
                    }
                    values.iter().try_for_each(|(name, value)| self.visit(value, &format!("{}/{name}", at())))?;
                }
                _ if ONE.contains(&keyword) => self.visit(value, &at())?,
                Value::String(_) if keyword == "$ref" && self.embedded > 0 => {
                    return Err(Error::invalid(format!("{} stands in a part with an `$id` of its own: leave that `$id` out", at())));
                }
                Value::String(reference) if keyword == "$ref" => self.refer(reference)?,
                _ if NAMED.contains(&keyword) => return Err(Error::invalid(format!("{} is not an object", at()))),
                _ if NUMBERS.contains(&keyword) && inexact(value).is_some() => {
                    let number = inexact(value).map(Number::to_string).unwrap_or_default();
                    return Err(Error::invalid(format!(
                        "{} has {number}, which would be rounded: give at most 9007199254740992, or a string",
                        at()
                    )));
                }
                Value::Number(number) if keyword == "multipleOf" && number.as_f64().is_none_or(|number| number <= 0.0) => {
                    return Err(Error::invalid(format!("{} is {number}: give a number above 0", at())));
                }
                Value::Bool(false) if keyword == "uniqueItems" => {}
                value if keyword == "propertyNames" && is_any_name(value) => {}
                Value::Object(options) if keyword == OPTIONS && std::ptr::eq(schema, self.root) => {
                    if let Some(option) = options.keys().find(|option| !HARMLESS.contains(&option.as_str())) {
                        return Err(unsupported(&at(), option));
                    }
                }
                _ if [&OTHERS[..], &EXCLUSIVE, &NOTES, &MANY, &NAMED].iter().any(|known| known.contains(&keyword)) => {}
                _ if keyword.starts_with(OTHERS_OWN) && keyword != OPTIONS => {}
                _ => return Err(unsupported(path, keyword)),
            }
        }
        self.embedded -= embedded;
        Ok(())
    }

    fn refer(&mut self, reference: &str) -> Result<(), Error> {
        if !self.references.iter().any(|known| known == reference) {
            if self.references.len() == MAX_REFERENCES {
                return Err(Error::invalid(format!("the schema has more than {MAX_REFERENCES} different references: give fewer")));
            }
            self.references.push(reference.to_owned());
        }
        Ok(())
    }
}

/// Whether every name of a property is valid by this.
pub(super) fn is_any_name(schema: &Value) -> bool {
    *schema == true || *schema == json!({}) || *schema == json!({"type": "string"})
}

fn unsupported(path: &str, keyword: &str) -> Error {
    Error::invalid(format!("`{keyword}` at {path} is not supported: leave it out"))
}
