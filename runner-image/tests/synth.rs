//! The search for code from end to end: a scripted model, a desk that keeps a real ledger, and a real jail where code
//! has to run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod jail_support;

#[path = "synth/calling.rs"]
mod calling;
#[path = "synth/commands.rs"]
mod commands;
#[path = "synth/crashing.rs"]
mod crashing;
#[path = "synth/desk.rs"]
mod desk;
#[path = "synth/finding.rs"]
mod finding;
#[path = "synth/model.rs"]
mod model;
#[path = "synth/script.rs"]
mod script;
