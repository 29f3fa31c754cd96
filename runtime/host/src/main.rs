//! runtime/host
fn main() {}
