//! `GET /v1/runs/{name}` and `PUT /v1/runs/{name}/result`: what a run's pod shall execute, and what came of it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use dise_core::wire::{RunAssignment, RunResult};
use dise_crds::WorkflowRun;
use jiff::Timestamp;

use super::{Api, auth::Caller, problem::Problem};
use crate::{controllers::run::deadline, labels::Role, store::Key};

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<RunAssignment>, Problem> {
    let run = find(&api, &caller, &name).await?;
    let plan = caller.blobs.first().copied();
    let plan = plan.ok_or_else(|| Problem::forbidden(format!("pod {} was given no plan", caller.pod)))?;
    let left = deadline(&run).map(|end| end.duration_since(Timestamp::now()).as_secs().max(1));
    Ok(Json(RunAssignment {
        run_id: run.metadata.uid.unwrap_or_default(),
        workflow: run.spec.workflow,
        plan,
        input: run.spec.input.unwrap_or_default(),
        deadline_seconds: left.and_then(|left| u32::try_from(left).ok()),
    }))
}

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(name): Path<String>,
    result: Result<Json<RunResult>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let run = find(&api, &caller, &name).await?;
    let Json(result) = result?;
    let uid = run.metadata.uid.unwrap_or_default();
    if result.run_id != uid {
        return Err(Problem::invalid(format!("the result is that of run {}, not {uid}", result.run_id)));
    }
    // The first result stands: a pod that was replaced while it reported must not change it.
    let key = Key::run(&caller.namespace, &uid);
    if api.context.store.document::<RunResult>(&key).await?.is_none() {
        api.context.store.put(&key, &result).await?;
    }
    api.context.signals.run(&caller.namespace, &name);
    Ok(StatusCode::NO_CONTENT)
}

async fn find(api: &Api, caller: &Caller, name: &str) -> Result<WorkflowRun, Problem> {
    caller.require(Role::Run)?;
    if caller.run.as_deref() != Some(name) {
        return Err(Problem::forbidden(format!("pod {} does not belong to run {name}", caller.pod)));
    }
    let runs: kube::Api<WorkflowRun> = kube::Api::namespaced(api.context.client.clone(), &caller.namespace);
    let run = runs.get_opt(name).await.map_err(|fault| Problem::kubernetes(&fault))?;
    run.ok_or_else(|| Problem::not_found(format!("run {name} was deleted")))
}
