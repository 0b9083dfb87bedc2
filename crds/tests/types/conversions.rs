//! Objects become the domain's words and back.

use dise_core::{
    function::{self, Function, Limits},
    profile::Profile,
    verification::VerificationReport,
    wire::StepResult,
    workflow::{Code, Definition},
};
use dise_crds::{Constraints, MeasuredProfile, RunStep, ToolSpec, Verification, Workflow};
use serde_json::json;

fn definition(spec: &serde_json::Value) -> Definition {
    let workflow: Workflow = serde_json::from_value(json!({
        "apiVersion": "dise.dev/v1alpha1", "kind": "Workflow", "metadata": {"name": "triage", "namespace": "shop"},
        "spec": spec,
    }))
    .unwrap();
    Definition::from(&workflow)
}

#[test]
fn a_workflow_becomes_a_definition() {
    let definition = definition(&json!({
        "description": "Sort.", "input": {"type": "object"}, "result": "${steps.a}",
        "steps": [{
            "name": "a", "description": "First.", "input": "${input}", "output": {"type": "string"}, "after": ["b"],
            "examples": [{"input": 1, "output": null}], "checks": [{"name": "c", "expression": "true"}],
            "timeoutSeconds": 7, "memoryMib": 64,
        }],
    }));
    assert_eq!((definition.namespace.as_str(), definition.name.as_str()), ("shop", "triage"));
    assert_eq!((definition.description.as_str(), definition.result), ("Sort.", Some(json!("${steps.a}"))));
    assert_eq!(definition.input, Some(json!({"type": "object"})));
    let step = &definition.steps[0];
    assert_eq!(
        (step.name.as_str(), step.description.as_str(), &step.after[..]),
        ("a", "First.", &["b".into()][..])
    );
    assert_eq!((&step.input, &step.output), (&Some(json!("${input}")), &Some(json!({"type": "string"}))));
    assert_eq!((&step.examples[0].input, &step.examples[0].output), (&json!(1), &json!(null)));
    assert_eq!((step.checks[0].name.as_str(), step.checks[0].expression.as_str()), ("c", "true"));
    assert_eq!(step.limits, Limits { timeout_seconds: 7, memory_mib: 64, ..Limits::default() });
}

#[test]
fn options_say_where_their_code_comes_from() {
    let definition = definition(&json!({"steps": [
        {"name": "a"},
        {"name": "b", "options": [
            {"name": "own", "function": {"language": "Bash", "source": "cat"}},
            {"name": "unwritten", "function": {"language": "Python"}},
            {"name": "shared", "tool": "cleaner"},
        ]},
    ]}));
    let options = |step: usize| -> Vec<_> {
        definition.steps[step]
            .options
            .iter()
            .map(|option| (option.name.as_str(), option.code.clone()))
            .collect()
    };
    assert_eq!(options(0), [("code", Code::Missing(function::Language::Python))]);
    let authored = Function { language: function::Language::Bash, source: "cat".into() };
    assert_eq!(
        options(1),
        [
            ("own", Code::Authored(authored)),
            ("unwritten", Code::Missing(function::Language::Python)),
            ("shared", Code::Tool("cleaner".into())),
        ]
    );
}

#[test]
fn absurd_limits_are_not_taken() {
    let definition = definition(&json!({"steps": [{"name": "a", "timeoutSeconds": -1, "memoryMib": 0}]}));
    assert_eq!(definition.steps[0].limits, Limits::default());
}

#[test]
fn a_tool_is_a_function() {
    let tool = |value| serde_json::from_value::<ToolSpec>(value).unwrap();
    let python = tool(json!({"type": "PythonFunction", "pythonFunction": {"source": "x"}}));
    assert_eq!(python.function().unwrap().language, function::Language::Python);
    assert_eq!(python.limits(), Limits::default());
    let bash = tool(json!({
        "type": "BashScript", "bashScript": {"source": "cat"}, "constraints": {"timeoutSeconds": 90},
    }));
    assert_eq!(
        bash.function().unwrap(),
        Function { language: function::Language::Bash, source: "cat".into() }
    );
    assert_eq!(bash.limits(), Limits { timeout_seconds: 90, ..Limits::default() });
    assert_eq!(tool(json!({"type": "BashScript", "pythonFunction": {"source": "x"}})).function(), None);
}

#[test]
fn the_lower_limit_counts() {
    let constraints =
        Constraints { timeout_seconds: Some(60), memory_mib: Some(64), ..Constraints::default() };
    let limits = constraints.tighten(Limits::default());
    assert_eq!((limits.timeout_seconds, limits.memory_mib), (30, 64));
    assert_eq!(Constraints::default().tighten(Limits::default()), Limits::default());
}

#[test]
fn a_profile_keeps_every_digit() {
    let profile: Profile = serde_json::from_value(json!({
        "quality": "0.9167", "p50LatencyUs": 412, "p95LatencyUs": 1840, "costUsd": "0.0000001",
        "peakMemoryKib": 9000, "samples": 12, "measuredAt": "2026-01-02T03:04:05Z",
    }))
    .unwrap();
    assert_eq!(
        serde_json::to_value(MeasuredProfile::from(&profile)).unwrap(),
        json!({
            "quality": "0.9167", "p50LatencyMs": "0.412", "p95LatencyMs": "1.84", "costUsd": "0.0000001",
            "peakMemoryKib": 9000, "samples": 12, "measuredAt": "2026-01-02T03:04:05Z",
        })
    );
}

#[test]
fn a_report_becomes_a_verification() {
    let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let report: VerificationReport = serde_json::from_value(json!({
        "request": digest, "function": digest, "runner": "0.1.0", "at": "2026-01-02T03:04:05Z", "passed": 11,
        "failed": 1, "coveragePercent": "97.500",
    }))
    .unwrap();
    let verification = Verification::from(&report);
    assert_eq!(verification.tests(), "11/12");
    assert_eq!(
        serde_json::to_value(verification).unwrap(),
        json!({"passed": 11, "failed": 1, "coveragePercent": "97.5", "at": "2026-01-02T03:04:05Z", "runner": "0.1.0"})
    );
}

#[test]
fn a_step_result_becomes_a_step_of_a_run() {
    let result: StepResult = serde_json::from_value(json!({
        "name": "a", "option": "code", "artifact": "x", "latencyMs": 1.8404, "costUsd": "0", "checksPassed": 0,
        "checksTotal": 0,
    }))
    .unwrap();
    let step = serde_json::to_value(RunStep::from(&result)).unwrap();
    assert_eq!(
        step,
        json!({"name": "a", "option": "code", "artifact": "x", "latencyMs": "1.84", "costUsd": "0"})
    );
}
