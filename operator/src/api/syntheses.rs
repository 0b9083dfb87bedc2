//! `/v1/syntheses/{digest}`: what the pod of a search asks and tells.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use dise_core::{
    budget::{Allowance, Claim, Grant, Ledger},
    digest::{Digest, canonical_json},
    synthesis::{Outcome, Spend, SynthesisReport, SynthesisRequest},
    verification::VerificationReport,
    wire::{CallAnswer, CallClaim, CallGrant, CallOutcome, Progress},
};
use jiff::Timestamp;

use super::{Api, auth::Caller, problem::Problem};
use crate::{
    controllers::Context,
    labels::Role,
    store::{Key, StoreError},
};

/// How much longer than a call may take its reservation keeps others from making the same call.
const GRACE: Duration = Duration::from_mins(1);
/// How soon a pod asks again for the answer to a call that another one is making.
const ASK_AGAIN: u32 = 2;
const PROGRESS_CHARACTERS: usize = 1000;

/// Leave to call a model: its money is reserved, or its answer is there already.
pub(super) async fn claim(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((digest, call)): Path<(String, String)>,
    claim: Result<Json<CallClaim>, JsonRejection>,
) -> Result<Json<CallGrant>, Problem> {
    let search = caller.assigned(Role::Synthesize, &digest)?;
    let call: Digest = call.parse()?;
    let Json(CallClaim { at_most }) = claim?;
    let context = &api.context;
    let namespace = &caller.namespace;
    let key = Key::call(namespace, call);
    if let Some(answer) = context.store.document::<CallAnswer>(&key).await? {
        return Ok(Json(CallGrant::Answered(answer)));
    }
    let request = request(context, namespace, search).await?;
    let claim = Claim {
        call,
        search,
        workflow: caller.workflow.clone().unwrap_or_default(),
        tool: request.model.tool.clone(),
        at_most,
    };
    let now = Timestamp::now();
    let expires = now + Duration::from_secs(request.model.timeout_seconds.into()) + GRACE;
    let allowance = allowance(&request);
    let reserve = |ledger: &mut Ledger| ledger.reserve(&claim, &allowance, now, expires);
    let grant = match book(context, namespace, reserve).await? {
        Err(refusal) => CallGrant::Refused { message: refusal.message, until: refusal.until },
        Ok(Grant::Held(_)) => CallGrant::Held { retry_after_seconds: ASK_AGAIN },
        // Whoever held the call may have stored its answer since this was asked for.
        Ok(Grant::Granted) => match context.store.document::<CallAnswer>(&key).await? {
            None => CallGrant::Granted,
            Some(answer) => {
                book(context, namespace, |ledger| ledger.release(call)).await?;
                CallGrant::Answered(answer)
            }
        },
    };
    Ok(Json(grant))
}

/// How a call ended. The answer is stored before it is booked, so that it is never paid for twice.
pub(super) async fn settle(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((digest, call)): Path<(String, String)>,
    outcome: Result<Json<CallOutcome>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    caller.assigned(Role::Synthesize, &digest)?;
    let call: Digest = call.parse()?;
    let context = &api.context;
    let namespace = &caller.namespace;
    let Json(outcome) = outcome?;
    match outcome {
        CallOutcome::Answered(answer) => {
            context.store.put(&Key::call(namespace, call), &answer).await?;
            let cost = answer.cost_usd;
            book(context, namespace, |ledger| ledger.settle(call, cost)).await?;
        }
        CallOutcome::NotCharged => {
            book(context, namespace, |ledger| ledger.release(call)).await?;
        }
        CallOutcome::MaybeCharged => {}
    }
    Ok(StatusCode::NO_CONTENT)
}

/// How a search stands.
pub(super) async fn progress(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(digest): Path<String>,
    progress: Result<Json<Progress>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let search = caller.assigned(Role::Synthesize, &digest)?;
    let Json(Progress { message }) = progress?;
    let message = message.chars().take(PROGRESS_CHARACTERS).collect();
    let context = &api.context;
    let owners = context.syntheses.progress(&caller.namespace, search, message);
    context.signals.owners(&caller.namespace, owners);
    Ok(StatusCode::NO_CONTENT)
}

