//! What one client may take of the server: connections, requests a second, time. Whose client it is behind a proxy is found here as well.
//!
//! All state is bounded by its own limits and lives in memory; what a key may do is the handler's business.

mod address;
mod budget;
mod places;
mod proxies;
mod rates;
mod stream;
mod watched;

pub use address::{Network, NetworkError};
pub use proxies::Secure;

pub(crate) use budget::Budget;
pub(crate) use places::{Place, Places};
pub(crate) use proxies::client;
pub(crate) use rates::Rates;
pub(crate) use stream::{Owed, Paced};
pub(crate) use watched::Watched;
