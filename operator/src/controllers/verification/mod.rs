//! Verification: requests of workflows and tools go in, Jobs are started for them, reports come back.
//!
//! The queue lives in memory alone. After a restart every workflow and tool asks again, and the Jobs that run say
//! what is being worked on, so nothing is lost and nothing is done twice.

pub mod batch;
pub mod job;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dise_core::{digest::Digest, verification::VerificationReport};
use jiff::Timestamp;
use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use tokio::sync::Notify;

use self::batch::Note;
use super::{Context, executor, pods};
use crate::{controllers::Owner, labels};

/// What is asked for together, such as all steps of a workflow, goes into one Job.
const GATHER: Duration = Duration::from_millis(25);
/// How long after the last change a Job's pods are looked at for a reason why they do not start.
const LOOK_AFTER: Duration = Duration::from_secs(15);

/// Failing cases that a message shows.
const SHOWN_FAILURES: usize = 3;

/// The requests that have no report yet.
#[derive(Default)]
pub struct Verifications {
    namespaces: Mutex<HashMap<String, BTreeMap<Digest, Pending>>>,
    changed: Notify,
}

#[derive(Default)]
struct Pending {
    owners: BTreeSet<Owner>,
    note: Option<String>,
}

impl Verifications {
    /// Asks for a verification whose request is in the store already. Asking again changes nothing.
    ///
    /// Returns how it stands, in a sentence.
    pub fn submit(&self, namespace: &str, request: Digest, owner: &Owner) -> String {
        let mut namespaces = self.lock();
        let pending = namespaces.entry(namespace.to_owned()).or_default().entry(request).or_default();
        if pending.owners.insert(owner.clone()) {
            self.changed.notify_one();
        }
        pending.note.clone().unwrap_or_else(|| "waiting for a verification Job".to_owned())
    }

    /// Takes a request that was answered out of the queue and returns who asked.
    pub fn settle(&self, namespace: &str, request: Digest) -> BTreeSet<Owner> {
        let mut namespaces = self.lock();
        let Some(requests) = namespaces.get_mut(namespace) else { return BTreeSet::new() };
        let owners = requests.remove(&request).map(|pending| pending.owners).unwrap_or_default();
        if requests.is_empty() {
            namespaces.remove(namespace);
        }
        owners
    }

    /// Forgets everything that an owner, which is gone or wants something else now, has asked for, except `wanted`.
    pub fn retain(&self, namespace: &str, owner: &Owner, wanted: &BTreeSet<Digest>) {
        let mut namespaces = self.lock();
        let Some(requests) = namespaces.get_mut(namespace) else { return };
        requests.retain(|request, pending| {
            if !wanted.contains(request) {
                pending.owners.remove(owner);
            }
            !pending.owners.is_empty()
        });
        if requests.is_empty() {
            namespaces.remove(namespace);
        }
    }

    /// Makes the queue be looked at again: a Job has changed.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    fn pending(&self) -> BTreeMap<String, BTreeMap<Digest, BTreeSet<Owner>>> {
        self.lock()
            .iter()
            .map(|(namespace, requests)| {
                let owners = requests.iter().map(|(request, pending)| (*request, pending.owners.clone()));
                (namespace.clone(), owners.collect())
            })
            .collect()
    }

    /// Remembers how a request stands; returns whom to tell when that is news.
    fn annotate(&self, namespace: &str, request: Digest, note: String) -> BTreeSet<Owner> {
        let mut namespaces = self.lock();
        let pending = namespaces.get_mut(namespace).and_then(|requests| requests.get_mut(&request));
        match pending {
            Some(pending) if pending.note.as_ref() != Some(&note) => {
                pending.note = Some(note);
                pending.owners.clone()
            }
            _ => BTreeSet::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<Digest, Pending>>> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts Jobs for what is pending, for as long as this replica leads.
pub async fn run(context: &Context) {
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            () = context.verifications.changed.notified() => {}
            () = tokio::time::sleep(wait), if !wait.is_zero() => {}
        }
        tokio::time::sleep(GATHER).await;
        wait = Duration::ZERO;
        for (namespace, requests) in context.verifications.pending() {
            let next = match advance(context, &namespace, &requests).await {
                Ok(next) => next,
                Err(fault) => {
                    tracing::warn!(namespace, %fault, "cannot start a verification");
                    context.metrics.error("Verification", "kubernetes");
                    Some(Duration::from_secs(5))
                }
            };
            if let Some(next) = next {
                wait = if wait.is_zero() { next } else { wait.min(next) };
            }
        }
    }
}

