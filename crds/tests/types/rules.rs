//! The CEL rules, evaluated without an API server: what they accept, what they reject and what they say.

use dise_crds::crds;
use kube_cel::Validator;
use serde_json::{Value, json};

fn schema(kind: &str) -> Value {
    let crd = crds().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    serde_json::to_value(crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref()).unwrap()
}

/// The messages of the rules that `kind` named `name` with `spec` breaks.
fn faults(kind: &str, name: &str, spec: &Value, old: Option<&Value>) -> Vec<String> {
    let object = |spec: &Value| json!({"metadata": {"name": name}, "spec": spec});
    let old = old.map(object);
    match Validator::new().validate(&schema(kind), &object(spec), old.as_ref()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.to_string().lines().map(str::to_owned).collect(),
    }
}

#[track_caller]
fn assert_accepts(kind: &str, spec: &Value) {
    assert_eq!(faults(kind, "a", spec, None), [""; 0]);
}

#[track_caller]
fn assert_rejects(kind: &str, spec: &Value, message: &str) {
    let faults = faults(kind, "a", spec, None).join("\n");
    assert!(faults.contains(message), "{faults:?} does not say {message:?}");
}

fn workflow(step: &Value, serving: &Value) -> Value {
    json!({"steps": [step], "serving": serving})
}

fn shared() -> Value {
    json!({"mode": "Shared"})
}

#[test]
fn names_of_workflows_are_names_of_services() {
    let spec = workflow(&json!({"name": "s"}), &shared());
    for name in ["a", "review-triage", &"a".repeat(40)] {
        assert_eq!(faults("Workflow", name, &spec, None), [""; 0], "{name}");
    }
    for name in ["1a", "a.b", "a-", &"a".repeat(41)] {
        let faults = faults("Workflow", name, &spec, None).join("\n");
        assert!(faults.contains("at most 40 lower-case letters"), "{name}: {faults}");
    }
}

#[test]
fn an_option_is_a_function_or_a_tool() {
    let with = |option: Value| workflow(&json!({"name": "s", "options": [option]}), &shared());
    assert_accepts("Workflow", &with(json!({"name": "o", "tool": "t"})));
    assert_accepts("Workflow", &with(json!({"name": "o", "function": {"language": "Bash"}})));
    let both = json!({"name": "o", "tool": "t", "function": {"language": "Bash"}});
    for option in [json!({"name": "o"}), both] {
        assert_rejects("Workflow", &with(option), "set exactly one of function and tool");
    }
}

#[test]
fn a_step_does_not_wait_for_itself() {
    assert_accepts("Workflow", &workflow(&json!({"name": "s", "after": ["t"]}), &shared()));
    assert_rejects(
        "Workflow",
        &workflow(&json!({"name": "s", "after": ["s"]}), &shared()),
        "cannot wait for itself",
    );
}

#[test]
fn only_dedicated_workflows_have_pods_of_their_own() {
    for (field, value) in [
        ("replicas", json!(2)),
        ("resources", json!({})),
        ("nodeSelector", json!({"a": "b"})),
        ("runtimeClassName", json!("gvisor")),
    ] {
        let with = |mode: &str| workflow(&json!({"name": "s"}), &json!({"mode": mode, field: value}));
        assert_accepts("Workflow", &with("Dedicated"));
        assert_rejects("Workflow", &with("Shared"), &format!("set mode: Dedicated or remove {field}"));
    }
}

#[test]
fn requests_do_not_exceed_limits() {
    let with = |requests: Value, limits: Value| {
        let resources = json!({"requests": requests, "limits": limits});
        workflow(&json!({"name": "s"}), &json!({"mode": "Dedicated", "resources": resources}))
    };
    assert_accepts(
        "Workflow",
        &with(json!({"cpu": "500m", "memory": "1Gi"}), json!({"cpu": "0.5", "memory": "2Gi"})),
    );
    assert_accepts("Workflow", &with(json!({"cpu": "2"}), json!({"memory": "1Mi"})));
    assert_rejects(
        "Workflow",
        &with(json!({"cpu": "2"}), json!({"cpu": "1500m"})),
        "requests.cpu must not exceed",
    );
    assert_rejects(
        "Workflow",
        &with(json!({"memory": "1Gi"}), json!({"memory": "1G"})),
        "requests.memory must not",
    );
}

#[test]
fn sources_are_bounded_in_sum() {
    let steps = |length: usize| {
        let function = json!({"language": "Bash", "source": "x".repeat(length)});
        let step = |name: usize| {
            json!({"name": format!("s{name}"), "options": [
                {"name": "a", "function": function}, {"name": "b", "tool": "t"}, {"name": "c", "function": {"language": "Bash"}},
            ]})
        };
        json!({"steps": (0..8).map(step).chain([json!({"name": "last"})]).collect::<Vec<_>>(), "serving": shared()})
    };
    assert_accepts("Workflow", &steps(65_536));
    assert_rejects("Workflow", &steps(65_537), "more than 524288 characters");
}

#[test]
fn keys_of_maps_are_bounded() {
    let spec = |key: String| json!({"steps": [{"name": "s"}], "serving": shared(), "tags": {key: "x"}});
    assert_accepts("Workflow", &spec("k".repeat(63)));
    assert_rejects("Workflow", &spec("k".repeat(64)), "every key of tags");
}

#[test]
fn the_member_of_a_tool_matches_its_type() {
    let source = json!({"source": "x"});
    assert_accepts("Tool", &json!({"type": "PythonFunction", "pythonFunction": source}));
    assert_accepts("Tool", &json!({"type": "BashScript", "bashScript": source}));
    assert_rejects("Tool", &json!({"type": "BashScript"}), "bashScript must be set");
    assert_rejects(
        "Tool",
        &json!({"type": "BashScript", "pythonFunction": source}),
        "pythonFunction must be set",
    );
    let both = json!({"type": "PythonFunction", "pythonFunction": source, "bashScript": source});
    assert_rejects("Tool", &both, "bashScript must be set");
}

#[test]
fn runs_and_artifacts_do_not_change() {
    let run = json!({"workflow": "a", "input": {"x": 1}});
    let artifact = json!({"type": "Function", "source": "x", "origin": {"kind": "Authored"}});
    for (kind, old) in [("WorkflowRun", run), ("Artifact", artifact)] {
        assert_eq!(faults(kind, "a", &old, Some(&old)), [""; 0]);
        let mut changed = old.clone();
        changed["added"] = json!("x");
        let faults = faults(kind, "a", &changed, Some(&old)).join("\n");
        assert!(faults.contains("cannot be changed; create another"), "{kind}: {faults}");
    }
}

#[test]
fn an_artifact_has_content() {
    assert_accepts("Artifact", &json!({"sourceRef": "blobs/x"}));
    assert_rejects("Artifact", &json!({"type": "Function"}), "set source or sourceRef");
}
