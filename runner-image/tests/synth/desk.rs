//! A desk in memory, which keeps the money as the operator does.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use dise_core::{
    budget::{Allowance, Claim, Grant, Ledger},
    digest::Digest,
    money::Usd,
    synthesis::SynthesisRequest,
    wire::{CallAnswer, CallClaim, CallGrant, CallOutcome, Recalled, Recollection},
};
use dise_runner::{sync::client::OperatorError, synth::Desk};
use jiff::{Timestamp, ToSpan as _};
use tokio::sync::Notify;

use crate::script::PROMPTS;

/// Ends a search at a certain point, as a kill of its pod does: what waits at the point never goes on.
#[derive(Default)]
pub(crate) struct Fuse {
    /// Points that are passed before; 0: it never ends.
    left: AtomicUsize,
    blown: Notify,
}

impl Fuse {
    pub(crate) fn after(points: usize) -> Self {
        Self { left: AtomicUsize::new(points), blown: Notify::new() }
    }

    pub(crate) async fn point(&self) {
        if self.left.load(Ordering::SeqCst) > 0 && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.blown.notify_one();
            std::future::pending::<()>().await;
        }
    }

    pub(crate) async fn blown(&self) {
        self.blown.notified().await;
    }
}

/// What outlives a search.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) ledger: Ledger,
    pub(crate) answers: BTreeMap<Digest, CallAnswer>,
    pub(crate) outcomes: Vec<CallOutcome>,
    pub(crate) claims: u32,
    /// Calls that others are making, and how often they are said to be.
    pub(crate) held: HashMap<Digest, u32>,
    pub(crate) memory: Vec<Recalled>,
    pub(crate) progress: Vec<String>,
    /// The most that the search was booked with at any time.
    pub(crate) most_booked: Usd,
}

/// The desk of one namespace, and the search that comes to it.
pub(crate) struct FakeDesk {
    state: Mutex<State>,
    pub(crate) fuse: Mutex<std::sync::Arc<Fuse>>,
    search: Mutex<(Digest, SynthesisRequest)>,
}

impl FakeDesk {
    pub(crate) fn new(request: &SynthesisRequest) -> Self {
        Self {
            state: Mutex::default(),
            fuse: Mutex::default(),
            search: Mutex::new((request.digest().unwrap(), request.clone())),
        }
    }

    /// Another search comes to the same desk.
    pub(crate) fn serve(&self, request: &SynthesisRequest) {
        *self.search.lock().unwrap() = (request.digest().unwrap(), request.clone());
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn remember(&self, recalled: Recalled) {
        self.state().memory.push(recalled);
    }

    /// What the search is booked with.
    pub(crate) fn booked(&self) -> Usd {
        let search = self.search.lock().unwrap().0;
        self.state().ledger.search(search)
    }

    pub(crate) fn set_fuse(&self, fuse: Fuse) -> std::sync::Arc<Fuse> {
        let fuse = std::sync::Arc::new(fuse);
        *self.fuse.lock().unwrap() = fuse.clone();
        fuse
    }

    pub(crate) async fn point(&self) {
        let fuse = self.fuse.lock().unwrap().clone();
        fuse.point().await;
    }

    fn grant(&self, call: Digest, at_most: Usd) -> CallGrant {
        let (search, request) = self.search.lock().unwrap().clone();
        let mut state = self.state();
        state.claims += 1;
        if let Some(times) = state.held.get_mut(&call).filter(|times| **times > 0) {
            *times -= 1;
            return CallGrant::Held { retry_after_seconds: 0 };
        }
        if let Some(answer) = state.answers.get(&call) {
            return CallGrant::Answered(answer.clone());
        }
        let claim =
            Claim { call, search, workflow: "flow".into(), tool: request.model.tool.clone(), at_most };
        let allowance = Allowance {
            search: request.budget.max_usd_per_search,
            workflow_day: request.budget.max_usd_per_day,
            ..Allowance::default()
        };
        let now = Timestamp::UNIX_EPOCH;
        let grant = state.ledger.reserve(&claim, &allowance, now, now + 1.hour());
        state.most_booked = state.most_booked.max(state.ledger.search(search));
        match grant {
            Ok(Grant::Granted) => CallGrant::Granted,
            Ok(Grant::Held(_)) => CallGrant::Held { retry_after_seconds: 0 },
            Err(refusal) => CallGrant::Refused { message: refusal.message, until: refusal.until },
        }
    }
}

#[async_trait]
impl Desk for FakeDesk {
    async fn blob(&self, digest: &Digest) -> Result<Bytes, OperatorError> {
        self.point().await;
        let found = PROMPTS.into_iter().find(|prompt| Digest::of(prompt.as_bytes()) == *digest);
        found
            .map(|prompt| Bytes::from_static(prompt.as_bytes()))
            .ok_or_else(|| OperatorError::NotFound { what: digest.to_string(), detail: String::new() })
    }

    async fn recall(&self) -> Result<Recollection, OperatorError> {
        self.point().await;
        Ok(Recollection { functions: self.state().memory.clone() })
    }

    async fn claim(&self, call: &Digest, claim: &CallClaim) -> Result<CallGrant, OperatorError> {
        self.point().await;
        let grant = self.grant(*call, claim.at_most);
        self.point().await;
        Ok(grant)
    }

    async fn settle(&self, call: &Digest, outcome: &CallOutcome) -> Result<(), OperatorError> {
        self.point().await;
        {
            let mut state = self.state();
            state.outcomes.push(outcome.clone());
            match outcome {
                CallOutcome::Answered(answer) => {
                    state.answers.insert(*call, answer.clone());
                    state.ledger.settle(*call, answer.cost_usd);
                }
                CallOutcome::NotCharged => state.ledger.release(*call),
                CallOutcome::MaybeCharged => {}
            }
        }
        self.point().await;
        Ok(())
    }

    async fn progress(&self, message: &str) -> Result<(), OperatorError> {
        self.state().progress.push(message.to_owned());
        Ok(())
    }
}
