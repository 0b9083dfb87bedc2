//! The Tool controller: a tool is ready when its code has passed its own examples, or when its model answers.

mod model;

use std::{borrow::Cow, collections::BTreeSet, sync::Arc, time::Duration};

use dise_core::{
    verification::{Example, VerificationReport, VerificationRequest},
    workflow::Schema,
};
use dise_crds::{
    Tool, ToolStatus,
    conditions::{READY, Status, condition, find_condition, set_condition},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Resource as _, ResourceExt as _,
    runtime::{
        controller::Action,
        events::{Event, EventType},
    },
};
use serde_json::Value;

use super::{Context, Error, Owner, apply, describe_failures, reports};

const RESYNC: Duration = Duration::from_mins(10);

/// Brings one tool a step further.
///
/// # Errors
/// The Kubernetes API or the object store does not answer.
pub async fn reconcile(tool: Arc<Tool>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = tool.namespace().unwrap_or_default();
    let owner = Owner::tool(tool.name_any(), tool.uid().unwrap_or_default());
    if tool.metadata.deletion_timestamp.is_some() {
        for queue in [&context.verifications, &context.probes] {
            queue.retain(&namespace, &owner, &BTreeSet::new());
        }
        return Ok(Action::await_change());
    }
    let verdict = if tool.spec.llm.is_some() {
        model::assess(&context, &namespace, &owner, &tool).await?
    } else {
        match request(&tool) {
            Ok(request) => assess(&context, &namespace, &owner, &request).await?,
            Err((reason, message)) => Verdict::new(Status::False, reason, message),
        }
    };
    let status = status(&tool, &verdict, Timestamp::now());
    if apply::apply_status(&context.client, &*tool, tool.status.as_ref(), &status).await?
        && is_news(&tool, &status)
    {
        let event = Event {
            type_: if verdict.status == Status::False { EventType::Warning } else { EventType::Normal },
            reason: verdict.reason.clone().into_owned(),
            note: Some(verdict.message.chars().take(1000).collect()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(fault) = context.events.publish(&event, &tool.object_ref(&())).await {
            tracing::debug!(%fault, "cannot publish an Event");
        }
    }
    Ok(Action::requeue(verdict.again.min(RESYNC)))
}

/// What the condition `Ready` says.
struct Verdict {
    status: Status,
    reason: Cow<'static, str>,
    message: String,
    /// When the model was asked.
    probed: Option<Timestamp>,
    /// When to look again although nothing changed.
    again: Duration,
}

impl Verdict {
    fn new(status: Status, reason: &'static str, message: String) -> Self {
        Self { status, reason: Cow::Borrowed(reason), message, probed: None, again: RESYNC }
    }
}

/// Whether `Ready` or its reason has changed: that a model answered once more is no Event.
fn is_news(tool: &Tool, status: &ToolStatus) -> bool {
    let ready = |status: &ToolStatus| {
        find_condition(&status.conditions, READY).map(|ready| (ready.status.clone(), ready.reason.clone()))
    };
    tool.status.as_ref().and_then(ready) != ready(status)
}

/// What proves a tool, or why it cannot be proven: a reason and a message.
fn request(tool: &Tool) -> Result<VerificationRequest, (&'static str, String)> {
    let spec = &tool.spec;
    let function = spec.function().ok_or_else(|| {
        ("InvalidSpec", "the member that matches spec.type is not set; set its source".to_owned())
    })?;
    let output = spec.output.clone().unwrap_or(Value::Bool(true));
    let schema =
        Schema::compile(&output).map_err(|fault| ("InvalidSchema", format!("spec.output: {fault}")))?;
    for (index, example) in spec.examples.iter().enumerate() {
        schema.check(&example.output).map_err(|violation| {
            let place = format!("spec.examples[{index}].output{}", violation.pointer);
            ("InvalidExample", format!("{place} does not fit spec.output: {}", violation.message))
        })?;
    }
    Ok(VerificationRequest {
        function,
        output,
        examples: spec.examples.iter().map(Example::from).collect(),
        checks: Vec::new(),
        limits: spec.limits(),
    })
}

async fn assess(
    context: &Context,
    namespace: &str,
    owner: &Owner,
    request: &VerificationRequest,
) -> Result<Verdict, Error> {
    let digest = request.digest()?;
    context.verifications.retain(namespace, owner, &BTreeSet::from([digest]));
    if let Some(report) = context.reports.get(&context.store, namespace, digest).await? {
        return Ok(verdict(&report));
    }
    reports::store_request(&context.store, namespace, request).await?;
    let message = context.verifications.submit(namespace, digest, owner, None);
    Ok(Verdict::new(Status::Unknown, "Verifying", message))
}

fn verdict(report: &VerificationReport) -> Verdict {
    if report.is_proof() {
        let message = format!("{} of {} examples passed", report.passed, report.passed);
        return Verdict::new(Status::True, "Verified", message);
    }
    Verdict::new(Status::False, "VerificationFailed", describe_failures(report))
}

fn status(tool: &Tool, verdict: &Verdict, now: Timestamp) -> ToolStatus {
    let mut status = tool.status.clone().unwrap_or_default();
    let generation = tool.metadata.generation;
    status.observed_generation = generation;
    status.digest = tool.spec.function().map(|function| function.digest().to_string());
    status.last_probe_time = verdict.probed.map(Time);
    let ready = condition(READY, verdict.status, &verdict.reason, verdict.message.clone(), generation, now);
    set_condition(&mut status.conditions, ready);
    status
}

#[cfg(test)]
mod tests {
    use dise_crds::{Script, ToolSpec, ToolType};
    use serde_json::json;

    use super::*;

    fn tool(output: Option<Value>, examples: &Value) -> Tool {
        let spec = ToolSpec {
            type_: ToolType::PythonFunction,
            python_function: Some(Script { source: "def run(x): return x".into() }),
            output,
            examples: serde_json::from_value(examples.clone()).unwrap(),
            ..ToolSpec::default()
        };
        Tool::new("t", spec)
    }

    #[test]
    fn asks_for_a_proof_of_its_examples() {
        let request = request(&tool(None, &json!([{"input": 1, "output": 1}]))).unwrap();
        assert_eq!(request.examples.len(), 1);
        assert_eq!(request.output, json!(true));
    }

    #[test]
    fn names_the_example_that_contradicts_the_schema() {
        let schema = Some(json!({"type": "object", "properties": {"n": {"type": "integer"}}}));
        let tool = tool(schema, &json!([{"input": 1, "output": {"n": "x"}}]));
        let (reason, message) = request(&tool).unwrap_err();
        assert_eq!(reason, "InvalidExample");
        assert!(message.starts_with("spec.examples[0].output/n "), "{message}");
    }

    #[test]
    fn rejects_a_schema_that_is_none() {
        let (reason, _) = request(&tool(Some(json!({"type": "nonsense"})), &json!([]))).unwrap_err();
        assert_eq!(reason, "InvalidSchema");
    }
}
