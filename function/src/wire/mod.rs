//! What every API's wire has in common: bounded JSON ([`json`]), requests as tables of fields that check and document them ([`table`]), the envelope of errors, events.

pub mod error;
pub(crate) mod fields;
pub mod json;
pub(crate) mod query;
pub(crate) mod schema;
pub(crate) mod sse;
pub mod table;

pub use error::ApiError;
