//! The commands: what is read and written around the pure parts.

mod completion;
mod init;
mod lineage;
mod lint;
mod retry;
mod run;
mod search;
mod status;

use anyhow::Result;
use serde::Serialize;

use crate::{
    cli::{Cli, Command, Format},
    cluster::Cluster,
    exit::{Outcome, print},
};

/// Carries a command out.
pub(crate) async fn carry_out(cli: Cli) -> Result<Outcome> {
    let cluster = || Cluster::connect(&cli.cluster);
    match &cli.command {
        Command::Init(args) => init::init(args),
        Command::Lint(args) => lint::lint(args),
        Command::Status(args) => status::status(&cluster().await?, args).await,
        Command::Lineage(args) => lineage::lineage(&cluster().await?, args).await,
        Command::Retry(args) => retry::retry(&cluster().await?, args).await,
        Command::Run(args) => {
            let input = run::input(args)?;
            run::run(&cluster().await?, args, input).await
        }
        Command::Search(args) => search::search(&cluster().await?, args).await,
        Command::Completion { shell } => completion::script(*shell),
        Command::Complete { words } => completion::complete(words).await,
    }
}

/// Prints a value for programs, or the text for people.
fn show(format: Format, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
    let text = match format {
        Format::Table => text(),
        Format::Json => serde_json::to_string_pretty(value)? + "\n",
        Format::Yaml => serde_yaml::to_string(value)?,
    };
    Ok(print(&text)?)
}
