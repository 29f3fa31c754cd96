//! Spin's variables from the environment: `models` is `SPIN_VARIABLE_MODELS`.

use crate::StandIn;
#[cfg(feature = "p2")]
use crate::bindings::exports::fermyon::spin::variables::{Error, Guest};
#[cfg(not(feature = "p2"))]
use crate::bindings::exports::spin::variables::variables::{Error, Guest};

impl Guest for StandIn {
    #[cfg(not(feature = "p2"))]
    async fn get(name: String) -> Result<String, Error> {
        get(&name)
    }

    #[cfg(feature = "p2")]
    fn get(name: String) -> Result<String, Error> {
        get(&name)
    }
}

fn get(name: &str) -> Result<String, Error> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return Err(Error::InvalidName(name.to_owned()));
    }
    let variable = format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase());
    std::env::var(&variable).map_err(|_| Error::Undefined(format!("{name}: set {variable} in the environment")))
}
