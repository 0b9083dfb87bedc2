//! What a workflow's decisions are made from.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use dise_core::{
    digest::Digest,
    function::Limits,
    verification::VerificationReport,
    workflow::{Compiled, Request, ToolCode, ToolState},
};
use dise_crds::{Tool, Workflow, conditions};
use kube::{Api, ResourceExt as _};

use super::recent::Basis;
use crate::controllers::{Context, Error, reports::store_request};

/// What is known about a verification request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Proof {
    /// Its report.
    Report(Arc<VerificationReport>),
    /// How it stands, in a sentence.
    Pending(String),
}

/// The tools that a workflow refers to and that exist.
pub(super) async fn tools(
    workflow: &Workflow,
    context: &Context,
) -> Result<BTreeMap<String, ToolState>, Error> {
    let options = workflow.spec.steps.iter().flat_map(|step| &step.options);
    let names: BTreeSet<&String> = options.filter_map(|option| option.tool.as_ref()).collect();
    let api: Api<Tool> = Api::namespaced(context.client.clone(), &workflow.namespace().unwrap_or_default());
    let mut tools = BTreeMap::new();
    for name in names {
        if let Some(tool) = api.get_opt(name).await? {
            tools.insert(name.clone(), state(&tool));
        }
    }
    Ok(tools)
}

/// A tool is ready when the code that it has now has passed its examples.
fn state(tool: &Tool) -> ToolState {
    let conditions = tool.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let proven = conditions::find_condition(conditions, conditions::READY)
        .is_some_and(|ready| ready.status == "True" && ready.observed_generation == tool.metadata.generation);
    match tool.spec.function() {
        Some(function) if proven => {
            let limits = tool
                .spec
                .constraints
                .as_ref()
                .map_or(Limits::NONE, |constraints| constraints.tighten(Limits::NONE));
            ToolState::Ready(ToolCode { function, limits })
        }
        Some(_) => ToolState::NotReady,
        None => ToolState::Model,
    }
}

/// What decides the workflow's plan and the objects around it.
pub(super) fn basis(
    workflow: &Workflow,
    context: &Context,
    tools: &BTreeMap<String, ToolState>,
) -> Result<Basis, Error> {
    let code: Vec<_> = tools
        .iter()
        .map(|(name, tool)| match tool {
            ToolState::Ready(code) => (name, Some((code.function.digest(), code.limits))),
            ToolState::NotReady | ToolState::Model => (name, None),
        })
        .collect();
    Ok(Basis {
        generation: workflow.metadata.generation,
        tools: Digest::of_json(&code)?,
        bundle: Digest::of(context.bundle().as_bytes()),
    })
}

/// What is known about each request of a workflow. Those without a report are put into the queue.
pub(super) async fn proofs<'c>(
    workflow: &Workflow,
    context: &Context,
    compiled: &'c Compiled,
) -> Result<Vec<(Request<'c>, Proof)>, Error> {
    let namespace = workflow.namespace().unwrap_or_default();
    let owner = super::owner(workflow);
    let mut known = Vec::new();
    for request in compiled.requests() {
        let digest = request.request.digest()?;
        known.push((digest, context.reports.get(&context.store, &namespace, digest).await?, request));
    }
    let pending =
        known.iter().filter(|(_, report, _)| report.is_none()).map(|(digest, ..)| *digest).collect();
    context.verifications.retain(&namespace, &owner, &pending);
    let mut proofs = Vec::with_capacity(known.len());
    for (digest, report, request) in known {
        let proof = if let Some(report) = report {
            Proof::Report(report)
        } else {
            store_request(&context.store, &namespace, &request.request).await?;
            Proof::Pending(context.verifications.submit(&namespace, digest, &owner, None))
        };
        proofs.push((request, proof));
    }
    Ok(proofs)
}

#[cfg(test)]
mod tests {
    use dise_crds::{Constraints, Script, ToolSpec, ToolStatus, ToolType};
    use jiff::Timestamp;

    use super::*;

    fn tool(generation: i64, ready: bool) -> Tool {
        let spec = ToolSpec {
            type_: ToolType::PythonFunction,
            python_function: Some(Script { source: "def run(x): return x".into() }),
            constraints: Some(Constraints { timeout_seconds: Some(5), ..Constraints::default() }),
            ..ToolSpec::default()
        };
        let condition =
            conditions::condition(conditions::READY, ready, "R", "", Some(1), Timestamp::UNIX_EPOCH);
        let mut tool = Tool::new("t", spec);
        tool.metadata.generation = Some(generation);
        tool.status = Some(ToolStatus { conditions: vec![condition], ..ToolStatus::default() });
        tool
    }

    #[test]
    fn uses_only_code_that_passed_as_it_is_now() {
        assert!(matches!(state(&tool(1, true)), ToolState::Ready(_)));
        assert_eq!(state(&tool(1, false)), ToolState::NotReady);
        assert_eq!(state(&tool(2, true)), ToolState::NotReady);
    }

    #[test]
    fn limits_only_what_a_tool_limits() {
        let ToolState::Ready(code) = state(&tool(1, true)) else { panic!("not ready") };
        assert_eq!(code.limits, Limits { timeout_seconds: 5, ..Limits::NONE });
    }
}