/// One step for one namespace. Returns when to look again although nothing changed.
async fn advance(
    context: &Context,
    namespace: &str,
    requests: &BTreeMap<Digest, BTreeSet<Owner>>,
) -> Result<Option<Duration>, kube::Error> {
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), namespace);
    let selector = format!("{}={}", labels::ROLE, labels::Role::Verify.as_str());
    let found = jobs.list(&ListParams::default().labels(&selector)).await?;
    let states: Vec<_> = found.items.iter().map(job::state).collect();
    let pending = requests.keys().copied().collect();
    let now = Timestamp::now();
    let mut step = batch::next(&pending, &states, now);

    if let Some((batch, attempt)) = step.start.take() {
        let owners = references(requests, &batch);
        executor::ensure_account(context, namespace).await?;
        let job = job::build(&context.settings, &context.bundle(), namespace, &batch, attempt, owners)
            .map_err(kube::Error::SerdeError)?;
        let name = job.metadata.name.clone().unwrap_or_default();
        match jobs.create(&PostParams::default(), &job).await {
            Ok(_) => tracing::info!(namespace, job = name, requests = batch.len(), "verification started"),
            Err(kube::Error::Api(refusal)) if refusal.is_already_exists() => {}
            Err(fault) => return Err(fault),
        }
        for request in batch {
            step.notes.insert(request, Note::InFlight { job: name.clone() });
        }
        // More may be waiting than one Job takes.
        context.verifications.wake();
    }

    let mut reasons: HashMap<String, Option<String>> = HashMap::new();
    for (request, note) in step.notes {
        if let Note::InFlight { job } = &note
            && !reasons.contains_key(job)
        {
            reasons.insert(job.clone(), pods::waiting_reason(context, namespace, job).await?);
        }
        let sentence = sentence(&note, &reasons);
        for owner in context.verifications.annotate(namespace, request, sentence) {
            context.signals.owner(namespace, &owner);
        }
    }
    let again = step.again_at.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    Ok(Some(again.unwrap_or(LOOK_AFTER).clamp(Duration::from_millis(100), LOOK_AFTER)))
}

fn references(requests: &BTreeMap<Digest, BTreeSet<Owner>>, batch: &BTreeSet<Digest>) -> Vec<OwnerReference> {
    let owners: BTreeSet<&Owner> =
        batch.iter().filter_map(|request| requests.get(request)).flatten().collect();
    owners.into_iter().map(Owner::reference).collect()
}

fn sentence(note: &Note, reasons: &HashMap<String, Option<String>>) -> String {
    match note {
        Note::Queued => "waiting for other verifications of the namespace to end".to_owned(),
        Note::InFlight { job } => match reasons.get(job).and_then(Option::as_ref) {
            Some(reason) => format!("Job {job} cannot start: {reason}"),
            None => format!("Job {job} runs the tests"),
        },
        Note::Failing { job, reason, again_at } => {
            format!("Job {job} ended without a verdict ({reason}); the next attempt is at {again_at:.0}")
        }
    }
}

/// What a report says against a function, in a few sentences: at most three cases.
#[must_use]
pub fn describe_failures(report: &VerificationReport) -> String {
    if let Some(fault) = &report.fault {
        return fault.clone();
    }
    let total = report.passed + report.failed;
    let shown = report.failures.iter().take(SHOWN_FAILURES);
    let cases = shown.map(|failure| format!("example {}: {}", failure.example, failure.message));
    let cases = cases.collect::<Vec<_>>().join("; ");
    let more = usize::try_from(report.failed).unwrap_or_default().saturating_sub(SHOWN_FAILURES);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{} of {total} examples failed: {cases}{more}", report.failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Owner {
        Owner::workflow(name, "uid")
    }

    #[test]
    fn merges_equal_requests_of_two_workflows() {
        let queue = Verifications::default();
        let request = Digest::of(b"a");
        queue.submit("shop", request, &owner("one"));
        queue.submit("shop", request, &owner("two"));
        assert_eq!(queue.pending()["shop"].len(), 1);
        assert_eq!(queue.settle("shop", request), BTreeSet::from([owner("one"), owner("two")]));
        assert!(queue.pending().is_empty());
    }

    #[test]
    fn forgets_what_a_changed_workflow_no_longer_wants() {
        let queue = Verifications::default();
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        queue.submit("shop", old, &owner("one"));
        queue.submit("shop", new, &owner("one"));
        queue.retain("shop", &owner("one"), &BTreeSet::from([new]));
        assert_eq!(queue.pending()["shop"].keys().copied().collect::<Vec<_>>(), [new]);
    }

    #[test]
    fn tells_owners_only_what_is_news() {
        let queue = Verifications::default();
        let request = Digest::of(b"a");
        queue.submit("shop", request, &owner("one"));
        assert_eq!(queue.annotate("shop", request, "runs".into()), BTreeSet::from([owner("one")]));
        assert!(queue.annotate("shop", request, "runs".into()).is_empty());
        assert_eq!(queue.submit("shop", request, &owner("one")), "runs");
    }
}
