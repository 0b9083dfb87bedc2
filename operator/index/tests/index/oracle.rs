//! A search that reads everything and computes every number by its definition.

use std::collections::BTreeMap;

use dise_index::{
    Filter, Query, Record,
    rank::{
        FULL_USE, MEANING_WEIGHT, NEARNESS_FLOOR, QUALITY_WEIGHT, RANK_CONSTANT, USE_WEIGHT, WORDS_WEIGHT,
    },
};

/// Records by id. Their texts must be words that are their own stems, separated by blanks.
#[derive(Default)]
pub(crate) struct Oracle(pub(crate) BTreeMap<String, Record>);

impl Oracle {
    /// The ids of the hits with their scores, in order.
    pub(crate) fn search(&self, query: &Query) -> Vec<(String, f64)> {
        let passing: Vec<&Record> = self.0.values().filter(|record| passes(record, &query.filter)).collect();
        let cosines = query.vector.as_ref().map(|vector| {
            let with_vector = passing.iter().filter_map(|record| Some((*record, record.vector.as_ref()?)));
            with_vector.map(|(record, own)| (record, cosine(&own.values, &vector.values))).collect::<Vec<_>>()
        });
        let cosines = cosines.unwrap_or_default();
        let nearest = cosines.iter().map(|(_, cosine)| *cosine).fold(0.0, f64::max);
        let floor = nearest * f64::from(NEARNESS_FLOOR);
        let near: Vec<_> =
            cosines.into_iter().filter(|(_, cosine)| *cosine > 0.0 && *cosine >= floor).collect();
        let scores = query.text.as_ref().map(|text| self.bm25(&passing, text)).unwrap_or_default();
        let mut hits: Vec<(String, f64)> = passing
            .iter()
            .filter_map(|record| {
                let matched = MEANING_WEIGHT * worth(record, &near) + WORDS_WEIGHT * worth(record, &scores);
                let nothing_asked = query.text.is_none() && query.vector.is_none();
                let matched = if nothing_asked { WORDS_WEIGHT } else { matched };
                (matched > 0.0).then(|| (record.id.clone(), matched * proof(record)))
            })
            .collect();
        let billionths = |score: f64| (score * 1e9).round();
        hits.sort_by(|a, b| billionths(b.1).total_cmp(&billionths(a.1)).then(a.0.cmp(&b.0)));
        hits.truncate(query.limit);
        hits
    }

    /// Okapi BM25 as `SQLite` computes it: k1 = 1.2, b = 0.75, over all records whether or not they pass.
    fn bm25<'a>(&self, passing: &[&'a Record], text: &str) -> Vec<(&'a Record, f64)> {
        let count = self.0.len() as f64;
        let average = self.0.values().map(|record| length(&record.text)).sum::<f64>() / count;
        let mut terms: Vec<&str> = text.split_whitespace().collect();
        terms.sort_unstable();
        terms.dedup();
        let score = |record: &Record| {
            let of_term = |term: &&str| {
                let holding =
                    self.0.values().filter(|other| frequency(&other.text, term) > 0.0).count() as f64;
                let idf = ((count - holding + 0.5) / (holding + 0.5)).ln();
                let idf = if idf <= 0.0 { 1e-6 } else { idf };
                let frequency = frequency(&record.text, term);
                idf * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * length(&record.text) / average))
            };
            terms.iter().map(of_term).sum::<f64>()
        };
        passing.iter().map(|record| (*record, score(record))).filter(|(_, score)| *score > 0.0).collect()
    }
}

fn passes(record: &Record, filter: &Filter) -> bool {
    let Filter { kinds, languages, tags, min_quality } = filter;
    (kinds.is_empty() || kinds.contains(&record.kind))
        && (languages.is_empty() || record.language.is_some_and(|language| languages.contains(&language)))
        && tags.iter().all(|(key, value)| record.tags.get(key) == Some(value))
        && (min_quality.is_none() || record.quality >= *min_quality)
}

/// What the rank of a record in a list is worth; equal measures share a rank.
fn worth(record: &Record, list: &[(&Record, f64)]) -> f64 {
    let Some((_, own)) = list.iter().find(|(other, _)| other.id == record.id) else { return 0.0 };
    let better = list.iter().filter(|(_, measure)| measure - own > 1e-9).count() as f64;
    (RANK_CONSTANT + 1.0) / (RANK_CONSTANT + 1.0 + better)
}

fn proof(record: &Record) -> f64 {
    let quality = record.quality.map_or(0.0, dise_core::quality::Quality::as_f64);
    let usage = (record.usage as f64 + 1.0).ln() / (FULL_USE + 1.0).ln();
    1.0 + QUALITY_WEIGHT * quality + USE_WEIGHT * usage.min(1.0)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn frequency(text: &str, term: &str) -> f64 {
    text.split_whitespace().filter(|word| word == &term).count() as f64
}

fn length(text: &str) -> f64 {
    text.split_whitespace().count() as f64
}
