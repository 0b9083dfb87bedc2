//! Which Job to start next in a namespace.
//!
//! Verifications are committed in groups: the first request starts a Job at once, and what is asked for meanwhile
//! goes together into the next. A burst of workflows so costs a few pods instead of one each, and a lone workflow
//! waits for nobody.

use std::collections::{BTreeMap, BTreeSet};

use dise_core::digest::Digest;
use jiff::{SignedDuration, Timestamp};

use super::Kind;

/// Jobs of a namespace that run at the same time: a second, so that a long one does not hold up the rest.
const ACTIVE_JOBS: usize = 2;
const FIRST_DELAY: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_DELAY: SignedDuration = SignedDuration::from_mins(5);

/// A Job, as far as the choice needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobState {
    /// Its name.
    pub name: String,
    /// What it was started for.
    pub requests: BTreeSet<Digest>,
    /// How it stands.
    pub phase: Phase,
}

/// How a Job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not ended.
    Active,
    /// Ended. Requests that are still pending were not answered.
    Ended {
        /// When.
        at: Timestamp,
        /// Why it failed; `None` when it succeeded.
        failure: Option<String>,
    },
}

/// What to do about the pending requests of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Step {
    /// The requests that a new Job shall answer, and which attempt this is, counted from 0.
    pub start: Option<(BTreeSet<Digest>, u32)>,
    /// When to look again although nothing happened: a delay ends then.
    pub again_at: Option<Timestamp>,
    /// How each pending request stands.
    pub notes: BTreeMap<Digest, Note>,
}

/// How a pending request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It waits for a Job that runs to end.
    Queued,
    /// A Job is at it.
    InFlight {
        /// The Job.
        job: String,
    },
    /// Every attempt so far ended without an answer.
    Failing {
        /// The last Job.
        job: String,
        /// What it said.
        reason: String,
        /// When it is tried again.
        again_at: Timestamp,
    },
}

/// Chooses the next Job of a kind for the `pending` requests of a namespace whose Jobs of this kind are `jobs`.
#[must_use]
pub fn next(kind: Kind, pending: &BTreeSet<Digest>, jobs: &[JobState], now: Timestamp) -> Step {
    let mut step = Step::default();
    let mut ready: BTreeMap<u32, BTreeSet<Digest>> = BTreeMap::new();
    for &request in pending {
        let (note, attempt) = assess(request, jobs, now);
        match &note {
            Note::Queued => {
                ready.entry(attempt).or_default().insert(request);
            }
            Note::Failing { again_at, .. } => {
                step.again_at = Some(step.again_at.map_or(*again_at, |at| at.min(*again_at)));
            }
            Note::InFlight { .. } => {}
        }
        step.notes.insert(request, note);
    }
    let active = jobs.iter().filter(|job| job.phase == Phase::Active).count();
    if active < ACTIVE_JOBS {
        step.start = ready.into_iter().next().map(|(attempt, requests)| {
            // What failed before is tried alone, so that it cannot take others down with it.
            let at_most = if attempt == 0 { kind.requests_per_job() } else { 1 };
            (requests.into_iter().take(at_most).collect(), attempt)
        });
    }
    step
}

/// How a request stands, and how many Jobs ended without answering it.
fn assess(request: Digest, jobs: &[JobState], now: Timestamp) -> (Note, u32) {
    let mine = || jobs.iter().filter(|job| job.requests.contains(&request));
    if let Some(job) = mine().find(|job| job.phase == Phase::Active) {
        return (Note::InFlight { job: job.name.clone() }, 0);
    }
    let ended = |job: &JobState| match &job.phase {
        Phase::Active => None,
        Phase::Ended { at, failure } => Some((*at, job.name.clone(), failure.clone())),
    };
    let attempts = u32::try_from(mine().count()).unwrap_or(u32::MAX);
    let Some((at, job, failure)) = mine().filter_map(ended).max() else { return (Note::Queued, 0) };
    let again_at = at + delay(attempts);
    if again_at <= now {
        return (Note::Queued, attempts);
    }
    let reason = failure.unwrap_or_else(|| "it ended without a report".to_owned());
    (Note::Failing { job, reason, again_at }, attempts)
}

