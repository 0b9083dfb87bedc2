//! Searching while storing.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use dise_index::{Filter, Index, Query};

use crate::support::*;

/// Two states of the same artifacts. A search may see either, but nothing in between.
fn states() -> [Vec<dise_index::Record>; 2] {
    ["old", "new"].map(|state| {
        let vector: &[f32] = if state == "old" { &[1.0, 0.0] } else { &[0.0, 1.0] };
        let states = (0..30).map(|i| {
            let record = record(&format!("a{i}"), &format!("common {state}"));
            with_vector(dise_index::Record { tags: tags(&[("state", state)]), ..record }, vector)
        });
        states.collect()
    })
}

fn searches_see_whole_records(index: &Index) {
    let [old, new] = states();
    index.upsert(old.clone()).unwrap();
    let (done, searches) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for (state, vector) in [("old", [1.0, 0.0]), ("new", [0.0, 1.0])].repeat(3) {
            let (done, searches) = (&done, &searches);
            scope.spawn(move || {
                let filter = Filter { tags: tags(&[("state", state)]), ..Filter::default() };
                while !done.load(Ordering::Relaxed) {
                    let both = Query {
                        filter: filter.clone(),
                        vector: Some(crate::support::vector(&vector)),
                        ..words(state)
                    };
                    for query in [
                        Query { filter: filter.clone(), ..words("common") },
                        meaning(&vector),
                        words(state),
                        both,
                    ] {
                        for hit in index.search(&query).unwrap() {
                            assert_eq!(hit.record.text, format!("common {state}"));
                            assert_eq!(hit.record.tags["state"], state);
                        }
                        searches.fetch_add(1, Ordering::Relaxed);
                    }
                    assert!(ids(index, &words("common")).len() == 30);
                }
            });
        }
        for round in 0..20 {
            index.upsert(if round % 2 == 0 { new.clone() } else { old.clone() }).unwrap();
            index.delete(&namespace(), &["never there"]).unwrap();
            index.flush().unwrap();
        }
        // Searches went on meanwhile, and still do.
        let seen = searches.load(Ordering::Relaxed);
        while searches.load(Ordering::Relaxed) < seen + 10 {
            thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(ids(index, &words("old")).len(), 30);
}

#[test]
fn shows_an_artifact_as_it_was_or_as_it_is_in_files() {
    let folder = tempfile::tempdir().unwrap();
    searches_see_whole_records(&in_folder(folder.path()));
}

#[test]
fn shows_an_artifact_as_it_was_or_as_it_is_in_memory() {
    searches_see_whole_records(&in_memory());
}

#[test]
fn stores_from_many_threads() {
    let folder = tempfile::tempdir().unwrap();
    let index = in_folder(folder.path());
    thread::scope(|scope| {
        for worker in 0..4 {
            let index = &index;
            scope.spawn(move || {
                for i in 0..50 {
                    index
                        .upsert(vec![with_vector(record(&format!("a{worker}-{i}"), "alpha"), &[1.0, 0.0])])
                        .unwrap();
                    if i % 10 == 9 {
                        index.delete(&namespace(), &[&format!("a{worker}-{i}")]).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(index.count(&namespace()).unwrap(), 180);
    assert_eq!(index.search(&Query { limit: 500, ..query() }).unwrap().len(), 180);
    assert!(index.stale_vectors(&namespace(), 10).unwrap().is_empty());
}
