//! What a command came to. Scripts rely on the numbers.

use std::{
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

/// How a command ended that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 0: all is well.
    Well,
    /// 1: it is not: a file has faults, a run failed, a workflow did not become ready.
    Unwell,
}

impl From<bool> for Outcome {
    fn from(well: bool) -> Self {
        if well { Self::Well } else { Self::Unwell }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Well => Self::SUCCESS,
            Outcome::Unwell => Self::from(1),
        }
    }
}

/// 2: the command was given wrongly.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The code of a command that could not be carried out: 2 if it was given wrongly, else 3.
pub(crate) fn code_of(fault: &anyhow::Error) -> ExitCode {
    ExitCode::from(if fault.is::<Usage>() { 2 } else { 3 })
}

/// Prints to standard output. A reader that has seen enough, such as `head`, is no failure.
///
/// # Errors
/// Standard output cannot be written to.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Tells what is going on, on standard error, where it disturbs no pipe.
pub(crate) fn say(text: &str) {
    // There is nobody left to be told if this fails.
    let _ = writeln!(io::stderr(), "{text}");
}
