//! Why a model could not be asked.

use std::{fmt, time::Duration};

/// Statuses by which the API itself says that it did not do the work. Other failures of a server come from something
/// between it and us, which does not know what became of the request.
const NOT_DONE: [u16; 4] = [500, 501, 503, 529];
/// Statuses that pass by themselves.
const PASSING: [u16; 6] = [429, 500, 502, 503, 504, 529];

/// A call that failed: which model, where, why, and whether it may have cost something. Never holds the key.
#[derive(Debug, thiserror::Error)]
pub struct ModelError {
    /// The server's name of the model.
    pub model: String,
    /// Base URL of the server.
    pub endpoint: String,
    /// Requests that were sent.
    pub requests: u32,
    /// Whether the server may charge for the call although there is no answer. What was reserved must stay booked, and
    /// the call was not repeated, for it could have been paid for twice. Always false for a model without prices.
    pub maybe_charged: bool,
    /// What went wrong, the last time.
    #[source]
    pub failure: Failure,
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model `{}` at {}: {}", self.model, self.endpoint, self.failure)?;
        if self.requests > 1 {
            write!(f, " (after {} requests)", self.requests)?;
        }
        if self.maybe_charged {
            f.write_str("; the call may have been charged and was not repeated")?;
        }
        Ok(())
    }
}

impl ModelError {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.failure.is_transient()
    }
}

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There was no connection: nothing was sent.
    #[error(
        "cannot connect: {cause}; check the endpoint, its DNS name, its certificate and the NetworkPolicies"
    )]
    Unreachable {
        /// The chain of causes.
        cause: String,
    },
    /// The request was sent, and time was up before the answer was there.
    #[error("no answer within {} s; raise the timeout, or lower the tokens that an answer may have", .after.as_secs_f32())]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// The connection ended before the answer was there.
    #[error("the connection broke before the answer was complete: {cause}")]
    Interrupted {
        /// The chain of causes.
        cause: String,
    },
    /// The account has no money left, or has reached its limit. Waiting does not help.
    #[error("the account cannot pay ({status}): {message}")]
    OutOfCredit {
        /// The HTTP status.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// Any other status that is not a success.
    #[error("answered {status}{}{}", hint(*.status, *.retry_after), said(.message))]
    Status {
        /// The HTTP status.
        status: u16,
        /// What the server said, without the key and cut to a bound.
        message: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// A success whose content is unusable.
    #[error("its answer is unusable: {fault}")]
    Malformed {
        /// What is wrong with it.
        fault: String,
    },
    /// The API has no such call.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl Failure {
    /// Whether the same request may succeed soon.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Interrupted { .. } => true,
            Self::Status { status, .. } => PASSING.contains(status),
            Self::OutOfCredit { .. } | Self::Malformed { .. } | Self::Unsupported(_) => false,
        }
    }

    /// Whether the server may have done, and charged for, the work. Both providers charge for nothing that they
    /// answer with an error of their own.
    #[must_use]
    pub fn may_be_charged(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Interrupted { .. } | Self::Malformed { .. } => true,
            Self::Status { status, .. } => *status >= 500 && !NOT_DONE.contains(status),
            Self::Unreachable { .. } | Self::OutOfCredit { .. } | Self::Unsupported(_) => false,
        }
    }

    /// How long the server asks to wait.
    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }
}

/// What to do about a status.
fn hint(status: u16, retry_after: Option<Duration>) -> String {
    match (status, retry_after) {
        (300..=399, _) => {
            " (a redirection, which is not followed; set the endpoint to the final address)".into()
        }
        (401 | 403, _) => " (check the key in the Secret, and what it is allowed to do)".into(),
        (404, _) => {
            " (check the model's name, and that the endpoint is the base of the API, which often ends in /v1)"
                .into()
        }
        (_, Some(wait)) => format!(" (asks to wait {} s)", wait.as_secs_f32()),
        (429, None) => " (too many requests; ask less often or have the limit raised)".into(),
        _ => String::new(),
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> Failure {
        Failure::Status { status, message: "busy".into(), retry_after: None }
    }

    #[test]
    fn knows_what_passes_and_what_may_have_been_charged() {
        let malformed = Failure::Malformed { fault: String::new() };
        let unreachable = Failure::Unreachable { cause: String::new() };
        let interrupted = Failure::Interrupted { cause: String::new() };
        let broke = Failure::OutOfCredit { status: 429, message: String::new() };
        let timed_out = Failure::TimedOut { after: Duration::ZERO };
        for (failure, transient, charged) in [
            (status(400), false, false),
            (status(401), false, false),
            (status(429), true, false),
            (status(500), true, false),
            (status(502), true, true),
            (status(503), true, false),
            (status(504), true, true),
            (status(524), false, true),
            (status(529), true, false),
            (malformed, false, true),
            (unreachable, true, false),
            (interrupted, true, true),
            (broke, false, false),
            (timed_out, true, true),
        ] {
            assert_eq!((failure.is_transient(), failure.may_be_charged()), (transient, charged), "{failure}");
        }
    }

    #[test]
    fn says_which_model_what_happened_and_what_to_do() {
        let error = ModelError {
            model: "gpt".into(),
            endpoint: "https://h/v1".into(),
            requests: 3,
            maybe_charged: true,
            failure: status(401),
        };
        assert_eq!(
            error.to_string(),
            "model `gpt` at https://h/v1: answered 401 (check the key in the Secret, and what it is allowed to do): busy \
             (after 3 requests); the call may have been charged and was not repeated"
        );
    }
}
