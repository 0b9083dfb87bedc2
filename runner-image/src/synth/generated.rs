//! Test cases that a model invents. The functions that passed vote on them; no example is ever overruled.

use std::collections::{BTreeMap, HashSet};

use dise_core::{
    digest::Digest,
    synthesis::{GeneratedTest, Task},
    verification::Example,
    workflow::{Predicate, Schema},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::SearchError;

/// Bounds of what a schema lets a model write, lest a small one never comes to an end.
const MOST_CHARS: u32 = 200;
const MOST_ITEMS: u32 = 20;
const LARGEST_NUMBER: i64 = 1_000_000;

/// A test case as a model proposes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Proposal {
    pub(super) input: Value,
    pub(super) output: Value,
}

#[derive(Deserialize)]
struct Proposals {
    tests: Vec<Value>,
}

/// The JSON Schema of an answer with `count` test cases that are shaped like the first example.
pub(super) fn schema(examples: &[Example], count: u32) -> Value {
    let first = examples.first();
    let input = first.map_or_else(|| json!({}), |example| shape(&example.input));
    let output = first.map_or_else(|| json!({}), |example| shape(&example.output));
    let test = object([("input", input), ("output", output)]);
    object([("tests", json!({"type": "array", "maxItems": count, "items": test}))])
}

fn object<'n>(fields: impl IntoIterator<Item = (&'n str, Value)>) -> Value {
    let fields: BTreeMap<&str, Value> = fields.into_iter().collect();
    let names: Vec<&&str> = fields.keys().collect();
    json!({"type": "object", "required": names, "additionalProperties": false, "properties": fields})
}

/// A schema that values like this one fit.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!({"type": "null"}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(number) => {
            let name = if number.is_f64() { "number" } else { "integer" };
            json!({"type": name, "minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER})
        }
        Value::String(_) => json!({"type": "string", "maxLength": MOST_CHARS}),
        Value::Array(items) => {
            let items = items.first().map_or_else(|| json!({}), shape);
            json!({"type": "array", "maxItems": MOST_ITEMS, "items": items})
        }
        Value::Object(fields) => object(fields.iter().map(|(name, field)| (name.as_str(), shape(field)))),
    }
}

/// The test cases in an answer: those that can be read, each input once and none that an example has.
pub(super) fn proposals(text: &str, examples: &[Example], most: u32) -> Vec<Proposal> {
    let Ok(Proposals { tests }) = serde_json::from_str(text) else { return Vec::new() };
    let mut known: HashSet<Option<Digest>> = examples.iter().map(|example| digest(&example.input)).collect();
    tests
        .into_iter()
        .filter_map(|test| serde_json::from_value::<Proposal>(test).ok())
        .filter(|proposal| known.insert(digest(&proposal.input)))
        .take(most as usize)
        .collect()
}

/// What holds for every output, invented cases or not.
pub(super) struct Rules {
    schema: Schema,
    checks: Vec<Predicate>,
}

impl Rules {
    pub(super) fn of(task: &Task) -> Result<Self, SearchError> {
        let schema =
            Schema::compile(&task.output).map_err(|error| SearchError::Request(error.to_string()))?;
        let checks = task.checks.iter().map(|check| Predicate::parse(&check.expression));
        let checks =
            checks.collect::<Result<_, _>>().map_err(|error| SearchError::Request(error.to_string()))?;
        Ok(Self { schema, checks })
    }

    /// The answers without those that break a rule.
    pub(super) fn keep(&self, inputs: &[Value], answers: Vec<Option<Value>>) -> Vec<Option<Value>> {
        let fits = |input: &Value, output: &Value| {
            self.schema.check(output).is_ok()
                && self.checks.iter().all(|check| check.holds(input, output).unwrap_or(false))
        };
        inputs
            .iter()
            .zip(answers)
            .map(|(input, answer)| answer.filter(|output| fits(input, output)))
            .collect()
    }
}

/// What the functions that passed made of the proposals.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Poll {
    /// The proposals that count.
    pub(super) tests: Vec<GeneratedTest>,
    /// With how many of them each function agrees.
    pub(super) agreeing: Vec<u32>,
}

