//! Which share of a function's statements its examples execute.

use std::time::Duration;

use dise_core::{
    function::{Language, Limits},
    verification::VerificationRequest,
};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixStream, unix::pipe},
    time::timeout,
};

use crate::{
    jail::Harness,
    workers::{Tail, Workers, read, reap, receiver},
};

/// coverage.py and its data, on top of what the function may use.
const EXTRA_MIB: u32 = 128;
const LONGEST_ANSWER: u64 = 4096;
/// All examples together; the trace makes functions several times slower.
const LONGEST: Duration = Duration::from_mins(1);
/// For the start of the process and the import of coverage.py.
const TO_START: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Count {
    statements: u32,
    executed: u32,
}

/// Measures in a process of its own; nothing where coverage.py is not installed or the function does not come to
/// its end under it.
pub(super) async fn measure(
    workers: &Workers,
    request: &VerificationRequest,
    inputs: &[&Value],
) -> Option<Decimal> {
    if request.function.language != Language::Python || inputs.is_empty() {
        return None;
    }
    let limits = Limits { memory_mib: request.limits.memory_mib.saturating_add(EXTRA_MIB), ..request.limits };
    let start = move |jail: &crate::jail::Jail| {
        let folder = jail.coverage_folder().map(std::path::Path::to_owned);
        folder.map(|folder| Ok((folder, jail.start_python(Harness::Coverage, &limits)?))).transpose()
    };
    let (folder, process) = workers.spawner().run(start).await.ok()??;
    let message =
        json!({ "folder": folder, "source": request.function.source, "inputs": inputs }).to_string();
    let conversation = async {
        let mut stream = UnixStream::from_std(process.socket).ok()?;
        stream.write_all(message.as_bytes()).await.ok()?;
        stream.shutdown().await.ok()?;
        let mut answer = Vec::new();
        stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await.ok()?;
        serde_json::from_slice::<Count>(&answer).ok()
    };
    let (mut printed, mut said) = (receiver(process.printed).ok(), Tail::default());
    let count = tokio::select! {
        count = timeout(longest(&limits, inputs.len()), conversation) => count.ok().flatten(),
        // A process whose pipe is full would stand still.
        () = swallow(&mut printed, &mut said) => None,
    };
    process.child.kill();
    reap(process.child).await;
    if count.is_none() {
        // The process is gone: its pipe has an end.
        while printed.is_some() {
            swallow_some(&mut printed, &mut said).await;
        }
        let said = said.text();
        tracing::warn!(function = %request.function.digest(), %said, "the coverage could not be measured");
    }
    percent(&count?)
}

/// How long the measurement may take.
fn longest(limits: &Limits, inputs: usize) -> Duration {
    let calls = u32::try_from(inputs).unwrap_or(u32::MAX).saturating_mul(limits.timeout_seconds);
    LONGEST.min(TO_START + Duration::from_secs(calls.into()))
}

/// Reads what is printed for as long as anybody waits for this.
async fn swallow(pipe: &mut Option<pipe::Receiver>, said: &mut Tail) {
    loop {
        swallow_some(pipe, said).await;
    }
}

async fn swallow_some(pipe: &mut Option<pipe::Receiver>, said: &mut Tail) {
    let mut buffer = [0; 4096];
    let read = read(pipe, &mut buffer).await;
    said.push(&buffer[..read]);
}

/// With one decimal place, and 100 for nothing less than all.
fn percent(count: &Count) -> Option<Decimal> {
    if count.statements == 0 || count.executed > count.statements {
        return None;
    }
    let share = Decimal::from(count.executed) * Decimal::ONE_HUNDRED / Decimal::from(count.statements);
    let most = if count.executed < count.statements { Decimal::new(999, 1) } else { Decimal::ONE_HUNDRED };
    let mut share = share.round_dp(1).min(most);
    share.rescale(1);
    Some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_missing_is_not_all() {
        let percent =
            |executed, statements| percent(&Count { statements, executed }).map(|share| share.to_string());
        assert_eq!(percent(2, 3).as_deref(), Some("66.7"));
        assert_eq!(percent(9_999, 10_000).as_deref(), Some("99.9"));
        assert_eq!(percent(3, 3).as_deref(), Some("100.0"));
        assert_eq!(percent(0, 0), None);
    }
}
