//! The client against a scripted server, over real HTTP: both protocols, and every way of misbehaving.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "models/asking.rs"]
mod asking;
#[path = "models/embedding.rs"]
mod embedding;
#[path = "models/harness.rs"]
mod harness;
#[path = "models/misbehaving.rs"]
mod misbehaving;
#[path = "models/probing.rs"]
mod probing;
#[path = "models/repeating.rs"]
mod repeating;
#[path = "models/secrets.rs"]
mod secrets;
