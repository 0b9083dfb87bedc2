//! Random histories: after each, an index answers as if it had read everything.

use dise_core::{function::Language, quality::Quality};
use dise_index::{Filter, Index, Kind, Query, Record, Stale};

use crate::{oracle::Oracle, support::*};

const KINDS: [Kind; 5] = [Kind::Function, Kind::Workflow, Kind::Tool, Kind::Test, Kind::Prompt];
const DIMENSIONS: usize = 8;

#[test]
fn answers_like_a_search_that_reads_everything() {
    for seed in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random::new(seed);
        let mut oracle = Oracle::default();
        let mut index = if seed % 2 == 0 { in_memory() } else { in_folder(folder.path()) };
        for step in 0..60 {
            random.change(&[&index], &mut oracle);
            if step % 20 == 10 && seed % 2 == 1 {
                if seed % 4 == 1 {
                    index.flush().unwrap();
                }
                drop(index);
                index = in_folder(folder.path());
            }
        }
        for _ in 0..20 {
            compare(&index, &oracle, &random.query(), seed);
        }
    }
}

pub(crate) fn compare(index: &Index, oracle: &Oracle, query: &Query, seed: u64) {
    let expected = oracle.search(query);
    let found: Vec<_> =
        index.search(query).unwrap().into_iter().map(|hit| (hit.record.id, hit.score)).collect();
    let names = |hits: &[(String, f64)]| hits.iter().map(|hit| hit.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "seed {seed}, {query:?}\n{found:?}\n{expected:?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found.1 - expected.1).abs() < 1e-9, "seed {seed}, {query:?}: {found:?} is not {expected:?}");
    }
}

/// A source of histories and questions.
pub(crate) struct Random(fastrand::Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Changes indexes and oracle in the same way.
    pub(crate) fn change(&mut self, indexes: &[&Index], oracle: &mut Oracle) {
        let id = format!("a{}", self.0.u8(..50));
        match self.0.u8(..10) {
            0 => {
                for index in indexes {
                    index.delete(&namespace(), &[&id]).unwrap();
                }
                oracle.0.remove(&id);
            }
            1 | 2 => {
                let quality = self.quality();
                let shown = quality.map(|quality| quality.to_string());
                let standing = standing(shown.as_deref(), self.0.u64(..3000));
                for index in indexes {
                    assert_eq!(
                        index.set_standing(&namespace(), &id, &standing).unwrap(),
                        oracle.0.contains_key(&id)
                    );
                }
                if let Some(record) = oracle.0.get_mut(&id) {
                    (record.quality, record.usage) = (quality, standing.usage);
                }
            }
            3 => {
                let vector = vector(&self.numbers());
                let stale: Vec<Stale> = indexes[0].stale_vectors(&namespace(), 1).unwrap();
                for index in indexes {
                    assert_eq!(index.stale_vectors(&namespace(), 1).unwrap(), stale);
                    let vectors: Vec<_> = stale.iter().map(|stale| (stale.clone(), vector.clone())).collect();
                    index.set_vectors(&namespace(), &vectors).unwrap();
                }
                for Stale { id, .. } in stale {
                    oracle.0.get_mut(&id).unwrap().vector = Some(vector.clone());
                }
            }
            _ => {
                let records: Vec<Record> = (0..self.0.usize(1..30)).map(|_| self.record()).collect();
                for index in indexes {
                    index.upsert(records.clone()).unwrap();
                }
                let last: std::collections::BTreeMap<_, _> =
                    records.into_iter().map(|record| (record.id.clone(), record)).collect();
                for (id, mut record) in last {
                    if let (None, Some(old)) = (&record.vector, oracle.0.get(&id))
                        && old.text == record.text
                    {
                        record.vector.clone_from(&old.vector);
                    }
                    oracle.0.insert(id, record);
                }
            }
        }
    }

    /// A question with or without words, meaning and filter.
    pub(crate) fn query(&mut self) -> Query {
        let some = |random: &mut Self| random.0.u8(..3) > 0;
        Query {
            text: some(self).then(|| self.text(1..6)),
            vector: some(self).then(|| vector(&self.numbers())),
            filter: if some(self) { self.filter() } else { Filter::default() },
            limit: self.0.usize(1..60),
            ..query()
        }
    }

    fn record(&mut self) -> Record {
        let tags = ["domain", "platform"].map(|key| (key, ["x", "y", "z"][self.0.usize(..3)]));
        let id = format!("a{}", self.0.u8(..50));
        Record {
            kind: KINDS[self.0.usize(..5)],
            language: [None, Some(Language::Python), Some(Language::Bash)][self.0.usize(..3)],
            tags: crate::support::tags(&tags[..self.0.usize(..3)]),
            quality: self.quality(),
            usage: self.0.u64(..2000),
            vector: self.0.bool().then(|| vector(&self.numbers())),
            ..record(&id, &self.text(1..12))
        }
    }

    fn filter(&mut self) -> Filter {
        let mut filter = Filter::default();
        match self.0.u8(..5) {
            0 => filter.kinds = vec![KINDS[self.0.usize(..5)], KINDS[self.0.usize(..5)]],
            1 => filter.languages = vec![Language::Python],
            2 => filter.min_quality = self.quality(),
            3 => filter.tags = tags(&[("domain", "x"), ("platform", "y")]),
            _ => {
                filter.tags = tags(&[("domain", "x")]);
                filter.min_quality = Some("0.3".parse().unwrap());
            }
        }
        filter
    }

    fn quality(&mut self) -> Option<Quality> {
        self.0.bool().then(|| Quality::of_share(self.0.u64(..=10), 10).unwrap())
    }

    /// Some words, the first of the alphabet more often.
    fn text(&mut self, count: std::ops::Range<usize>) -> String {
        let words =
            (0..self.0.usize(count)).map(|_| format!("w{}", self.0.u8(1..=20).min(self.0.u8(1..=20))));
        words.collect::<Vec<_>>().join(" ")
    }

    fn numbers(&mut self) -> Vec<f32> {
        (0..DIMENSIONS).map(|_| self.0.f32() - 0.3).collect()
    }
}
