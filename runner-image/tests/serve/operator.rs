//! A scripted operator: the same API over plain HTTP, with its state in memory.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, put},
};
use dise_core::{
    digest::{Digest, canonical_json},
    function::{Function, Language},
    plan::Plan,
    verification::{VerificationReport, VerificationRequest},
    wire::{PlanList, RunAssignment, RunResult, UsageReport},
};
use tokio::{net::TcpListener, sync::Notify, time::timeout};

pub(crate) const TOKEN: &str = "the-token";

/// What the operator has and what it was told.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) list: PlanList,
    pub(crate) blobs: HashMap<Digest, Bytes>,
    pub(crate) runs: HashMap<String, RunAssignment>,
    pub(crate) results: HashMap<String, RunResult>,
    pub(crate) verifications: Vec<VerificationReport>,
    pub(crate) usage: BTreeMap<String, UsageReport>,
    /// How many of the next requests are answered with this status.
    pub(crate) failures: (usize, u16),
    /// How often each blob was asked for.
    pub(crate) asked: HashMap<Digest, usize>,
}

#[derive(Clone, Default)]
pub(crate) struct FakeOperator {
    script: Arc<Mutex<Script>>,
    changed: Arc<Notify>,
}

impl FakeOperator {
    /// Starts on a free port, which is given back.
    pub(crate) async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        self.serve(listener);
        address
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/v1/plans", get(plans))
            .route("/v1/blobs/{digest}", get(blob))
            .route("/v1/verifications/{digest}", put(verification))
            .route("/v1/runs/{name}", get(run))
            .route("/v1/runs/{name}/result", put(result))
            .route("/v1/usage/{boot}", put(usage))
            .layer(middleware::from_fn_with_state(self.clone(), admit))
            .with_state(self.clone())
    }

    pub(crate) fn serve(&self, listener: TcpListener) {
        let router = self.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    pub(crate) fn add_blob(&self, content: Vec<u8>) -> Digest {
        let digest = Digest::of(&content);
        self.script().blobs.insert(digest, content.into());
        digest
    }

    /// Stores a Python function.
    pub(crate) fn add_function(&self, source: &str) -> Digest {
        let function = Function { language: Language::Python, source: source.to_owned() };
        let digest = self.add_blob(format!("{}\n{source}", function.language).into_bytes());
        assert_eq!(digest, function.digest());
        digest
    }

    pub(crate) fn add_plan(&self, plan: &Plan) -> Digest {
        self.add_blob(canonical_json(plan).unwrap())
    }

    pub(crate) fn add_request(&self, request: &VerificationRequest) -> Digest {
        self.add_blob(canonical_json(request).unwrap())
    }

    /// Lists what `change` makes of the list, and tells those that wait for it.
    pub(crate) fn list(&self, change: impl FnOnce(&mut BTreeMap<String, Digest>)) {
        let mut script = self.script();
        change(&mut script.list.plans);
        script.list.revision = Digest::of_json(&script.list.plans).unwrap().short(12);
        drop(script);
        self.changed.notify_waiters();
    }

    /// Stores plans and lists them.
    pub(crate) fn publish(&self, plans: &[Plan]) {
        let digests: Vec<_> = plans.iter().map(|plan| (plan.workflow.clone(), self.add_plan(plan))).collect();
        self.list(|list| list.extend(digests));
    }
}

async fn admit(
    State(operator): State<FakeOperator>,
    headers: HeaderMap,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    if headers.get(header::AUTHORIZATION).is_none_or(|token| token != format!("Bearer {TOKEN}").as_str()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let failure = {
        let failures = &mut operator.script().failures;
        (failures.0 > 0).then(|| {
            failures.0 -= 1;
            StatusCode::from_u16(failures.1).unwrap()
        })
    };
    match failure {
        Some(status) => (status, "scripted").into_response(),
        None => next.run(request).await,
    }
}

async fn plans(
    State(operator): State<FakeOperator>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<PlanList> {
    let wait = Duration::from_secs(query["waitSeconds"].parse().unwrap());
    let changed = operator.changed.notified();
    tokio::pin!(changed);
    changed.as_mut().enable();
    if operator.script().list.revision == query["revision"] {
        let _ = timeout(wait, changed).await;
    }
    Json(operator.script().list.clone())
}

async fn blob(State(operator): State<FakeOperator>, Path(digest): Path<Digest>) -> Response {
    let mut script = operator.script();
    *script.asked.entry(digest).or_default() += 1;
    match script.blobs.get(&digest) {
        Some(content) => content.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn verification(
    State(operator): State<FakeOperator>,
    Path(digest): Path<Digest>,
    Json(report): Json<VerificationReport>,
) -> StatusCode {
    assert_eq!(report.request, digest);
    operator.script().verifications.push(report);
    StatusCode::NO_CONTENT
}

async fn run(State(operator): State<FakeOperator>, Path(name): Path<String>) -> Response {
    match operator.script().runs.get(&name) {
        Some(assignment) => Json(assignment).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn result(
    State(operator): State<FakeOperator>,
    Path(name): Path<String>,
    Json(result): Json<RunResult>,
) -> StatusCode {
    operator.script().results.insert(name, result);
    StatusCode::NO_CONTENT
}

async fn usage(
    State(operator): State<FakeOperator>,
    Path(boot): Path<String>,
    Json(report): Json<UsageReport>,
) -> StatusCode {
    operator.script().usage.insert(boot, report);
    StatusCode::NO_CONTENT
}
