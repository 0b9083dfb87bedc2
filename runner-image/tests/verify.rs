//! Verification: verdicts, their messages, and what is measured.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod jail_support;

use std::time::Duration;

use dise_core::{
    function::{Function, Language, Limits},
    verification::{Check, Example, VerificationReport, VerificationRequest},
};
use dise_runner::verify::{VerifyError, verify};
use jail_support::workers;
use serde_json::{Value, json};

fn request(source: &str, examples: &[(Value, Value)]) -> VerificationRequest {
    VerificationRequest {
        function: Function { language: Language::Python, source: source.to_owned() },
        output: json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "number", "maximum": 100}}}),
        examples: examples
            .iter()
            .map(|(input, output)| Example { input: input.clone(), output: output.clone() })
            .collect(),
        checks: vec![Check { name: "positive".to_owned(), expression: "output.n > 0".to_owned() }],
        limits: Limits { timeout_seconds: 2, ..Limits::default() },
    }
}

async fn report(request: &VerificationRequest) -> VerificationReport {
    let workers = workers();
    let report = verify(&workers, request, "9.9.9").await.unwrap();
    assert_eq!((report.request, report.runner.as_str()), (request.digest().unwrap(), "9.9.9"));
    jail_support::eventually("its workers end", || workers.stats().workers == 0).await;
    report
}

const DOUBLE: &str = "def run(i):\n    if i > 1000:\n        return None\n    return {'n': i * 2}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_passes_is_proven_and_measured() {
    let report =
        report(&request(DOUBLE, &[(json!(1), json!({"n": 2.0})), (json!(2), json!({"n": 4}))])).await;
    assert!(report.is_proof() && report.passed == 2 && report.failures.is_empty(), "{report:?}");
    let profile = report.profile.unwrap();
    assert!((20..=500).contains(&profile.samples), "{profile:?}");
    assert!(profile.p50_latency_us > 0 && profile.p50_latency_us <= profile.p95_latency_us, "{profile:?}");
    assert!(profile.peak_memory_kib.is_some_and(|peak| (4_000..200_000).contains(&peak)), "{profile:?}");
    assert_eq!(profile.quality, Some("1".parse().unwrap()));
    assert!(profile.quality_lower_bound < profile.quality);
}

fn has_coverage() -> bool {
    let python = std::env::var("DISE_PYTHON")
        .ok()
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| "/usr/bin/python3".into());
    let imported = std::process::Command::new(python).args(["-I", "-c", "import coverage"]).output();
    imported.unwrap().status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn coverage_is_counted_where_it_can_be() {
    let report = report(&request(DOUBLE, &[(json!(1), json!({"n": 2}))])).await;
    // def, if, return None, return: three of four.
    assert_eq!(
        report.coverage_percent.map(|percent| percent.to_string()).as_deref(),
        has_coverage().then_some("75.0")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_past_print_does_not_hold_the_coverage_up() {
    let source = "import os\ndef run(i):\n    for _ in range(i):\n        os.write(1, b'x' * 1000)\n    return {'n': 1}\n";
    // More than a pipe holds and less than a function may print; then more than that.
    for (count, passes) in [(200, true), (2000, false)] {
        let start = std::time::Instant::now();
        let report =
            report(&request(source, &[(json!(count), json!({"n": 1})), (json!(1), json!({"n": 1}))])).await;
        assert_eq!(report.is_proof(), passes, "{report:?}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert_eq!(report.coverage_percent.is_some(), has_coverage());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_failure_is_told() {
    let source = "
import time
def run(i):
    if i == 'raise': raise ValueError('no')
    if i == 'loop':
        while True: pass
    if i == 'exit':
        import os; os._exit(1)
    if i == 'file': open('/etc/passwd')
    if i == 'nan': return float('nan')
    return {'n': i}
";
    let case = |input: Value| (input, json!({"n": 1}));
    let examples = [
        case(json!(1)),
        case(json!(2)),
        (json!(500), json!({"n": 500})),
        (json!(-1), json!({"n": -1})),
        case(json!("raise")),
        case(json!("loop")),
        case(json!("exit")),
        case(json!("file")),
        case(json!("nan")),
        case(json!(1)),
    ];
    let report = report(&request(source, &examples)).await;
    assert_eq!((report.passed, report.failed, report.is_proof()), (2, 8, false));
    let expected = [
        (1, "output /n is 2, expected 1"),
        (2, "does not fit the schema: /n"),
        (3, "check `positive` does not hold"),
        (4, "ValueError: no"),
        (5, "still running at its deadline"),
        (6, "exit code 1"),
        (7, "PermissionError"),
        (8, "nan"),
    ];
    for (failure, (example, words)) in report.failures.iter().zip(expected) {
        assert_eq!(failure.example, example);
        assert!(failure.message.contains(words), "{}", failure.message);
    }
    assert_eq!(report.profile.unwrap().quality, Some("0.2".parse().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_cannot_be_loaded_is_at_fault_whatever_its_examples() {
    for source in [
        "def run(:\n",
        "x = 1\n",
        "1 / 0\n",
        "import os; os._exit(0)\n",
        "while True: pass\n",
        "import socket; socket.socket()",
    ] {
        for examples in [&[][..], &[(json!(1), json!({"n": 1}))]] {
            let report = report(&request(source, examples)).await;
            assert!(report.fault.is_some() && !report.is_proof() && report.profile.is_none(), "{report:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_examples_there_is_a_proof_of_loading_and_no_number() {
    let report = report(&request(DOUBLE, &[])).await;
    assert!(
        report.is_proof()
            && report.passed == 0
            && report.profile.is_none()
            && report.coverage_percent.is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_says_nothing_of_the_function() {
    let workers = workers();
    let bad_schema = VerificationRequest { output: json!({"type": "nothing"}), ..request(DOUBLE, &[]) };
    let mut bad_check = request(DOUBLE, &[]);
    bad_check.checks[0].expression = "output.n >".to_owned();
    for (request, words) in [(bad_schema, "schema of the output"), (bad_check, "check `positive`")] {
        let error = verify(&workers, &request, "1").await.unwrap_err();
        assert!(matches!(&error, VerifyError::Request(message) if message.contains(words)), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_proven_too_without_coverage() {
    let mut request = request("jq -c '{n: (. * 2)}'", &[(json!(1), json!({"n": 2}))]);
    request.function.language = Language::Bash;
    let proven = report(&request).await;
    assert!(proven.is_proof() && proven.coverage_percent.is_none(), "{proven:?}");
    assert!(proven.profile.is_some_and(|profile| profile.samples >= 20));
    request.function.source = "if true; then".to_owned();
    assert!(report(&request).await.fault.is_some_and(|fault| fault.contains("syntax error")));
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_do_not_depend_on_the_run() {
    let source = "def run(i):\n    return {'n': len(i), 'order': list(set(i))}\n";
    let request = request(source, &[(json!("abcdef"), json!({"n": 6, "order": ["x"]}))]);
    let first = report(&request).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(first.failures, report(&request).await.failures);
}
