//! What a package has of the command line beside the program: pages of the manual, and completions for shells.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use crate::cli;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManualArgs {
    /// Where the pages are written
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Prints the completions of a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut text = Vec::new();
    generate(args.shell, &mut cli::command(), "hearth", &mut text);
    io::stdout().lock().write_all(&text)?;
    Ok(())
}

/// Writes a page for the program and one for each of its commands.
pub(crate) fn manual(args: &ManualArgs) -> anyhow::Result<()> {
    fs::create_dir_all(&args.folder).with_context(|| format!("cannot make the folder {}", args.folder.display()))?;
    pages(cli::command().disable_help_subcommand(true), "hearth", args)
}

fn pages(command: clap::Command, name: &str, args: &ManualArgs) -> anyhow::Result<()> {
    // clap fills in what the page shows of commands below.
    let mut command = command.name(name.to_owned());
    command.build();
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below.clone(), &format!("{name}-{}", below.get_name()), args)?;
    }
    let mut page = Vec::new();
    Man::new(command).date("").render(&mut page)?;
    let path = args.folder.join(format!("{name}.1"));
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}
