//! What is found, in which order, and what is not.

use dise_core::function::Language;
use dise_index::{Error, Filter, Index, Kind, Options, Place, Query, Record, Vector};

use crate::support::*;

#[test]
fn finds_words_in_other_forms_cases_and_spellings() {
    let index = storing([
        record("iso", "parseIsoDate: reads a date such as 2026-11-24"),
        record("score", "Scores the sentiment of customers' reviews, naïvely"),
    ]);
    for (question, found) in [
        ("parsing dates", vec!["iso"]),
        ("parse_iso_date", vec!["iso"]),
        ("ParseIsoDate", vec!["iso"]),
        ("customer REVIEW", vec!["score"]),
        ("naive scoring", vec!["score"]),
        ("translation", vec![]),
    ] {
        assert_eq!(ids(&index, &words(question)), found, "{question}");
    }
}

#[test]
fn takes_any_text_for_words() {
    let index = storing([record("a", "alpha beta")]);
    let hostile = [
        "\"",
        "alpha\"",
        "alpha OR",
        "NOT alpha",
        "a*",
        "^alpha",
        "col:alpha",
        "(alpha",
        "NEAR(alpha",
        "-alpha",
        "\0",
    ];
    for question in hostile {
        let found = ids(&index, &words(question));
        assert_eq!(found.is_empty(), !question.contains("alpha"), "{question}");
    }
    assert!(ids(&index, &words("?!")).is_empty());
    assert_eq!(ids(&index, &words(&"alpha ".repeat(100_000))), ["a"]);
}

#[test]
fn finds_by_meaning_without_a_common_word() {
    let index = storing([
        with_vector(record("near", "completely different"), &[0.9, 0.1, 0.0]),
        with_vector(record("far", "words"), &[0.0, 0.1, 0.9]),
    ]);
    assert_eq!(ids(&index, &meaning(&[2.0, 0.0, 0.0])), ["near"]);
}

#[test]
fn joins_words_and_meaning_and_says_where_a_score_comes_from() {
    let index = storing([
        with_vector(record("both", "trim text"), &[0.8, 0.2]),
        with_vector(record("meant", "strip"), &[1.0, 0.0]),
        record("spelled", "trim trim trim"),
    ]);
    index.set_standing(&namespace(), "both", &standing(Some("0.5"), 1000)).unwrap();
    let hits = index.search(&Query { vector: Some(vector(&[1.0, 0.0])), ..words("trim") }).unwrap();
    let order: Vec<_> = hits.iter().map(|hit| hit.record.id.as_str()).collect();
    assert_eq!(order, ["both", "meant", "spelled"]);
    let parts = hits[0].parts;
    let matched = 2.0 * 61.0 / 62.0;
    for (part, expected) in [
        (parts.meaning, matched / 2.0),
        (parts.words, matched / 2.0),
        (parts.quality, matched * 0.05),
        (parts.usage, matched * 0.05),
        (hits[0].score, matched * 1.1),
    ] {
        assert!((part - expected).abs() < 1e-9, "{part} is not {expected}");
    }
    assert!(hits[1].parts.words == 0.0 && hits[2].parts.meaning == 0.0);
}

#[test]
fn answers_with_the_record_but_its_vector() {
    let full = Record {
        language: Some(Language::Python),
        tags: tags(&[("domain", "text")]),
        quality: Some("0.97".parse().unwrap()),
        p95_latency_us: Some(900),
        usage: 7,
        kind: Kind::Tool,
        ..record("a", "alpha")
    };
    let index = storing([with_vector(full.clone(), &[1.0, 2.0])]);
    assert_eq!(index.search(&words("alpha")).unwrap()[0].record, full);
}

