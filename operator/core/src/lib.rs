//! The pure domain of DiSE.
//!
//! A workflow is a graph of steps; every step has options, and every option a profile whose numbers were
//! measured. This crate knows what those words mean and decides with them. It does no I/O, reads no clock and
//! knows nothing of Kubernetes, so that everything in it can be tested with a table.

pub mod budget;
mod causes;
pub mod digest;
pub mod function;
pub mod money;
pub mod plan;
pub mod profile;
pub mod quality;
pub mod synthesis;
pub mod verification;
pub mod wire;
pub mod workflow;

pub use causes::causes;
