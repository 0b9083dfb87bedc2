//! `GET /v1/plans`: which plans an executor serves, answered when they change.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Query, State},
};
use dise_core::wire::PlanList;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Api, auth::Caller, problem::Problem};
use crate::labels::Role;

/// No request waits longer, whatever it asks for.
const LONGEST_WAIT: u64 = 60;
/// Plans that change together are sent together.
const GATHER: Duration = Duration::from_millis(30);

/// What the caller has and how long it wants to wait for news.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    #[serde(default)]
    revision: String,
    #[serde(default)]
    wait_seconds: u64,
}

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(parameters): Query<Parameters>,
) -> Result<Json<PlanList>, Problem> {
    caller.require(Role::Executor)?;
    api.plans.ready().await;
    let deadline = Instant::now() + Duration::from_secs(parameters.wait_seconds.min(LONGEST_WAIT));
    let mut changes = api.plans.changes();
    loop {
        changes.mark_unchanged();
        let list = api.plans.list(&caller.namespace, caller.workflow.as_deref());
        if list.revision != parameters.revision {
            return Ok(Json(list));
        }
        match timeout_at(deadline, changes.changed()).await {
            Ok(Ok(())) => sleep(GATHER).await,
            // Nothing new in time, or the process is stopping: the caller asks again.
            Ok(Err(_)) | Err(_) => return Ok(Json(list)),
        }
    }
}
