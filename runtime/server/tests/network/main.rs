//! What a server does for and against clients on the network: TLS, ACME, limits, proxies, slow clients.

mod acme;
mod args;
mod authority;
#[path = "../common/mod.rs"]
mod common;
mod limits;
mod openssl;
mod proxies;
mod slow;
mod tls;
mod world;
