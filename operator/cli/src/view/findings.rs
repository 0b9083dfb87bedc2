//! What `lint` found, in the form that editors understand.

use std::fmt::Write as _;

use super::text::{Paint, Tone};
use crate::lint::{Finding, Severity};

/// `file:line:column: error: object: message [Reason]` for each finding.
pub(crate) fn render(findings: &[Finding], paint: Paint) -> String {
    let mut text = String::new();
    for finding in findings {
        let Finding { file, line, column, severity, object, reason, message } = finding;
        let severity = match severity {
            Severity::Error => paint.apply(Tone::Bad, "error"),
            Severity::Warning => paint.apply(Tone::Waiting, "warning"),
        };
        let object = object.as_ref().map(|object| format!("{object}: ")).unwrap_or_default();
        let reason = paint.apply(Tone::Faint, &format!("[{reason}]"));
        let _ = writeln!(text, "{file}:{line}:{column}: {severity}: {object}{message} {reason}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_understood_by_editors() {
        let finding = Finding {
            file: "a.yaml".into(),
            line: 3,
            column: 7,
            severity: Severity::Warning,
            object: Some("Workflow/triage".into()),
            reason: "NoExamples",
            message: "step one: it has no examples".into(),
        };
        let expected = "a.yaml:3:7: warning: Workflow/triage: step one: it has no examples [NoExamples]\n";
        assert_eq!(render(&[finding], Paint::NONE), expected);
    }
}
