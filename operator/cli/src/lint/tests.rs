//! What `lint` says about good and bad files.

use super::*;

/// `line:column severity reason: message` of each finding.
fn findings(texts: &[&str]) -> Vec<String> {
    let source =
        |(index, text): (usize, &&str)| Source { name: format!("{index}.yaml"), text: (*text).to_owned() };
    let sources: Vec<Source> = texts.iter().enumerate().map(source).collect();
    let show = |finding: Finding| {
        let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
        let Finding { line, column, reason, message, .. } = finding;
        format!("{line}:{column} {severity} {reason}: {message}")
    };
    check(&sources).unwrap().findings.into_iter().map(show).collect()
}

/// A workflow whose steps are given in YAML, from line 5 on.
fn workflow(steps: &str) -> String {
    format!(
        "apiVersion: dise.dev/v1alpha1\nkind: Workflow\nmetadata: {{name: triage}}\nspec: {{input: {{type: object, \
         properties: {{num: {{type: integer}}}}}}, steps: [\n{steps}\n]}}\n"
    )
}

const EXAMPLES: &str = "examples: [{input: 1, output: 2}]";
const CODE: &str = "options: [{name: code, function: {language: Python, source: 'def run(x): return x'}}]";
const TOOL: &str = "
apiVersion: dise.dev/v1alpha1
kind: Tool
metadata: {name: slugify}
spec:
  type: PythonFunction
  pythonFunction: {source: 'def run(x): return x'}
";

#[test]
fn the_examples_of_the_repository_are_clean() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/");
    let read = |name| std::fs::read_to_string(format!("{root}sentiment/{name}")).unwrap();
    assert_eq!(findings(&[&read("workflow.yaml"), &read("run.yaml")]), [""; 0]);
}

#[test]
fn other_objects_are_left_alone() {
    let other = "apiVersion: v1\nkind: ConfigMap\ndata: {a: yes}\n---\nimage: {tag: x}\n---\n[1, 2]\n";
    let report = check(&[Source { name: "x".into(), text: other.into() }]).unwrap();
    assert_eq!((report.objects, report.findings), (0, Vec::new()));
}

#[test]
fn names_objects_that_this_release_does_not_know() {
    for (text, expected) in [
        (
            "apiVersion: dise.dev/v1\nkind: Workflow\nmetadata: {name: a}\nspec: {steps: []}",
            "1:1 error UnknownVersion: apiVersion: \"dise.dev/v1\" is not what this release knows; write dise.dev/v1alpha1",
        ),
        (
            "kind: Tool\nmetadata: {name: a}",
            "1:1 error UnknownVersion: apiVersion: \"\" is not what this release knows; write dise.dev/v1alpha1",
        ),
        (
            "apiVersion: dise.dev/v1alpha1\nkind: Workfow\nmetadata: {name: a}",
            "2:1 error UnknownKind: kind: there is no kind \"Workfow\" in dise.dev/v1alpha1; did you mean `Workflow`?",
        ),
    ] {
        assert_eq!(findings(&[text])[0], expected);
    }
}

#[test]
fn says_what_the_api_server_would_refuse_and_where() {
    for (steps, expected) in [
        (
            "{name: s,\n  optoins: []}",
            "6:3 error UnknownField: spec.steps[0].optoins: there is no such field; did you mean `options`?",
        ),
        (
            "{name: a}, {\nname: S}",
            "6:1 error InvalidValue: spec.steps[1].name: \"S\" does not match \"^[a-z]([-a-z0-9]*[a-z0-9])?$\"",
        ),
        (
            "{name: s, options: [\n  {name: o}]}",
            "6:3 error RuleBroken: spec.steps[0].options[0]: set exactly one of function and tool",
        ),
        (
            "{name: s, after: [a, a]}",
            "5:11 error InvalidValue: spec.steps[0].after: [\"a\",\"a\"] has non-unique elements",
        ),
    ] {
        assert_eq!(findings(&[&workflow(steps)]), [expected]);
    }
    let long = workflow("{name: s}").replace("triage", &"a".repeat(41));
    assert!(findings(&[&long])[0].contains("RuleBroken: object: metadata.name must have at most 40"));
    assert!(findings(&["kind: [1"])[0].contains("error InvalidYaml"));
}

#[test]
fn says_what_the_operator_would_refuse_and_where() {
    let step = |fields: &str| format!("{{name: one, {EXAMPLES}, {CODE},\n  {fields}}}");
    for (steps, place, fragments) in [
        (
            format!(
                "{},\n{{name: two, {EXAMPLES}, {CODE}, input: {{v:\n  '${{steps.noe.x}}'}}}}",
                step("after: []")
            ),
            "7:",
            vec!["InvalidExpression: step two, input.v", "noe", "did you mean `one`"],
        ),
        (step("input: '${steps.one}'"), "4:", vec!["DependencyCycle: steps: `one` waits for itself"]),
        (
            step("after: [noe]"),
            "6:3",
            vec!["InvalidSpec: step one, after: `noe` is not a step; did you mean `one`"],
        ),
        (step("output: {type: integr}"), "6:3", vec!["InvalidSchema: step one, output", "integr"]),
        (step("output: {type: string}"), "5:35", vec!["InvalidExample: step one, examples[0].output", "2"]),
        (
            step("checks: [{name: a, expression: 'true'}, {name: b,\n  expression: output >}]"),
            "7:3",
            vec!["InvalidExpression: step one, checks.b", "at character"],
        ),
    ] {
        let found = findings(&[&workflow(&steps)]);
        assert!(found[0].starts_with(place), "{found:?} is not at {place}");
        for fragment in fragments {
            assert!(found[0].contains(fragment), "{found:?} does not say {fragment}");
        }
        assert_eq!(found.len(), 1, "{found:?}");
    }
}

