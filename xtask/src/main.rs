//! `cargo xtask`: set-up, build, start and test of the whole house, each by one command.

mod archive;
mod bench;
mod book;
mod check;
mod command;
mod component;
mod compose;
mod examples;
mod fuzz;
mod neighbours;
mod node;
mod package;
mod page;
mod plugin;
mod portable;
mod sanitize;
mod scaling;
mod system;
mod test;
mod toolchain;
mod up;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::component::Wasi;

/// Set-up, build, start and test of Hearth.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Sets up what is missing, builds, pulls the model and serves http://127.0.0.1:18789.
    ///
    /// The first call on a machine takes the time of a full build; a later one starts in seconds. Stops with Ctrl-C.
    Up(up::Args),
    /// Runs every test, after installing what they need (models, clients, the oracle) below target/test-data.
    Test(test::Args),
    /// What CI runs: formatting, lints, licences and sources of dependencies, then every test.
    Ci,
    /// Measures Hearth against llama.cpp on this machine and writes docs/bench: a table with targets, and plots.
    ///
    /// Builds llama.cpp with cmake below target/test-data the first time. A whole run takes about 25 minutes on two cores; --quick some minutes.
    Bench(bench::Args),
    /// Runs the fuzz targets with AddressSanitizer: bytes from outside must never end in a panic, a hang or unbounded memory.
    ///
    /// Installs cargo-fuzz below target/tools. What was found so far is kept in target/fuzz/corpus; a crash is written to fuzz/artifacts.
    Fuzz(fuzz::Args),
    /// Runs the kernels' tests as 64-bit ARM (under qemu) and as WebAssembly (under wasmtime), and the service as one component under `wasmtime serve`, after installing what
    /// compiles and runs them.
    Portable,
    /// Runs the kernels' tests under AddressSanitizer.
    Sanitize,
    /// Replays load traces through the autoscaler's policy of deploy/kubernetes and writes docs/scaling: plots, and a table.
    Scaling,
    /// Builds the chat function as a WASI component: target/hearth_function.component.wasm.
    Component {
        /// For hosts that have WASI 0.2 and no newer, as SpinKube and Akamai's Functions: target/hearth_function.p2.component.wasm, and so on.
        #[arg(long)]
        p2: bool,
        /// The component as well that exports wasi:nn and has a server compute (target/hearth_remote.component.wasm), and the function with it:
        /// target/hearth_edge.component.wasm.
        #[arg(long)]
        edge: bool,
        /// The engine as well, which exports wasi:nn (target/hearth_nn.component.wasm), and all in one component that needs no wasi:nn of its host:
        /// target/hearth_portable.component.wasm.
        #[arg(long)]
        portable: bool,
        /// Put a model's GGUF into the component, for one that is served without a mounted folder.
        #[arg(long, value_name = "NAME=PATH", requires = "portable")]
        embed: Vec<String>,
    },
    /// Makes the trigger plugin's tarball and manifest for `spin plugins install --file`: target/package.
    Plugin(plugin::Args),
    /// Builds the guests of examples/ as components: target/examples.
    Examples,
    /// Makes what a release consists of: target/package.
    Package(package::Args),
    /// Builds the book of docs/ with mdBook: target/book/index.html. Installs mdBook below target/tools, which takes some minutes the first time.
    Book,
    /// Bundles the chat page, function/page, into the static files that the function embeds: target/page.
    Page,
}

/// The workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

fn main() -> anyhow::Result<()> {
    let root = root();
    match Cli::parse().task {
        Task::Up(args) => up::run(&root, args),
        Task::Test(args) => test::run(&root, &args),
        // The page first: what is linted is then what is built.
        Task::Ci => page::build(&root).and_then(|()| check::run(&root)).and_then(|()| test::run(&root, &test::Args::default())),
        Task::Bench(args) => bench::run(&root, &args),
        Task::Fuzz(args) => fuzz::run(&root, &args),
        Task::Portable => portable::run(&root),
        Task::Sanitize => sanitize::run(&root),
        Task::Component { p2, edge, portable, embed } => {
            page::build(&root)?;
            let wasi = if p2 { Wasi::P2 } else { Wasi::P3 };
            if edge {
                let compose::Edge { remote, whole } = compose::edge(&root, wasi)?;
                println!("{}\n{}", remote.display(), whole.display());
            }
            if portable {
                let compose::Portable { nn, whole } = compose::portable(&root, wasi, &embed)?;
                println!("{}\n{}", nn.display(), whole.display());
            }
            if !edge && !portable {
                println!("{}", component::build(&root, wasi)?.display());
            }
            Ok(())
        }
        Task::Plugin(args) => plugin::run(&root, &args),
        Task::Examples => examples::build(&root).map(|paths| paths.iter().for_each(|path| println!("{}", path.display()))),
        Task::Package(args) => package::run(&root, &args),
        Task::Scaling => scaling::run(&root),
        Task::Book => book::build(&root),
        Task::Page => page::build(&root),
    }
}
