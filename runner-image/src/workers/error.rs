//! Why a call came to nothing, in words for the author of the function.

use std::fmt::Write as _;

use crate::jail::JailError;

/// Why a call of a function failed. Every message names the cause and what to do about it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The source does not parse, raises while it is loaded, or does not define `run`.
    #[error("{}", source_fault(*line, text.as_deref(), message))]
    SourceFault {
        /// The line of the source, from 1, where it is known.
        line: Option<u32>,
        /// That line.
        text: Option<String>,
        /// What is wrong.
        message: String,
    },
    /// `run` raised an exception, or a script ended with an exit code other than 0.
    #[error("{}", raised(kind, message, traceback, printed))]
    Raised {
        /// The class of the exception, such as `ValueError`.
        kind: String,
        /// Its message.
        message: String,
        /// The lines of the function that led to it, outermost first; empty when there are none.
        traceback: String,
        /// The end of what the call printed.
        printed: String,
    },
    /// The call was still running at its deadline; its worker was killed.
    #[error(
        "the function was still running at its deadline, after {seconds:.3} s: look for an endless loop or a slow \
         regular expression, or raise timeoutSeconds"
    )]
    Deadline {
        /// How long it had been running.
        seconds: f64,
    },
    /// The function ran out of memory.
    #[error(
        "the function needs more than its {mib} MiB of memory: hold less data at a time, or raise memoryMib"
    )]
    Memory {
        /// The limit.
        mib: u32,
    },
    /// The result is too large.
    #[error("the result is larger than {limit} bytes of JSON: return less")]
    OutputTooLarge {
        /// The limit in bytes.
        limit: u32,
    },
    /// The function printed too much.
    #[error("the function printed more than {limit} bytes: print less{}", tail(printed))]
    PrintedTooMuch {
        /// The limit in bytes.
        limit: u32,
        /// The end of what it had printed.
        printed: String,
    },
    /// The result cannot be written as JSON.
    #[error(
        "{location} is not JSON: {message}; return only None, bool, int, finite float, str, list and dict with str keys"
    )]
    NotJson {
        /// Where, as a path from `output`, such as `output.scores[3]`.
        location: String,
        /// What is there.
        message: String,
    },
    /// The function tried what the jail does not allow.
    #[error(
        "{message}: functions run in a jail without files, network, processes, threads and signals; compute the \
         result from the input, and use a tool step for anything outside{}",
        traceback_lines(traceback)
    )]
    Forbidden {
        /// The attempt, as the interpreter reported it.
        message: String,
        /// The lines of the function that led to it; empty when there are none.
        traceback: String,
    },
    /// The worker sent something other than the one reply to the call.
    #[error(
        "the worker broke the protocol ({message}) and was killed: the function must not write to file descriptors \
         that it did not open"
    )]
    Protocol {
        /// What was wrong with it.
        message: String,
    },
    /// The worker ended in the middle of the call.
    #[error("{}", died(*signal, *exit_code, printed))]
    Died {
        /// The signal that ended it.
        signal: Option<i32>,
        /// The exit code that it ended with.
        exit_code: Option<i32>,
        /// The end of what it had printed.
        printed: String,
    },
    /// The input is larger than what a function can be given.
    #[error(
        "the input has {bytes} bytes and the limit is {limit}: pass less, or pass a reference to the data"
    )]
    InputTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The input is not JSON.
    #[error("the input is not JSON: {message}")]
    InputNotJson {
        /// What is wrong with it.
        message: String,
    },
    /// The deadline passed before a worker was free; the function was not run.
    #[error(
        "no worker was free before the deadline ({message}): retry later, or give the executor more cores or replicas"
    )]
    Busy {
        /// What the workers were doing.
        message: String,
    },
    /// No worker could be put in a jail.
    #[error(transparent)]
    Jail(#[from] JailError),
}

impl CallError {
    /// A stable `CamelCase` word for conditions and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SourceFault { .. } => "SourceFault",
            Self::Raised { .. } => "Raised",
            Self::Deadline { .. } => "DeadlineExceeded",
            Self::Memory { .. } => "OutOfMemory",
            Self::OutputTooLarge { .. } => "OutputTooLarge",
            Self::PrintedTooMuch { .. } => "PrintedTooMuch",
            Self::NotJson { .. } => "OutputNotJson",
            Self::Forbidden { .. } => "Forbidden",
            Self::Protocol { .. } => "ProtocolViolation",
            Self::Died { .. } => "WorkerDied",
            Self::InputTooLarge { .. } => "InputTooLarge",
            Self::InputNotJson { .. } => "InputNotJson",
            Self::Busy { .. } => "Busy",
            Self::Jail(_) => "JailUnavailable",
        }
    }

    /// Whether the same call may succeed later or elsewhere: the fault lies with the workers, not with the function.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Jail(_))
    }
}

fn source_fault(line: Option<u32>, text: Option<&str>, message: &str) -> String {
    let mut sentence = String::from("the source cannot be loaded: ");
    sentence.push_str(message);
    if let Some(line) = line {
        let _ = write!(sentence, " (line {line}");
        if let Some(text) = text {
            let _ = write!(sentence, ": `{}`", text.trim());
        }
        sentence.push(')');
    }
    sentence
}

fn raised(kind: &str, message: &str, traceback: &str, printed: &str) -> String {
    let separator = if message.is_empty() { "" } else { ": " };
    format!("the function raised {kind}{separator}{message}{}{}", traceback_lines(traceback), tail(printed))
}

fn traceback_lines(traceback: &str) -> String {
    if traceback.is_empty() { String::new() } else { format!("\n{traceback}") }
}

fn tail(printed: &str) -> String {
    if printed.is_empty() { String::new() } else { format!("\nprinted last: {printed}") }
}

fn died(signal: Option<i32>, exit_code: Option<i32>, printed: &str) -> String {
    let how = match (signal, exit_code) {
        (Some(libc::SIGKILL), _) => {
            "was killed from outside, most likely by the kernel for want of memory: raise the \
                                     memory limit of the pod or lower its number of workers"
                .to_owned()
        }
        (Some(libc::SIGSEGV), _) => {
            "crashed (SIGSEGV), mostly by recursion that is too deep: use a loop".to_owned()
        }
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => {
            format!("ended itself with exit code {code}: a function returns and never calls os._exit")
        }
        (None, None) => {
            "closed its connection: a function must not close file descriptors that it did not open"
                .to_owned()
        }
    };
    format!("the function's worker {how}{}", tail(printed))
}
