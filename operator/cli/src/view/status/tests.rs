//! Golden texts.

use dise_crds::{
    ArtifactSpec, ArtifactStatus, FailedCandidate, MeasuredProfile, Step, StepStatus, WorkflowSpec,
    WorkflowStatus,
    conditions::{READY, RECONCILING, STALLED, VERIFIED, condition},
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

fn now() -> Timestamp {
    "2026-03-09T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn workflow(status: WorkflowStatus) -> Workflow {
    let step = |name: &str| Step { name: name.into(), ..Step::default() };
    let spec = WorkflowSpec {
        description: "Sort reviews by sentiment.".into(),
        steps: vec![step("clean"), step("classify")],
        ..WorkflowSpec::default()
    };
    let mut workflow = Workflow::new("triage", spec);
    workflow.metadata.namespace = Some("shop".into());
    workflow.metadata.generation = Some(2);
    workflow.metadata.creation_timestamp = Some(Time(ago(86_400)));
    workflow.status = Some(WorkflowStatus { observed_generation: Some(2), ..status });
    workflow
}

fn artifact(name: &str) -> Artifact {
    let mut artifact = Artifact::new(name, ArtifactSpec::default());
    artifact.status = Some(ArtifactStatus {
        profile: Some(MeasuredProfile {
            quality: Some("1".into()),
            quality_lower_bound: None,
            p50_latency_ms: "0.2".into(),
            p95_latency_ms: "0.41".into(),
            cost_usd: "0".into(),
            peak_memory_kib: None,
            samples: 100,
            measured_at: Time(ago(60)),
        }),
        ..ArtifactStatus::default()
    });
    artifact
}

fn serving() -> Workflow {
    let steps = ["clean", "classify"].map(|name| StepStatus {
        name: name.into(),
        active_option: Some("code".into()),
        artifact: Some(format!("triage-{name}-code-1")),
        generation: Some(3),
        tests: Some("12/12".into()),
        state: StepState::Ready,
        ..StepStatus::default()
    });
    workflow(WorkflowStatus {
        conditions: vec![
            condition(READY, true, "Serving", "executors serve plan 0123: clean gen 3", Some(2), ago(200)),
            condition(VERIFIED, true, "Proven", "every step has code", Some(2), ago(4000)),
        ],
        steps: steps.to_vec(),
        plan_hash: Some(format!("sha256:0123456789abcdef{}", "0".repeat(48))),
        quality: Some("0.93".into()),
        p95_latency_ms: Some("210".into()),
        cost_usd_per_run: Some("0.0004".into()),
        executions: Some(18_230),
        last_execution_time: Some(Time(ago(4))),
        bottleneck: Some(Bottleneck { step: "classify".into(), time_percent: 77 }),
        spend: Some(SpendStatus { total_usd: "0.12".into(), saved_usd: Some("0.05".into()) }),
        ..WorkflowStatus::default()
    })
}

#[test]
fn shows_a_workflow_that_serves() {
    let event = EventLine {
        at: ago(200),
        type_: "Normal".into(),
        reason: "Serving".into(),
        object: "Workflow/triage".into(),
        message: "executors serve plan 0123\nand more".into(),
        count: 2,
    };
    let summary = Summary::new(&serving(), &[artifact("triage-clean-code-1")], vec![event]);
    let expected = "\
Workflow shop/triage   Sort reviews by sentiment.

CONDITION   STATUS   REASON    SINCE
Ready       True     Serving   3m20s
Verified    True     Proven    66m

executors serve plan 0123: clean gen 3
Next: nothing. Try it: kubectl dise run triage -n shop --input '…'

STEP       STATE   OPTION   GEN   QUALITY   TESTS   P95       ARTIFACT
clean      Ready   code     3     1         12/12   0.41 ms   triage-clean-code-1
classify   Ready   code     3     -         12/12   -         triage-classify-code-1

Usage       18 230 executions, the last 4s ago
Measured    quality 0.93, p95 210 ms, $0.0004 per run
Bottleneck  classify, 77 % of the time
Generation  $0.12 spent, $0.05 saved by code of the memory
Plan        0123456789ab, served by the executor of the namespace

LAST SEEN   TYPE     REASON    OBJECT            MESSAGE
3m20s       Normal   Serving   Workflow/triage   executors serve plan 0123 (x2)
";
    assert_eq!(render(&summary, now(), Paint::NONE), expected);
}

#[test]
fn shows_what_came_closest_when_nothing_passed() {
    let message = "step clean, option code: none of 4 candidates passed";
    let best = FailedCandidate {
        reason: "Failed".into(),
        tests: "3/5".into(),
        failures: vec!["example 1: expected \"a\", got \"b\"".into()],
        source: "def run(input): return input".into(),
    };
    let search = SearchStatus {
        outcome: "NothingPassed".into(),
        candidates: 4,
        calls: 1,
        spent_usd: "0.012".into(),
        best_candidate: Some(best),
    };
    let step = StepStatus {
        name: "clean".into(),
        state: StepState::Failed,
        search: Some(search),
        ..StepStatus::default()
    };
    let summary = Summary::new(
        &workflow(WorkflowStatus {
            conditions: vec![
                condition(READY, false, "NoCandidatePassed", message, Some(2), ago(5)),
                condition(STALLED, true, "NoCandidatePassed", message, Some(2), ago(5)),
            ],
            steps: vec![step],
            ..WorkflowStatus::default()
        }),
        &[],
        Vec::new(),
    );
    let expected = "\
Workflow shop/triage   Sort reviews by sentiment.

CONDITION   STATUS   REASON              SINCE
Ready       False    NoCandidatePassed   5s
Stalled     True     NoCandidatePassed   5s

step clean, option code: none of 4 candidates passed
Next: make the description or the examples of the step clearer and apply it again, or try once more: kubectl dise retry triage -n shop

STEP       STATE
clean      Failed
classify   Pending

Step clean: NothingPassed after 4 candidates and 1 call for $0.012. The best candidate passed 3/5 examples (Failed):
  example 1: expected \"a\", got \"b\"
  Its code is in -o yaml.

No recent Events.
";
    assert_eq!(render(&summary, now(), Paint::NONE), expected);
}

#[test]
fn lists_workflows() {
    let waiting = workflow(WorkflowStatus {
        conditions: vec![
            condition(READY, false, "RollingOut", "", Some(2), ago(1)),
            condition(RECONCILING, true, "RollingOut", "", Some(2), ago(1)),
        ],
        ..WorkflowStatus::default()
    });
    let mut unseen = workflow(WorkflowStatus::default());
    unseen.status = None;
    let summaries = [serving(), waiting, unseen].map(|workflow| Summary::new(&workflow, &[], Vec::new()));
    let expected = "\
NAME     READY     REASON       QUALITY   COST/RUN   P95      RUNS     AGE
triage   True      Serving      0.93      $0.0004    210 ms   18 230   24h
triage   False     RollingOut   -         -          -        -        24h
triage   Unknown   -            -         -          -        -        24h
";
    assert_eq!(render_all(&summaries, false, now(), Paint::NONE), expected);
    assert!(render_all(&summaries, true, now(), Paint::NONE).starts_with("NAMESPACE   NAME"));
}

#[test]
fn alarms_only_where_a_person_must_act() {
    let of = |types: &[(&str, bool)]| {
        let conditions =
            types.iter().map(|(type_, holds)| condition(type_, *holds, "R", "", Some(2), ago(1)));
        let status = WorkflowStatus { conditions: conditions.collect(), ..WorkflowStatus::default() };
        render_all(&[Summary::new(&workflow(status), &[], Vec::new())], false, now(), Paint::ALWAYS)
    };
    assert!(of(&[(READY, true)]).contains("\u{1b}[32mTrue"));
    assert!(of(&[(READY, false), (RECONCILING, true)]).contains("\u{1b}[33mFalse"));
    assert!(of(&[(READY, false), (STALLED, true)]).contains("\u{1b}[31mFalse"));
}

#[test]
fn says_that_a_change_was_not_looked_at_yet() {
    let mut workflow = serving();
    workflow.metadata.generation = Some(3);
    assert!(Summary::new(&workflow, &[], Vec::new()).next.starts_with("wait: the operator has not looked"));
    workflow.status = None;
    assert!(
        Summary::new(&workflow, &[], Vec::new()).next.starts_with("the operator has not looked at it yet")
    );
}

#[test]
fn is_an_object_for_programs() {
    let summary =
        serde_json::to_value(Summary::new(&serving(), &[artifact("triage-clean-code-1")], Vec::new()))
            .unwrap();
    assert_eq!(summary["steps"][0]["p95LatencyMs"], "0.41");
    assert_eq!(summary["steps"][1].get("quality"), None);
    assert_eq!(summary["conditions"][0]["since"], "2026-03-09T11:56:40Z");
    assert_eq!(summary["spend"]["totalUsd"], "0.12");
}
