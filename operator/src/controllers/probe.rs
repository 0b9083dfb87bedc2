//! What executors serve, asked of the pods themselves.

use std::{
    collections::HashMap,
    sync::Mutex as SyncMutex,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use dise_core::{digest::Digest, wire::ServingReport};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::Mutex;

use super::{Context, Error, build::PORT, pods};
use crate::labels;

/// How long an answer is good for. It lets the workflows of one executor share one question.
const FRESH: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(2);

/// The pods of an executor, and what each said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// What the ready pods serve; `None` for one that did not answer.
    pub ready: Vec<Option<ServingReport>>,
    /// Why no pod is ready, if one of them gives a reason.
    pub trouble: Option<String>,
}

/// How far an executor has taken up a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uptake {
    /// All ready pods serve it.
    Complete,
    /// A pod cannot serve it and says why.
    Refused(String),
    /// Not yet.
    Partial {
        /// Pods that serve it.
        serving: usize,
        /// Ready pods.
        ready: usize,
    },
}

impl Serving {
    /// How far the executor has taken up the plan of a workflow.
    #[must_use]
    pub fn uptake(&self, workflow: &str, plan: Digest) -> Uptake {
        let states = || self.ready.iter().flatten().filter_map(|report| report.workflows.get(workflow));
        let serving = states().filter(|state| state.serving == Some(plan)).count();
        let ready = self.ready.len();
        if ready > 0 && serving == ready {
            return Uptake::Complete;
        }
        let refused =
            states().filter(|state| state.serving != Some(plan)).find_map(|state| state.fault.clone());
        refused.map_or(Uptake::Partial { serving, ready }, Uptake::Refused)
    }
}

type Slot = Arc<Mutex<Option<(Instant, Arc<Serving>)>>>;

/// Asks executors what they serve, each at most every 200 ms.
pub struct Probe {
    http: reqwest::Client,
    slots: SyncMutex<HashMap<(String, String), Slot>>,
}

impl Probe {
    /// One that asks through a client of its own.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new() -> reqwest::Result<Self> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).pool_max_idle_per_host(1).build()?;
        Ok(Self { http, slots: SyncMutex::default() })
    }

    /// What the executor named by the label [`labels::EXECUTOR`] serves.
    ///
    /// # Errors
    /// The Kubernetes API does not answer.
    pub async fn serving(
        &self,
        context: &Context,
        namespace: &str,
        executor: &str,
    ) -> Result<Arc<Serving>, Error> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry((namespace.to_owned(), executor.to_owned())).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some((at, serving)) = &*slot
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(serving));
        }
        let selector = format!("{}={executor}", labels::EXECUTOR);
        let pods = pods::list(context, namespace, &selector).await?;
        let ready = pods.iter().filter(|pod| is_ready(pod)).filter_map(address);
        let serving = Arc::new(Serving {
            ready: join_all(ready.map(|address| self.ask(address))).await,
            trouble: pods::newest_reason(&pods),
        });
        *slot = Some((Instant::now(), Arc::clone(&serving)));
        Ok(serving)
    }

    async fn ask(&self, address: String) -> Option<ServingReport> {
        let answer = self.http.get(format!("http://{address}:{PORT}/v1/workflows")).send().await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn address(pod: &Pod) -> Option<String> {
    let ip = pod.status.as_ref()?.pod_ip.clone()?;
    // IPv6 literals need brackets in a URL.
    Some(if ip.contains(':') { format!("[{ip}]") } else { ip })
}

#[cfg(test)]
mod tests {
    use dise_core::wire::ServingState;

    use super::*;

    fn report(state: ServingState) -> ServingReport {
        ServingReport { workflows: [("w".to_owned(), state)].into() }
    }

    fn serves(plan: Digest) -> ServingReport {
        report(ServingState { serving: Some(plan), fault: None })
    }

    fn uptake(ready: Vec<Option<ServingReport>>) -> Uptake {
        Serving { ready, trouble: None }.uptake("w", Digest::of(b"new"))
    }

    #[test]
    fn is_complete_only_when_every_ready_pod_serves_the_plan() {
        let (new, old) = (Some(serves(Digest::of(b"new"))), Some(serves(Digest::of(b"old"))));
        assert_eq!(uptake(vec![new.clone(), new.clone()]), Uptake::Complete);
        assert_eq!(uptake(vec![new.clone(), old]), Uptake::Partial { serving: 1, ready: 2 });
        assert_eq!(uptake(vec![new, None]), Uptake::Partial { serving: 1, ready: 2 });
        assert_eq!(uptake(vec![]), Uptake::Partial { serving: 0, ready: 0 });
    }

    #[test]
    fn passes_on_why_a_pod_refuses_a_plan() {
        let state = ServingState { serving: Some(Digest::of(b"old")), fault: Some("format 2".into()) };
        assert_eq!(uptake(vec![Some(report(state))]), Uptake::Refused("format 2".into()));
    }
}
