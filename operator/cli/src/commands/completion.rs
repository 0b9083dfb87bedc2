//! `completion`, and what kubectl calls to complete the words of `kubectl dise`.
//!
//! kubectl runs `kubectl_complete-dise` with the words so far and takes one candidate a line, then a line with a
//! directive of its library cobra.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use clap::{Arg, Command, CommandFactory as _, ValueHint};
use clap_complete::Shell;
use dise_crds::Workflow;

use crate::{
    cli::Cli,
    cluster::{Cluster, ClusterArgs},
    exit::{Outcome, print},
};

/// Nobody waits longer for a completion.
const PATIENCE: Duration = Duration::from_secs(2);
/// Cobra's `ShellCompDirectiveDefault`: complete files.
const FILES: u8 = 0;
/// Cobra's `ShellCompDirectiveNoFileComp`.
const NO_FILES: u8 = 4;

/// Prints the script for `kubectl-dise`.
pub(super) fn script(shell: Shell) -> Result<Outcome> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kubectl-dise", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(Outcome::Well)
}

/// Prints what the last of `words` may become.
pub(super) async fn complete(words: &[String]) -> Result<Outcome> {
    let mut command = Cli::command();
    command.build();
    let (lines, directive) = match wanted(&command, words) {
        Wanted::Words(words) => (words, NO_FILES),
        Wanted::Files => (Vec::new(), FILES),
        Wanted::Workflows(cluster) => (workflows(&cluster).await, NO_FILES),
    };
    let lines: Vec<String> = lines.into_iter().chain([format!(":{directive}\n")]).collect();
    print(&lines.join("\n"))?;
    Ok(Outcome::Well)
}

/// The names of the workflows; none if they cannot be had soon.
async fn workflows(args: &ClusterArgs) -> Vec<String> {
    let list = async { Cluster::connect(args).await?.metadata::<Workflow>("").await };
    match tokio::time::timeout(PATIENCE, list).await {
        Ok(Ok(found)) => found.into_iter().filter_map(|metadata| metadata.name).collect(),
        _ => Vec::new(),
    }
}

/// What may stand in the place of a word.
#[derive(Debug)]
enum Wanted {
    /// One of these, each perhaps with a tab and an explanation.
    Words(Vec<String>),
    /// The name of a file or folder.
    Files,
    /// The name of a Workflow of this cluster.
    Workflows(ClusterArgs),
}

fn wanted(root: &Command, words: &[String]) -> Wanted {
    let Some((last, before)) = words.split_last() else { return Wanted::Words(Vec::new()) };
    let mut line = Line { command: root, values: BTreeMap::new(), positionals: 0, open: None };
    for word in before {
        line.take(word);
    }
    let found = line.wanted(last);
    match found {
        Wanted::Words(words) => {
            Wanted::Words(words.into_iter().filter(|word| word.starts_with(last.as_str())).collect())
        }
        other => other,
    }
}

/// A command line that was read so far.
struct Line<'c> {
    command: &'c Command,
    /// Values of flags.
    values: BTreeMap<&'c str, String>,
    positionals: usize,
    /// The flag whose value comes next.
    open: Option<&'c Arg>,
}

impl<'c> Line<'c> {
    fn take(&mut self, word: &str) {
        if let Some(flag) = self.open.take() {
            self.values.insert(flag.get_id().as_str(), word.to_owned());
        } else if word.starts_with('-') && word != "-" {
            let (flag, value) =
                word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
            let Some(flag) = self.flag(flag).filter(|flag| flag.get_action().takes_values()) else { return };
            match value {
                Some(value) => {
                    self.values.insert(flag.get_id().as_str(), value.to_owned());
                }
                None => self.open = Some(flag),
            }
        } else if let Some(command) = self.command.find_subcommand(word) {
            self.command = command;
        } else {
            self.positionals += 1;
        }
    }

