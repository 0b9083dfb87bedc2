use serde_json::json;

use super::*;
use crate::{
    digest::Digest,
    function::Language,
    verification::{Check, Example},
    workflow::{Code, Missing, OptionDefinition, Proven},
};

fn function(source: &str) -> Function {
    Function { language: Language::Python, source: source.to_owned() }
}

fn option(name: &str, code: Code) -> OptionDefinition {
    OptionDefinition { name: name.to_owned(), code }
}

fn step(name: &str, input: Value) -> StepDefinition {
    StepDefinition {
        name: name.to_owned(),
        input: Some(input),
        options: vec![option("code", Code::Authored(function(name)))],
        ..StepDefinition::default()
    }
}

/// The workflow of the documentation.
fn triage() -> Definition {
    let text = json!({"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}});
    let labels = json!({"enum": ["positive", "negative", "neutral"]});
    let clean = StepDefinition {
        output: Some(text.clone()),
        examples: vec![Example { input: json!({"text": "<b>A</b>"}), output: json!({"text": "a"}) }],
        ..step("clean", json!({"text": "${input.text}"}))
    };
    let classify = StepDefinition {
        output: Some(json!({"type": "object", "required": ["label"], "properties": {"label": labels}})),
        examples: vec![Example { input: json!({"text": "good"}), output: json!({"label": "positive"}) }],
        checks: vec![Check {
            name: "known-label".to_owned(),
            expression: "output.label in ['positive', 'negative', 'neutral'] && size(input.text) >= 0"
                .to_owned(),
        }],
        ..step("classify", json!({"text": "${steps.clean.text}"}))
    };
    Definition {
        namespace: "shop".to_owned(),
        name: "review-triage".to_owned(),
        input: Some(text),
        steps: vec![clean, classify],
        result: Some(json!({"sentiment": "${steps.classify.label}"})),
        ..Definition::default()
    }
}

fn faults(definition: &Definition) -> Vec<String> {
    let faults = compile(definition, &BTreeMap::new()).err().unwrap_or_default();
    faults.iter().map(|fault| format!("{} {fault}", fault.reason)).collect()
}

fn proven(step: &str, option: &str, source: &str, generation: i64) -> Proven {
    Proven {
        step: step.to_owned(),
        option: option.to_owned(),
        language: Language::Python,
        function: function(source).digest(),
        artifact: format!("{step}-{generation}"),
        generation,
        profile: None,
    }
}

#[test]
fn compiles_the_documented_workflow() {
    let compiled = compile(&triage(), &BTreeMap::new()).unwrap();
    assert_eq!(compiled.missing().count(), 0);
    assert_eq!(compiled.steps()[1].depends_on, ["clean"]);
    let requests: Vec<_> = compiled.requests().collect();
    assert_eq!(
        requests.iter().map(|it| (it.step, it.option)).collect::<Vec<_>>(),
        [("clean", "code"), ("classify", "code")]
    );
    assert_eq!(requests[1].request.function, function("classify"));
    assert_eq!(requests[1].request.checks.len(), 1);
}

#[test]
fn fills_in_what_a_definition_leaves_out() {
    for (last, result) in [
        ("b", "${steps.b}"),
        ("b-c", "${steps[\"b-c\"]}"),
        ("in", "${steps[\"in\"]}"),
        ("for", "${steps.for}"),
    ] {
        let steps =
            ["a", last].map(|name| StepDefinition { name: name.to_owned(), ..StepDefinition::default() });
        let definition = Definition { steps: steps.to_vec(), ..Definition::default() };
        let compiled = compile(&definition, &BTreeMap::new()).unwrap();
        assert_eq!((&compiled.input, &compiled.result), (&json!(true), &json!(result)));
        assert_eq!(
            (&compiled.steps()[1].input, &compiled.steps()[1].output),
            (&json!("${input}"), &json!(true))
        );
        let missing: Vec<Missing> = compiled.missing().collect();
        assert_eq!(
            (missing.len(), missing[1].reason(), missing[1].option.as_str()),
            (2, "CodeMissing", "code")
        );
    }
}

/// A change to [`triage`] that breaks it.
type Change = fn(&mut Definition);

const MISTAKES: [(Change, &str); 31] = [
    (
        |it| it.steps[1].input = Some(json!({"text": "${steps.claen.text}"})),
        "InvalidExpression step classify, input.text: `steps.claen` is not a step; did you mean `clean`?",
    ),
    (
        |it| it.steps[1].input = Some(json!({"text": "${steps.clean.txet}"})),
        "InvalidExpression step classify, input.text: `steps.clean` has no field `txet`; did you mean `text`?; it has `text`",
    ),
    (
        |it| it.steps[0].input = Some(json!(["${input.nope}"])),
        "InvalidExpression step clean, input[0]: `input` has no field `nope`; it has `text`",
    ),
    (
        |it| it.steps[0].input = Some(json!("${input.text +}")),
        "InvalidExpression step clean, input: `input.text +`: not a CEL expression, at character",
    ),
    (
        |it| it.steps[0].input = Some(json!("${input.text + 1}")),
        "InvalidExpression step clean, input: `+` cannot be applied to a string and an int",
    ),
    (
        |it| it.result = Some(json!({"a": "${steps.classify.lable}"})),
        "InvalidExpression result.a: `steps.classify` has no field `lable`; did you mean `label`?",
    ),
    (
        |it| it.result = Some(json!("${steps.clean-up.text}")),
        "InvalidExpression result: `steps.clean-up.text`: `steps.clean-up.text` reads as a subtraction",
    ),
    (|it| it.input = Some(json!({"type": "text"})), "InvalidSchema input: /type: "),
    (
        |it| it.steps[0].output = Some(json!({"properties": {"a": 1}})),
        "InvalidSchema step clean, output: /properties/a: ",
    ),
    (
        |it| it.steps[0].output = Some(json!({"$ref": "https://example.com"})),
        "InvalidSchema step clean, output: ",
    ),
    (
        |it| it.steps[1].examples[0].output = json!({"label": "odd"}),
        "InvalidExample step classify, examples[0].output: does not fit the output schema: /label: \"odd\" is not one of ",
    ),
    (
        |it| it.steps[1].examples[0].output = json!({}),
        "InvalidExample step classify, examples[0].output: does not fit the output schema: \"label\" is a required property",
    ),
    (
        |it| it.steps[1].checks[0].expression = "output.label != 'positive'".to_owned(),
        "InvalidExample step classify, examples[0]: the check known-label does not hold for it: `output.label != 'positive'`",
    ),
    (
        |it| {
            it.steps[1].output = None;
            it.steps[1].checks[0].expression = "output.reason != ''".to_owned();
        },
        "InvalidExample step classify, examples[0]: the check known-label cannot be evaluated for it: `output.reason != ''`: ",
    ),
    (
        |it| it.steps[1].checks[0].expression = "output.label".to_owned(),
        "InvalidExpression step classify, checks.known-label: a check must yield true or false; `output.label` yields a string",
    ),
    (
        |it| it.steps[1].checks[0].expression = "input.nope == ''".to_owned(),
        "InvalidExpression step classify, checks.known-label: `input` has no field `nope`; it has `text`",
    ),
    (
        |it| it.steps[1].checks[0].expression = "outptu.label == ''".to_owned(),
        "InvalidExpression step classify, checks.known-label: `outptu.label == ''`: `outptu` is not known here; did you mean `output`?",
    ),
    (
        |it| it.steps[1].checks.extend_from_within(..1),
        "InvalidSpec step classify, checks: the name `known-label` is taken; give each its own",
    ),
    (
        |it| it.steps[0].options.extend_from_within(..1),
        "InvalidSpec step clean, options: the name `code` is taken; give each its own",
    ),
    (
        |it| it.steps.push(step("clean", json!(1))),
        "InvalidSpec steps: the name `clean` is taken; give each its own",
    ),
    (
        |it| it.steps.push(step("cleanUp", json!(1))),
        "InvalidSpec steps: `cleanUp` is not a name; names consist of lower-case \
            letters, digits and dashes and start with a letter, as in `clean-up`",
    ),
    (|it| it.steps.push(step("1st", json!(1))), "InvalidSpec steps: `1st` is not a name"),
    (
        |it| it.steps.push(step("a-", json!(1))),
        "InvalidSpec steps: `a-` is not a name; names consist of lower-case letters, digits \
            and dashes and start with a letter, as in `a`",
    ),
    (|it| it.steps.push(step("", json!(1))), "InvalidSpec steps: `` is not a name"),
    (|it| it.steps.push(step(&"x".repeat(64), json!(1))), "InvalidSpec steps: the name `"),
    (
        |it| it.steps[1].after = vec!["claen".to_owned()],
        "InvalidSpec step classify, after: `claen` is not a step; did you mean `clean`?",
    ),
    (
        |it| it.steps[1].after = vec!["zzzzzz".to_owned()],
        "InvalidSpec step classify, after: `zzzzzz` is not a step; the steps are `classify`, `clean`",
    ),
    (
        |it| it.steps[0].after = vec!["classify".to_owned()],
        "DependencyCycle steps: `clean` waits for `classify` waits for `clean`: remove one of the references",
    ),
    (
        |it| it.steps[0].after = vec!["clean".to_owned()],
        "DependencyCycle steps: `clean` waits for itself; remove the reference to its own output",
    ),
    (|it| *it = Definition::default(), "InvalidSpec steps: a workflow needs at least one step"),
    (
        |it| it.steps[0].input = Some(json!("${input.text.lowr()}")),
        "InvalidExpression step clean, input: there is no function `lowr`",
    ),
];

#[test]
fn names_the_step_the_place_and_the_fix() {
    for (change, expected) in MISTAKES {
        let mut definition = triage();
        change(&mut definition);
        let faults = faults(&definition);
        assert!(faults.len() == 1 && faults[0].starts_with(expected), "{expected}\n{faults:#?}");
    }
}

#[test]
fn rejects_a_cycle_and_names_its_steps() {
    let steps = [("a", "${steps.c}"), ("b", "${steps.a}"), ("c", "${steps.b}"), ("d", "${steps.a}")];
    let steps = steps.map(|(name, input)| step(name, json!(input)));
    let definition = Definition { steps: steps.to_vec(), ..Definition::default() };
    assert_eq!(
        faults(&definition),
        [
            "DependencyCycle steps: `a` waits for `c` waits for `b` waits for `a`: remove one of the references"
        ]
    );
}

#[test]
fn reports_all_faults_in_reading_order() {
    let mut definition = triage();
    definition.input = Some(json!({"type": 1}));
    definition.steps[0].input = Some(json!({"a": "${", "b": "${x}"}));
    definition.steps[0].output = Some(json!(1));
    definition.steps[1].after = vec!["none-such".to_owned()];
    definition.steps[1].name = "Classify".to_owned();
    definition.result = Some(json!("${steps.gone}"));
    let faults = faults(&definition);
    let places = [
        "input: ",
        "step clean, input.a: ",
        "step clean, input.b: ",
        "step clean, output: ",
        "steps: ",
        "step Classify, after: ",
        "result: ",
    ];
    assert_eq!(faults.len(), places.len(), "{faults:#?}");
    for (fault, place) in faults.iter().zip(places) {
        assert!(fault.split_once(' ').unwrap().1.starts_with(place), "{fault}");
    }
}

#[test]
fn orders_steps_by_what_they_read_and_then_by_author() {
    let mut last = step("a", json!(["${steps.c.x}", "${steps[\"b-1\"]}"]));
    last.after = vec!["d".to_owned()];
    let steps =
        vec![last, step("b-1", json!("${input}")), step("c", json!("${size(steps.d)}")), step("d", json!(1))];
    let compiled = compile(&Definition { steps, ..Definition::default() }, &BTreeMap::new()).unwrap();
    let order: Vec<&str> = compiled.steps().iter().map(|step| step.name.as_str()).collect();
    assert_eq!(order, ["b-1", "d", "c", "a"]);
    assert_eq!(compiled.steps()[3].depends_on, ["b-1", "c", "d"]);
}

#[test]
fn tells_a_missing_tool_from_a_mistake() {
    let mut definition = triage();
    definition.steps[0].options =
        ["here", "gone", "broken"].map(|tool| option(tool, Code::Tool(tool.to_owned()))).to_vec();
    let limits = Limits { timeout_seconds: 3, memory_mib: 1024, ..Limits::default() };
    let tool = ToolState::Ready(ToolCode { function: function("tool"), limits });
    let tools = BTreeMap::from([("here".to_owned(), tool), ("broken".to_owned(), ToolState::NotReady)]);
    let compiled = compile(&definition, &tools).unwrap();
    let missing: Vec<String> = compiled.missing().map(|it| format!("{} {it}", it.reason())).collect();
    let not_ready = "Tool `broken` has not passed its own examples; see its condition Ready";
    assert_eq!(
        missing,
        [
            "ToolNotFound step clean, option gone: there is no Tool `gone` that holds code".to_owned(),
            format!("ToolNotReady step clean, option broken: {not_ready}"),
        ]
    );
    let request = compiled.requests().next().unwrap();
    assert_eq!((request.option, request.request.function), ("here", function("tool")));
    assert_eq!(request.request.limits, Limits { timeout_seconds: 3, ..Limits::default() });
}

#[test]
fn plans_only_what_is_proven_in_the_authors_preference() {
    let mut definition = triage();
    definition.steps[0].options = vec![
        option("first", Code::Missing(Language::Python)),
        option("second", Code::Authored(function("second"))),
        option("third", Code::Authored(function("third"))),
    ];
    let compiled = compile(&definition, &BTreeMap::new()).unwrap();
    let mut proofs = vec![
        proven("classify", "code", "classify", 1),
        proven("clean", "third", "third", 1),
        proven("clean", "third", "third", 2),
        proven("clean", "second", "not the author's", 9),
        proven("clean", "first", "synthesised", 1),
        proven("clean", "unknown", "x", 1),
    ];
    let plan = compiled.plan(&proofs).unwrap();
    let options: Vec<_> = plan.steps[0].options.iter().map(|it| (it.name.as_str(), it.generation)).collect();
    assert_eq!(options, [("first", 1), ("third", 2)]);
    proofs.reverse();
    assert_eq!(compiled.plan(&proofs).unwrap().digest().unwrap(), plan.digest().unwrap());
    let unproven = compiled.plan(&proofs[..1]).unwrap_err();
    assert_eq!(unproven.to_string(), "no option is proven of `clean`, `classify`");
}

#[test]
fn gives_equal_definitions_equal_plans() {
    let digest = |definition: &Definition| -> Digest {
        let proofs = [proven("clean", "code", "clean", 1), proven("classify", "code", "classify", 1)];
        compile(definition, &BTreeMap::new()).unwrap().plan(&proofs).unwrap().digest().unwrap()
    };
    let mut other = triage();
    assert_eq!(digest(&triage()), digest(&other));
    other.description = "other".to_owned();
    assert_ne!(digest(&triage()), digest(&other));
}

#[test]
fn bounds_what_a_fault_says() {
    let long = "x".repeat(5000);
    let mut definition = triage();
    definition.steps[0].input = Some(
        json!({long.clone(): format!("${{input.{long}}}"), "b": format!("${{{long}}}"), "c": format!("${{'{long}' +}}")}),
    );
    definition.steps[1].name = long.clone();
    definition.steps[1].after = vec![long.clone()];
    definition.steps[1].output = Some(json!({"enum": [long.clone()]}));
    definition.steps[1].checks[0].name = long;
    for fault in compile(&definition, &BTreeMap::new()).unwrap_err() {
        assert!(fault.message.chars().count() <= 1001 && fault.to_string().chars().count() < 1500, "{fault}");
    }
}
