//! `hearth doctor`: what is wrong with a service on this machine, how bad it is, and the cure. It changes nothing, and asks no other machine but the one of `--url`.

use std::{fmt, io::Write};

use hearth_config::Failure;
use serde::Serialize;
use serde_json::json;

use crate::{
    cli::DoctorArgs,
    config::{self, Service},
};

mod files;
mod machine;
mod models;
mod server;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// It works, but not well, or not for long.
    Warning,
    /// It does not work, or is not safe.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "ERROR",
        })
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was checked: `port`, `memory` …
    pub(crate) check: &'static str,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cure: Option<String>,
}

/// All findings, as the checks add to them.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Finding>);

impl Report {
    pub(crate) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Severity::Ok, message, None);
    }

    pub(crate) fn note(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Severity::Note, message, None);
    }

    pub(crate) fn warning(&mut self, check: &'static str, message: impl Into<String>, cure: impl Into<String>) {
        self.add(check, Severity::Warning, message, Some(cure.into()));
    }

    pub(crate) fn error(&mut self, check: &'static str, message: impl Into<String>, cure: impl Into<String>) {
        self.add(check, Severity::Error, message, Some(cure.into()));
    }

    /// An error whose words have the cure in them.
    pub(crate) fn failed(&mut self, check: &'static str, error: &anyhow::Error) {
        self.add(check, Severity::Error, format!("{error:#}"), None);
    }

    fn add(&mut self, check: &'static str, severity: Severity, message: impl Into<String>, cure: Option<String>) {
        self.0.push(Finding { check, severity, message: message.into(), cure });
    }

    fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|finding| finding.severity == severity).count()
    }
}

pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<()> {
    let mut report = Report::default();
    match config::load_file(args.config.as_deref()) {
        Ok(service) => examine(&mut report, &service, args),
        Err(Failure::Problems(problems)) => {
            for problem in problems.problems {
                report.error(
                    "configuration",
                    problem.to_string(),
                    "hearth config check, once it is mended; what depends on it was not checked",
                );
            }
            if let Some(url) = &args.url {
                server::ask(&mut report, url, None);
            }
        }
        Err(Failure::CommandLine(error)) => report.failed("configuration", &anyhow::anyhow!("{error}")),
    }
    print(&report, args.json)?;
    let errors = report.count(Severity::Error);
    anyhow::ensure!(errors == 0, "{errors} of {} findings are errors", report.0.len());
    Ok(())
}

fn examine(report: &mut Report, service: &Service, args: &DoctorArgs) {
    match &service.resolved.file {
        Some(path) => report.ok("configuration", format!("{} is good", path.display())),
        None => report.note("configuration", "there is no file; `hearth init` writes one"),
    }
    for warning in &service.resolved.warnings {
        // Who may read a secret is told with the files.
        if !warning.contains("every user may read it") {
            report.warning("configuration", warning.clone(), "unset it, or call it by its name");
        }
    }
    let running = server::port(report, &service.args);
    files::modes(report, service);
    files::master_key(report, service);
    files::tls(report, &service.args);
    files::store(report, &service.args);
    let selected = models::files(report, &service.args, args.deep);
    machine::device(report, &service.args);
    machine::memory(report, &service.args, &selected, running.is_some());
    machine::disk(report, &service.args);
    machine::clock(report);
    if let Some(url) = args.url.clone().or(running) {
        server::ask(report, &url, Some(&service.args));
    }
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        let counts = json!({ "errors": report.count(Severity::Error), "warnings": report.count(Severity::Warning), "findings": report.0 });
        writeln!(out, "{counts:#}")?;
        return Ok(());
    }
    let checks = report.0.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    for Finding { check, severity, message, cure } in &report.0 {
        writeln!(out, "{severity:7}  {check:checks$}  {message}")?;
        if let Some(cure) = cure {
            writeln!(out, "{:7}  {:checks$}  → {cure}", "", "")?;
        }
    }
    Ok(())
}