#[test]
fn filters_exactly() {
    let index = storing([
        record("plain", "alpha"),
        Record { kind: Kind::Prompt, ..record("prompt", "alpha") },
        Record {
            language: Some(Language::Bash),
            quality: Some("0.9".parse().unwrap()),
            ..record("bash", "alpha")
        },
        Record { tags: tags(&[("domain", "text"), ("platform", "pi")]), ..record("text-pi", "alpha") },
        Record { tags: tags(&[("domain", "texts")]), ..record("texts", "alpha") },
        Record { tags: tags(&[("platform", "text")]), ..record("swapped", "alpha") },
    ]);
    let all = Filter::default;
    for (filter, found) in [
        (Filter { kinds: vec![Kind::Prompt, Kind::Tool], ..all() }, vec!["prompt"]),
        (Filter { languages: vec![Language::Bash], ..all() }, vec!["bash"]),
        (Filter { tags: tags(&[("domain", "text")]), ..all() }, vec!["text-pi"]),
        (Filter { tags: tags(&[("domain", "text"), ("platform", "pi")]), ..all() }, vec!["text-pi"]),
        (Filter { tags: tags(&[("domain", "text"), ("platform", "cloud")]), ..all() }, vec![]),
        (Filter { tags: tags(&[("domain", "never seen")]), ..all() }, vec![]),
        (Filter { min_quality: Some("0.9".parse().unwrap()), ..all() }, vec!["bash"]),
        (Filter { min_quality: Some("0.9001".parse().unwrap()), ..all() }, vec![]),
        (Filter { min_quality: Some("0".parse().unwrap()), ..all() }, vec!["bash"]),
    ] {
        for text in [Some("alpha".to_owned()), None] {
            let query = Query { filter: filter.clone(), text, ..query() };
            assert_eq!(ids(&index, &query), found, "{query:?}");
        }
    }
}

#[test]
fn never_leaves_the_namespace() {
    let index = storing([
        with_vector(record("ours", "alpha"), &[1.0, 0.0]),
        Record { namespace: "other".parse().unwrap(), ..with_vector(record("theirs", "alpha"), &[1.0, 0.0]) },
    ]);
    let both = Query { vector: Some(vector(&[1.0, 0.0])), ..words("alpha") };
    for query in [query(), words("alpha"), meaning(&[1.0, 0.0]), both] {
        assert_eq!(ids(&index, &query), ["ours"]);
    }
    index.delete(&namespace(), &["theirs"]).unwrap();
    assert!(!index.set_standing(&namespace(), "theirs", &standing(None, 1)).unwrap());
    assert_eq!(ids(&index, &Query { namespace: "other".parse().unwrap(), ..query() }), ["theirs"]);
    assert!(ids(&index, &Query { namespace: "unknown".parse().unwrap(), ..query() }).is_empty());
    assert_eq!(index.namespaces().unwrap().len(), 2);
}

#[test]
fn leaves_nothing_of_what_was_stored_before() {
    let old = Record {
        kind: Kind::Tool,
        tags: tags(&[("domain", "old")]),
        quality: Some("1".parse().unwrap()),
        ..with_vector(record("a", "oldWord common"), &[1.0, 0.0])
    };
    let index = storing([old, with_vector(record("b", "common"), &[0.1, 1.0])]);
    index.upsert(vec![with_vector(record("a", "new common"), &[0.0, 1.0])]).unwrap();
    for gone in ["oldWord", "old", "word"] {
        assert!(ids(&index, &words(gone)).is_empty(), "{gone}");
    }
    assert_eq!(ids(&index, &meaning(&[1.0, 0.0])), ["b"]);
    let filter = |filter| ids(&index, &Query { filter, ..query() });
    assert!(filter(Filter { tags: tags(&[("domain", "old")]), ..Filter::default() }).is_empty());
    assert!(filter(Filter { kinds: vec![Kind::Tool], ..Filter::default() }).is_empty());
    assert!(filter(Filter { min_quality: Some("0".parse().unwrap()), ..Filter::default() }).is_empty());
    assert_eq!(index.count(&namespace()).unwrap(), 2);
}

