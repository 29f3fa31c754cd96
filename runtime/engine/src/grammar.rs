//! Texts that are held to a grammar: what a request may ask for, the state of one sequence in it, and the vocabulary as the grammar's engine (llguidance) sees it.
//!
//! A [`Constraint`] says before each token which ones may come ([`Constraint::mask`]) and takes the one that did ([`Constraint::take`]). It is the sequence's own and lies
//! with it on the host, so nothing about it depends on the neighbours. Making one can take long: [`Compiler`] does so aside.
//!
//! Any grammar can be written in llguidance's dialect of Lark, and others of this crate may do so ([`Constraint::lark`]):
//! - a rule may embed a JSON schema, `args: %json {…}`; [`json`] checks one that is a client's and bounds its white space;
//! - a control token is a terminal by its name, `<|im_end|>`, and any token by its id, `<[151657]>`: one that stands in texts (`<tool_call>` of some vocabularies) is
//!   text to literals and regular expressions, too;
//! - a call after free text is one grammar: `start: TEXT | TEXT <[151657]> call` where `TEXT: /[^<]*(<[^t][^<]*)*/` cannot spell the mark, or, where the mark is text and not a
//!   token, `start: free call` with `free[suffix="<tool_call>"]: /(.|\n)*/`, which ends with the first `<tool_call>`, wherever tokens cut it;
//! - [`Grammar::rule`] gives a request's own grammar as a rule, to be embedded beside others.

mod compile;
mod masks;
mod rewrite;
mod schema;
mod vocabulary;

pub(crate) use compile::{Compiled, Compiler};
pub(crate) use masks::beside;
pub(crate) use rewrite::plain;
pub(crate) use schema::json;
pub(crate) use vocabulary::Vocabulary;

use std::{
    fmt,
    time::{Duration, Instant},
};

use llguidance::{Matcher, api::TopLevelGrammar};
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// Bytes of a grammar in Lark, its embedded schemas left out, or of a regular expression. Rules that stand for one another may be as deep as the text is long.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// How long a text may be held to its grammar: so much, and so much more for each token. Neighbours wait meanwhile. A usual grammar takes some hundred microseconds for a token;
/// one with ever more ways to read what came takes longer with each.
const PATIENCE: Duration = Duration::from_secs(1);
const PATIENCE_PER_TOKEN: Duration = Duration::from_millis(30);

/// What a request's `grammar` holds a text to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Grammar {
    /// Any JSON object.
    JsonObject(bool),
    /// JSON that a schema describes.
    JsonSchema(Value),
    /// llguidance's dialect of Lark.
    Lark(String),
    /// A regular expression over the whole text.
    Regex(String),
}

impl Grammar {
    /// That it is not beyond what can be honoured, as far as that is seen without a vocabulary.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Self::JsonObject(true) => Ok(()),
            Self::JsonObject(false) => {
                Err(Error::invalid("`grammar.json_object` is false; give true, or leave `grammar` out").about("grammar"))
            }
            Self::JsonSchema(schema) => json(schema).map(drop).map_err(|error| self.refused(&error)),
            Self::Lark(text) => schema::check_embedded(text).and_then(fits).map_err(|error| self.refused(&error)),
            Self::Regex(text) => fits(text.len()).map_err(|error| self.refused(&error)),
        }
    }

    /// As a rule `name` of a grammar in Lark.
    pub(crate) fn rule(&self, name: &str) -> Result<String, Error> {
        self.check()?;
        Ok(match self {
            Self::JsonObject(_) => format!("{name}: %json {}\n", schema::object()),
            Self::JsonSchema(schema) => format!("{name}: %json {}\n", json(schema)?),
            Self::Lark(text) => format!("{name}: %lark {{\n{text}\n}}\n"),
            Self::Regex(text) => format!("{name}: /{}/\n", llguidance::regex_to_lark(text, "")),
        })
    }

    fn top_level(&self) -> Result<TopLevelGrammar, Error> {
        self.check()?;
        Ok(match self {
            Self::JsonObject(_) => TopLevelGrammar::from_json_schema(schema::object()),
            Self::JsonSchema(schema) => TopLevelGrammar::from_json_schema(json(schema)?),
            Self::Lark(text) => TopLevelGrammar::from_lark(text.clone()),
            Self::Regex(text) => TopLevelGrammar::from_regex(text),
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::JsonObject(_) => "json_object",
            Self::JsonSchema(_) => "json_schema",
            Self::Lark(_) => "lark",
            Self::Regex(_) => "regex",
        }
    }

    fn refused(&self, reason: &Error) -> Error {
        Error::invalid(format!("`grammar.{}` cannot be honoured: {}", self.name(), reason.message)).about("grammar")
    }
}

