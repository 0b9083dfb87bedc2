//! Calls of any kind, again and again, while something else happens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::direct::{Direct, Response};

/// Clients that call until they are stopped.
#[derive(Debug)]
pub struct Traffic<T> {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Tally<T>>>,
}

/// What came of the calls.
#[derive(Clone, Debug)]
pub struct Tally<T> {
    /// What the calls that succeeded yielded.
    pub answers: Vec<T>,
    /// Why the others failed.
    pub failures: Vec<String>,
}

impl<T: Send + 'static> Traffic<T> {
    /// Starts one client for each call of `calls`, which rests for `pause` between calls.
    pub fn start<C, F>(calls: impl IntoIterator<Item = C>, pause: Duration) -> Self
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |call: C| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut tally = Tally { answers: Vec::new(), failures: Vec::new() };
                while !stop.load(Relaxed) {
                    match call().await {
                        Ok(answer) => tally.answers.push(answer),
                        Err(failure) => tally.failures.push(failure),
                    }
                    tokio::time::sleep(pause).await;
                }
                tally
            })
        };
        let clients = calls.into_iter().map(client).collect();
        Self { stop, clients }
    }

    /// Lets the calls that run end, and says what came of all.
    ///
    /// # Panics
    /// A client did.
    pub async fn stop(self) -> Tally<T> {
        self.stop.store(true, Relaxed);
        let mut all = Tally { answers: Vec::new(), failures: Vec::new() };
        for client in self.clients {
            let tally = client.await.unwrap();
            all.answers.extend(tally.answers);
            all.failures.extend(tally.failures);
        }
        all
    }
}

impl<T> Tally<T> {
    /// Demands that there were `least` calls and that none failed.
    ///
    /// # Panics
    /// One failed, or there were fewer.
    pub fn expect_all(&self, who: &str, least: usize) {
        let (failed, answered) = (self.failures.len(), self.answers.len());
        let first: Vec<_> = self.failures.iter().take(5).collect();
        assert!(failed == 0, "{who}: {failed} of {} calls failed: {first:#?}", failed + answered);
        assert!(answered >= least, "{who}: only {answered} calls were made, expected {least}");
    }
}

/// A call that runs a workflow and expects this output.
pub fn expecting(
    direct: Direct,
    input: Value,
    output: Value,
) -> impl Fn() -> futures::future::BoxFuture<'static, Result<(), String>> + Send + Sync + 'static {
    let (direct, input, output) = (Arc::new(direct), Arc::new(input), Arc::new(output));
    move || {
        let (direct, input, output) = (Arc::clone(&direct), Arc::clone(&input), Arc::clone(&output));
        Box::pin(async move {
            let answer = answered(direct.try_run(&input).await)?;
            if answer.body["output"] == *output { Ok(()) } else { Err(answer.text) }
        })
    }
}

/// An answer of status 200, or why there is none.
///
/// # Errors
/// Another status, or no answer.
pub fn answered(outcome: reqwest::Result<Response>) -> Result<Response, String> {
    match outcome {
        Ok(answer) if answer.status == 200 => Ok(answer),
        Ok(answer) => Err(format!("{} {}", answer.status, answer.text)),
        Err(fault) => Err(format!("{fault:?}")),
    }
}
