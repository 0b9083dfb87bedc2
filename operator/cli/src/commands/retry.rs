//! `retry`

use anyhow::{Result, bail};
use dise_crds::{Workflow, conditions};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{
    cli::RetryArgs,
    cluster::{Cluster, FIELD_MANAGER, explain},
    exit::{Outcome, say},
};

/// When a person asked for another search for code.
const RETRY: &str = "dise.dev/retry";
/// The reasons of a condition that another search can change.
const SEARCH_FAILED: [&str; 2] = ["NoCandidatePassed", "OutOfBudget"];
/// The reason of a condition while a search is under way.
const SEARCHING: &str = "Generating";

pub(super) async fn retry(cluster: &Cluster, args: &RetryArgs) -> Result<Outcome> {
    let name = &args.workflow.0;
    let before: Workflow = cluster.get(name).await?;
    let (effect, message) = what_follows(&before);
    if effect != Effect::UnderWay {
        annotate(cluster, &before).await?;
    }
    say(&message);
    if !args.wait {
        return Ok(Outcome::Well);
    }
    if effect == Effect::Nothing {
        return Ok(Outcome::from(is_ready(&before)));
    }
    let mut watch = Watch::new(&before);
    let ended = cluster.follow(name, args.patience(), |workflow| watch.look(workflow)).await?;
    let Some((outcome, message)) = ended else {
        bail!(
            "Workflow {name} was neither ready nor failed after {} s; kubectl dise status {name} -n {} says how it stands",
            args.patience().as_secs(),
            cluster.namespace
        );
    };
    say(&message);
    Ok(outcome)
}

/// The unique id keeps a workflow that was deleted meanwhile from being created as a torso.
async fn annotate(cluster: &Cluster, workflow: &Workflow) -> Result<()> {
    let name = workflow.name_any();
    let patch = json!({
        "apiVersion": Workflow::api_version(&()),
        "kind": Workflow::kind(&()),
        "metadata": {
            "name": name,
            "uid": workflow.uid(),
            "annotations": {RETRY: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()},
        },
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written = cluster.api::<Workflow>().patch_metadata(&name, &params, &Patch::Apply(&patch)).await;
    written.map_err(|fault| explain(fault, &cluster.ask::<Workflow>("patch")))?;
    Ok(())
}

/// What comes of asking for another search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Code is searched for once more.
    Search,
    /// It is being searched for already. Asking would begin that search anew.
    UnderWay,
    /// There is nothing to search for.
    Nothing,
}

fn what_follows(workflow: &Workflow) -> (Effect, String) {
    let name = workflow.name_any();
    let Some(ready) = condition(workflow, conditions::READY) else {
        return (Effect::UnderWay, format!("the operator has not looked at Workflow {name} yet; it will"));
    };
    let synthesized = condition(workflow, conditions::SYNTHESIZED);
    let reasons = [Some(ready), synthesized].into_iter().flatten().map(|condition| condition.reason.as_str());
    if reasons.clone().any(|reason| reason == SEARCHING) {
        return (
            Effect::UnderWay,
            format!("code for Workflow {name} is being searched for; that goes on undisturbed"),
        );
    }
    if reasons.clone().any(|reason| SEARCH_FAILED.contains(&reason)) {
        let message = format!(
            "the operator searches once more for the code that Workflow {name} lacks, within spec.budget"
        );
        return (Effect::Search, message);
    }
    if is_ready(workflow) {
        let message =
            format!("Workflow {name} is ready: there is no code to search for, and nothing changes");
        return (Effect::Nothing, message);
    }
    let message = format!(
        "this repeats searches for code that found none, and Workflow {name} is not ready for another reason, {}: {}",
        ready.reason, ready.message
    );
    (Effect::Nothing, message)
}

/// What was seen of a workflow since it was told to search.
struct Watch {
    /// Since when it was stalled before.
    stalled: Option<Timestamp>,
    /// What was said last.
    said: String,
}

impl Watch {
    fn new(before: &Workflow) -> Self {
        Self { stalled: stalled_since(before), said: String::new() }
    }

    /// How it ended, if it has: the operator takes `Stalled` away while it searches, so that a later one is news.
    fn look(&mut self, workflow: Option<&Workflow>) -> Option<(Outcome, String)> {
        let Some(workflow) = workflow else {
            return Some((Outcome::Unwell, "the Workflow was deleted".to_owned()));
        };
        let ready = condition(workflow, conditions::READY)?;
        let text = format!("{}: {}", ready.reason, ready.message);
        if ready.status == "True" {
            return Some((Outcome::Well, text));
        }
        match stalled_since(workflow) {
            Some(since) if self.stalled != Some(since) => return Some((Outcome::Unwell, text)),
            Some(_) => {}
            None => {
                self.stalled = None;
                if self.said != text {
                    say(&text);
                    self.said = text;
                }
            }
        }
        None
    }
}

fn condition<'w>(workflow: &'w Workflow, type_: &str) -> Option<&'w Condition> {
    conditions::find_condition(&workflow.status.as_ref()?.conditions, type_)
}

fn is_ready(workflow: &Workflow) -> bool {
    condition(workflow, conditions::READY).is_some_and(|ready| ready.status == "True")
}

fn stalled_since(workflow: &Workflow) -> Option<Timestamp> {
    let stalled = condition(workflow, conditions::STALLED).filter(|stalled| stalled.status == "True");
    stalled.map(|stalled| stalled.last_transition_time.0)
}

#[cfg(test)]
mod tests;
