//! `run`

use std::{fs, io::Read as _};

use anyhow::{Result, bail};
use dise_crds::{Workflow, WorkflowRun, WorkflowRunSpec, WorkflowRunStatus, conditions};
use kube::{
    ResourceExt as _,
    api::{ObjectMeta, PostParams},
};
use serde_json::Value;

use super::show;
use crate::{
    cli::RunArgs,
    cluster::{Cluster, FIELD_MANAGER, explain},
    exit::{Outcome, Usage, print, say},
};

/// The input that the command line names.
pub(super) fn input(args: &RunArgs) -> Result<Option<Value>, Usage> {
    args.input.as_deref().map(read_input).transpose()
}

pub(super) async fn run(cluster: &Cluster, args: &RunArgs, input: Option<Value>) -> Result<Outcome> {
    let workflow: Workflow = cluster.get(&args.workflow.0).await?;
    let run = create(cluster, &workflow.name_any(), input).await?;
    let name = run.name_any();
    say(&format!("WorkflowRun {name} was created in namespace {}", cluster.namespace));
    let mut progress = Progress::default();
    let ended = cluster.follow(&name, args.patience(), |run| progress.look(run)).await?;
    let Some(ended) = ended else {
        bail!(
            "WorkflowRun {name} has not ended after {} s; it goes on: kubectl get workflowrun {name} -n {}",
            args.patience().as_secs(),
            cluster.namespace
        );
    };
    let End::Ended(run) = ended else {
        say(&format!("WorkflowRun {name} was deleted, which cancels it"));
        return Ok(Outcome::Unwell);
    };
    say(&summary(&run));
    if args.output == crate::cli::Format::Table {
        print_result(&run.status.clone().unwrap_or_default(), &name)?;
    } else {
        show(args.output, &run, String::new)?;
    }
    Ok(Outcome::from(succeeded(&run) == Some(true)))
}

async fn create(cluster: &Cluster, workflow: &str, input: Option<Value>) -> Result<WorkflowRun> {
    let spec = WorkflowRunSpec { workflow: workflow.to_owned(), input, ..WorkflowRunSpec::default() };
    let metadata = ObjectMeta { generate_name: Some(format!("{workflow}-")), ..ObjectMeta::default() };
    let run = WorkflowRun { metadata, spec, status: None };
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let created = cluster.api::<WorkflowRun>().create(&params, &run).await;
    created.map_err(|fault| explain(fault, &cluster.ask::<WorkflowRun>("create")))
}

/// Reads JSON, `@FILE` or `-`.
fn read_input(argument: &str) -> Result<Value, Usage> {
    let unreadable =
        |place: &str, fault: std::io::Error| Usage(format!("the input cannot be read from {place}: {fault}"));
    let (place, text) = match argument.strip_prefix('@') {
        Some(file) => (file, fs::read_to_string(file).map_err(|fault| unreadable(file, fault))?),
        None if argument == "-" => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|fault| unreadable("standard input", fault))?;
            ("standard input", text)
        }
        None => ("--input", argument.to_owned()),
    };
    serde_json::from_str(&text).map_err(|fault| {
        let hint = if place == "--input" { "; text needs quotes of JSON: --input '\"text\"'" } else { "" };
        Usage(format!("the input is no JSON ({place}: {fault}){hint}"))
    })
}

/// How the following of a run ends.
enum End {
    /// It succeeded or failed.
    Ended(Box<WorkflowRun>),
    /// Somebody deleted it.
    Deleted,
}

/// Says each new state of a run once.
#[derive(Default)]
struct Progress {
    said: String,
}

impl Progress {
    /// How it ended, if it has.
    fn look(&mut self, run: Option<&WorkflowRun>) -> Option<End> {
        let Some(run) = run else { return Some(End::Deleted) };
        if succeeded(run).is_some() {
            return Some(End::Ended(Box::new(run.clone())));
        }
        let status = run.status.as_ref()?;
        let condition = conditions::find_condition(&status.conditions, conditions::SUCCEEDED)?;
        let text = format!("{}: {}", condition.reason, condition.message);
        if self.said != text {
            say(&text);
            self.said = text;
        }
        None
    }
}

/// Whether a run succeeded; absent while it goes on.
fn succeeded(run: &WorkflowRun) -> Option<bool> {
    let status = run.status.as_ref()?;
    match conditions::find_condition(&status.conditions, conditions::SUCCEEDED)?.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

fn summary(run: &WorkflowRun) -> String {
    let status = run.status.clone().unwrap_or_default();
    let condition = conditions::find_condition(&status.conditions, conditions::SUCCEEDED);
    let (reason, message) = condition.map_or(("", ""), |condition| (&condition.reason, &condition.message));
    let facts = [
        status.latency_ms.map(|latency| format!("{latency} ms")),
        status.cost_usd.map(|cost| format!("${cost}")),
        status.quality.map(|quality| format!("quality {quality}")),
    ];
    let facts = facts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let facts = if facts.is_empty() { facts } else { format!(" ({facts})") };
    format!("{reason}: {message}{facts}")
}

fn print_result(status: &WorkflowRunStatus, name: &str) -> Result<()> {
    if let Some(output) = &status.output {
        print(&(serde_json::to_string_pretty(output)? + "\n"))?;
    } else if let Some(kept) = &status.output_ref {
        say(&format!(
            "the result of WorkflowRun {name} has {} bytes, too many for its status; it is in the object store as {}",
            kept.size_bytes, kept.digest
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
