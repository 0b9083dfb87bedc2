//! Why an execution came to nothing.

use dise_core::wire::RunError;

use crate::workers::CallError;

/// The most that a message from a function is passed on of.
const MESSAGE_CHARS: usize = 500;

/// Whose fault a failure is, which decides the status of an HTTP answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The caller's: the input does not fit.
    Input,
    /// The step's: its function failed, or its output does not fit.
    Step,
    /// Nobody's: the time is up.
    Deadline,
    /// This process's: it cannot run functions now.
    Runner,
}

/// Why an execution came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault it is.
    pub kind: Kind,
    /// A stable `CamelCase` word.
    pub reason: &'static str,
    /// The step that failed, if it was one.
    pub step: Option<String>,
    /// A sentence for a person. Never source code, and nothing that the function printed.
    pub message: String,
    /// JSON pointer into the value that does not fit.
    pub pointer: Option<String>,
}

impl Failure {
    /// The input breaks the workflow's schema.
    #[must_use]
    pub fn invalid_input(pointer: String, message: String) -> Self {
        Self { kind: Kind::Input, reason: "InvalidInput", step: None, message, pointer: Some(pointer) }
    }

    /// An expression of the plan cannot be evaluated for this input; without a step it is the result's.
    #[must_use]
    pub fn expression(step: Option<&str>, message: &str) -> Self {
        let place = if step.is_some() { "the input of the step" } else { "the result of the workflow" };
        Self {
            kind: Kind::Step,
            reason: "ExpressionFailed",
            step: step.map(str::to_owned),
            message: format!("{place} cannot be evaluated: {message}"),
            pointer: None,
        }
    }

    /// A step's output breaks the step's schema.
    #[must_use]
    pub fn invalid_output(step: &str, pointer: String, message: &str) -> Self {
        Self {
            kind: Kind::Step,
            reason: "OutputInvalid",
            step: Some(step.to_owned()),
            message: format!("the output does not fit the step's schema: {message}"),
            pointer: Some(pointer),
        }
    }

    /// The deadline of the whole execution passed.
    #[must_use]
    pub fn deadline(step: Option<&str>) -> Self {
        let place = step.map_or_else(String::new, |step| format!(" in step `{step}`"));
        Self {
            kind: Kind::Deadline,
            reason: "DeadlineExceeded",
            step: step.map(str::to_owned),
            message: format!("the deadline of the request passed{place}"),
            pointer: None,
        }
    }

    /// A call of a step's function failed.
    #[must_use]
    pub fn call(step: &str, error: &CallError) -> Self {
        let kind = match error {
            CallError::Deadline { .. } | CallError::Busy { .. } => Kind::Deadline,
            CallError::Jail(_) => Kind::Runner,
            _ => Kind::Step,
        };
        let step = Some(step.to_owned());
        Self { kind, reason: error.reason(), step, message: public_message(error), pointer: None }
    }
}

impl From<Failure> for RunError {
    fn from(failure: Failure) -> Self {
        Self { reason: failure.reason.to_owned(), step: failure.step, message: failure.message }
    }
}

/// What a caller may read: an error's own words are for the author of the function, and quote the source and
/// what was printed. Both come after the first line, but for the line that does not parse.
fn public_message(error: &CallError) -> String {
    let text = match error {
        CallError::SourceFault { line, message, .. } => {
            let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
            format!("the source cannot be loaded: {}{line}", message.lines().next().unwrap_or_default())
        }
        other => other.to_string().lines().next().unwrap_or_default().to_owned(),
    };
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_and_prints_stay_inside() {
        let errors = [
            CallError::SourceFault {
                line: Some(3),
                text: Some("password = 'hunter2'".into()),
                message: "invalid syntax".into(),
            },
            CallError::Raised {
                kind: "ValueError".into(),
                message: "no".into(),
                traceback: "line 2: password = 'hunter2'".into(),
                printed: "hunter2".into(),
            },
            CallError::Forbidden { message: "PermissionError".into(), traceback: "open('hunter2')".into() },
            CallError::PrintedTooMuch { limit: 1, printed: "hunter2".into() },
            CallError::Died { signal: Some(11), exit_code: None, printed: "hunter2".into() },
        ];
        for error in errors {
            let failure = Failure::call("s", &error);
            assert!(!failure.message.contains("hunter2"), "{}", failure.message);
            assert_eq!((failure.kind, failure.reason), (Kind::Step, error.reason()));
        }
    }

    #[test]
    fn an_exception_is_named_with_its_message() {
        let error = CallError::Raised {
            kind: "ValueError".into(),
            message: "x".repeat(2000),
            traceback: String::new(),
            printed: String::new(),
        };
        let message = Failure::call("s", &error).message;
        assert!(message.starts_with("the function raised ValueError: xxx"), "{message}");
        assert_eq!(message.chars().count(), MESSAGE_CHARS + 1);
    }

    #[test]
    fn time_that_is_up_is_nobodys_fault() {
        let late = [CallError::Deadline { seconds: 1.0 }, CallError::Busy { message: String::new() }];
        assert!(late.iter().all(|error| Failure::call("s", error).kind == Kind::Deadline));
    }
}
