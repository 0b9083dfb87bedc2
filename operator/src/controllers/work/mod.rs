//! Work that takes a Job: requests of workflows and tools go in, Jobs are started for them, reports come back.
//!
//! The queue lives in memory alone. After a restart every workflow and tool asks again, and the Jobs that run say
//! what is being worked on, so nothing is lost and nothing is done twice.

pub mod batch;
pub mod job;

mod kind;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dise_core::{digest::Digest, synthesis::SecretKey};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use tokio::sync::Notify;

pub use self::kind::Kind;
use self::{
    batch::Note,
    job::{Assignment, build},
};
use super::{Context, executor, pods};
use crate::{controllers::Owner, labels};

/// What is asked for together, such as all steps of a workflow, goes into one Job.
const GATHER: Duration = Duration::from_millis(25);
/// How soon a namespace that is being deleted is looked at again.
const LEAVING: Duration = Duration::from_secs(30);
/// How long after the last change a Job's pods are looked at for a reason why they do not start.
const LOOK_AFTER: Duration = Duration::from_secs(15);

/// The requests of one kind that have no report yet.
pub struct Queue {
    kind: Kind,
    namespaces: Mutex<HashMap<String, BTreeMap<Digest, Pending>>>,
    /// What nobody wants any more and a Job may still be at.
    abandoned: Mutex<HashMap<String, BTreeSet<Digest>>>,
    changed: Notify,
}

#[derive(Default)]
struct Pending {
    owners: BTreeSet<Owner>,
    note: Option<String>,
    /// What the Job itself says.
    progress: Option<String>,
    secret: Option<SecretKey>,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, namespaces: Mutex::default(), abandoned: Mutex::default(), changed: Notify::new() }
    }

    /// What it is a queue of.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Asks for work whose request is in the store already; its Job gets `secret`. Asking again changes nothing.
    ///
    /// Returns how it stands, in a sentence.
    pub fn submit(
        &self,
        namespace: &str,
        request: Digest,
        owner: &Owner,
        secret: Option<&SecretKey>,
    ) -> String {
        let mut namespaces = self.lock();
        let pending = namespaces.entry(namespace.to_owned()).or_default().entry(request).or_default();
        pending.secret = secret.cloned();
        if pending.owners.insert(owner.clone()) {
            self.changed.notify_one();
        }
        pending.note.clone().unwrap_or_else(|| "waiting for a Job".to_owned())
    }

    /// Takes over what a Job says about a request; returns whom to tell when that is news.
    pub fn progress(&self, namespace: &str, request: Digest, message: String) -> BTreeSet<Owner> {
        let mut namespaces = self.lock();
        let pending = namespaces.get_mut(namespace).and_then(|requests| requests.get_mut(&request));
        if let Some(pending) = pending {
            pending.progress = Some(message.clone());
        }
        drop(namespaces);
        self.annotate(namespace, request, message)
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
        let before: BTreeSet<Digest> = requests.keys().copied().collect();
        requests.retain(|request, pending| {
            if !wanted.contains(request) {
                pending.owners.remove(owner);
            }
            !pending.owners.is_empty()
        });
        let gone = before.into_iter().filter(|request| !requests.contains_key(request));
        let gone: Vec<Digest> = gone.collect();
        if requests.is_empty() {
            namespaces.remove(namespace);
        }
        if !gone.is_empty() {
            let mut abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
            abandoned.entry(namespace.to_owned()).or_default().extend(gone);
            self.changed.notify_one();
        }
    }

    /// Makes the queue be looked at again: a Job has changed.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    fn pending(&self) -> BTreeMap<String, BTreeMap<Digest, Demand>> {
        self.lock()
            .iter()
            .map(|(namespace, requests)| {
                let demand = |pending: &Pending| Demand {
                    owners: pending.owners.clone(),
                    secret: pending.secret.clone(),
                    progress: pending.progress.clone(),
                };
                let demands = requests.iter().map(|(request, pending)| (*request, demand(pending)));
                (namespace.clone(), demands.collect())
            })
            .collect()
    }

    fn abandoned(&self) -> HashMap<String, BTreeSet<Digest>> {
        std::mem::take(&mut *self.abandoned.lock().unwrap_or_else(PoisonError::into_inner))
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

/// Who wants a request answered, and what its Job needs.
#[derive(Clone, Debug)]
struct Demand {
    owners: BTreeSet<Owner>,
    secret: Option<SecretKey>,
    progress: Option<String>,
}

/// Starts Jobs for what is pending, for as long as this replica leads.
pub async fn run(context: &Context, queue: &Queue) {
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            () = queue.changed.notified() => {}
            () = tokio::time::sleep(wait), if !wait.is_zero() => {}
        }
        tokio::time::sleep(GATHER).await;
        wait = Duration::ZERO;
        for (namespace, requests) in queue.abandoned() {
            if let Err(fault) = stop(context, queue.kind, &namespace, &requests).await {
                tracing::debug!(namespace, %fault, "cannot stop a Job that nobody waits for");
            }
        }
        for (namespace, requests) in queue.pending() {
            let next = match advance(context, queue, &namespace, &requests).await {
                Ok(next) => next,
                // Nothing is to be started there any more; what is left in the queue goes with its owners.
                Err(fault) if executor::is_leaving(&fault) => LEAVING,
                Err(fault) => {
                    tracing::warn!(namespace, %fault, "cannot start a Job");
                    context.metrics.error(queue.kind.role().as_str(), "kubernetes");
                    Duration::from_secs(5)
                }
            };
            wait = if wait.is_zero() { next } else { wait.min(next) };
        }
    }
}

