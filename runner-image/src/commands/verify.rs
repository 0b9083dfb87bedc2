//! `verify`: proves functions and delivers the reports.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use dise_core::{
    digest::Digest,
    verification::{VerificationReport, VerificationRequest},
};
use jiff::Timestamp;

use super::{OperatorArgs, WorkerArgs, run::persist};
use crate::{
    sync::client::Operator,
    verify::{VerifyError, verify},
    workers::Workers,
};

/// The version that reports name.
const RUNNER: &str = env!("CARGO_PKG_VERSION");

/// Settings of `verify`.
#[derive(Clone, Debug, Args)]
pub struct Verify {
    /// The operator.
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// The workers.
    #[command(flatten)]
    pub workers: WorkerArgs,
    /// Digest of a verification request; may be given more than once.
    #[arg(long = "request", required = true)]
    pub requests: Vec<Digest>,
}

impl Verify {
    /// Carries out the requests one after the other and delivers each report at once, so that a Job which is
    /// interrupted has not worked in vain. One that cannot be carried out does not keep the others from it.
    ///
    /// # Errors
    /// A request or its report cannot be exchanged with the operator, or nothing can be run here.
    pub async fn execute(self) -> anyhow::Result<()> {
        let operator = self.operator.operator()?;
        let workers = self.workers.workers().context("functions cannot be run here")?;
        let mut undone = Vec::new();
        for request in &self.requests {
            match carry_out(&operator, &workers, request).await {
                Ok(report) => println!("{}", summary(&report)),
                Err(error) => {
                    tracing::error!(%request, error = format!("{error:#}"), "a verification could not be carried out");
                    undone.push(request.to_string());
                }
            }
        }
        workers.shutdown().await;
        anyhow::ensure!(
            undone.is_empty(),
            "{} of {} verifications could not be carried out: {}",
            undone.len(),
            self.requests.len(),
            undone.join(", ")
        );
        Ok(())
    }
}

async fn carry_out(
    operator: &Arc<Operator>,
    workers: &Arc<Workers>,
    digest: &Digest,
) -> anyhow::Result<VerificationReport> {
    let blob = persist(|| operator.blob(digest)).await.context("cannot get the request")?;
    let report = match serde_json::from_slice::<VerificationRequest>(&blob) {
        Err(error) => refusal(*digest, None, &format!("the verification request is malformed: {error}")),
        Ok(request) => match verify(workers, &request, RUNNER).await {
            // The blob's own digest is what the operator asked for, however its JSON is spelled.
            Ok(report) => VerificationReport { request: *digest, ..report },
            Err(fault @ VerifyError::Request(_)) => {
                refusal(*digest, Some(request.function.digest()), &fault.to_string())
            }
            Err(error @ VerifyError::Workers(_)) => return Err(error.into()),
        },
    };
    persist(|| operator.put_verification(&report)).await.context("cannot deliver the report")?;
    Ok(report)
}

/// The report on a request that no runner could carry out, so that nobody tries it again and again.
fn refusal(request: Digest, function: Option<Digest>, fault: &str) -> VerificationReport {
    // What cannot be read has no function; the field must still name something.
    let function = function.unwrap_or(request);
    let fault = Some(fault.to_owned());
    VerificationReport { fault, ..VerificationReport::new(request, function, RUNNER, Timestamp::now()) }
}

fn summary(report: &VerificationReport) -> String {
    let VerificationReport { request, passed, failed, .. } = report;
    match &report.fault {
        Some(fault) => format!("{request}: refuted: {fault}"),
        None if report.is_proof() => format!("{request}: proven by {passed} cases"),
        None => format!("{request}: refuted: {failed} of {} cases failed", passed + failed),
    }
}
