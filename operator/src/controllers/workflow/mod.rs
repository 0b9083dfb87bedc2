//! The Workflow controller: from a declaration to an answered request.
//!
//! Compile, prove, record the proof as Artifacts, store the plan, tell the executors, wait until they serve it. While
//! any of that does not succeed, the last good plan goes on serving.

pub mod reason;

mod artifacts;
mod decide;
mod observe;
mod recent;
mod rollout;
mod search;
mod search_status;
mod status;

use std::{collections::BTreeSet, sync::Arc};

use dise_core::{
    budget::Ledger,
    workflow::{Compiled, Definition, compile},
};
use dise_crds::{FunctionCode, Workflow, WorkflowStatus, conditions};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Resource as _, ResourceExt as _,
    runtime::{
        controller::Action,
        events::{Event, EventType},
    },
};

pub use self::recent::Recent;
use self::{
    decide::{Assessment, Outcome},
    search::Search,
};
use super::{Context, Error, Owner, apply};
use crate::store::Key;

const EVENT_CHARACTERS: usize = 1000;

/// Brings one workflow a step further.
///
/// # Errors
/// The Kubernetes API or the object store does not answer.
pub async fn reconcile(workflow: Arc<Workflow>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = workflow.namespace().unwrap_or_default();
    if workflow.metadata.deletion_timestamp.is_some() {
        for queue in [&context.verifications, &context.syntheses] {
            queue.retain(&namespace, &owner(&workflow), &BTreeSet::new());
        }
        return Ok(Action::await_change());
    }
    let Pass { outcome, searches } = match advance(&workflow, &context).await {
        Err(fault @ Error::Store(_)) => {
            if status::awaits_change(&workflow) {
                write_status(&workflow, &context, &Outcome::StoreUnavailable, None).await?;
            }
            return Err(fault);
        }
        other => other?,
    };
    write_status(&workflow, &context, &outcome, searches.as_deref()).await?;
    if super::executor::needs_pods(&workflow) {
        context.signals.executors();
    }
    let uid = workflow.uid().unwrap_or_default();
    let look_again = outcome.look_again(Timestamp::now(), || context.recent.ask_again(&uid));
    // What woke a pass that was not full may be a change that only a full one heals.
    Ok(Action::requeue(if searches.is_some() { look_again } else { look_again.min(recent::FRESH) }))
}

/// What one look at a workflow came to.
struct Pass {
    outcome: Outcome,
    /// The options that came without code; absent when only the executors were asked.
    searches: Option<Vec<Search>>,
}

impl Pass {
    fn full(outcome: Outcome, searches: Vec<Search>) -> Self {
        Self { outcome, searches: Some(searches) }
    }
}

/// Whether a workflow has a step that a model has to write code for.
#[must_use]
pub fn lacks_code(workflow: &Workflow) -> bool {
    let unwritten = |function: &FunctionCode| function.source.is_none();
    workflow.spec.steps.iter().any(|step| {
        step.options.is_empty()
            || step.options.iter().any(|option| option.function.as_ref().is_some_and(unwritten))
    })
}

async fn write_status(
    workflow: &Workflow,
    context: &Context,
    outcome: &Outcome,
    searches: Option<&[Search]>,
) -> Result<(), Error> {
    let namespace = workflow.namespace().unwrap_or_default();
    let usage = context.usage.of(&namespace, &workflow.name_any());
    let now = Timestamp::now();
    let mut wanted = status::status(workflow, outcome, usage.as_ref(), now);
    if let Some(searches) = searches {
        let ledger = if searches.is_empty() {
            Ledger::default()
        } else {
            context.store.document(&Key::spend(&namespace)).await?.unwrap_or_default()
        };
        search_status::describe(&mut wanted, workflow, searches, ledger.workflow(&workflow.name_any()), now);
    }
    if apply::apply_status(&context.client, workflow, workflow.status.as_ref(), &wanted).await? {
        tell(workflow, context, &wanted).await;
    }
    Ok(())
}

async fn advance(workflow: &Workflow, context: &Context) -> Result<Pass, Error> {
    let uid = workflow.uid().unwrap_or_default();
    let tools = observe::tools(workflow, context).await?;
    let basis = observe::basis(workflow, context, &tools)?;
    if let Some(planned) = context.recent.get(&uid, &basis) {
        let planned = rollout::ask(workflow, context, planned).await?;
        return Ok(Pass { outcome: Outcome::Planned(Box::new(planned)), searches: None });
    }
    let mut compiled = match compile(&Definition::from(workflow), &tools) {
        Ok(compiled) => compiled,
        Err(faults) => return Ok(Pass::full(Outcome::Invalid(faults), Vec::new())),
    };
    let searches = search::look(workflow, context, &mut compiled).await?;
    if let Some(outcome) = decide::without_code(&compiled, &searches) {
        return Ok(Pass::full(outcome, searches));
    }
    let outcome = prove(workflow, context, &compiled, &searches).await?;
    if let Outcome::Planned(planned) = &outcome
        && !planned.changes_mode
        && searches.iter().all(|search| matches!(search.state, search::State::Found(_)))
    {
        context.recent.put(&uid, basis, (**planned).clone());
    }
    Ok(Pass::full(outcome, searches))
}

/// From a compiled workflow to what executors serve.
async fn prove(
    workflow: &Workflow,
    context: &Context,
    compiled: &Compiled,
    searches: &[Search],
) -> Result<Outcome, Error> {
    let proofs = observe::proofs(workflow, context, compiled).await?;
    let passed = match decide::assess(&proofs, searches) {
        Assessment::Verifying(progress) => return Ok(Outcome::Verifying(progress)),
        Assessment::Refuted(steps) => return Ok(Outcome::Refuted(steps)),
        Assessment::Proven(passed) => passed,
    };
    let existing = artifacts::list(workflow, context).await?;
    let named = artifacts::record(workflow, context, &existing, passed).await?;
    let planned = rollout::roll_out(workflow, context, compiled, &named).await?;
    artifacts::promote_and_collect(workflow, context, &existing, &named).await?;
    Ok(Outcome::Planned(Box::new(planned)))
}

fn owner(workflow: &Workflow) -> Owner {
    Owner::workflow(workflow.name_any(), workflow.uid().unwrap_or_default())
}

/// Publishes an Event when readiness or its reason has changed.
async fn tell(workflow: &Workflow, context: &Context, wanted: &WorkflowStatus) {
    let before = workflow.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let find = |conditions| conditions::find_condition(conditions, conditions::READY);
    let Some(ready) = find(&wanted.conditions) else { return };
    // While code is written the message says how that goes, which is no event each time.
    let told = |before: &Condition| {
        before.reason == ready.reason
            && (before.message == ready.message || ready.reason == reason::GENERATING)
    };
    if find(before).is_some_and(told) {
        return;
    }
    let trouble = conditions::is_true(&wanted.conditions, conditions::STALLED);
    let event = Event {
        type_: if trouble { EventType::Warning } else { EventType::Normal },
        reason: ready.reason.clone(),
        note: Some(ready.message.chars().take(EVENT_CHARACTERS).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(fault) = context.events.publish(&event, &workflow.object_ref(&())).await {
        tracing::debug!(%fault, "cannot publish an Event");
    }
}
