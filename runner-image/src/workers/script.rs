//! Scripts: one process per call, JSON in on standard input, JSON out on standard output.

use std::{
    io,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dise_core::function::Limits;
use serde::de::IgnoredAny;
use tokio::{io::AsyncWriteExt, net::unix::pipe, time};

use super::{
    CallError, Callable, Reply,
    attendant::{read, reap, receiver},
    shared::Shared,
    tail::Tail,
};
use crate::jail::{Exit, Forks, JailError, MOST_TASKS, ShellProcess};

/// How often to look whether a fork was refused.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Runs a script, or only parses it when there is no input.
pub(super) async fn run(
    shared: &Arc<Shared>,
    callable: &Arc<Callable>,
    limits: &Limits,
    input: Option<Bytes>,
    deadline: Instant,
) -> Result<Reply, CallError> {
    let (shared, callable, limits) = (Arc::clone(shared), Arc::clone(callable), *limits);
    // In a task of its own, so that the process is reaped when the caller goes away.
    let task =
        tokio::spawn(async move { Box::pin(run_to_end(&shared, &callable, limits, input, deadline)).await });
    task.await.unwrap_or_else(|_| Err(JailError::ShutDown.into()))
}

async fn run_to_end(
    shared: &Shared,
    callable: &Arc<Callable>,
    limits: Limits,
    input: Option<Bytes>,
    deadline: Instant,
) -> Result<Reply, CallError> {
    let Ok(Ok(_permit)) = time::timeout_at(deadline.into(), shared.scripts.acquire()).await else {
        return Err(CallError::Busy { message: "other scripts are running".to_owned() });
    };
    let since = Instant::now();
    let (only_parse, scratch) = (input.is_none(), shared.settings.scratch.clone());
    let source = Arc::clone(callable);
    let start = move |jail: &crate::jail::Jail| {
        jail.start_shell(&source.function().source, only_parse, &limits, &scratch)
    };
    let process = shared.spawner.run(start).await?;
    let ShellProcess { child, input: stdin, output, errors, forks, scratch } = process;
    let mut watch = Watch::new(output, errors, limits).map_err(spawn_error)?;
    let feed = feed(stdin, input.unwrap_or_default());
    let outcome = tokio::select! {
        outcome = async { tokio::join!(feed, watch.run(&forks)).1 } => outcome,
        () = time::sleep_until(deadline.into()) => Err(CallError::Deadline { seconds: since.elapsed().as_secs_f64() }),
    };
    // Whatever is left running has closed its output, and nobody waits for it.
    if outcome.is_err() {
        child.kill();
    }
    let exit = reap(child).await;
    // Removing a folder blocks, if briefly.
    let _ = tokio::task::spawn_blocking(|| drop(scratch)).await;
    outcome?;
    let elapsed = since.elapsed();
    watch.conclude(exit, elapsed, &limits, only_parse.then_some(callable.function().source.as_str()))
}

async fn feed(stdin: OwnedFd, input: Bytes) {
    if let Ok(mut stdin) = pipe::Sender::from_owned_fd(stdin) {
        // A script need not read its input.
        let _ = stdin.write_all(&input).await;
    }
}

/// What a script writes while it runs.
struct Watch {
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    output: Vec<u8>,
    printed: Tail,
    limits: Limits,
}

impl Watch {
    fn new(stdout: OwnedFd, stderr: OwnedFd, limits: Limits) -> io::Result<Self> {
        let (stdout, stderr) = (Some(receiver(stdout)?), Some(receiver(stderr)?));
        Ok(Self { stdout, stderr, output: Vec::new(), printed: Tail::default(), limits })
    }

    /// Reads until both outputs are closed or a limit is exceeded.
    async fn run(&mut self, forks: &Forks) -> Result<(), CallError> {
        let mut ticks = time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let (mut chunk, mut error_chunk) = (vec![0; 16 << 10], vec![0; 4 << 10]);
        while self.stdout.is_some() || self.stderr.is_some() {
            tokio::select! {
                read = read(&mut self.stdout, &mut chunk) => self.output.extend(&chunk[..read]),
                read = read(&mut self.stderr, &mut error_chunk) => self.printed.push(&error_chunk[..read]),
                _ = ticks.tick() => {
                    if forks.were_refused() {
                        return Err(CallError::Forbidden {
                            message: format!("the script started more than {MOST_TASKS} processes"),
                            traceback: String::new(),
                        });
                    }
                }
            }
            // One byte more for the line break at the end.
            if self.output.len() > self.limits.output_bytes as usize + 1 {
                return Err(CallError::OutputTooLarge { limit: self.limits.output_bytes });
            }
            if self.printed.exceeds(self.limits.printed_bytes) {
                let printed = self.printed.text();
                return Err(CallError::PrintedTooMuch { limit: self.limits.printed_bytes, printed });
            }
        }
        Ok(())
    }

    fn conclude(
        self,
        exit: Exit,
        elapsed: Duration,
        limits: &Limits,
        parsed: Option<&str>,
    ) -> Result<Reply, CallError> {
        let printed = self.printed.text();
        if exit.code != Some(0) {
            return Err(failure(exit, printed, limits, parsed));
        }
        if parsed.is_some() {
            return Ok(Reply { output: Bytes::from_static(b"null"), elapsed, printed });
        }
        let output = Bytes::copy_from_slice(self.output.trim_ascii());
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(&output) {
            let message = if output.is_empty() {
                "the script wrote nothing to standard output".to_owned()
            } else {
                error.to_string()
            };
            return Err(CallError::NotJson { location: "output".to_owned(), message });
        }
        Ok(Reply { output, elapsed, printed })
    }
}

fn failure(exit: Exit, printed: String, limits: &Limits, parsed: Option<&str>) -> CallError {
    if let Some(source) = parsed {
        return syntax_fault(&printed, source);
    }
    if printed.contains("annot allocate") || printed.contains("memory exhausted") {
        return CallError::Memory { mib: limits.memory_mib };
    }
    if printed.contains("Permission denied") || printed.contains("Operation not permitted") {
        let message = "the script was refused what it tried".to_owned();
        return CallError::Forbidden { message, traceback: printed };
    }
    match exit.code {
        Some(code) => CallError::Raised {
            kind: "ExitCode".to_owned(),
            message: code.to_string(),
            traceback: String::new(),
            printed,
        },
        None => CallError::Died { signal: exit.signal, exit_code: None, printed },
    }
}

/// Reads `../step.sh: line 3: syntax error …`.
fn syntax_fault(printed: &str, source: &str) -> CallError {
    let first = printed.lines().next().unwrap_or_default();
    let (line, message) = match first.split_once(": line ").and_then(|(_, rest)| rest.split_once(": ")) {
        Some((line, message)) => (line.parse::<u32>().ok(), message),
        None => (None, first),
    };
    let text = line.and_then(|line| source.lines().nth(line.saturating_sub(1) as usize)).map(str::to_owned);
    CallError::SourceFault { line, text, message: message.to_owned() }
}

#[expect(clippy::needless_pass_by_value, reason = "it is a function for map_err")]
fn spawn_error(error: io::Error) -> JailError {
    JailError::Spawn(error.to_string())
}
