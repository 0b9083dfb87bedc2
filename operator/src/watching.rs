//! How watches come back after a failure.
//!
//! A controller's watches share one pause, and a restart of the API server fails each of them more than once. The usual
//! pauses, which double up to half a minute, would then add up to minutes in which nothing is reconciled.

use std::time::Duration;

use kube::runtime::utils::{Backoff, ResetTimerBackoff};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// After so long without a failure the next one is taken as the first.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// The pause of a watch that failed: at most a second, so that an API server that is away gets few requests and one
/// that is back is followed at once.
#[must_use]
pub fn pause() -> ResetTimerBackoff<Pause> {
    ResetTimerBackoff::new(Pause(FIRST), FORGOTTEN)
}

/// Doubles with each failure.
#[derive(Debug)]
pub struct Pause(Duration);

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        Some(pause)
    }
}

impl Backoff for Pause {
    fn reset(&mut self) {
        self.0 = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_in_a_row_cost_seconds_not_minutes() {
        let total: Duration = Pause(FIRST).take(20).sum();
        assert!(total < Duration::from_secs(20), "{total:?}");
    }

    #[test]
    fn starts_over_after_a_reset() {
        let mut pause = Pause(FIRST);
        let first = pause.next();
        pause.nth(10);
        pause.reset();
        assert_eq!(pause.next(), first);
    }
}