/// One step for one namespace. Returns when to look again although nothing changed.
async fn advance(
    context: &Context,
    queue: &Queue,
    namespace: &str,
    requests: &BTreeMap<Digest, Demand>,
) -> Result<Duration, kube::Error> {
    let kind = queue.kind;
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), namespace);
    let found = jobs.list(&ListParams::default().labels(&selector(kind))).await?;
    let states: Vec<_> = found.items.iter().map(job::state).collect();
    let pending = requests.keys().copied().collect();
    let now = Timestamp::now();
    let mut step = batch::next(kind, &pending, &states, now);

    if let Some((batch, attempt)) = step.start.take() {
        executor::ensure_account(context, namespace).await?;
        let assignment = assignment(kind, namespace, requests, &batch, attempt);
        let job =
            build(&context.settings, &context.bundle(), &assignment).map_err(kube::Error::SerdeError)?;
        let name = job.metadata.name.clone().unwrap_or_default();
        match jobs.create(&PostParams::default(), &job).await {
            Ok(_) => tracing::info!(namespace, job = name, requests = batch.len(), "Job started"),
            Err(kube::Error::Api(refusal)) if refusal.is_already_exists() => {}
            Err(fault) => return Err(fault),
        }
        for request in batch {
            step.notes.insert(request, Note::InFlight { job: name.clone() });
        }
        // More may be waiting than one Job takes.
        queue.wake();
    }

    let mut reasons: HashMap<String, Option<String>> = HashMap::new();
    for (request, note) in step.notes {
        if let Note::InFlight { job } = &note
            && !reasons.contains_key(job)
        {
            reasons.insert(job.clone(), pods::waiting_reason(context, namespace, job).await?);
        }
        let progress = requests.get(&request).and_then(|demand| demand.progress.as_deref());
        let sentence = sentence(kind, &note, progress, &reasons);
        context.signals.owners(namespace, queue.annotate(namespace, request, sentence));
    }
    let again = step.again_at.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    Ok(again.unwrap_or(LOOK_AFTER).clamp(Duration::from_millis(100), LOOK_AFTER))
}

/// Deletes the Jobs that are at nothing but `abandoned` requests: a search that nobody waits for must not go on paying.
async fn stop(
    context: &Context,
    kind: Kind,
    namespace: &str,
    abandoned: &BTreeSet<Digest>,
) -> Result<(), kube::Error> {
    let jobs: Api<Job> = Api::namespaced(context.client.clone(), namespace);
    for job in jobs.list(&ListParams::default().labels(&selector(kind))).await? {
        let state = job::state(&job);
        if state.phase == batch::Phase::Active && state.requests.is_subset(abandoned) {
            super::apply::delete::<Job>(&context.client, namespace, &state.name).await?;
        }
    }
    Ok(())
}

