//! A call on its way to a worker.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{CallError, Reply};

/// How often a call is run again when its worker was killed on account of another.
const RETRIES: u8 = 2;

/// What becomes of a call that was given to a worker and whose turn never came.
pub(super) fn waited_behind_another() -> CallError {
    CallError::Busy { message: "it waited behind another call".to_owned() }
}

/// A call that waits for its answer. Answered once; an answer that nobody waits for any more is dropped.
#[derive(Debug)]
pub(super) struct Job {
    /// Names it, so that it can be withdrawn.
    pub(super) ticket: u64,
    /// JSON, or nothing when the worker shall only be made ready.
    pub(super) input: Option<Bytes>,
    pub(super) deadline: Instant,
    attempts: u8,
    answer: Option<oneshot::Sender<Result<Reply, CallError>>>,
}

impl Job {
    pub(super) fn new(
        ticket: u64,
        input: Option<Bytes>,
        deadline: Instant,
    ) -> (Self, oneshot::Receiver<Result<Reply, CallError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { ticket, input, deadline, attempts: 0, answer: Some(sender) }, receiver)
    }

    /// Answers it; a second answer goes nowhere.
    pub(super) fn answer(&mut self, answer: Result<Reply, CallError>) {
        if let Some(sender) = self.answer.take() {
            // The caller may have gone.
            let _ = sender.send(answer);
        }
    }

    /// Whether nobody waits for the answer.
    pub(super) fn is_abandoned(&self) -> bool {
        self.answer.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// Whether it was tried before.
    pub(super) fn is_retry(&self) -> bool {
        self.attempts > 0
    }

    /// Gives it another try, or answers it when it had enough of them.
    pub(super) fn again(mut self) -> Option<Self> {
        if self.is_abandoned() {
            return None;
        }
        self.attempts += 1;
        if self.attempts > RETRIES {
            let message = format!("its worker was killed {} times on account of other calls", self.attempts);
            self.answer(Err(CallError::Busy { message }));
            return None;
        }
        Some(self)
    }
}
