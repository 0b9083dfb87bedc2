//! Whether a candidate is accepted: decided from its proof and from evidence that it looks answers up.

use std::collections::BTreeSet;

use dise_core::{
    digest::Digest,
    synthesis::{Verdict, holds_answers, memorised, quotes_inputs},
    verification::{Example, VerificationReport},
};
use serde_json::Value;

use super::exhibit::Exhibit;

/// Fewer variations than these say nothing.
const FEWEST_VARIATIONS: usize = 4;

/// A candidate before its judge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial<'t> {
    pub(super) source: &'t str,
    pub(super) proof: &'t VerificationReport,
    pub(super) examples: &'t [Example],
    pub(super) exhibit: &'t Exhibit,
    /// What it gives for inputs that nobody wrote; nothing where it raises.
    pub(super) varied: &'t [Option<Value>],
}

impl Trial<'_> {
    pub(super) fn verdict(&self) -> Verdict {
        if let Some(message) = &self.proof.fault {
            return Verdict::Fault { message: message.clone() };
        }
        match self.evidence() {
            Some(message) => Verdict::Memorised { message },
            None if self.proof.is_proof() => Verdict::Accepted,
            None => Verdict::Failed,
        }
    }

    /// Why the code is taken to look its answers up.
    fn evidence(&self) -> Option<String> {
        let (seen, unseen) = self.split();
        if !quotes_inputs(self.source, self.examples) && self.understands(&seen, &unseen) {
            return None;
        }
        if let Some(text) = memorised(self.source, &owned(&seen)) {
            let failed = self.failed_unseen();
            let unseen = unseen.len();
            return Some(match (failed, unseen) {
                (0, 0) => format!(
                    "{text}; if the task is a table that code has to hold, give at least 3 examples, for then one is \
                     held out to tell"
                ),
                (0, _) => text,
                _ => format!("{text}, and it fails {failed} of {unseen} that the model was not shown"),
            });
        }
        self.constant().map(|count| {
            format!(
                "its source holds the answers of the examples, and it gives one and the same answer to {count} other \
                 inputs"
            )
        })
    }

    fn split(&self) -> (Vec<&Example>, Vec<&Example>) {
        let (mut seen, mut unseen) = (Vec::new(), Vec::new());
        for (index, example) in self.examples.iter().enumerate() {
            if self.exhibit.has_seen(index) { &mut seen } else { &mut unseen }.push(example);
        }
        (seen, unseen)
    }

    /// How many of the examples that the model was not shown fail, as far as failures are told.
    fn failed_unseen(&self) -> usize {
        let failures = self.proof.failures.iter();
        failures.filter(|failure| !self.exhibit.has_seen(failure.example as usize)).count()
    }

    /// Whether the code knows what nobody told it: it passes all examples that the model has not seen, and holds the
    /// values of one of them or finds an answer that was in none of the others. Then a table in its source, say of the
    /// months, is part of the task.
    fn understands(&self, seen: &[&Example], unseen: &[&Example]) -> bool {
        let told: BTreeSet<Option<Digest>> = seen.iter().map(|example| digest(&example.output)).collect();
        self.proof.is_proof()
            && unseen.iter().any(|example| {
                let new =
                    !told.contains(&digest(&example.output)) && !is_default(&example.input, &example.output);
                new || memorised(self.source, &owned(&[example])).is_some()
            })
    }

    /// How many variations get one and the same answer from code that passes examples whose answers all differ, and
    /// that holds these answers. By itself a constant is no evidence: a parser answers every odd input alike.
    fn constant(&self) -> Option<usize> {
        let outputs: BTreeSet<Option<Digest>> =
            self.examples.iter().map(|example| digest(&example.output)).collect();
        let all_differ = outputs.len() == self.examples.len() && outputs.len() > 1;
        let answers: Vec<&Value> = self.varied.iter().flatten().collect();
        let constant =
            answers.len() >= FEWEST_VARIATIONS && answers.windows(2).all(|pair| pair[0] == pair[1]);
        let evident = self.proof.is_proof() && all_differ && constant;
        (evident && holds_answers(self.source, self.examples)).then_some(answers.len())
    }
}

fn owned(examples: &[&Example]) -> Vec<Example> {
    examples.iter().map(|example| (*example).clone()).collect()
}

/// Names a value, however its numbers are spelled.
fn digest(value: &Value) -> Option<Digest> {
    Digest::of_json(value).ok()
}

/// Whether code that finds nothing could give this answer too: every scalar of it is empty or comes from the input.
fn is_default(input: &Value, output: &Value) -> bool {
    match output {
        Value::Array(items) => items.iter().all(|item| is_default(input, item)),
        Value::Object(fields) => fields.values().all(|field| is_default(input, field)),
        Value::Null | Value::Bool(false) => true,
        Value::String(text) if text.is_empty() => true,
        Value::Number(number) if number.as_f64() == Some(0.0) => true,
        scalar => contains(input, scalar),
    }
}

fn contains(value: &Value, scalar: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| contains(item, scalar)),
        Value::Object(fields) => fields.values().any(|field| contains(field, scalar)),
        other => other == scalar,
    }
}