#[test]
fn deletes_from_everywhere_and_may_be_told_twice() {
    let index = storing([with_vector(record("a", "alpha"), &[1.0, 0.0]), record("b", "beta")]);
    for _ in 0..2 {
        index.delete(&namespace(), &["a", "never there"]).unwrap();
        assert!(ids(&index, &words("alpha")).is_empty());
        assert!(ids(&index, &meaning(&[1.0, 0.0])).is_empty());
        assert_eq!(ids(&index, &query()), ["b"]);
        assert_eq!(index.digests(&namespace()).unwrap().into_keys().collect::<Vec<_>>(), ["b"]);
    }
    index.delete_namespace(&namespace()).unwrap();
    assert!(ids(&index, &query()).is_empty() && index.namespaces().unwrap().is_empty());
    index.upsert(vec![record("c", "alpha")]).unwrap();
    assert_eq!(ids(&index, &words("alpha")), ["c"]);
}

#[test]
fn changes_quality_and_use_alone() {
    let index = storing([with_vector(record("a", "alpha"), &[1.0, 0.0]), record("b", "alpha")]);
    assert!(index.set_standing(&namespace(), "b", &standing(Some("0.9"), 12)).unwrap());
    let hits = index.search(&words("alpha")).unwrap();
    let best = &hits[0].record;
    assert_eq!((best.id.as_str(), best.usage, best.p95_latency_us), ("b", 12, Some(1200)));
    assert_eq!(best.text, "alpha");
    assert_eq!(best.updated, standing(None, 0).updated);
    let proven = Filter { min_quality: Some("0.5".parse().unwrap()), ..Filter::default() };
    assert_eq!(ids(&index, &Query { filter: proven, ..query() }), ["b"]);
    assert_eq!(ids(&index, &meaning(&[1.0, 0.0])), ["a"]);
}

#[test]
fn lists_the_best_proven_without_a_question() {
    let count = 3000;
    let records: Vec<Record> = (0..count)
        .map(|i| Record { usage: (i * 7919) % count, ..record(&format!("a{i:04}"), "alpha") })
        .collect();
    let index = storing(records);
    let hits = index.search(&Query { limit: 3, ..query() }).unwrap();
    // More than 1000 uses count as 1000, and of equals the lowest id comes first.
    assert!(hits.iter().all(|hit| hit.record.usage >= 1000));
    assert_eq!(
        hits.iter().map(|hit| hit.record.id.as_str()).collect::<Vec<_>>(),
        ["a0001", "a0003", "a0004"]
    );
}

#[test]
fn gives_no_more_than_asked_for() {
    let index = storing((0..30).map(|i| record(&format!("a{i}"), "alpha")).collect::<Vec<_>>());
    assert_eq!(ids(&index, &Query { limit: 7, ..words("alpha") }).len(), 7);
    assert_eq!(ids(&index, &Query { limit: 0, ..words("alpha") }).len(), 0);
}

#[test]
fn keeps_a_vector_while_the_text_stays() {
    let index = storing([with_vector(record("a", "alpha"), &[1.0, 0.0])]);
    index.upsert(vec![Record { tags: tags(&[("domain", "new")]), ..record("a", "alpha") }]).unwrap();
    assert_eq!(ids(&index, &meaning(&[1.0, 0.0])), ["a"]);
    index.upsert(vec![record("a", "beta")]).unwrap();
    assert!(ids(&index, &meaning(&[1.0, 0.0])).is_empty());
}

#[test]
fn names_the_texts_to_embed_and_takes_their_vectors() {
    let index =
        storing([with_vector(record("a", "alpha"), &[1.0, 0.0]), record("b", "beta"), record("c", "gamma")]);
    let stale = index.stale_vectors(&namespace(), 10).unwrap();
    assert_eq!(stale.iter().map(|stale| stale.text.as_str()).collect::<Vec<_>>(), ["beta", "gamma"]);
    assert_eq!(index.stale_vectors(&namespace(), 1).unwrap().len(), 1);
    // One text changes while it is embedded.
    index.upsert(vec![record("c", "delta")]).unwrap();
    let vectors: Vec<_> = stale.into_iter().map(|stale| (stale, vector(&[0.0, 1.0]))).collect();
    assert_eq!(index.set_vectors(&namespace(), &vectors).unwrap(), 1);
    assert_eq!(ids(&index, &meaning(&[0.0, 1.0])), ["b"]);
    assert_eq!(index.stale_vectors(&namespace(), 10).unwrap()[0].text, "delta");
}

