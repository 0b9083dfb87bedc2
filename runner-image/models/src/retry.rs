//! Repeating what failed for a passing reason.

use std::{future::Future, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder, Retryable as _};
use tokio::time::Instant;

use crate::Failure;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(8);

/// A server that wants us to wait longer is not waited for: whoever asks can do something else meanwhile.
const LONGEST_ASKED: Duration = Duration::from_mins(1);

/// How often and how long a request is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    attempts: u32,
    deadline: Instant,
    /// Whether a request that may have been charged is repeated: only if it costs nothing.
    free: bool,
    /// The delay before the first repetition, at most.
    first: Duration,
}

impl Policy {
    pub(crate) const fn new(attempts: u32, deadline: Instant, free: bool) -> Self {
        Self { attempts, deadline, free, first: FIRST }
    }

    /// Sends requests until one succeeds, with exponential backoff and full jitter
    /// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>) between them. `send` is given the
    /// time that is left.
    ///
    /// # Errors
    /// The last failure.
    pub(crate) async fn run<T, F, R>(self, mut send: F) -> Result<T, Failure>
    where
        F: FnMut(Duration) -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        let delays = ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(LONGEST)
            .with_max_times(self.attempts.saturating_sub(1) as usize)
            .build()
            .map(|delay| delay.mul_f64(fastrand::f64()));
        (|| send(self.deadline.saturating_duration_since(Instant::now())))
            .retry(delays)
            .sleep(tokio::time::sleep)
            .when(|failure: &Failure| failure.is_transient() && (self.free || !failure.may_be_charged()))
            .adjust(|failure, delay| self.wait(failure, delay?, Instant::now()))
            .await
    }

    /// How long to wait; `None` if there is no time for it.
    fn wait(self, failure: &Failure, delay: Duration, now: Instant) -> Option<Duration> {
        let asked = failure.retry_after().unwrap_or_default();
        // The jitter on top keeps those apart that were sent away together.
        let wait = asked.saturating_add(delay);
        (asked <= LONGEST_ASKED && wait < self.deadline.saturating_duration_since(now)).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(retry_after: Option<u64>) -> Failure {
        let retry_after = retry_after.map(Duration::from_secs);
        Failure::Status { status: 429, message: String::new(), retry_after }
    }

    fn policy(attempts: u32, seconds: u64, free: bool) -> Policy {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        Policy { first: Duration::from_millis(1), ..Policy::new(attempts, deadline, free) }
    }

    async fn count(policy: Policy, failure: Failure) -> u32 {
        let mut sent = 0;
        let outcome: Result<(), Failure> = policy
            .run(|_| {
                sent += 1;
                std::future::ready(Err(failure.clone()))
            })
            .await;
        assert_eq!(outcome, Err(failure));
        sent
    }

    #[tokio::test]
    async fn repeats_what_passes_as_often_as_allowed() {
        assert_eq!(count(policy(4, 3600, false), busy(None)).await, 4);
        assert_eq!(count(policy(1, 3600, false), busy(None)).await, 1);
    }

    #[tokio::test]
    async fn stops_when_time_is_up() {
        assert_eq!(count(policy(1000, 0, false), busy(None)).await, 1);
    }

    #[tokio::test]
    async fn never_repeats_what_may_be_paid_for_twice() {
        let broken = Failure::Interrupted { cause: String::new() };
        assert_eq!(count(policy(3, 3600, false), broken.clone()).await, 1);
        assert_eq!(count(policy(3, 3600, true), broken).await, 3);
    }

    #[tokio::test]
    async fn never_repeats_what_will_not_change() {
        let refused = Failure::Status { status: 401, message: String::new(), retry_after: None };
        assert_eq!(count(policy(3, 3600, true), refused).await, 1);
    }

    #[test]
    fn waits_as_long_as_the_server_asks_but_not_for_ever() {
        let now = Instant::now();
        let policy = Policy::new(3, now + Duration::from_secs(100), false);
        for (asked, wait) in [(None, Some(1)), (Some(30), Some(31)), (Some(60), Some(61)), (Some(61), None)] {
            let wait = wait.map(Duration::from_secs);
            assert_eq!(policy.wait(&busy(asked), Duration::from_secs(1), now), wait, "{asked:?}");
        }
        assert_eq!(policy.wait(&busy(None), Duration::from_secs(100), now), None);
    }
}
