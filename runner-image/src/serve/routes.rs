//! The paths of an executor.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, Request, Response, header},
    response::IntoResponse,
    routing::{get, post},
};
use dise_core::wire::ServingReport;
use serde_json::Value;

use super::{app::App, openapi, problem::Problem};
use crate::metrics;

/// The router of an executor.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/run", post(run_by_host))
        .route("/v1/workflows/{name}/run", post(run_by_name))
        .route("/v1/workflows", get(workflows))
        .route("/openapi.json", get(describe))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(measure))
        .fallback(async |request: Request<Body>| Problem::unknown_path(request.uri().path()))
        .method_not_allowed_fallback(async |request: Request<Body>| {
            Problem::wrong_method(format!("{} does not take {}", request.uri().path(), request.method()))
        })
        .with_state(app)
}

async fn run_by_host(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Response<Body>, Problem> {
    // A proxy may send the absolute form, whose authority then counts.
    let host = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    };
    let (name, entry) = app.route(host)?;
    app.run(&name, &entry, request).await.map(|body| json(&app, body))
}

async fn run_by_name(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    let entry = app.named(&name)?;
    app.run(&name, &entry, request).await.map(|body| json(&app, body))
}

fn json(app: &App, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if app.is_draining() {
        // The client goes to another executor with its next request, and not into a closing connection.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn workflows(State(app): State<Arc<App>>) -> Json<ServingReport> {
    Json(app.catalog().report())
}

async fn describe(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    // Parsing every plan takes milliseconds, which belong beside the threads that serve.
    let document = move || openapi::document(app.namespace(), &app.catalog().entries());
    tokio::task::spawn_blocking(document)
        .await
        .map(Json)
        .map_err(|_| Problem::internal("the description cannot be written"))
}

async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    app.readiness().map(|()| "ok\n")
}

async fn measure(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    let text = app.metrics().render().map_err(|error| Problem::internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
}
