//! Starts the operator.

use std::process::ExitCode;

use clap::Parser as _;
use dise_operator::{
    config::{Command, Settings},
    memory,
    serve::serve,
    telemetry,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

// Two threads suffice for what is all waiting, and each costs memory on a small machine.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    // rustls cannot choose between two providers by itself.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
    let settings = Settings::parse();
    if let Some(Command::Reindex) = settings.command {
        return report(memory::reindex(&settings).await);
    }
    telemetry::init();
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone()));
    match Box::pin(serve(settings, stop)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tracing::error!("{fault:#}");
            ExitCode::FAILURE
        }
    }
}

/// For a person at a terminal, not for a log.
fn report(outcome: anyhow::Result<()>) -> ExitCode {
    outcome.map_or_else(
        |fault| {
            eprintln!("{fault:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

async fn cancel_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("cannot listen for signals: the operator will only stop when killed");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
}
