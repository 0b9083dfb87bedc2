//! The `/v1` API that runner pods talk to, on every replica. [`dise_core::wire`] has the table of its requests.

pub mod auth;
pub mod problem;

mod access;
mod blobs;
mod listing;
mod probes;
mod runs;
mod search;
mod syntheses;
mod usage;
mod verifications;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts},
    http::request::Parts,
    routing::{get, post, put},
};

use self::{
    auth::{Authenticator, Caller},
    problem::Problem,
};
use crate::{controllers::Context, plans::Plans};

/// Bytes of a request: a run's result may be large, nothing else is.
const BODY_BYTES: usize = 64 << 20;
const REPORT_BYTES: usize = 4 << 20;

/// What the handlers need.
pub struct Api {
    context: Arc<Context>,
    plans: Plans,
    authenticator: Authenticator,
}

impl Api {
    /// The routes of the API. `plans` tells which plans are to be served.
    pub fn router(context: Arc<Context>, plans: Plans) -> Router {
        let authenticator = Authenticator::new(context.client.clone());
        let state = Arc::new(Self { context, plans, authenticator });
        Router::new()
            .route("/v1/plans", get(listing::get))
            .route("/v1/blobs/{digest}", get(blobs::get))
            .route("/v1/runs/{name}", get(runs::get))
            .route("/v1/runs/{name}/result", put(runs::put).layer(DefaultBodyLimit::max(BODY_BYTES)))
            .route("/v1/usage/{boot}", put(usage::put))
            .route("/v1/probes/{digest}", put(probes::put))
            .route("/v1/search", post(search::search))
            .route("/v1/syntheses/{digest}/recall", get(search::recall))
            .route("/v1/syntheses/{digest}/calls/{call}", post(syntheses::claim).put(syntheses::settle))
            .route("/v1/syntheses/{digest}/progress", put(syntheses::progress))
            .route(
                "/v1/syntheses/{digest}/report",
                put(syntheses::report).layer(DefaultBodyLimit::max(REPORT_BYTES)),
            )
            .route(
                "/v1/verifications/{digest}",
                put(verifications::put).layer(DefaultBodyLimit::max(REPORT_BYTES)),
            )
            .fallback(|| async { Problem::not_found("there is no such resource under /v1") })
            .with_state(state)
    }
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        api.authenticator.caller(&parts.headers).await.map(Arc::unwrap_or_clone)
    }
}
