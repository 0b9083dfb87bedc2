//! Who a search works for.

use async_trait::async_trait;
use bytes::Bytes;
use dise_core::{
    digest::Digest,
    wire::{CallClaim, CallGrant, CallOutcome, Recollection},
};

use crate::sync::client::OperatorError;

/// The operator, as far as a search needs it: it remembers functions and answers, and keeps the money.
#[async_trait]
pub trait Desk: Send + Sync {
    /// A blob, verified.
    ///
    /// # Errors
    /// It cannot be had.
    async fn blob(&self, digest: &Digest) -> Result<Bytes, OperatorError>;

    /// Functions that may solve the task already, the most promising first.
    ///
    /// # Errors
    /// The memory cannot be asked.
    async fn recall(&self) -> Result<Recollection, OperatorError>;

    /// Asks for leave to make a call.
    ///
    /// # Errors
    /// Nobody answers: the call must not be made.
    async fn claim(&self, call: &Digest, claim: &CallClaim) -> Result<CallGrant, OperatorError>;

    /// Tells how a call ended that was granted.
    ///
    /// # Errors
    /// It could not be told. The reservation stays booked.
    async fn settle(&self, call: &Digest, outcome: &CallOutcome) -> Result<(), OperatorError>;

    /// Says how the search stands, to whoever looks.
    ///
    /// # Errors
    /// Nobody heard it, which does not matter to the search.
    async fn progress(&self, message: &str) -> Result<(), OperatorError>;
}
