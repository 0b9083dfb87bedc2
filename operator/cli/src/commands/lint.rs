//! `lint`

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::show;
use crate::{
    cli::LintArgs,
    exit::{Outcome, Usage, say},
    lint::{Report, Severity, Source, check},
    view::{Paint, render_findings},
    words::count,
};

pub(super) fn lint(args: &LintArgs) -> Result<Outcome> {
    let mut sources = Vec::new();
    for path in &args.paths {
        gather(path, args.recursive, &mut sources)?;
    }
    let report = check(&sources)?;
    if report.objects == 0 && report.findings.is_empty() {
        return Err(Usage("there is no object of DiSE in these files".to_owned()).into());
    }
    show(args.output, &report.findings, || render_findings(&report.findings, Paint::detect()))?;
    say(&sum(&report, sources.len()));
    Ok(Outcome::from(report.count(Severity::Error) == 0))
}

fn sum(report: &Report, files: usize) -> String {
    let [errors, warnings] = [Severity::Error, Severity::Warning].map(|severity| report.count(severity));
    format!(
        "{} in {}: {}, {}",
        count(report.objects, "object"),
        count(files, "file"),
        count(errors, "error"),
        count(warnings, "warning")
    )
}

/// Reads what a path stands for, folders as `kubectl apply -f` does.
fn gather(path: &Path, recursive: bool, sources: &mut Vec<Source>) -> Result<()> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("standard input")?;
        sources.push(Source { name: "-".to_owned(), text });
        return Ok(());
    }
    if !path.is_dir() {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        sources.push(Source { name: path.display().to_string(), text });
        return Ok(());
    }
    let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
    let mut entries: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if recursive && !hidden {
                gather(&entry, recursive, sources)?;
            }
        } else if entry.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json") {
            gather(&entry, recursive, sources)?;
        }
    }
    Ok(())
}
