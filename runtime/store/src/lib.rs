//! Key-value over an embedded database.
//!
//! Used by `hearth-host` (Spin's key-value for guests) and the native binary. Knows no HTTP.
