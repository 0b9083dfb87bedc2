//! The client of the operator's API: plans, code, runs, verifications and usage.

pub mod backoff;
pub mod blobs;
pub mod cache;
pub mod client;
pub mod follow;
pub mod take_up;
