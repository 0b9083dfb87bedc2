//! The `OpenAPI` description of what is served.

use dise_core::plan::{Plan, PlanStep};
use serde_json::{Map, Value, json};

use super::catalog::Entries;

/// The statuses that a request to execute can be answered with beside 200.
const PROBLEMS: &[(&str, &str)] = &[
    ("400", "The body is not a request, or the input does not fit the schema."),
    ("404", "No such workflow is served here."),
    ("405", "Another method than POST."),
    ("408", "The body did not arrive in time."),
    ("409", "The workflow has no plan that can serve."),
    ("413", "The body is too large."),
    ("429", "Too many requests. Try again after Retry-After."),
    ("500", "A defect of the executor: the result cannot be written."),
    ("502", "A step failed."),
    ("503", "The executor is shutting down or cannot run functions."),
    ("504", "The deadline passed."),
];

/// Describes the workflows that have a plan.
#[must_use]
pub fn document(namespace: &str, entries: &Entries) -> Value {
    let mut paths = Map::new();
    for (name, entry) in entries {
        let plan = entry.program().and_then(|program| serde_json::from_slice(program.document()).ok());
        if let Some(plan) = plan {
            paths.insert(format!("/v1/workflows/{name}/run"), path(&plan));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("DiSE workflows of the namespace {namespace}"),
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Each workflow also answers at /v1/run of the Service that has its name.",
        },
        "paths": paths,
        "components": {"schemas": {"Problem": problem(), "Step": step()}},
    })
}

fn path(plan: &Plan) -> Value {
    let id = |part: &str| format!("urn:dise:schema:{}:{}:{part}", plan.namespace, plan.workflow);
    let mut responses = Map::new();
    responses.insert(
        "200".into(),
        json!({
            "description": "The workflow was executed.",
            "content": {"application/json": {"schema": result(&with_id(output(plan), &id("output")))}},
        }),
    );
    for (status, description) in PROBLEMS {
        responses.insert(
            (*status).to_owned(),
            json!({
                "description": description,
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }),
        );
    }
    json!({"post": {
        "operationId": plan.workflow,
        "summary": if plan.description.is_empty() { &plan.workflow } else { &plan.description },
        "requestBody": {"required": true, "content": {"application/json": {"schema": {
            "type": "object",
            "required": ["input"],
            "additionalProperties": false,
            "properties": {
                "input": with_id(plan.input.clone(), &id("input")),
                "deadlineMs": {
                    "type": "integer", "minimum": 1, "maximum": u32::MAX,
                    "description": "Milliseconds that the execution may take.",
                },
            },
        }}}},
        "responses": responses,
    }})
}

/// Gives a schema with references an identity, because they are relative to the nearest one.
fn with_id(mut schema: Value, id: &str) -> Value {
    if let Value::Object(fields) = &mut schema
        && (fields.contains_key("$defs") || fields.contains_key("definitions"))
        && !fields.contains_key("$id")
    {
        fields.insert("$id".into(), id.into());
    }
    schema
}

fn result(output: &Value) -> Value {
    let decimal = json!({"type": "string", "pattern": r"^\d+(\.\d+)?$"});
    json!({
        "type": "object",
        "required": ["runId", "plan", "output", "costUsd", "latencyMs", "steps"],
        "properties": {
            "runId": {"type": "string", "format": "uuid"},
            "plan": {"type": "string", "description": "Digest of the plan that was executed."},
            "output": output,
            "quality": decimal,
            "costUsd": decimal,
            "latencyMs": {"type": "number"},
            "steps": {"type": "array", "items": {"$ref": "#/components/schemas/Step"}},
        },
    })
}

fn step() -> Value {
    let text = json!({"type": "string"});
    json!({"type": "object", "properties": {
        "name": text, "option": text, "artifact": text,
        "latencyMs": {"type": "number"},
        "costUsd": text,
        "checksPassed": {"type": "integer"}, "checksTotal": {"type": "integer"},
    }})
}

fn problem() -> Value {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status", "detail", "reason"],
        "properties": {
            "type": text, "title": text, "status": {"type": "integer"}, "detail": text,
            "instance": text, "reason": text, "step": text, "pointer": text,
        },
    })
}

/// What is known of the output before anything runs: the template's shape, with the steps' schemas put in where
/// it refers to their outputs.
fn output(plan: &Plan) -> Value {
    shape(&plan.result, &plan.steps)
}

