//! What the API server will make of the types, as far as that can be told without one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod conversions;
mod rules;
mod schema;
mod values;
