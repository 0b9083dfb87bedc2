//! `PUT /v1/usage/{boot}`: what a runner process has executed since it started.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use dise_core::wire::UsageReport;

use super::{Api, auth::Caller, problem::Problem};
use crate::{labels::Role, store::Key};

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(boot): Path<String>,
    report: Result<Json<UsageReport>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    if !matches!(caller.role, Role::Executor | Role::Run) {
        return Err(Problem::forbidden(format!("pod {} executes no workflows", caller.pod)));
    }
    if boot.is_empty() || boot.len() > 64 || !boot.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Problem::invalid("the boot id must be 1 to 64 letters, digits and hyphens"));
    }
    let Json(mut report) = report?;
    let foreign =
        report.workflows.keys().find(|name| caller.workflow.as_ref().is_some_and(|own| own != *name));
    if let Some(name) = foreign {
        return Err(Problem::forbidden(format!("pod {} does not execute workflow {name}", caller.pod)));
    }
    report.pod.clone_from(&caller.pod);
    api.context.store.put(&Key::usage(&caller.namespace, &boot), &report).await?;
    api.context.signals.usage(&caller.namespace);
    Ok(StatusCode::NO_CONTENT)
}
