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
mod status;

use std::{collections::BTreeSet, sync::Arc};

use dise_core::workflow::{Compiled, Definition, compile};
use dise_crds::{Workflow, WorkflowStatus, conditions};
use jiff::Timestamp;
use kube::{
    Resource as _, ResourceExt as _,
    runtime::{
        controller::Action,
        events::{Event, EventType},
    },
};

use self::decide::{Assessment, Outcome};
pub use self::recent::Recent;
use super::{Context, Error, Owner, apply};

const EVENT_CHARACTERS: usize = 1000;

/// Brings one workflow a step further.
///
/// # Errors
/// The Kubernetes API or the object store does not answer.
pub async fn reconcile(workflow: Arc<Workflow>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = workflow.namespace().unwrap_or_default();
    if workflow.metadata.deletion_timestamp.is_some() {
        context.verifications.retain(&namespace, &owner(&workflow), &BTreeSet::new());
        return Ok(Action::await_change());
    }
    let (outcome, full) = match advance(&workflow, &context).await {
        Err(fault @ Error::Store(_)) => {
            if status::awaits_change(&workflow) {
                write_status(&workflow, &context, &Outcome::StoreUnavailable).await?;
            }
            return Err(fault);
        }
        other => other?,
    };
    write_status(&workflow, &context, &outcome).await?;
    if super::executor::needs_pods(&workflow) {
        context.signals.executors();
    }
    let uid = workflow.uid().unwrap_or_default();
    let look_again = outcome.look_again(|| context.recent.ask_again(&uid));
    // What woke a pass that was not full may be a change that only a full one heals.
    Ok(Action::requeue(if full { look_again } else { look_again.min(recent::FRESH) }))
}

async fn write_status(workflow: &Workflow, context: &Context, outcome: &Outcome) -> Result<(), Error> {
    let usage = context.usage.of(&workflow.namespace().unwrap_or_default(), &workflow.name_any());
    let wanted = status::status(workflow, outcome, usage.as_ref(), Timestamp::now());
    if apply::apply_status(&context.client, workflow, workflow.status.as_ref(), &wanted).await? {
        tell(workflow, context, &wanted).await;
    }
    Ok(())
}

/// Returns also whether everything was looked at, or only the executors were asked.
async fn advance(workflow: &Workflow, context: &Context) -> Result<(Outcome, bool), Error> {
    let uid = workflow.uid().unwrap_or_default();
    let tools = observe::tools(workflow, context).await?;
    let basis = observe::basis(workflow, context, &tools)?;
    if let Some(planned) = context.recent.get(&uid, &basis) {
        let planned = rollout::ask(workflow, context, planned).await?;
        return Ok((Outcome::Planned(Box::new(planned)), false));
    }
    let compiled = match compile(&Definition::from(workflow), &tools) {
        Ok(compiled) => compiled,
        Err(faults) => return Ok((Outcome::Invalid(faults), true)),
    };
    if let Some(missing) = decide::missing(&compiled) {
        return Ok((Outcome::Missing(missing), true));
    }
    let outcome = prove(workflow, context, &compiled).await?;
    if let Outcome::Planned(planned) = &outcome
        && !planned.changes_mode
    {
        context.recent.put(&uid, basis, (**planned).clone());
    }
    Ok((outcome, true))
}

/// From a compiled workflow to what executors serve.
async fn prove(workflow: &Workflow, context: &Context, compiled: &Compiled) -> Result<Outcome, Error> {
    let proofs = observe::proofs(workflow, context, compiled).await?;
    let passed = match decide::assess(&proofs) {
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
    if find(before).is_some_and(|before| before.reason == ready.reason && before.message == ready.message) {
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
