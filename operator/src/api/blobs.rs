//! `GET /v1/blobs/{digest}`.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use dise_core::digest::Digest;

use super::{Api, access::may_read, auth::Caller, problem::Problem};

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(digest): Path<String>,
) -> Result<Response, Problem> {
    let digest: Digest = digest.parse()?;
    // What may not be seen is answered like what does not exist.
    let absent = || Problem::not_found(format!("there is no blob {digest} for pod {}", caller.pod));
    if !may_read(&api, &caller, digest).await? {
        return Err(absent());
    }
    let content = api.context.store.blob(&caller.namespace, digest).await?.ok_or_else(absent)?;
    let headers =
        [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "private, max-age=31536000, immutable")];
    Ok((headers, content).into_response())
}