/// Lets the functions vote. `answers` holds for each function what it gives for each proposal; nothing where it fails.
///
/// A proposal counts when a strict majority of the functions gives one output, which becomes its expected one. A single
/// function is no jury: there the model's own expectation has to agree.
pub(super) fn poll(proposals: &[Proposal], answers: &[Vec<Option<Value>>]) -> Poll {
    let mut poll = Poll { tests: Vec::new(), agreeing: vec![0; answers.len()] };
    for (index, proposal) in proposals.iter().enumerate() {
        let given: Vec<Option<&Value>> = answers.iter().map(|answers| answers.get(index)?.as_ref()).collect();
        let Some(output) = majority(&given) else { continue };
        if given.len() == 1 && digest(output) != digest(&proposal.output) {
            continue;
        }
        let agree: Vec<bool> = given
            .iter()
            .map(|answer| answer.is_some_and(|answer| digest(answer) == digest(output)))
            .collect();
        for (agreeing, agrees) in poll.agreeing.iter_mut().zip(&agree) {
            *agreeing += u32::from(*agrees);
        }
        poll.tests.push(GeneratedTest {
            input: proposal.input.clone(),
            output: output.clone(),
            agreeing: count(agree.iter().filter(|agrees| **agrees).count()),
            of: count(agree.len()),
        });
    }
    poll
}

/// The output that more than half of the functions give.
fn majority<'v>(given: &[Option<&'v Value>]) -> Option<&'v Value> {
    given.iter().flatten().copied().find(|candidate| {
        let same = given.iter().flatten().filter(|answer| digest(answer) == digest(candidate)).count();
        same * 2 > given.len()
    })
}

/// Names a value, however its numbers are spelled.
fn digest(value: &Value) -> Option<Digest> {
    Digest::of_json(value).ok()
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(input: Value) -> Example {
        Example { input, output: json!(0) }
    }

    fn proposal(output: Value) -> Proposal {
        Proposal { input: json!("x"), output }
    }

    #[test]
    fn a_proposal_counts_when_most_functions_agree() {
        for (answers, expected, counts) in [
            // Two of three; the model is overruled.
            (vec![Some(json!(1)), Some(json!(2)), Some(json!(1.0))], json!(2), Some((json!(1), 2, 3))),
            // No majority.
            (vec![Some(json!(1)), Some(json!(2))], json!(1), None),
            (vec![Some(json!(1)), None], json!(1), None),
            (vec![None, None, None], json!(1), None),
            // A failing minority does not hinder.
            (vec![None, Some(json!(1)), Some(json!(1))], json!(9), Some((json!(1), 2, 3))),
            // One function and the model.
            (vec![Some(json!(1))], json!(1), Some((json!(1), 1, 1))),
            (vec![Some(json!(1))], json!(2), None),
        ] {
            let answers: Vec<_> = answers.into_iter().map(|answer| vec![answer]).collect();
            let poll = poll(&[proposal(expected)], &answers);
            let test = poll.tests.first().map(|test| (test.output.clone(), test.agreeing, test.of));
            assert_eq!(test, counts, "{answers:?}");
        }
    }

    #[test]
    fn says_with_how_many_each_function_agrees() {
        let proposals = [proposal(json!(0)), proposal(json!(0))];
        let answers = [
            vec![Some(json!(1)), Some(json!(1))],
            vec![Some(json!(1)), Some(json!(1))],
            vec![Some(json!(1)), Some(json!(2))],
        ];
        assert_eq!(poll(&proposals, &answers).agreeing, [2, 2, 1]);
    }

    #[test]
    fn reads_what_can_be_read_and_repeats_no_example() {
        let text = json!({"tests": [
            {"input": 1, "output": 7}, {"input": 2.0, "output": 7}, {"input": 3}, "nonsense",
            {"input": 4, "output": null}, {"input": 4, "output": 5}, {"input": 5, "output": 5},
        ]});
        let found = proposals(&text.to_string(), &[example(json!(1)), example(json!(2))], 2);
        let inputs: Vec<Value> = found.into_iter().map(|proposal| proposal.input).collect();
        assert_eq!(inputs, [json!(4), json!(5)]);
        for garbage in ["", "no", "[]", r#"{"tests": 3}"#] {
            assert!(proposals(garbage, &[], 9).is_empty(), "{garbage}");
        }
    }

    #[test]
    fn asks_for_cases_shaped_like_the_first_example() {
        let example = Example { input: json!({"n": 1, "tags": ["a"]}), output: json!(0.5) };
        let schema = schema(std::slice::from_ref(&example), 4);
        let test = &schema["properties"]["tests"]["items"];
        assert_eq!(schema["properties"]["tests"]["maxItems"], 4);
        assert_eq!(test["properties"]["input"]["required"], json!(["n", "tags"]));
        assert_eq!(test["properties"]["input"]["properties"]["tags"]["items"]["type"], "string");
        assert_eq!(test["properties"]["output"]["type"], "number");
    }
}
