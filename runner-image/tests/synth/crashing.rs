//! A search whose pod is killed goes on where it was, wherever that is.

use dise_core::{
    money::Usd,
    synthesis::{Outcome, SynthesisReport, SynthesisRequest},
};
use dise_runner::synth::search;

use crate::{
    desk::{FakeDesk, Fuse},
    model::{COST, Say, ScriptedModel, code},
    script::{FakeBench, fails, reverse, verdicts},
};

/// Searches until the fuse is blown; whether it came to its end, and the number of paid calls.
async fn run(desk: &FakeDesk, request: &SynthesisRequest, fuse: Fuse) -> (Option<SynthesisReport>, usize) {
    let fuse = desk.set_fuse(fuse);
    let model = ScriptedModel::in_order(vec![
        code(&fails(3, "first")),
        code(&fails(2, "second")),
        Say::Text("I would rather not.".into()),
        code(&fails(1, "repaired")),
        code(&fails(0, "good")),
        Say::Json(serde_json::json!({"tests": [{"input": 1, "output": 1}]})),
    ])
    .at(desk);
    let bench = FakeBench { desk: Some(desk), ..FakeBench::default() };
    let report = tokio::select! {
        report = search(desk, &model, &bench, request) => Some(report.unwrap()),
        () = fuse.blown() => None,
    };
    (report, model.calls())
}

/// Drafts, two rounds of repair and generated tests.
fn request(budget: Option<&str>) -> SynthesisRequest {
    let mut request = reverse();
    request.search.candidates = 3;
    request.search.repair_rounds = 2;
    request.search.generated_tests = 2;
    request.budget.max_usd_per_search = budget.map(|budget| budget.parse().unwrap());
    request
}

#[tokio::test]
async fn no_stored_answer_is_paid_for_again_wherever_the_pod_is_killed() {
    let request = request(None);
    let (whole, calls) = run(&FakeDesk::new(&request), &request, Fuse::default()).await;
    let whole = whole.unwrap();
    assert_eq!(verdicts(&whole), ["Failed", "Failed", "NoCode", "Failed", "Accepted"]);
    assert_eq!((calls, whole.spend.calls), (6, 6));
    let mut points = 0;
    for point in 1.. {
        let desk = FakeDesk::new(&request);
        let (ended, before) = run(&desk, &request, Fuse::after(point)).await;
        if ended.is_some() {
            break;
        }
        points += 1;
        let stored = desk.state().answers.len();
        let (report, after) = run(&desk, &request, Fuse::default()).await;
        let report = report.unwrap();
        // A call whose answer was not stored yet is made again, and no other.
        assert!(before - stored <= 1, "point {point}");
        assert_eq!(after, calls - stored, "point {point}");
        assert_eq!(report.spend.stored_answers as usize, stored, "point {point}");
        assert_eq!(report.candidates, whole.candidates, "point {point}");
        let Outcome::Found(solution) = report.outcome else { panic!("{report:?}") };
        assert_eq!(solution.generated_tests.len(), 1);
    }
    // Four prompts, the memory, and for each call two points of its claim, two of the model and two of its end.
    assert!(points >= 4 + 1 + 6 * calls, "{points}");
}

#[tokio::test]
async fn the_budget_holds_wherever_the_pod_is_killed() {
    let budget: Usd = "0.022".parse().unwrap();
    let request = request(Some("0.022"));
    for point in 1.. {
        let desk = FakeDesk::new(&request);
        let mut paid = 0;
        let (ended, calls) = run(&desk, &request, Fuse::after(point)).await;
        paid += calls;
        // Killed again and again at the same place.
        for _ in 0..3 {
            paid += run(&desk, &request, Fuse::after(point)).await.1;
        }
        let (report, calls) = run(&desk, &request, Fuse::default()).await;
        paid += calls;
        let spent = vec![COST.parse::<Usd>().unwrap(); paid].into_iter().sum::<Usd>();
        assert!(desk.state().most_booked <= budget, "point {point}");
        assert!(spent <= desk.booked(), "point {point}: {spent} of {}", desk.booked());
        let report = report.unwrap();
        assert!(matches!(report.outcome, Outcome::OutOfBudget { .. }), "point {point}: {report:?}");
        if ended.is_some() {
            break;
        }
    }
}
