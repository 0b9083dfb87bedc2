//! `probe`: asks a model whether it answers, and delivers what it said.

use anyhow::Context as _;
use clap::Args;
use dise_core::{
    digest::Digest,
    wire::{ProbeReport, ProbeRequest},
};
use jiff::Timestamp;

use super::{OperatorArgs, model::ModelArgs, run::persist};

/// What an embedding model is asked to turn into a vector.
const SAMPLE: &str = "Does this model answer?";

/// Settings of `probe`.
#[derive(Clone, Debug, Args)]
pub struct Probe {
    /// The operator.
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// The model's key.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Digest of the request.
    #[arg(long)]
    pub request: Digest,
}

impl Probe {
    /// Asks the model. That it does not answer is a result like any other.
    ///
    /// # Errors
    /// The request or the report cannot be exchanged with the operator.
    pub async fn execute(self) -> anyhow::Result<()> {
        let operator = self.operator.operator()?;
        let blob = persist(|| operator.blob(&self.request)).await.context("cannot get the request")?;
        let request: ProbeRequest = serde_json::from_slice(&blob).context("the request is malformed")?;
        let (ready, reason, message) = self.ask(&request).await;
        println!("{reason}: {message}");
        let report = ProbeReport { at: Timestamp::now(), ready, reason, message };
        persist(|| operator.put_probe(&self.request, &report)).await.context("cannot deliver the report")
    }

    async fn ask(&self, request: &ProbeRequest) -> (bool, String, String) {
        let model = match self.model.model(&request.model, &self.operator.pod_namespace) {
            Ok(model) => model,
            Err(error) => return (false, "Misconfigured".to_owned(), format!("{error:#}")),
        };
        let probe = model.probe().await;
        if !request.embeds || !probe.verdict.is_ready() {
            return (probe.verdict.is_ready(), probe.verdict.reason().to_owned(), probe.message);
        }
        match model.embed(&[SAMPLE]).await {
            Ok(found) => {
                let dimensions = found.vectors.first().map_or(0, Vec::len);
                (true, "Answering".to_owned(), format!("it answers with vectors of {dimensions} dimensions"))
            }
            Err(error) => (false, "ProbeFailed".to_owned(), error.to_string()),
        }
    }
}
