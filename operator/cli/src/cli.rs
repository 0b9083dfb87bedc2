//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use dise_core::{function::Language, quality::Quality};

use crate::{cluster::ClusterArgs, exit::Usage};

const AFTER_HELP: &str = "\
Exit codes: 0 all is well; 1 it is not: files have faults, the run failed, the workflow did not become ready;
2 the command was given wrongly; 3 it could not be carried out: no cluster, no permission, no such object, no
result in time.";

/// Workflows of DiSE from the command line.
#[derive(Debug, Parser)]
#[command(name = "kubectl-dise", bin_name = "kubectl dise", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the files of a new workflow.
    Init(InitArgs),
    /// Say what the cluster would refuse in files, without a cluster.
    Lint(LintArgs),
    /// Show how a workflow stands and what to do next; without a name, all workflows.
    Status(StatusArgs),
    /// Show where the code of a workflow's steps comes from.
    Lineage(LineageArgs),
    /// Search for the code of a workflow's steps once more.
    Retry(RetryArgs),
    /// Execute a workflow once and print its result.
    Run(RunArgs),
    /// Search the artifacts of the namespace by meaning and by words.
    Search(SearchArgs),
    /// Print a completion script for a shell.
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// What kubectl calls for completions of `kubectl dise`.
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete {
        /// The words so far; the last one is incomplete.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// A Workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkflowName(pub(crate) String);

impl std::str::FromStr for WorkflowName {
    type Err = Usage;

    /// Takes `NAME` and `workflow/NAME`, where the kind may be written in all ways that kubectl takes.
    fn from_str(text: &str) -> Result<Self, Usage> {
        let (kind, name) = text.split_once('/').unwrap_or(("workflow", text));
        let kind = kind.to_ascii_lowercase();
        let kind = kind.split('.').next().unwrap_or_default();
        if !["workflow", "workflows", "dwf"].contains(&kind) {
            return Err(Usage(format!("{text} is not a Workflow; write workflow/NAME or NAME")));
        }
        if name.is_empty() {
            return Err(Usage("the name of the Workflow is missing; write workflow/NAME".to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

/// Arguments of `init`.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// Name of the workflow.
    pub(crate) name: String,
    /// Folder to write to. Default: one of the workflow's name.
    #[arg(long, value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// Who writes the code.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) template: Template,
}

/// What `init` starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// You: the files hold a function.
    #[default]
    Function,
    /// A model: the files hold a description and examples.
    Generated,
}

/// Arguments of `lint`.
#[derive(Args, Debug)]
pub(crate) struct LintArgs {
    /// Files, folders (their .yaml, .yml and .json files), or - for standard input.
    #[arg(required = true, value_name = "FILE|DIR|-", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    /// Look into folders of folders, too.
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// Arguments of `status`.
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// The workflow.
    #[arg(value_name = "workflow/NAME")]
    pub(crate) workflow: Option<WorkflowName>,
    /// Show the workflows of all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["workflow", "namespace"])]
    pub(crate) all_namespaces: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// Arguments of `lineage`.
#[derive(Args, Debug)]
pub(crate) struct LineageArgs {
    /// The workflow.
    #[arg(value_name = "workflow/NAME")]
    pub(crate) workflow: WorkflowName,
    /// Show one step only.
    #[arg(long, value_name = "NAME")]
    pub(crate) step: Option<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// Arguments of `retry`.
#[derive(Args, Debug)]
pub(crate) struct RetryArgs {
    /// The workflow.
    #[arg(value_name = "workflow/NAME")]
    pub(crate) workflow: WorkflowName,
    /// Wait until the workflow is ready or has failed.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Seconds to wait at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, requires = "wait")]
    wait_seconds: u64,
}

impl RetryArgs {
    pub(crate) const fn patience(&self) -> Duration {
        Duration::from_secs(self.wait_seconds)
    }
}

/// Arguments of `run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The workflow.
    #[arg(value_name = "workflow/NAME")]
    pub(crate) workflow: WorkflowName,
    /// The input as JSON, @FILE, or - for standard input. Default: null.
    #[arg(short, long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    pub(crate) input: Option<String>,
    /// Seconds to wait for the result. The run goes on after that.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    wait_seconds: u64,
    /// What to print: the result alone, or (-o json, -o yaml) the whole run.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

impl RunArgs {
    pub(crate) const fn patience(&self) -> Duration {
        Duration::from_secs(self.wait_seconds)
    }
}

/// Arguments of `search`.
#[derive(Args, Debug)]
pub(crate) struct SearchArgs {
    /// What is looked for, in words.
    #[arg(required = true)]
    pub(crate) text: Vec<String>,
    /// Only artifacts of this kind, for example Function. May be given several times.
    #[arg(long = "kind", value_name = "KIND")]
    pub(crate) kinds: Vec<String>,
    /// Only artifacts with this tag. May be given several times; all must fit.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
    /// Only code of this language, for example Python. May be given several times.
    #[arg(long = "language", value_name = "LANGUAGE", value_parser = language)]
    pub(crate) languages: Vec<Language>,
    /// Only artifacts of at least this measured quality, 0 to 1.
    #[arg(long, value_name = "QUALITY")]
    pub(crate) min_quality: Option<Quality>,
    /// How many to show at most.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) limit: u32,
    /// Namespace of the operator. Default: where its Service is found, else dise-system.
    #[arg(long, value_name = "NAME")]
    pub(crate) operator_namespace: Option<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

fn language(text: &str) -> Result<Language, String> {
    match text.to_ascii_lowercase().as_str() {
        "python" => Ok(Language::Python),
        "bash" => Ok(Language::Bash),
        _ => Err("functions are written in Python or Bash".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn is_a_valid_command_line() {
        Cli::command().debug_assert();
    }

    #[test]
    fn takes_names_as_kubectl_does() {
        for text in
            ["triage", "workflow/triage", "Workflows/triage", "dwf/triage", "workflow.dise.dev/triage"]
        {
            assert_eq!(text.parse::<WorkflowName>().unwrap().0, "triage", "{text}");
        }
        assert!("pod/triage".parse::<WorkflowName>().unwrap_err().0.contains("is not a Workflow"));
        assert!("workflow/".parse::<WorkflowName>().is_err());
    }

    #[test]
    fn takes_the_flags_of_the_cluster_before_and_after_the_command() {
        for line in ["kubectl-dise -n shop status", "kubectl-dise status -n shop"] {
            assert_eq!(
                Cli::try_parse_from(line.split(' ')).unwrap().cluster.namespace.as_deref(),
                Some("shop")
            );
        }
        assert!(Cli::try_parse_from("kubectl-dise status -A -n shop".split(' ')).is_err());
    }

    #[test]
    fn takes_tags_apart() {
        assert_eq!(tag("domain=a=b"), Ok(("domain".into(), "a=b".into())));
        assert!(tag("domain").is_err() && tag("=x").is_err());
    }
}
