//! Declarations that the API server lets pass and the operator must refuse.

use dise_tests::spec::{python, single};
use serde_json::{Value, json};

/// A declaration, and what its conditions must say.
pub(crate) struct Refused {
    pub(crate) name: &'static str,
    pub(crate) spec: Value,
    pub(crate) reason: &'static str,
    /// All of these are in the message.
    pub(crate) fragments: &'static [&'static str],
}

pub(crate) fn refused() -> Vec<Refused> {
    [orders(), expressions(), schemas(), examples()].into_iter().flatten().collect()
}

fn step(name: &str, fields: &Value) -> Value {
    let mut step = fields.clone();
    step["name"] = json!(name);
    step["options"] = json!([{"name": "code", "function": python("def run(input):\n    return input\n")}]);
    step
}

/// A workflow of an integer `n`, with the steps `first` and `second`.
fn pair(first: &Value, second: &Value) -> Value {
    json!({
        "input": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
        "steps": [step("first", first), step("second", second)],
    })
}

fn orders() -> Vec<Refused> {
    let ring = json!({"steps": [
        step("a", &json!({"input": "${steps.c}"})),
        step("b", &json!({"input": "${steps.a}"})),
        step("c", &json!({"input": "${steps.b}"})),
        step("free", &json!({})),
    ]});
    vec![
        Refused {
            name: "cycle",
            spec: ring,
            reason: "DependencyCycle",
            fragments: &["`a`", "`b`", "`c`", " waits for ", "remove one of the references"],
        },
        Refused {
            name: "cycle-of-after",
            spec: pair(&json!({"after": ["second"]}), &json!({"input": "${steps.first}"})),
            reason: "DependencyCycle",
            fragments: &["`first` waits for `second` waits for `first`"],
        },
        Refused {
            name: "own-output",
            spec: pair(&json!({}), &json!({"input": "${steps.second}"})),
            reason: "DependencyCycle",
            fragments: &["`second` waits for itself", "remove the reference"],
        },
        Refused {
            name: "after-unknown",
            spec: pair(&json!({}), &json!({"after": ["frist"]})),
            reason: "InvalidSpec",
            fragments: &["step second, after", "`frist` is not a step", "did you mean `first`"],
        },
    ]
}

fn expressions() -> Vec<Refused> {
    let number = json!({
        "output": {"type": "object", "properties": {"total": {"type": "integer"}}, "additionalProperties": false},
    });
    let input = |expression: &str| pair(&number, &json!({"input": {"value": expression}}));
    let check = |expression: &str| {
        pair(&json!({}), &json!({"checks": [{"name": "small", "expression": expression}]}))
    };
    let refused = |name, spec, fragments| Refused { name, spec, reason: "InvalidExpression", fragments };
    vec![
        refused(
            "unknown-step",
            input("${steps.frist.total}"),
            &["step second, input.value", "frist", "did you mean `first`"],
        ),
        refused(
            "unknown-field",
            input("${steps.first.totl}"),
            &["step second, input.value", "totl", "did you mean `total`"],
        ),
        refused("wrong-types", input("${input.n + 'x'}"), &["step second, input.value", "int", "string"]),
        refused(
            "unparsable",
            input("${input.n + }"),
            &["step second, input.value", "not a CEL expression, at character 10"],
        ),
        refused("unclosed", input("${input.n"), &["step second, input.value", "`}`"]),
        refused("unknown-function", input("${legnth(input.n)}"), &["step second, input.value", "legnth"]),
        refused(
            "check-is-no-bool",
            check("1 + 1"),
            &["step second, checks.small", "must yield true or false", "yields an int"],
        ),
        refused("check-unparsable", check("output >"), &["step second, checks.small", "at character 9"]),
        refused(
            "wrong-result",
            {
                let mut spec = pair(&number, &json!({}));
                spec["result"] = json!({"sum": "${steps.first.sum}"});
                spec
            },
            &["result.sum", "sum"],
        ),
    ]
}

fn schemas() -> Vec<Refused> {
    let output = |schema: Value| pair(&json!({}), &json!({"output": schema}));
    let refused = |name, spec, fragments| Refused { name, spec, reason: "InvalidSchema", fragments };
    let mut wrong_input = pair(&json!({}), &json!({}));
    wrong_input["input"] = json!({"required": "n"});
    vec![
        refused("schema-type", output(json!({"type": "integr"})), &["step second, output", "integr"]),
        refused("schema-pattern", output(json!({"pattern": "("})), &["step second, output", "("]),
        refused(
            "schema-reference",
            output(json!({"$ref": "#/$defs/missing"})),
            &["step second, output", "missing"],
        ),
        refused("schema-remote", output(json!({"$ref": "https://example.com/x"})), &["example.com"]),
        refused("schema-of-input", wrong_input, &["input", "required"]),
    ]
}

fn examples() -> Vec<Refused> {
    let schema = json!({"type": "object", "properties": {"parts": {"items": {"type": "integer"}}}});
    let example = json!({"output": schema, "examples": [
        {"input": 1, "output": {"parts": [1]}},
        {"input": 2, "output": {"parts": [1, "two"]}},
    ]});
    let contradiction = json!({
        "checks": [{"name": "positive", "expression": "output > 0"}],
        "examples": [{"input": 1, "output": -1}],
    });
    let several = json!({"input": "${steps.nowhere}", "output": {"type": 1}});
    let code = python("def run(input):\n    return input\n");
    vec![
        Refused {
            name: "example-off-schema",
            spec: single(&code, &example),
            reason: "InvalidExample",
            fragments: &["step only, examples[1].output", "/parts/1", "two", "integer"],
        },
        Refused {
            name: "example-off-check",
            spec: single(&code, &contradiction),
            reason: "InvalidExample",
            fragments: &["step only, examples[0]", "positive", "output > 0"],
        },
        Refused {
            name: "several-faults",
            spec: single(&code, &several),
            reason: "InvalidExpression",
            fragments: &["step only, input", "nowhere", "step only, output"],
        },
    ]
}