fn shape(template: &Value, steps: &[PlanStep]) -> Value {
    match template {
        Value::Object(fields) => {
            let properties: Map<_, _> =
                fields.iter().map(|(name, field)| (name.clone(), shape(field, steps))).collect();
            json!({"type": "object", "required": fields.keys().collect::<Vec<_>>(), "properties": properties})
        }
        Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(|element| shape(element, steps)).collect();
            json!({"type": "array", "prefixItems": elements, "items": false})
        }
        Value::String(text) if !text.contains("${") => json!({"const": text}),
        Value::String(text) => referred(text, steps).unwrap_or_else(|| json!({})),
        constant => json!({"const": constant}),
    }
}

/// The schema of `${steps.NAME.field…}`; nothing for any other expression.
fn referred(text: &str, steps: &[PlanStep]) -> Option<Value> {
    let mut path = text.strip_prefix("${")?.strip_suffix('}')?.trim().split('.');
    let is_name = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (path.next()? == "steps").then_some(())?;
    let name = path.next().filter(|part| is_name(part))?;
    let root = &steps.iter().find(|step| step.name == name)?.output;
    let mut schema = root;
    for field in path.filter(|part| !part.is_empty()) {
        schema = is_name(field).then(|| schema.get("properties")?.get(field)).flatten()?;
    }
    // A part of a schema may refer to what only the whole has.
    let whole = std::ptr::eq(schema, root);
    (whole || !schema.to_string().contains("\"$ref\"")).then(|| schema.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::problem::Problem, *};
    use crate::engine::{Failure, Kind};

    fn steps() -> Vec<PlanStep> {
        let output = json!({"type": "object", "properties": {"label": {"enum": ["a", "b"]}, "r": {"$ref": "#/$defs/x"}}});
        vec![PlanStep {
            name: "classify".into(),
            depends_on: vec![],
            input: json!({}),
            output,
            checks: vec![],
            limits: dise_core::function::Limits::default(),
            options: vec![],
        }]
    }

    fn failure(kind: Kind) -> Problem {
        let failure = Failure { kind, reason: "R", step: None, message: String::new(), pointer: None };
        Problem::failure(failure, None)
    }

    #[test]
    fn every_status_that_a_request_is_answered_with_is_described_and_no_other() {
        let plan = Plan {
            format: dise_core::plan::PLAN_FORMAT,
            namespace: "shop".into(),
            workflow: "triage".into(),
            description: String::new(),
            input: json!({}),
            steps: steps(),
            result: json!({}),
        };
        let problems = [
            Problem::invalid_request(""),
            Problem::unknown_workflow(""),
            Problem::wrong_method(""),
            Problem::slow_body(),
            Problem::not_ready("", None),
            Problem::too_large(1),
            Problem::overloaded(""),
            Problem::draining(),
            Problem::internal(""),
            failure(Kind::Input),
            failure(Kind::Step),
            failure(Kind::Deadline),
            failure(Kind::Runner),
        ];
        let answered = problems.iter().map(|problem| problem.status.to_string());
        let answered: BTreeSet<_> = answered.chain(["200".to_owned()]).collect();
        let path = path(&plan);
        let described = path["post"]["responses"].as_object().unwrap();
        assert_eq!(described.keys().cloned().collect::<BTreeSet<_>>(), answered);
        assert!(described.values().all(|response| response["content"].is_object()));
    }

    #[test]
    fn the_output_takes_its_schema_from_the_steps() {
        let steps = steps();
        for (template, expected) in [
            (json!("${steps.classify.label}"), json!({"enum": ["a", "b"]})),
            (json!("${ steps.classify }"), steps[0].output.clone()),
            (json!("${steps.classify.unknown}"), json!({})),
            (json!("${steps.classify.r}"), json!({})),
            (json!("${steps.classify.label + 'x'}"), json!({})),
            (json!("text ${steps.classify.label}"), json!({})),
            (json!(7), json!({"const": 7})),
            (
                json!({"l": "${steps.classify.label}"}),
                json!({"type": "object", "required": ["l"], "properties": {"l": {"enum": ["a", "b"]}}}),
            ),
        ] {
            assert_eq!(shape(&template, &steps), expected, "{template}");
        }
    }

    #[test]
    fn a_schema_with_definitions_gets_an_identity() {
        assert_eq!(with_id(json!({"$defs": {}}), "urn:x")["$id"], "urn:x");
        assert_eq!(with_id(json!({"type": "string"}), "urn:x"), json!({"type": "string"}));
        assert_eq!(with_id(json!(true), "urn:x"), json!(true));
    }
}
