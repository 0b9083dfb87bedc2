use super::*;

/// Candidates by name, with quality and uses.
fn candidates(known: &[(&'static str, Option<&str>, u64)]) -> HashMap<&'static str, Candidate> {
    let candidate = |id: &str, quality: Option<&str>, usage| Candidate {
        id: id.to_owned(),
        quality: quality.map(|quality| quality.parse().unwrap()),
        usage,
    };
    known.iter().map(|(id, quality, usage)| (*id, candidate(id, *quality, *usage))).collect()
}

fn order(
    near: &[(&'static str, f32)],
    matching: &[(&'static str, f32)],
    known: &[(&'static str, Option<&str>, u64)],
) -> Vec<&'static str> {
    rank(near, matching, &candidates(known), 100).into_iter().map(|ranked| ranked.key).collect()
}

#[test]
fn orders_a_single_list_by_its_measure() {
    let known = [("a", None, 0), ("b", None, 0), ("c", None, 0)];
    assert_eq!(order(&[("a", 0.6), ("b", 0.9), ("c", 0.7)], &[], &known), ["b", "c", "a"]);
    assert_eq!(order(&[], &[("a", 1.0), ("b", 0.5), ("c", 7.0)], &known), ["c", "a", "b"]);
}

#[test]
fn prefers_what_both_lists_find() {
    let known = [("both", None, 0), ("meant", None, 0), ("spelled", None, 0)];
    let near = [("meant", 0.9), ("both", 0.8)];
    let matching = [("spelled", 9.0), ("both", 8.0)];
    assert_eq!(order(&near, &matching, &known), ["both", "meant", "spelled"]);
}

#[test]
fn scores_by_the_published_formula() {
    let known = candidates(&[("a", Some("0.5"), 0), ("b", None, 0)]);
    let ranked = rank(&[("b", 0.9), ("a", 0.8)], &[("a", 1.0)], &known, 100);
    let parts = ranked.iter().find(|ranked| ranked.key == "a").unwrap().parts;
    let matched = 61.0 / 62.0 + 1.0;
    assert!((parts.meaning - 61.0 / 62.0).abs() < 1e-12);
    assert!((parts.words - 1.0).abs() < 1e-12);
    assert!((parts.quality - matched * 0.05).abs() < 1e-12);
    assert!((parts.score() - matched * 1.05).abs() < 1e-12);
}

#[test]
fn breaks_equal_scores_by_id() {
    let known = [("b", None, 0), ("a", None, 0), ("c", None, 0)];
    assert_eq!(order(&[("c", 0.5), ("b", 0.5), ("a", 0.5)], &[], &known), ["a", "b", "c"]);
}

#[test]
fn lets_quality_and_use_decide_among_equal_matches() {
    let near = [("a", 0.5), ("b", 0.5)];
    assert_eq!(order(&near, &[], &[("a", Some("0.93"), 0), ("b", Some("0.94"), 0)]), ["b", "a"]);
    assert_eq!(order(&near, &[], &[("a", None, 0), ("b", Some("0.01"), 0)]), ["b", "a"]);
    assert_eq!(order(&near, &[], &[("a", Some("0.9"), 3), ("b", Some("0.9"), 4)]), ["b", "a"]);
}

#[test]
fn lets_proof_make_up_for_few_ranks_only() {
    let list: Vec<(&'static str, f32)> = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]
        .into_iter()
        .zip((0_u8..).map(|i| 100.0 - f32::from(i)))
        .collect();
    for (proven, place) in [("c", 0), ("g", 0), ("k", 1)] {
        let known: Vec<_> = list
            .iter()
            .map(|(id, _)| if *id == proven { (*id, Some("1"), 1000) } else { (*id, None, 0) })
            .collect();
        let order = order(&[], &list, &known);
        assert_eq!(order.iter().position(|id| *id == proven), Some(place), "{proven}: {order:?}");
    }
}

#[test]
fn does_not_find_what_is_far_from_everything_meant() {
    let known = [("match", None, 0), ("other", Some("1"), 1_000_000)];
    assert_eq!(order(&[("match", 0.68), ("other", 0.2)], &[], &known), ["match"]);
    assert_eq!(order(&[("match", -0.1), ("other", -0.3)], &[], &known), [""; 0]);
}

#[test]
fn counts_more_than_a_thousand_uses_as_a_thousand() {
    let near = [("a", 0.5), ("b", 0.5)];
    assert_eq!(order(&near, &[], &[("a", None, 1000), ("b", None, u64::MAX)]), ["a", "b"]);
}

#[test]
fn lists_the_best_proven_when_nothing_is_asked() {
    let known = candidates(&[("a", None, 0), ("b", Some("0.9"), 0), ("c", Some("0.9"), 7), ("d", None, 0)]);
    let order: Vec<_> = rank_proven(&known, 3).into_iter().map(|ranked| ranked.key).collect();
    assert_eq!(order, ["c", "b", "a"]);
}

#[test]
fn leaves_out_what_is_gone_and_what_exceeds_the_limit() {
    let known = candidates(&[("a", None, 0), ("b", None, 0)]);
    let ranked = rank(&[("gone", 0.9), ("a", 0.8), ("b", 0.7)], &[], &known, 1);
    assert_eq!(ranked.iter().map(|ranked| ranked.key).collect::<Vec<_>>(), ["a"]);
}