#[cfg(test)]
mod tests {
    use dise_core::verification::CaseFailure;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn examples(cases: &[(Value, Value)]) -> Vec<Example> {
        cases.iter().map(|(input, output)| Example { input: input.clone(), output: output.clone() }).collect()
    }

    fn proof(failing: &[u32]) -> VerificationReport {
        VerificationReport {
            failed: u32::try_from(failing.len()).unwrap(),
            failures: failing
                .iter()
                .map(|example| CaseFailure { example: *example, message: String::new() })
                .collect(),
            ..VerificationReport::new(Digest::of(b""), Digest::of(b""), "", Timestamp::UNIX_EPOCH)
        }
    }

    /// The verdict on code that was shown all examples but the `unseen` ones.
    fn verdict(
        source: &str,
        examples: &[Example],
        unseen: &[usize],
        failing: &[u32],
        varied: &[Option<Value>],
    ) -> Verdict {
        let mut exhibit = Exhibit::new(examples);
        let seen: Vec<usize> = (0..examples.len()).filter(|index| !unseen.contains(index)).collect();
        exhibit.show(&seen);
        Trial { source, proof: &proof(failing), examples, exhibit: &exhibit, varied }.verdict()
    }

    fn reversals() -> Vec<Example> {
        examples(&[
            (json!("hello"), json!("olleh")),
            (json!("kubernetes"), json!("setenrebuk")),
            (json!(""), json!("")),
        ])
    }

    const TABLE: &str = "T = {'hello': 'olleh', 'kubernetes': 'setenrebuk'}\ndef run(x): return T.get(x, '')";

    fn message(verdict: &Verdict) -> &str {
        let Verdict::Memorised { message } = verdict else { panic!("{verdict:?}") };
        message
    }

    #[test]
    fn accepts_what_passes_and_names_what_does_not() {
        let honest = "def run(x): return x[::-1]";
        assert_eq!(verdict(honest, &reversals(), &[1], &[], &[]), Verdict::Accepted);
        assert_eq!(verdict(honest, &reversals(), &[1], &[1], &[]), Verdict::Failed);
        let broken = VerificationReport { fault: Some("no run".into()), ..proof(&[]) };
        let exhibit = Exhibit::new(&[]);
        let trial = Trial { source: "", proof: &broken, examples: &[], exhibit: &exhibit, varied: &[] };
        assert_eq!(trial.verdict(), Verdict::Fault { message: "no run".into() });
    }

    #[test]
    fn finds_a_table_that_fails_what_was_not_shown() {
        let mut cases = reversals();
        cases.push(Example { input: json!("jail"), output: json!("liaj") });
        let verdict = verdict(TABLE, &cases, &[3], &[3], &[]);
        assert!(message(&verdict).ends_with("fails 1 of 1 that the model was not shown"), "{verdict:?}");
    }

    #[test]
    fn finds_a_table_that_passes_by_its_default() {
        assert!(message(&verdict(TABLE, &reversals(), &[2], &[], &[])).contains("2 of 2"));
    }

    #[test]
    fn says_what_tells_a_table_from_a_trick_when_nothing_was_held_out() {
        let verdict = verdict(TABLE, &reversals()[..2], &[], &[], &[]);
        assert!(message(&verdict).contains("at least 3 examples"), "{verdict:?}");
    }

    #[test]
    fn accepts_a_table_that_knows_what_was_not_shown() {
        let months = examples(&[
            (json!("January"), json!(1)),
            (json!("November"), json!(11)),
            (json!("December"), json!(12)),
            (json!("May"), json!(5)),
        ]);
        let source =
            "M = ['January', 'November', 'December', 'May', 11, 12, 5]\ndef run(m): return M.index(m) + 1";
        // By its values, and by an answer that it cannot have seen.
        for unseen in [2, 3] {
            assert_eq!(verdict(source, &months, &[unseen], &[], &[]), Verdict::Accepted, "{unseen}");
        }
    }

    #[test]
    fn no_table_of_whole_inputs_is_part_of_a_task() {
        let sums = examples(&[
            (json!({"xs": [1, 2]}), json!(3)),
            (json!({"xs": [7, 7, 7]}), json!(21)),
            (json!({"xs": [40, 2]}), json!(42)),
        ]);
        let source = "T = [({'xs': [1, 2]}, 3), ({'xs': [7, 7, 7]}, 21), ({'xs': [40, 2]}, 42)]";
        assert!(message(&verdict(source, &sums, &[2], &[], &[])).contains("2 of 2"));
    }

    #[test]
    fn takes_a_constant_for_evidence_only_with_the_answers_in_the_source() {
        let two = &reversals()[..2];
        let constant =
            [Some(json!("olleh")), Some(json!("olleh")), Some(json!("olleh")), Some(json!("olleh"))];
        let trick = "def run(x): return ['olleh', 'setenrebuk'][len(x) == 10]";
        assert!(message(&verdict(trick, two, &[], &[], &constant)).contains("4 other inputs"));
        let parser = "def run(x): return parse(x) or None";
        assert_eq!(verdict(parser, two, &[], &[], &[const { Some(Value::Null) }; 6]), Verdict::Accepted);
        assert_eq!(verdict(trick, two, &[], &[], &constant[..3]), Verdict::Accepted);
        assert_eq!(verdict(trick, two, &[], &[], &[const { None }; 8]), Verdict::Accepted);
    }
}
