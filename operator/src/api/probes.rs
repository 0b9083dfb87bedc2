//! `PUT /v1/probes/{digest}`: a model was asked whether it answers.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use dise_core::wire::ProbeReport;

use super::{Api, auth::Caller, problem::Problem};
use crate::{labels::Role, store::Key};

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(digest): Path<String>,
    report: Result<Json<ProbeReport>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let digest = caller.assigned(Role::Probe, &digest)?;
    let Json(report) = report?;
    let context = &api.context;
    context.store.put(&Key::probe(&caller.namespace, digest), &report).await?;
    context.signals.owners(&caller.namespace, context.probes.settle(&caller.namespace, digest));
    Ok(StatusCode::NO_CONTENT)
}