/// What a search came to.
pub(super) async fn report(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(digest): Path<String>,
    report: Result<Json<SynthesisReport>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let search = caller.assigned(Role::Synthesize, &digest)?;
    let Json(report) = report?;
    let context = &api.context;
    let namespace = &caller.namespace;
    let request = request(context, namespace, search).await?;
    let task = request.task.digest().map_err(|fault| Problem::invalid(fault.to_string()))?;
    if report.request != search || report.task != task {
        return Err(Problem::invalid(format!("the report is not about {search}")));
    }
    let key = Key::synthesis(namespace, search);
    let known = context.store.document::<SynthesisReport>(&key).await?;
    // A pod knows what it has spent itself; the ledger also knows what those before it had.
    let booked = book(context, namespace, |ledger| ledger.search(search)).await?;
    let spend = Spend { usd: report.spend.usd.max(booked), ..report.spend };
    let report = SynthesisReport { spend, ..report };
    // The first verdict stands, unless it was one for the time being.
    if known.is_none_or(|known| known.has_lapsed(Timestamp::now())) {
        keep_solution(context, namespace, &request, &report).await?;
        context.store.put(&key, &report).await?;
    }
    context.searches.forget(namespace, search);
    book(context, namespace, |ledger| ledger.close(search)).await?;
    context.signals.owners(namespace, context.syntheses.settle(namespace, search));
    Ok(StatusCode::NO_CONTENT)
}

/// Stores what a search found where everybody looks for it: the code, its proof, and last that the task is solved.
async fn keep_solution(
    context: &Context,
    namespace: &str,
    request: &SynthesisRequest,
    report: &SynthesisReport,
) -> Result<(), Problem> {
    let Outcome::Found(solution) = &report.outcome else { return Ok(()) };
    let verification = request.task.verification(solution.function.clone());
    let verified = verification.digest().map_err(|fault| Problem::invalid(fault.to_string()))?;
    if solution.proof.request != verified || !solution.proof.is_proof() {
        return Err(Problem::invalid("the solution comes without the proof that it solves the task"));
    }
    let store = &context.store;
    for function in solution.alternatives.iter().chain([&solution.function]) {
        store.put_blob(namespace, function.content().into()).await?;
    }
    let json = canonical_json(&verification).map_err(|fault| Problem::invalid(fault.to_string()))?;
    store.put_blob(namespace, json.into()).await?;
    let proof = Key::verification(namespace, verified);
    if store.document::<VerificationReport>(&proof).await?.is_none() {
        store.put(&proof, &solution.proof).await?;
    }
    let solved = Key::solution(namespace, report.task);
    if store.document::<SynthesisReport>(&solved).await?.is_none() {
        store.put(&solved, report).await?;
    }
    Ok(())
}

fn allowance(request: &SynthesisRequest) -> Allowance {
    Allowance {
        search: request.budget.max_usd_per_search,
        workflow_day: request.budget.max_usd_per_day,
        tool_hour: request.model.limits.max_usd_per_hour,
        calls_hour: request.model.limits.max_calls_per_hour,
    }
}

pub(super) async fn request(
    context: &Context,
    namespace: &str,
    digest: Digest,
) -> Result<SynthesisRequest, Problem> {
    let blob = context.store.blob(namespace, digest).await?;
    let blob = blob.ok_or_else(|| Problem::not_found(format!("there is no request {digest}")))?;
    serde_json::from_slice(&blob).map_err(|fault| Problem::invalid(format!("{digest}: {fault}")))
}

/// Changes what a namespace has spent.
async fn book<R>(
    context: &Context,
    namespace: &str,
    change: impl FnMut(&mut Ledger) -> R,
) -> Result<R, StoreError> {
    context.store.update(&Key::spend(namespace), change).await
}
