//! Faults: mistakes in a definition, in words that read well in a condition.

use std::fmt;

use super::text::{MESSAGE_CHARS, shorten};

/// How much of a place a fault repeats.
const FIELD_CHARS: usize = 200;

/// A mistake in a definition: where it is, what is wrong there, and what would be right.
///
/// Displays as `step classify, input.text: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of mistake it is.
    pub reason: FaultReason,
    /// The step that it is in; absent: the workflow itself.
    pub step: Option<String>,
    /// The field of the step or the workflow, such as `input.text` or `examples[0].output`.
    pub field: String,
    /// What is wrong and what would be right, in at most 1000 characters.
    pub message: String,
}

/// The kinds of mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultReason {
    /// A name is missing, malformed, taken or unknown.
    InvalidSpec,
    /// A JSON Schema is none.
    InvalidSchema,
    /// An expression does not parse, reads what does not exist, or cannot have a value.
    InvalidExpression,
    /// An example contradicts the schema or a check of its step.
    InvalidExample,
    /// Steps wait for each other.
    DependencyCycle,
}

impl FaultReason {
    /// The reason as the CamelCase word of a condition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpec => "InvalidSpec",
            Self::InvalidSchema => "InvalidSchema",
            Self::InvalidExpression => "InvalidExpression",
            Self::InvalidExample => "InvalidExample",
            Self::DependencyCycle => "DependencyCycle",
        }
    }
}

impl fmt::Display for FaultReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Fault {
    pub(crate) fn new(
        reason: FaultReason,
        step: Option<&str>,
        field: impl AsRef<str>,
        message: impl AsRef<str>,
    ) -> Self {
        Self {
            reason,
            step: step.map(|step| shorten(step, FIELD_CHARS)),
            field: shorten(field.as_ref(), FIELD_CHARS),
            message: shorten(message.as_ref(), MESSAGE_CHARS),
        }
    }

    /// All faults in one message for a condition: as many as fit, and the count of the rest.
    #[must_use]
    pub fn summarize(faults: &[Self]) -> String {
        let mut summary = String::new();
        for (index, fault) in faults.iter().enumerate() {
            let fault = fault.to_string();
            if index > 0 && summary.chars().count() + fault.chars().count() > MESSAGE_CHARS {
                return format!("{summary} (and {} more)", faults.len() - index);
            }
            summary = if index == 0 { fault } else { format!("{summary}; {fault}") };
        }
        summary
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = &self.step {
            write!(f, "step {step}, ")?;
        }
        write!(f, "{}: {}", self.field, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summarizes_what_fits() {
        let fault = |n: usize| {
            Fault::new(FaultReason::InvalidSpec, Some("a"), "name", format!("{n}{}", "x".repeat(300)))
        };
        let faults: Vec<Fault> = (0..10).map(fault).collect();
        let summary = Fault::summarize(&faults);
        assert!(summary.starts_with("step a, name: 0x") && summary.ends_with(" (and 7 more)"), "{summary}");
        assert_eq!(Fault::summarize(&faults[..1]), faults[0].to_string());
    }
}