    fn flag(&self, word: &str) -> Option<&'c Arg> {
        self.command.get_arguments().find(|argument| match word.strip_prefix("--") {
            Some(long) => argument.get_long() == Some(long),
            None => argument
                .get_short()
                .is_some_and(|short| word.strip_prefix('-') == Some(short.to_string().as_str())),
        })
    }

    fn wanted(&self, last: &str) -> Wanted {
        if let Some(flag) = self.open {
            return self.values_of(flag, "");
        }
        if let Some((flag, _)) = last.split_once('=')
            && let Some(argument) = self.flag(flag)
        {
            return self.values_of(argument, &format!("{flag}="));
        }
        if last.starts_with('-') {
            let visible = self.command.get_arguments().filter(|argument| !argument.is_hide_set());
            return Wanted::Words(visible.filter_map(explain_flag).collect());
        }
        if self.command.has_subcommands() {
            let visible = self.command.get_subcommands().filter(|command| !command.is_hide_set());
            return Wanted::Words(visible.map(explain_command).collect());
        }
        let positional = self.command.get_positionals().nth(self.positionals);
        positional.or_else(|| self.command.get_positionals().last()).map_or_else(
            || Wanted::Words(Vec::new()),
            |argument| {
                let repeats = self.positionals == 0
                    || argument.get_num_args().is_some_and(|count| count.max_values() > 1);
                if repeats { self.values_of(argument, "") } else { Wanted::Words(Vec::new()) }
            },
        )
    }

    fn values_of(&self, argument: &Arg, prefix: &str) -> Wanted {
        if argument.get_id() == "workflow" {
            return Wanted::Workflows(ClusterArgs {
                kubeconfig: self.values.get("kubeconfig").map(Into::into),
                context: self.values.get("context").cloned(),
                namespace: self.values.get("namespace").cloned(),
            });
        }
        if matches!(argument.get_value_hint(), ValueHint::AnyPath | ValueHint::DirPath | ValueHint::FilePath)
        {
            return Wanted::Files;
        }
        let values = argument.get_possible_values();
        Wanted::Words(values.iter().map(|value| format!("{prefix}{}", value.get_name())).collect())
    }
}

fn explain_flag(flag: &Arg) -> Option<String> {
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    Some(format!("--{}\t{help}", flag.get_long()?))
}

fn explain_command(command: &Command) -> String {
    format!("{}\t{}", command.get_name(), command.get_about().map(ToString::to_string).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Wanted {
        let mut command = Cli::command();
        command.build();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        wanted(&command, &words)
    }

    #[track_caller]
    fn words(line: &str) -> Vec<String> {
        let Wanted::Words(words) = of(line) else { panic!("{line}") };
        words.into_iter().map(|word| word.split('\t').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn completes_commands_flags_and_values() {
        assert_eq!(words("st"), ["status"]);
        assert!(words("").contains(&"lineage".to_owned()) && !words("").contains(&"__complete".to_owned()));
        assert_eq!(words("status --out"), ["--output"]);
        assert_eq!(words("status --name"), ["--namespace"]);
        assert_eq!(words("status -o "), ["table", "json", "yaml"]);
        assert_eq!(words("status --output=j"), ["--output=json"]);
        assert_eq!(words("-n shop ru"), ["run"]);
        assert_eq!(words("completion "), ["bash", "elvish", "fish", "powershell", "zsh"]);
        assert_eq!(words("nonsense x"), [""; 0]);
    }

    #[test]
    fn completes_names_of_workflows_in_the_cluster_that_is_meant() {
        let Wanted::Workflows(cluster) = of("run -n shop --context=pi --input {} tri") else { panic!() };
        assert_eq!((cluster.namespace.as_deref(), cluster.context.as_deref()), (Some("shop"), Some("pi")));
        assert_eq!(words("run triage tri"), [""; 0]);
    }

    #[test]
    fn completes_files() {
        assert!(matches!(of("lint -o json a.yaml b"), Wanted::Files));
        assert!(matches!(of("init --dir "), Wanted::Files));
        assert!(matches!(of("--kubeconfig "), Wanted::Files));
    }

    #[test]
    fn writes_scripts_for_the_shells() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "kubectl-dise", &mut text);
            assert!(String::from_utf8(text).unwrap().contains("lineage"), "{shell}");
        }
    }
}
