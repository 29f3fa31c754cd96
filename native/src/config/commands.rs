//! `hearth config check` and `hearth config show`.

use std::io::Write;

use crate::{
    cli::{ConfigArgs, ConfigCommand},
    config::{Service, check_master_key, keys, load_file},
};

pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match &args.command {
        ConfigCommand::Check { file } => {
            let Service { args, resolved } = load_file(file.as_deref())?;
            check_master_key(&args)?;
            args.server.check_exposure(args.listen, args.needs_keys())?;
            for warning in &resolved.warnings {
                eprintln!("warning: {warning}");
            }
            match &resolved.file {
                Some(path) => writeln!(out, "{}: nothing is wrong", path.display())?,
                None => writeln!(out, "there is no file, and nothing is wrong with the environment")?,
            }
        }
        ConfigCommand::Show { file, json } => {
            let Service { resolved, .. } = load_file(file.as_deref())?;
            if *json {
                writeln!(out, "{:#}", hearth_config::json(&resolved, &keys()))?;
            } else {
                match &resolved.file {
                    Some(path) => writeln!(out, "# {}", path.display())?,
                    None => writeln!(out, "# no file")?,
                }
                write!(out, "{}", hearth_config::text(&resolved))?;
                for warning in &resolved.warnings {
                    eprintln!("warning: {warning}");
                }
            }
        }
    }
    Ok(())
}
