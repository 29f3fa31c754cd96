//! The host as its guests and their clients see it: components are built, served over real sockets, and spoken to.

mod applications;
mod capabilities;
mod client;
mod failing;
mod generating;
mod guests;
mod house;
mod serving;

// How this repository makes components. The tests' guests are made in the same way, and there is no second place that knows it.
#[allow(dead_code)]
#[path = "../../../../xtask/src/command.rs"]
mod command;
#[allow(dead_code)]
#[path = "../../../../xtask/src/component.rs"]
mod component;
#[allow(dead_code)]
#[path = "../../../../xtask/src/system.rs"]
mod system;
#[allow(dead_code)]
#[path = "../../../../xtask/src/toolchain.rs"]
mod toolchain;
