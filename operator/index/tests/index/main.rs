//! What an index promises, asked of both engines and compared with a search that reads everything.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test fails by panicking, and counts are small"
)]

mod chroma;
mod concurrency;
mod files;
mod oracle;
mod random;
mod search;
mod server;
mod support;