fn fits(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_TEXT_BYTES {
        return Err(Error::invalid(format!("it has {bytes} bytes; give at most {MAX_TEXT_BYTES}")));
    }
    Ok(())
}

/// A sequence's place in its grammar.
pub(crate) struct Constraint {
    matcher: Matcher,
    failed: Option<Error>,
    /// What it took so far, of [`PATIENCE`].
    spent: Duration,
    tokens: u32,
}

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Constraint").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Constraint {
    /// At the beginning of `grammar`. Deep in recursion where the grammar is: call it as [`Compiler`] does.
    ///
    /// # Errors
    /// `invalid_request`: what cannot be honoured, and why.
    pub(crate) fn new(grammar: &Grammar, vocabulary: &Vocabulary) -> Result<Self, Error> {
        Self::of(grammar.top_level()?, vocabulary).map_err(|error| grammar.refused(&error))
    }

    /// At the beginning of a grammar in llguidance's dialect of Lark.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn lark(text: &str, vocabulary: &Vocabulary) -> Result<Self, Error> {
        schema::check_embedded(text).and_then(fits)?;
        Self::of(TopLevelGrammar::from_lark(text.to_owned()), vocabulary)
    }

    fn of(grammar: TopLevelGrammar, vocabulary: &Vocabulary) -> Result<Self, Error> {
        let refused = |error: &str| Error::invalid(brief(error));
        let parser = vocabulary.parser(grammar).map_err(|error| refused(&error))?;
        let mut matcher = Matcher::new(Ok(parser));
        if let Some(warning) = matcher.grammar_warnings().first() {
            return Err(refused(warning));
        }
        if matcher.is_stopped() {
            return Err(refused("there is no text that it allows"));
        }
        match matcher.compute_mask() {
            Ok(_) => Ok(Self { matcher, failed: None, spent: Duration::ZERO, tokens: 0 }),
            Err(error) if error.to_string().starts_with("NoExtension") => Err(refused("there is no text that it allows")),
            Err(error) => Err(refused(&error.to_string())),
        }
    }

    /// The tokens that may come next, a bit for each; `None` where any may, and where something failed, which [`Self::take`] then says.
    pub(crate) fn mask(&mut self) -> Option<Vec<u32>> {
        if self.failed.is_some() {
            return None;
        }
        let begun = Instant::now();
        let mask = self.matcher.compute_mask_or_eos();
        self.spent += begun.elapsed();
        match mask {
            Ok(mask) => Some(mask.into()),
            Err(error) => {
                self.failed = Some(broken(&error.to_string()));
                None
            }
        }
    }

    /// Takes the token that came. True when nothing may follow.
    ///
    /// # Errors
    /// `invalid_request` when to go on takes more than a grammar may, `internal` when its engine has failed. It has then no say any more.
    pub(crate) fn take(&mut self, token: u32) -> Result<bool, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let begun = Instant::now();
        self.matcher.consume_token(token).map_err(|error| broken(&error.to_string()))?;
        self.spent += begun.elapsed();
        self.tokens += 1;
        if self.spent > PATIENCE + PATIENCE_PER_TOKEN * self.tokens {
            return Err(too_much("it takes too long to find out what may come next"));
        }
        Ok(self.matcher.is_stopped())
    }
}

/// How a grammar ended that was followed for a while. Its bounds are met only then where each token adds ways to read what came.
fn broken(reason: &str) -> Error {
    if ["Too many items", "Current row has", "lexer error"].iter().any(|bound| reason.contains(bound)) {
        return too_much(&brief(reason));
    }
    Error::internal(format!("the grammar could not be followed to its end: {}", brief(reason)))
}

/// The grammar's fault, and so the request's.
fn too_much(reason: &str) -> Error {
    Error::invalid(format!("the grammar could not be followed to its end: {reason}. Let there be one way to read each text"))
        .about("grammar")
}

/// What llguidance says, without its state and at a length for people.
fn brief(reason: &str) -> String {
    const MOST: usize = 600;
    if reason.contains("coerce_one_of") {
        return "`oneOf` of alternatives that a value may be valid by two of is not supported: let them differ in type or in a required constant, or write `anyOf`".into();
    }
    if reason.contains("with overflow") {
        return "a number in it, or the least common multiple of several `multipleOf`, is too large: 32 bits are taken".into();
    }
    let said = reason.split("\n<").next().unwrap_or_default().split("\n<backtrace>").next().unwrap_or_default().trim();
    match said.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
