//! What is found when candidates really run.

use dise_core::{
    function::{Function, Language},
    synthesis::{GeneratedTest, Outcome, Solution, SynthesisReport, SynthesisRequest, Verdict},
    verification::{Check, Example},
    wire::Recalled,
};
use dise_runner::synth::search;
use serde_json::json;

use crate::{
    desk::FakeDesk,
    jail_support::workers,
    model::{Say, ScriptedModel, code},
    script::{examples, request, reverse, reversed, verdicts},
};

const RIGHT: &str = "def run(input):\n    return {'text': input['text'][::-1]}\n";
const SLOW: &str = "def run(input):\n    out = ''\n    for c in input['text']:\n        out = c + out\n    return {'text': out}\n";
const WRONG: &str = "def run(input):\n    return {'text': input['text'].upper()}\n";

async fn found(request: &SynthesisRequest, model: &ScriptedModel<'_>) -> SynthesisReport {
    let workers = workers();
    let report = search(&FakeDesk::new(request), model, &*workers, request).await.unwrap();
    workers.shutdown().await;
    report
}

fn solution(report: &SynthesisReport) -> &Solution {
    let Outcome::Found(solution) = &report.outcome else { panic!("{report:?}") };
    solution
}

/// A function that looks up what the model is shown of a task to reverse texts.
fn lookup(request: &SynthesisRequest, default: &str) -> String {
    let holdout = dise_core::synthesis::Holdout::of(&request.task.examples);
    let shown = holdout.shown().map(|index| request.task.examples[index].input["text"].as_str().unwrap());
    let table: Vec<String> = shown.map(|text| format!("{text:?}: {:?}", reversed(text))).collect();
    let table = table.join(", ");
    format!(
        "TABLE = {{{table}}}\ndef run(input):\n    return {{'text': TABLE.get(input['text'], {default})}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correct_first_draft_is_the_solution() {
    let request = reverse();
    let model = ScriptedModel::in_order(vec![code(RIGHT)]);
    let report = found(&request, &model).await;
    let solution = solution(&report);
    assert_eq!(solution.function.source, RIGHT);
    assert!(solution.proof.is_proof() && solution.proof.passed == 4 && solution.proof.profile.is_some());
    assert_eq!(
        solution.proof.request,
        request.task.verification(solution.function.clone()).digest().unwrap()
    );
    assert_eq!((solution.held_out, report.request), (1, request.digest().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_draft_is_repaired_with_a_case_that_it_fails() {
    let mut request = reverse();
    request.search.repair_rounds = 2;
    let broken = "def run(input)\n    return None\n";
    let model = ScriptedModel::in_order(vec![code(broken), code(WRONG), code(RIGHT)]);
    let report = found(&request, &model).await;
    assert_eq!(verdicts(&report), ["Fault", "Failed", "Accepted"]);
    let prompts = model.prompts();
    assert!(prompts[1].contains("SyntaxError") && prompts[1].contains("line 1"), "{}", prompts[1]);
    assert!(prompts[2].contains("olleh") && prompts[2].contains("HELLO"), "{}", prompts[2]);
    let before = &model.asked()[2].messages;
    assert!(before[before.len() - 2].text.contains(WRONG), "the model sees what it wrote");
    assert_eq!(solution(&report).function.source, RIGHT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_table_is_caught_by_what_was_held_out_and_told_so() {
    let mut request = reverse();
    request.search.repair_rounds = 1;
    let model = ScriptedModel::in_order(vec![code(&lookup(&request, "''")), code(RIGHT)]);
    let report = found(&request, &model).await;
    assert_eq!(verdicts(&report), ["Memorised", "Accepted"]);
    let Verdict::Memorised { message } = &report.candidates[0].verdict else { unreachable!() };
    assert!(message.contains("its source holds the values of"), "{message}");
    assert!(model.prompts()[1].contains("looks its answers up"), "{}", model.prompts()[1]);
    assert!(model.prompts()[1].contains("Compute"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_passes_everything_is_no_solution() {
    let mut request = reverse();
    // Too few to hold one out.
    request.task.examples.truncate(2);
    let model = ScriptedModel::in_order(vec![code(&lookup(&request, "''"))]);
    let report = found(&request, &model).await;
    let Outcome::NothingPassed { best: Some(best) } = report.outcome else { panic!("{report:?}") };
    assert_eq!((best.passed, best.failed, best.verdict.reason()), (2, 0, "Memorised"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_the_task_is_about_is_a_solution() {
    let months = [("January", 1), ("March", 3), ("October", 10), ("November", 11), ("December", 12)];
    let cases: Vec<_> = months.iter().map(|(name, number)| (json!(name), json!(number))).collect();
    let request = request("Number of the month.", examples(&cases));
    let source = "MONTHS = {'January': 1, 'February': 2, 'March': 3, 'April': 4, 'May': 5, 'June': 6, 'July': 7, 'August': 8, 'September': 9, 'October': 10, 'November': 11, 'December': 12}\ndef run(input):\n    return MONTHS[input]\n";
    let report = found(&request, &ScriptedModel::in_order(vec![code(source)])).await;
    assert_eq!(solution(&report).function.source, source);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_of_the_memory_that_passes_is_taken_and_one_that_does_not_is_not() {
    let request = reverse();
    let desk = FakeDesk::new(&request);
    for source in [WRONG, RIGHT] {
        desk.remember(Recalled {
            artifact: format!("memory-{}", source.len()),
            description: "reverses".into(),
            function: Function { language: Language::Python, source: source.into() },
            cost_usd: None,
        });
    }
    let model = ScriptedModel::in_order(vec![code(SLOW)]);
    let workers = workers();
    let report = search(&desk, &model, &*workers, &request).await.unwrap();
    assert_eq!((solution(&report).function.source.as_str(), model.calls()), (RIGHT, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_pass_the_better_serves_and_the_other_is_kept_only_if_it_is_better_in_something() {
    let mut request = reverse();
    (request.search.candidates, request.search.generated_tests) = (2, 4);
    let tests = json!({"tests": [
        {"input": {"text": "xyz"}, "output": {"text": "zyx"}},
        {"input": {"text": "longer one"}, "output": {"text": "wrong, and overruled"}},
    ]});
    let model = ScriptedModel::in_order(vec![code(SLOW), code(RIGHT), Say::Json(tests)]);
    let report = found(&request, &model).await;
    let solution = solution(&report);
    assert_eq!(verdicts(&report), ["Accepted", "Accepted"]);
    // Which of the two was faster is up to the machine; both are right.
    for function in solution.alternatives.iter().chain([&solution.function]) {
        assert!([RIGHT, SLOW].contains(&function.source.as_str()));
    }
    let test = |input: &str, output: &str| GeneratedTest {
        input: json!({"text": input}),
        output: json!({"text": output}),
        agreeing: 2,
        of: 2,
    };
    assert_eq!(solution.generated_tests, [test("xyz", "zyx"), test("longer one", "eno regnol")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invented_case_overrules_neither_an_example_nor_a_check() {
    let mut request = reverse();
    request.search.generated_tests = 4;
    request.task.checks = vec![Check { name: "short".into(), expression: "size(output.text) < 20".into() }];
    let tests = json!({"tests": [
        {"input": {"text": "hello"}, "output": {"text": "hello"}},
        {"input": {"text": "a text that is far too long for the check"}, "output": {"text": "kcehc eht rof gnol oot raf si taht txet a"}},
        {"input": {"text": "one"}, "output": {"text": "eno"}},
        {"input": {"text": "two"}, "output": {"text": "two"}},
        {"input": {}, "output": {"text": ""}},
    ]});
    let model = ScriptedModel::in_order(vec![code(RIGHT), Say::Json(tests)]);
    let report = found(&request, &model).await;
    let kept: Vec<_> =
        solution(&report).generated_tests.iter().map(|test| test.input["text"].clone()).collect();
    assert_eq!(kept, ["one"]);
    assert_eq!(solution(&report).function.source, RIGHT);
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_misbehaves_fails_and_its_message_reaches_the_model() {
    let mut request =
        request("Divide.", examples(&[(json!([1, 2]), json!(0.5)), (json!([0, 0]), json!(null))]));
    request.search.repair_rounds = 4;
    request.task.limits.timeout_seconds = 1;
    let guarded = "def run(p):\n    return p[0] / p[1] if p[1] else None\n";
    let model = ScriptedModel::in_order(vec![
        code("def run(p):\n    return p[0] / p[1] if p[1] else float('nan')\n"),
        code("def run(p):\n    return open('/etc/passwd').read()\n"),
        code("import socket\ndef run(p):\n    return socket.create_connection(('h', 1))\n"),
        code("def run(p):\n    while not p[1]: pass\n    return p[0] / p[1]\n"),
        code(guarded),
    ]);
    let report = found(&request, &model).await;
    assert_eq!(verdicts(&report), ["Failed", "Failed", "Failed", "Failed", "Accepted"]);
    let prompts = model.prompts();
    assert!(prompts[1].contains("nan has no form in JSON"), "{}", prompts[1]);
    // The best is repaired each time: the first, then what passes as much and was not repaired yet.
    assert!(prompts.iter().skip(1).all(|prompt| prompt.contains("must return") || prompt.contains("wrong")));
    assert_eq!(solution(&report).function.source, guarded);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_searched_for_too() {
    let mut request = reverse();
    request.task.language = Language::Bash;
    let script = "jq -c '{text: (.text | explode | reverse | implode)}'\n";
    let model = ScriptedModel::in_order(vec![Say::Text(format!("```bash\n{script}```"))]);
    let report = found(&request, &model).await;
    assert_eq!(solution(&report).function, Function { language: Language::Bash, source: script.into() });
    assert!(model.prompts()[0].contains("standard input"), "{}", model.prompts()[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_code_that_raises_on_odd_input_is_accepted() {
    let cases = [("2026-11-24", 24), ("2026-01-05", 5), ("1999-12-31", 31)];
    let cases: Vec<_> = cases.iter().map(|(date, day)| (json!(date), json!(day))).collect();
    for source in [
        "import datetime\ndef run(input):\n    return datetime.date.fromisoformat(input).day\n",
        "import re\ndef run(input):\n    m = re.fullmatch(r'(\\d{4})-(\\d\\d)-(\\d\\d)', input)\n    return int(m[3]) if m else None\n",
    ] {
        let request = request("Day of the date.", examples(&cases));
        let report = found(&request, &ScriptedModel::in_order(vec![code(source)])).await;
        assert_eq!(solution(&report).function.source, source);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_shown_even_if_only_one_fits() {
    let mut request = reverse();
    request.model.context_tokens = 600;
    request.task.examples.push(Example {
        input: json!({"text": "x".repeat(4000)}),
        output: json!({"text": "x".repeat(4000)}),
    });
    let model = ScriptedModel::in_order(vec![code(RIGHT)]);
    let report = found(&request, &model).await;
    let prompt = &model.prompts()[0];
    assert!(prompt.contains(") == \"") && !prompt.contains("xxxx"), "{prompt}");
    // What there was no room for was not shown either.
    assert!(solution(&report).held_out >= 2);
}
