//! Logs: text for people or JSON for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging to standard output. `DISE_LOG_FORMAT` is `text` (default) or `json`, `RUST_LOG` the level (default
/// `info`).
pub fn init() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube_lease_manager=warn"));
    let colour = std::io::stdout().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_ansi(colour);
    if std::env::var("DISE_LOG_FORMAT").as_deref() == Ok("json") {
        logs.json().flatten_event(true).init();
    } else {
        logs.init();
    }
}
