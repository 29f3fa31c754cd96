//! TOML.

use toml::de::{DeInteger, DeTable, DeValue};

use super::{Entry, SECTION, Scalar, SyntaxError, Values, line_of};

pub(super) fn parse(text: &str) -> Result<Vec<Entry>, SyntaxError> {
    let table = DeTable::parse(text).map_err(|error| SyntaxError {
        line: error.span().map(|span| line_of(text, span.start)),
        // One line: what follows repeats the source.
        message: error.message().lines().next().unwrap_or_default().to_owned(),
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        match value.get_ref() {
            DeValue::Table(section) if key.get_ref() == SECTION => {
                entries.extend(section.iter().map(|(key, value)| entry(text, key, value.get_ref())));
            }
            value => entries.push(entry(text, key, value)),
        }
    }
    Ok(entries)
}

fn entry(text: &str, key: &toml::Spanned<std::borrow::Cow<'_, str>>, value: &DeValue<'_>) -> Entry {
    let values = match value {
        DeValue::Array(array) => match array.iter().map(|value| scalar(value.get_ref())).collect() {
            Some(values) => Values::Many(values),
            None => Values::Unfit("a list of something else than texts, numbers, true and false"),
        },
        DeValue::Table(_) => Values::Unfit("a table"),
        DeValue::Datetime(_) => Values::Unfit("a date or time"),
        value => scalar(value).map_or(Values::Unfit("a number that is too large"), Values::One),
    };
    Entry { key: key.get_ref().to_string(), line: Some(line_of(text, key.span().start)), values }
}

fn scalar(value: &DeValue<'_>) -> Option<Scalar> {
    match value {
        DeValue::String(text) => Some(Scalar::Text(text.to_string())),
        DeValue::Integer(number) => integer(number).map(Scalar::Number),
        DeValue::Float(number) => Some(Scalar::Number(number.as_str().to_owned())),
        DeValue::Boolean(yes) => Some(Scalar::Boolean(*yes)),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn integer(number: &DeInteger<'_>) -> Option<String> {
    i128::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
}