#[test]
fn warns_of_what_may_not_be_meant() {
    let expected =
        "5:1 warning NoExamples: step one: it has no examples, so nothing shows that its code is right";
    assert_eq!(findings(&[&workflow(&format!("{{name: one, {CODE}}}"))]), [expected]);
    let ambiguous = format!("{{name: one, {CODE}, examples: [{{input: {{y: 010}}, output: yes}}]}}");
    let found = findings(&[&workflow(&ambiguous)]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0]
            .contains("warning AmbiguousWord: spec.steps[0].examples[0].input.y: kubectl reads `y` as true")
    );
    assert!(found[1].contains("kubectl reads `010` as 8"), "{found:?}");
    let twice = workflow(&format!("{{name: one, {EXAMPLES}, {CODE}}}"));
    let expected =
        "3:12 warning DeclaredTwice: it is declared in 0.yaml, line 3, too; the later one replaces it";
    assert_eq!(findings(&[&twice, &twice]), [expected]);
}

#[test]
fn code_that_nobody_wrote_is_no_fault() {
    assert_eq!(findings(&[&workflow(&format!("{{name: one, description: Add one., {EXAMPLES}}}"))]), [""; 0]);
}

#[test]
fn tools_are_looked_for_in_all_files_of_the_namespace() {
    let uses = workflow(&format!("{{name: one, {EXAMPLES}, options: [{{name: o,\n  tool: slugify}}]}}"));
    let missing =
        "6:3 warning ToolNotFound: step one: Tool slugify is not in these files; it has to be in the cluster";
    assert_eq!(findings(&[&uses]), [missing]);
    assert_eq!(findings(&[&uses, TOOL]), [""; 0]);
    assert_eq!(
        findings(&[&uses, &TOOL.replace("{name: slugify}", "{name: slugify, namespace: shop}")]),
        [missing]
    );
}

#[test]
fn models_write_code_and_hold_none() {
    let model = "
apiVersion: dise.dev/v1alpha1
kind: Tool
metadata: {name: qwen}
spec: {type: LocalLlm, llm: {endpoint: 'http://ollama:11434/v1', model: qwen}}
";
    let step = format!("{{name: one, {EXAMPLES}}}");
    let written_by =
        |tool: &str| workflow(&step).replace("steps:", &format!("synthesis: {{tool: {tool}}}, steps:"));
    assert_eq!(findings(&[&written_by("qwen"), model]), [""; 0]);
    assert!(
        findings(&[&written_by("qwen")])[0].contains("warning ToolNotFound: Tool qwen is not in these files")
    );
    assert!(
        findings(&[&written_by("slugify"), TOOL])[0]
            .contains("error ToolNotFound: Tool slugify writes no code")
    );
    let uses = workflow(&format!("{{name: one, {EXAMPLES}, options: [{{name: o,\n  tool: qwen}}]}}"));
    let found = findings(&[&uses, model]);
    assert!(found[0].starts_with("6:3 error ToolHoldsNoCode: step one, option o"), "{found:?}");
}

#[test]
fn tools_are_held_against_their_own_schema() {
    let example = format!(
        "{TOOL}  output: {{type: object, properties: {{num: {{type: integer}}}}}}\n  examples:\n  - {{input: 1, output: {{num: x}}}}\n"
    );
    let found = findings(&[&example]);
    assert!(
        found[0].starts_with("10:25 error InvalidExample: spec.examples[0].output: it does not fit"),
        "{found:?}"
    );
    let found = findings(&[&format!("{TOOL}  output: {{type: nonsense}}\n")]);
    assert!(found[0].starts_with("8:3 error InvalidSchema: spec.output"), "{found:?}");
}

#[test]
fn runs_are_held_against_the_workflow_that_is_beside_them() {
    let workflow = workflow(&format!("{{name: one, {EXAMPLES}, {CODE}}}"));
    let run = |input: &str| {
        format!(
            "apiVersion: dise.dev/v1alpha1\nkind: WorkflowRun\nmetadata: {{name: r}}\nspec:\n  workflow: triage\n  input: {input}\n"
        )
    };
    assert_eq!(findings(&[&workflow, &run("{num: 1}")]), [""; 0]);
    let found = findings(&[&workflow, &run("{num: x}")]);
    assert!(
        found[0].starts_with(
            "6:11 error InvalidInput: spec.input.num: it does not fit the input of Workflow triage"
        ),
        "{found:?}"
    );
    assert!(
        findings(&[&run("{num: 1}")])[0]
            .starts_with("5:3 warning WorkflowNotFound: Workflow triage is not in these files")
    );
}
