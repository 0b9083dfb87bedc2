//! The WorkflowRun controller: one Job per run, its result in the status.

mod decide;
mod job;

use std::{sync::Arc, time::Duration};

use dise_core::{digest::Digest, plan::Plan, wire::RunResult, workflow::Schema};
use dise_crds::{WorkflowRun, WorkflowRunStatus, conditions};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::PostParams,
    runtime::{
        controller::Action,
        events::{Event, EventType},
    },
};

use self::decide::{Decision, OUTPUT_BYTES, Observed};
use super::{Context, Error, apply, executor, pods};
use crate::store::Key;

pub use decide::deadline;

/// Brings one run a step further.
///
/// # Errors
/// The Kubernetes API or the object store does not answer.
pub async fn reconcile(run: Arc<WorkflowRun>, context: Arc<Context>) -> Result<Action, Error> {
    if run.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let now = Timestamp::now();
    if let Some(ended) = decide::ended(&run) {
        return collect(&run, &context, ended, now).await;
    }
    let observed = observe(&run, &context).await?;
    let (status, decision) = decide::decide(&run, &observed, now);
    if let Decision::Start { plan } = &decision {
        start(&run, &context, *plan).await?;
    }
    let written = apply::apply_status(&context.client, &*run, run.status.as_ref(), &status).await?;
    if written {
        tell(&run, &context, &status).await;
    }
    Ok(match decision {
        Decision::Start { .. } | Decision::Wait { look_again: None } => Action::await_change(),
        Decision::Wait { look_again: Some(after) } => Action::requeue(after),
        Decision::End => Action::requeue(Duration::from_millis(1)),
    })
}

/// Whether a run has neither ended nor started: its workflow is not there or not ready.
#[must_use]
pub fn is_waiting(run: &WorkflowRun) -> bool {
    let conditions = run.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    decide::ended(run).is_none() && !conditions::is_true(conditions, conditions::ACCEPTED)
}

/// Deletes a run that has ended when its time has come.
async fn collect(
    run: &WorkflowRun,
    context: &Context,
    ended: Timestamp,
    now: Timestamp,
) -> Result<Action, Error> {
    let Some(seconds) = run.spec.ttl_seconds_after_finished else { return Ok(Action::await_change()) };
    let left = (ended + jiff::SignedDuration::from_secs(seconds.into())).duration_since(now);
    if let Ok(left) = Duration::try_from(left)
        && !left.is_zero()
    {
        return Ok(Action::requeue(left));
    }
    let namespace = run.namespace().unwrap_or_default();
    apply::delete::<WorkflowRun>(&context.client, &namespace, &run.name_any()).await?;
    Ok(Action::await_change())
}

async fn observe(run: &WorkflowRun, context: &Context) -> Result<Observed, Error> {
    let namespace = run.namespace().unwrap_or_default();
    let uid = run.uid().unwrap_or_default();
    if let Some(result) = context.store.document::<RunResult>(&Key::run(&namespace, &uid)).await? {
        let output = match &result.output {
            Some(output) => store_large(context, &namespace, output).await?,
            None => None,
        };
        return Ok(Observed::Result { result: Box::new(result), output_ref: output });
    }
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), &namespace);
    let name = job::name(run);
    if let Some(job) = jobs.get_opt(&name).await? {
        let trouble = pods::waiting_reason(context, &namespace, &name).await?;
        return Ok(Observed::Job { job: Box::new(job), trouble });
    }
    let workflows: Api<dise_crds::Workflow> = Api::namespaced(context.client.clone(), &namespace);
    let Some(workflow) = workflows.get_opt(&run.spec.workflow).await? else {
        return Ok(Observed::NoWorkflow);
    };
    let status = workflow.status.unwrap_or_default();
    let Some(plan) = status.plan_hash.as_deref().and_then(|hash| hash.parse().ok()) else {
        let ready = conditions::find_condition(&status.conditions, conditions::READY);
        let why = ready.map_or_else(|| "not looked at yet".to_owned(), |ready| ready.message.clone());
        return Ok(Observed::NoPlan { why });
    };
    let violation = check_input(run, context, &namespace, plan).await?;
    Ok(Observed::Plan { plan, violation })
}

/// What is wrong with the run's input, if anything.
async fn check_input(
    run: &WorkflowRun,
    context: &Context,
    namespace: &str,
    plan: Digest,
) -> Result<Option<String>, Error> {
    let Some(blob) = context.store.blob(namespace, plan).await? else { return Ok(None) };
    let plan: Plan = serde_json::from_slice(&blob)?;
    // The schema compiled when the plan was made; if it does not here, the runner will say so.
    let Ok(schema) = Schema::compile(&plan.input) else { return Ok(None) };
    let input = run.spec.input.clone().unwrap_or_default();
    let violation = schema.check(&input).err();
    Ok(violation.map(|violation| {
        let place = if violation.pointer.is_empty() { "spec.input" } else { &violation.pointer };
        format!("the input does not fit the workflow's schema: {place}: {}", violation.message)
    }))
}

async fn store_large(
    context: &Context,
    namespace: &str,
    output: &serde_json::Value,
) -> Result<Option<(Digest, usize)>, Error> {
    let bytes = serde_json::to_vec(output)?;
    let size = bytes.len();
    if size <= OUTPUT_BYTES {
        return Ok(None);
    }
    Ok(Some((context.store.put_blob(namespace, bytes.into()).await?, size)))
}

async fn start(run: &WorkflowRun, context: &Context, plan: Digest) -> Result<(), Error> {
    let namespace = run.namespace().unwrap_or_default();
    executor::ensure_account(context, &namespace).await?;
    let job = job::build(&context.settings, &context.bundle(), run, plan);
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), &namespace);
    match jobs.create(&PostParams::default(), &job).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

async fn tell(run: &WorkflowRun, context: &Context, status: &WorkflowRunStatus) {
    let Some(succeeded) = conditions::find_condition(&status.conditions, conditions::SUCCEEDED) else {
        return;
    };
    let event = Event {
        type_: if succeeded.status == "False" { EventType::Warning } else { EventType::Normal },
        reason: succeeded.reason.clone(),
        note: Some(succeeded.message.clone()),
        action: "Run".to_owned(),
        secondary: None,
    };
    if let Err(fault) = context.events.publish(&event, &run.object_ref(&())).await {
        tracing::debug!(%fault, "cannot publish an Event");
    }
}
