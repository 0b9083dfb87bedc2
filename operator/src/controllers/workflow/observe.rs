//! What a workflow's decisions are made from.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use dise_core::{
    digest::Digest,
    verification::VerificationReport,
    workflow::{Compiled, Request, ToolCode},
};
use dise_crds::{Tool, Workflow};
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

/// The code of the tools that a workflow refers to and that exist.
pub(super) async fn tools(
    workflow: &Workflow,
    context: &Context,
) -> Result<BTreeMap<String, ToolCode>, Error> {
    let options = workflow.spec.steps.iter().flat_map(|step| &step.options);
    let names: BTreeSet<&String> = options.filter_map(|option| option.tool.as_ref()).collect();
    let api: Api<Tool> = Api::namespaced(context.client.clone(), &workflow.namespace().unwrap_or_default());
    let mut tools = BTreeMap::new();
    for name in names {
        let Some(tool) = api.get_opt(name).await? else { continue };
        if let Some(function) = tool.spec.function() {
            let limits = tool.spec.constraints.as_ref().map(|_| tool.spec.limits());
            tools.insert(name.clone(), ToolCode { function, limits });
        }
    }
    Ok(tools)
}

/// What decides the workflow's plan and the objects around it.
pub(super) fn basis(
    workflow: &Workflow,
    context: &Context,
    tools: &BTreeMap<String, ToolCode>,
) -> Result<Basis, Error> {
    let code: Vec<_> = tools.iter().map(|(name, tool)| (name, tool.function.digest(), tool.limits)).collect();
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
            Proof::Pending(context.verifications.submit(&namespace, digest, &owner))
        };
        proofs.push((request, proof));
    }
    Ok(proofs)
}
