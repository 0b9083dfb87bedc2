//! `init`

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cli::{InitArgs, Template},
    exit::{Outcome, Usage, print},
};

/// The name in the templates.
const PLACEHOLDER: &str = "my-workflow";
/// The longest name of a workflow, which is also the name of its Service.
const NAME_MAX: usize = 40;

const FUNCTION: [(&str, &str); 3] = [
    ("workflow.yaml", include_str!("../templates/function/workflow.yaml")),
    ("run.yaml", include_str!("../templates/run.yaml")),
    ("README.md", include_str!("../templates/function/README.md")),
];
const GENERATED: [(&str, &str); 3] = [
    ("workflow.yaml", include_str!("../templates/generated/workflow.yaml")),
    ("run.yaml", include_str!("../templates/run.yaml")),
    ("README.md", include_str!("../templates/generated/README.md")),
];

pub(super) fn init(args: &InitArgs) -> Result<Outcome> {
    check_name(&args.name)?;
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let files = files(args.template, &args.name);
    let existing: Vec<String> = files
        .iter()
        .map(|(name, _)| folder.join(name))
        .filter(|file| file.exists())
        .map(|file| file.display().to_string())
        .collect();
    if !existing.is_empty() {
        bail!("{} exists and is not overwritten; choose another --dir", existing.join(", "));
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for (name, text) in files {
        write(&folder.join(name), &text)?;
    }
    let folder = folder.display();
    print(&format!(
        "{folder}/ holds workflow.yaml, run.yaml and README.md. What to do with them:\n\n  \
         kubectl dise lint {folder}\n  \
         kubectl apply -f {folder}/workflow.yaml\n  \
         kubectl dise status {name}\n  \
         kubectl dise run {name} --input '{{\"text\": \"Hello, World!\"}}'\n",
        name = args.name
    ))?;
    Ok(Outcome::Well)
}

fn files(template: Template, name: &str) -> [(&'static str, String); 3] {
    let files = match template {
        Template::Function => FUNCTION,
        Template::Generated => GENERATED,
    };
    files.map(|(file, text)| (file, text.replace(PLACEHOLDER, name)))
}

fn check_name(name: &str) -> Result<(), Usage> {
    let fits = (1..=NAME_MAX).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        return Ok(());
    }
    Err(Usage(format!(
        "{name:?} cannot be the name of a Workflow: it takes up to {NAME_MAX} lower-case letters, digits and hyphens and \
         starts with a letter"
    )))
}

/// Writes a new file; one that appeared meanwhile is left alone.
fn write(path: &Path, text: &str) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::{Source, check};

    #[test]
    fn writes_what_lint_finds_nothing_in() {
        for template in [Template::Function, Template::Generated] {
            let sources: Vec<Source> = files(template, "triage")
                .into_iter()
                .filter(|(name, _)| *name != "README.md")
                .map(|(name, text)| Source { name: name.into(), text })
                .collect();
            let report = check(&sources).unwrap();
            assert_eq!((report.objects, report.findings), (2, Vec::new()), "{template:?}");
        }
    }

    #[test]
    fn puts_the_name_in_place_of_the_placeholder() {
        for template in [Template::Function, Template::Generated] {
            for (file, text) in files(template, "triage") {
                assert!(text.contains("triage") && !text.contains(PLACEHOLDER), "{template:?} {file}");
            }
        }
    }

    #[test]
    fn takes_names_that_the_cluster_takes() {
        for name in ["a", "review-triage", &"a".repeat(40)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "A", "1a", "a.b", "a-", &"a".repeat(41)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
