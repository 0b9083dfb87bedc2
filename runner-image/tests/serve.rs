//! The executor and the commands from end to end: a scripted operator, real HTTP and real workers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "serve/commands.rs"]
mod commands;
#[path = "serve/ending.rs"]
mod ending;
#[path = "serve/executing.rs"]
mod executing;
#[path = "serve/following.rs"]
mod following;
#[path = "serve/harness.rs"]
mod harness;
#[path = "serve/measuring.rs"]
mod measuring;
#[path = "serve/operator.rs"]
mod operator;
#[path = "serve/refusing.rs"]
mod refusing;
#[path = "serve/routing.rs"]
mod routing;
#[path = "serve/trust.rs"]
mod trust;