fn selector(kind: Kind) -> String {
    format!("{}={}", labels::ROLE, kind.role().as_str())
}

fn assignment<'a>(
    kind: Kind,
    namespace: &'a str,
    requests: &BTreeMap<Digest, Demand>,
    batch: &'a BTreeSet<Digest>,
    attempt: u32,
) -> Assignment<'a> {
    let demands = || batch.iter().filter_map(|request| requests.get(request));
    let owners: BTreeSet<Owner> = demands().flat_map(|demand| demand.owners.iter().cloned()).collect();
    let secret = demands().find_map(|demand| demand.secret.clone());
    Assignment { kind, namespace, requests: batch, attempt, owners, secret }
}

fn sentence(
    kind: Kind,
    note: &Note,
    progress: Option<&str>,
    reasons: &HashMap<String, Option<String>>,
) -> String {
    match note {
        Note::Queued => "waiting for other Jobs of the namespace to end".to_owned(),
        Note::InFlight { job } => match (reasons.get(job).and_then(Option::as_ref), progress) {
            (Some(reason), _) => format!("Job {job} cannot start: {reason}"),
            (None, Some(progress)) => progress.to_owned(),
            (None, None) => format!("Job {job} {}", kind.verb()),
        },
        Note::Failing { job, reason, again_at } => {
            let reason = progress.unwrap_or(reason);
            format!("Job {job} ended without a result ({reason}); the next attempt is at {again_at:.0}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Owner {
        Owner::workflow(name, "uid")
    }

    #[test]
    fn merges_equal_requests_of_two_workflows() {
        let queue = Queue::new(Kind::Verify);
        let request = Digest::of(b"a");
        queue.submit("shop", request, &owner("one"), None);
        queue.submit("shop", request, &owner("two"), None);
        assert_eq!(queue.pending()["shop"].len(), 1);
        assert_eq!(queue.settle("shop", request), BTreeSet::from([owner("one"), owner("two")]));
        assert!(queue.pending().is_empty());
    }

    #[test]
    fn forgets_what_a_changed_workflow_no_longer_wants() {
        let queue = Queue::new(Kind::Verify);
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        queue.submit("shop", old, &owner("one"), None);
        queue.submit("shop", new, &owner("one"), None);
        queue.retain("shop", &owner("one"), &BTreeSet::from([new]));
        assert_eq!(queue.pending()["shop"].keys().copied().collect::<Vec<_>>(), [new]);
    }

    #[test]
    fn remembers_what_nobody_wants_any_more_so_that_its_job_can_be_stopped() {
        let queue = Queue::new(Kind::Synthesize);
        let request = Digest::of(b"a");
        queue.submit("shop", request, &owner("one"), None);
        queue.submit("shop", request, &owner("two"), None);
        queue.retain("shop", &owner("one"), &BTreeSet::new());
        assert!(queue.abandoned().is_empty());
        queue.retain("shop", &owner("two"), &BTreeSet::new());
        assert_eq!(queue.abandoned()["shop"], BTreeSet::from([request]));
    }

    #[test]
    fn says_what_the_job_says() {
        let queue = Queue::new(Kind::Synthesize);
        let request = Digest::of(b"a");
        queue.submit("shop", request, &owner("one"), None);
        queue.progress("shop", request, "2 of 3 candidates written".into());
        assert_eq!(queue.submit("shop", request, &owner("one"), None), "2 of 3 candidates written");
        let note = Note::InFlight { job: "j".into() };
        let progress = queue.pending()["shop"][&request].progress.clone();
        let sentence = sentence(Kind::Synthesize, &note, progress.as_deref(), &HashMap::new());
        assert_eq!(sentence, "2 of 3 candidates written");
    }

    #[test]
    fn tells_owners_only_what_is_news() {
        let queue = Queue::new(Kind::Verify);
        let request = Digest::of(b"a");
        queue.submit("shop", request, &owner("one"), None);
        assert_eq!(queue.annotate("shop", request, "runs".into()), BTreeSet::from([owner("one")]));
        assert!(queue.annotate("shop", request, "runs".into()).is_empty());
        assert_eq!(queue.submit("shop", request, &owner("one"), None), "runs");
    }
}
