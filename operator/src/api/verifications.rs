//! `PUT /v1/verifications/{digest}`: a report comes in.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use dise_core::verification::VerificationReport;

use super::{Api, auth::Caller, problem::Problem};
use crate::{labels::Role, store::Key};

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(digest): Path<String>,
    report: Result<Json<VerificationReport>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let digest = caller.assigned(Role::Verify, &digest)?;
    let Json(report) = report?;
    if report.request != digest {
        return Err(Problem::invalid(format!("the report is about {}, not {digest}", report.request)));
    }
    let context = &api.context;
    // The first verdict stands: a pod that was replaced while it reported must not change it.
    let key = Key::verification(&caller.namespace, digest);
    if context.store.document::<VerificationReport>(&key).await?.is_none() {
        context.store.put(&key, &report).await?;
    }
    context.signals.owners(&caller.namespace, context.verifications.settle(&caller.namespace, digest));
    Ok(StatusCode::NO_CONTENT)
}
