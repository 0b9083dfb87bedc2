//! How long to wait before the next try.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// Delays that double up to five seconds, each shortened by a random share so that a fleet that lost its
/// operator together does not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The delay before the next try.
    pub fn delay(&mut self) -> Duration {
        let delay = jittered(self.next);
        self.next = (self.next * 2).min(LONGEST);
        delay
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }
}

/// A random duration between half of `duration` and all of it.
#[must_use]
pub fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_five_seconds_and_start_over() {
        let mut backoff = Backoff::default();
        let first = backoff.delay();
        assert!(first >= FIRST / 2 && first <= FIRST, "{first:?}");
        let last = (0..10).map(|_| backoff.delay()).last().unwrap();
        assert!(last >= LONGEST / 2 && last <= LONGEST, "{last:?}");
        backoff.reset();
        assert!(backoff.delay() <= FIRST);
    }
}