fn delay(attempts: u32) -> SignedDuration {
    let factor = 2_i32.saturating_pow(attempts.saturating_sub(1).min(16));
    FIRST_DELAY.saturating_mul(factor).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(names: &[&str]) -> BTreeSet<Digest> {
        names.iter().map(|name| Digest::of(name.as_bytes())).collect()
    }

    fn job(name: &str, requests: &[&str], phase: Phase) -> JobState {
        JobState { name: name.into(), requests: digests(requests), phase }
    }

    fn failed(at: Timestamp) -> Phase {
        Phase::Ended { at, failure: Some("BackoffLimitExceeded".into()) }
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn seconds(count: i64) -> SignedDuration {
        SignedDuration::from_secs(count)
    }

    #[test]
    fn starts_a_lone_request_at_once() {
        let step = next(Kind::Verify, &digests(&["a"]), &[], NOW);
        assert_eq!(step.start, Some((digests(&["a"]), 0)));
    }

    #[test]
    fn never_starts_what_a_running_job_is_at() {
        let running = [job("j1", &["a"], Phase::Active)];
        let step = next(Kind::Verify, &digests(&["a"]), &running, NOW);
        assert_eq!(step.start, None);
        assert_eq!(step.notes[&Digest::of(b"a")], Note::InFlight { job: "j1".into() });
    }

    #[test]
    fn gathers_what_is_asked_for_while_two_jobs_run() {
        let running = [job("j1", &["a"], Phase::Active), job("j2", &["b"], Phase::Active)];
        let pending = digests(&["a", "b", "c", "d"]);
        assert_eq!(next(Kind::Verify, &pending, &running, NOW).start, None);
        assert_eq!(
            next(Kind::Verify, &pending, &running[..1], NOW).start,
            Some((digests(&["b", "c", "d"]), 0))
        );
    }

    #[test]
    fn bounds_a_job() {
        let names: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        let pending = digests(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(
            next(Kind::Verify, &pending, &[], NOW).start.unwrap().0.len(),
            Kind::Verify.requests_per_job()
        );
    }

    #[test]
    fn gives_each_search_a_job_of_its_own() {
        let start = next(Kind::Synthesize, &digests(&["a", "b"]), &[], NOW).start.unwrap();
        assert_eq!(start.0.len(), 1);
    }

    #[test]
    fn retries_a_failure_alone_and_later_each_time() {
        let pending = digests(&["a"]);
        let once = [job("j1", &["a", "b"], failed(NOW))];
        let early = next(Kind::Verify, &pending, &once, NOW + seconds(9));
        assert_eq!((early.start, early.again_at), (None, Some(NOW + seconds(10))));
        assert_eq!(next(Kind::Verify, &pending, &once, NOW + seconds(10)).start, Some((pending.clone(), 1)));

        let twice = [once[0].clone(), job("j2", &["a"], failed(NOW + seconds(11)))];
        assert_eq!(next(Kind::Verify, &pending, &twice, NOW + seconds(30)).start, None);
        assert_eq!(next(Kind::Verify, &pending, &twice, NOW + seconds(31)).start, Some((pending.clone(), 2)));
    }

    #[test]
    fn lets_new_requests_pass_a_failing_one() {
        let jobs = [job("j1", &["a"], failed(NOW))];
        assert_eq!(next(Kind::Verify, &digests(&["a", "b"]), &jobs, NOW).start, Some((digests(&["b"]), 0)));
    }

    #[test]
    fn counts_a_job_that_succeeded_without_a_report_as_failed() {
        let jobs = [job("j1", &["a"], Phase::Ended { at: NOW, failure: None })];
        let step = next(Kind::Verify, &digests(&["a"]), &jobs, NOW);
        assert!(
            matches!(&step.notes[&Digest::of(b"a")], Note::Failing { reason, .. } if reason.contains("report"))
        );
    }

    #[test]
    fn never_waits_longer_than_five_minutes() {
        assert_eq!(delay(1), FIRST_DELAY);
        assert_eq!(delay(40), LONGEST_DELAY);
    }
}
