//! `POST /v1/search`, and what a search for code recalls.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Path, State, rejection::JsonRejection},
    http::request::Parts,
};
use dise_core::wire::{Recollection, SearchQuery, SearchResult};

use super::{
    Api,
    auth::{Caller, Reader},
    problem::Problem,
    syntheses,
};
use crate::{labels::Role, memory::MemoryError};

impl FromRequestParts<Arc<Api>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        api.authenticator.reader(&parts.headers).await
    }
}

pub(super) async fn search(
    State(api): State<Arc<Api>>,
    reader: Reader,
    query: Result<Json<SearchQuery>, JsonRejection>,
) -> Result<Json<SearchResult>, Problem> {
    let Json(query) = query?;
    let found = api.context.memory.search(&reader.namespace, query).await;
    found.map(Json).map_err(|fault| match fault {
        MemoryError::Kind(_) => Problem::invalid(fault.to_string()),
        other => Problem::unavailable(other.to_string()),
    })
}

/// What may solve the task of a search. A memory that fails costs no more than a search that recalls nothing.
pub(super) async fn recall(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(digest): Path<String>,
) -> Result<Json<Recollection>, Problem> {
    let search = caller.assigned(Role::Synthesize, &digest)?;
    let context = &api.context;
    let request = syntheses::request(context, &caller.namespace, search).await?;
    let recalled = context.memory.recall(&caller.namespace, &request.task, request.search.recall).await;
    Ok(Json(recalled.unwrap_or_else(|fault| {
        tracing::warn!(%fault, "a search recalls nothing");
        Recollection::default()
    })))
}
