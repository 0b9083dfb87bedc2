//! `synth`: has a model write the code of a step, and delivers what was found.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use clap::Args;
use dise_core::{
    digest::Digest,
    synthesis::{Outcome, SynthesisReport, SynthesisRequest},
    wire::{CallClaim, CallGrant, CallOutcome, Progress, Recollection},
};

use super::{OperatorArgs, WorkerArgs, model::ModelArgs, run::persist};
use crate::{
    sync::client::{Operator, OperatorError},
    synth::{Desk, search},
};

/// Settings of `synth`.
#[derive(Clone, Debug, Args)]
pub struct Synth {
    /// The operator.
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// The workers.
    #[command(flatten)]
    pub workers: WorkerArgs,
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Digest of the request.
    #[arg(long)]
    pub request: Digest,
}

impl Synth {
    /// Carries out the search. One that finds nothing is a result like any other.
    ///
    /// # Errors
    /// The request or the report cannot be exchanged with the operator, the model cannot be asked, or nothing can be
    /// run here. Started again, the search goes on with the answers that it has.
    pub async fn execute(self) -> anyhow::Result<()> {
        let desk = OperatorDesk { operator: self.operator.operator()?, search: self.request };
        let report = match self.search(&desk).await {
            Ok(report) => report,
            Err(error) => {
                if let Err(untold) = desk.progress(&format!("{error:#}")).await {
                    tracing::warn!(error = %untold, "the operator was not told why the search failed");
                }
                return Err(error);
            }
        };
        println!("{}", summary(&report));
        persist(|| desk.operator.put_synthesis(&report)).await.context("cannot deliver the report")
    }

    async fn search(&self, desk: &OperatorDesk) -> anyhow::Result<SynthesisReport> {
        let blob = desk.blob(&self.request).await.context("cannot get the request")?;
        let request: SynthesisRequest = serde_json::from_slice(&blob).context("the request is malformed")?;
        let model = self.model.model(&request.model, &self.operator.pod_namespace)?;
        let workers = self.workers.workers().context("functions cannot be run here")?;
        let report = search(desk, &model, &*workers, &request).await;
        workers.shutdown().await;
        // The blob's own digest is what the operator asked for, however its JSON is spelled.
        Ok(SynthesisReport { request: self.request, ..report? })
    }
}

/// The operator's side of one search, which is waited for while it is away.
#[derive(Debug)]
struct OperatorDesk {
    operator: Arc<Operator>,
    search: Digest,
}

#[async_trait]
impl Desk for OperatorDesk {
    async fn blob(&self, digest: &Digest) -> Result<Bytes, OperatorError> {
        persist(|| self.operator.blob(digest)).await
    }

    async fn recall(&self) -> Result<Recollection, OperatorError> {
        persist(|| self.operator.recall(&self.search)).await
    }

    async fn claim(&self, call: &Digest, claim: &CallClaim) -> Result<CallGrant, OperatorError> {
        persist(|| self.operator.claim(&self.search, call, claim)).await
    }

    async fn settle(&self, call: &Digest, outcome: &CallOutcome) -> Result<(), OperatorError> {
        persist(|| self.operator.settle(&self.search, call, outcome)).await
    }

    async fn progress(&self, message: &str) -> Result<(), OperatorError> {
        let progress = Progress { message: message.to_owned() };
        self.operator.put_progress(&self.search, &progress).await
    }
}

fn summary(report: &SynthesisReport) -> String {
    let SynthesisReport { request, outcome, spend, candidates, .. } = report;
    let found = match outcome {
        Outcome::Found(solution) => format!("found {}", solution.function.digest()),
        Outcome::NothingPassed { .. } => "nothing passed".to_owned(),
        Outcome::OutOfBudget { message, .. } => format!("out of budget: {message}"),
    };
    let (written, calls, stored) = (candidates.len(), spend.calls, spend.stored_answers);
    format!(
        "{request}: {found} ({written} candidates, {calls} calls, {stored} stored answers, ${})",
        spend.usd
    )
}
