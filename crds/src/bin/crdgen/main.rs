//! Writes what is generated from the API's types: the definitions and their reference.

mod reference;
mod yaml;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Generates the definitions of DiSE and their reference.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes one YAML file for each kind.
    Yaml {
        /// The folder of the files.
        #[arg(long, default_value = "crds")]
        out_dir: PathBuf,
    },
    /// Writes the API reference in Markdown.
    Reference {
        /// The file.
        #[arg(long, default_value = "docs/api-reference.md")]
        out: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Yaml { out_dir } => {
            for (name, content) in yaml::files()? {
                write(&out_dir.join(name), &content)?;
            }
        }
        Command::Reference { out } => write(&out, &reference::markdown(&dise_crds::crds()))?,
    }
    Ok(())
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_committed(path: &str, content: &str, command: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == content,
            "{} differs from the types; run `cargo run -p dise-crds --bin crdgen {command}`",
            path.display()
        );
    }

    #[test]
    fn committed_definitions_are_those_of_the_types() {
        for (name, content) in yaml::files().unwrap() {
            assert_committed(&format!("crds/{name}"), &content, "yaml");
        }
    }

    #[test]
    fn every_committed_definition_has_a_kind() {
        let names: Vec<_> = yaml::files().unwrap().into_iter().map(|(name, _)| name).collect();
        for entry in fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_definition = Path::new(&name).extension().is_some_and(|extension| extension == "yaml");
            assert!(!is_definition || names.contains(&name), "{name} belongs to no kind; delete it");
        }
    }

    #[test]
    fn committed_reference_is_that_of_the_types() {
        assert_committed("docs/api-reference.md", &reference::markdown(&dise_crds::crds()), "reference");
    }
}