#[test]
fn refuses_vectors_that_cannot_be_compared() {
    let index = storing([with_vector(record("a", "alpha"), &[1.0, 0.0])]);
    for values in [vec![], vec![0.0, 0.0], vec![f32::NAN, 1.0], vec![f32::INFINITY, 1.0]] {
        assert!(matches!(index.search(&meaning(&values)), Err(Error::Direction)), "{values:?}");
        let stored = index.upsert(vec![with_vector(record("b", "beta"), &values)]);
        assert!(matches!(stored, Err(Error::Direction)), "{values:?}");
    }
    let longer = index.upsert(vec![with_vector(record("b", "beta"), &[1.0, 0.0, 0.0])]).unwrap_err();
    assert_eq!(
        longer.to_string(),
        "the vector has 3 numbers, but those of `test-model` have 2; give another model another name"
    );
    assert!(matches!(index.search(&meaning(&[1.0])), Err(Error::Dimensions { .. })));
    assert_eq!(index.count(&namespace()).unwrap(), 1);
}

#[test]
fn does_not_compare_vectors_of_another_model() {
    let index = in_memory();
    let other = Vector { model: "other".to_owned(), values: vec![1.0, 0.0] };
    index.upsert(vec![Record { vector: Some(other.clone()), ..record("a", "alpha") }]).unwrap();
    assert!(ids(&index, &meaning(&[1.0, 0.0])).is_empty());
    assert_eq!(index.stale_vectors(&namespace(), 10).unwrap().len(), 1);
    let error = index.search(&Query { vector: Some(other), ..query() }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the vector was made by `other`, but the index compares vectors of `test-model`"
    );
}

#[test]
fn works_with_words_alone_when_there_is_no_model() {
    let index = Index::open(Options { model: None, ..options(Place::Memory) }).unwrap();
    index.upsert(vec![with_vector(record("a", "alpha"), &[1.0, 0.0])]).unwrap();
    assert_eq!(ids(&index, &words("alpha")), ["a"]);
    assert!(index.stale_vectors(&namespace(), 10).unwrap().is_empty());
    assert!(matches!(index.search(&meaning(&[1.0, 0.0])), Err(Error::Model { .. })));
}

#[test]
fn finds_what_is_rare_among_words_that_are_everywhere() {
    let common = "the text of a function reads input and gives output";
    let mut records: Vec<Record> = (0..5000).map(|i| record(&format!("a{i}"), common)).collect();
    records.push(record("needle", &format!("{common} pelican")));
    let index = storing(records);
    assert_eq!(ids(&index, &words("a function that reads the pelican"))[0], "needle");
    assert_eq!(ids(&index, &words("function")).len(), 100);
}

#[test]
fn speaks_camel_case_json() {
    let record =
        Record { p95_latency_us: Some(3), quality: Some("0.5".parse().unwrap()), ..record("a", "alpha") };
    let json = serde_json::to_value(&record).unwrap();
    assert_eq!((json["p95LatencyUs"].as_u64(), json["quality"].as_str()), (Some(3), Some("0.5")));
    assert_eq!(serde_json::from_value::<Record>(json).unwrap(), record);
    let query: Query = serde_json::from_str(
        r#"{"namespace": "shop", "text": "x", "limit": 5, "filter": {"kinds": ["Tool"], "minQuality": "0.8"}}"#,
    )
    .unwrap();
    assert_eq!(query.filter.min_quality, Some("0.8".parse().unwrap()));
    assert!(serde_json::from_str::<Query>(r#"{"namespace": "../etc", "limit": 5}"#).is_err());
    assert!(serde_json::from_str::<Filter>(r#"{"kind": ["Tool"]}"#).is_err());
}
