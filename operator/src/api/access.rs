//! Which blobs a caller may read.

use dise_core::{
    digest::Digest,
    plan::Plan,
    synthesis::{Prompts, SynthesisRequest},
};

use super::{Api, auth::Caller, problem::Problem};
use crate::labels::Role;

/// Whether a caller may read a blob of its namespace.
///
/// The executor of a namespace may read all of them. Everybody else may read what it was started for: the requests
/// of a verification; the plan of a run or of a dedicated executor, and the functions that this plan names.
pub(super) async fn may_read(api: &Api, caller: &Caller, digest: Digest) -> Result<bool, Problem> {
    let plans = match (caller.role, &caller.workflow) {
        (Role::Executor, None) => return Ok(true),
        (Role::Verify | Role::Probe, _) => return Ok(caller.blobs.contains(&digest)),
        (Role::Synthesize, _) => {
            return Ok(caller.blobs.contains(&digest) || is_prompt(api, caller, digest).await?);
        }
        (Role::Executor, Some(workflow)) => api.plans.of(&caller.namespace, workflow).into_iter().collect(),
        (Role::Run, _) => caller.blobs.clone(),
    };
    if plans.contains(&digest) {
        return Ok(true);
    }
    for plan in plans {
        if names(api, caller, plan, digest).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a request that a search was started for names a prompt.
async fn is_prompt(api: &Api, caller: &Caller, digest: Digest) -> Result<bool, Problem> {
    for request in &caller.blobs {
        let Some(content) = api.context.store.blob(&caller.namespace, *request).await? else { continue };
        let Ok(request) = serde_json::from_slice::<SynthesisRequest>(&content) else { continue };
        let Prompts { system, generate, repair, tests } = request.prompts;
        if [system, generate, repair, tests].contains(&digest) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a plan names a function.
async fn names(api: &Api, caller: &Caller, plan: Digest, function: Digest) -> Result<bool, Problem> {
    let Some(content) = api.context.store.blob(&caller.namespace, plan).await? else { return Ok(false) };
    let Ok(plan) = serde_json::from_slice::<Plan>(&content) else { return Ok(false) };
    let mut options = plan.steps.iter().flat_map(|step| &step.options);
    Ok(options.any(|option| option.function == function))
}
