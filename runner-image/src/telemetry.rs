//! Logging: what is said, how it looks and where it goes.

use std::{env, io};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Sets up logging to standard error: JSON lines, or text when `DISE_LOG_FORMAT` is `text`; the level is that
/// of `RUST_LOG`, `info` without it.
///
/// Standard output belongs to the commands' results. A second call does nothing.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let text = env::var("DISE_LOG_FORMAT").is_ok_and(|format| format.eq_ignore_ascii_case("text"));
    let registry = tracing_subscriber::registry().with(filter);
    let outcome = if text {
        registry.with(fmt::layer().with_writer(io::stderr)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init()
    };
    // The only failure is a subscriber that is installed already, as in tests.
    drop(outcome);
}
