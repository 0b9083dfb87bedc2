//! The entry point of the runner image.

use std::process::ExitCode;

use clap::Parser as _;
use dise_runner::{
    commands::{Cli, Command},
    telemetry,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports of a process that SIGTERM ended.
const TERMINATED: u8 = 143;

/// Threads that read files, compile plans and wait for workers to end. Each may bring an arena of memory with it,
/// so that the default of 512 would cost more than everything that is served.
const BLOCKING_THREADS: usize = 16;

fn main() -> ExitCode {
    telemetry::init();
    // Before anything speaks TLS: there is one provider in the binary, and rustls must not have to guess.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed already");
    }
    let cli = Cli::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(dispatch(cli.command));
            // What still waits for the operator must not delay the end.
            runtime.shutdown_background();
            outcome
        });
    outcome.unwrap_or_else(|error| {
        tracing::error!(error = format!("{error:#}"), "failed");
        ExitCode::FAILURE
    })
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    // As the first process of a container this one would ignore the signals that it does not handle.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let signalled = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    match command {
        Command::Serve(serve) => {
            let stop = CancellationToken::new();
            tokio::spawn({
                let stop = stop.clone();
                async move {
                    signalled.await;
                    stop.cancel();
                }
            });
            serve.execute(stop).await.map(|()| ExitCode::SUCCESS)
        }
        Command::Run(run) => until(signalled, run.execute()).await,
        Command::Verify(verify) => until(signalled, verify.execute()).await,
        Command::Synth(synth) => until(signalled, synth.execute()).await,
        Command::Probe(probe) => until(signalled, probe.execute()).await,
    }
}

/// Works until a signal says that nobody wants the outcome any more.
async fn until(
    signalled: impl Future<Output = ()>,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<ExitCode> {
    tokio::select! {
        outcome = work => outcome.map(|()| ExitCode::SUCCESS),
        () = signalled => Ok(ExitCode::from(TERMINATED)),
    }
}
