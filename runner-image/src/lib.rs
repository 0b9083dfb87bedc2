//! The runner: the one place where the code of workflows is executed.
//!
//! One binary with four duties, each a module of [`commands`]: `serve` answers HTTP requests for every workflow
//! of a namespace, `run` executes one workflow once, `verify` proves functions, `synth` has a model write them. All of
//! them take their work from the operator's API ([`sync`]) and hand functions to jailed workers; none holds credentials
//! for Kubernetes or for the object store.

pub mod commands;
pub mod engine;
mod interner;
pub mod jail;
pub mod metrics;
pub mod serve;
pub mod sync;
pub mod synth;
pub mod telemetry;
pub mod usage;
pub mod verify;
pub mod workers;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also when a thread panicked while it held the lock.
///
/// Every value that this crate keeps behind a lock is valid between any two statements, so a panic elsewhere is
/// no reason to stop serving.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
