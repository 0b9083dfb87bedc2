//! Workflows in few words.

use serde_json::{Value, json};

/// A function in Python.
#[must_use]
pub fn python(source: &str) -> Value {
    json!({"language": "Python", "source": source})
}

/// A function in Bash.
#[must_use]
pub fn bash(source: &str) -> Value {
    json!({"language": "Bash", "source": source})
}

/// A workflow of the step `only`, whose one option is `function`; `step` has the other fields of the step.
///
/// # Panics
/// `step` is no object.
#[must_use]
pub fn single(function: &Value, step: &Value) -> Value {
    let mut step = step.clone();
    step["name"] = json!("only");
    step["options"] = json!([{"name": "code", "function": function}]);
    json!({"steps": [step]})
}

/// A workflow that adds `by` to the integer `n`, proven by one example.
#[must_use]
pub fn adder(by: i64) -> Value {
    let source = format!("def run(input):\n    return {{'n': input['n'] + {by}}}\n");
    let number = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let mut workflow = single(
        &python(&source),
        &json!({
            "output": number,
            "examples": [{"input": {"n": 1}, "output": {"n": 1 + by}}],
            "checks": [{"name": "integer", "expression": "output.n == int(output.n)"}],
        }),
    );
    workflow["input"] = number;
    workflow
}
