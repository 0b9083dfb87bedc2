//! How hits are ordered: by how well they match, and within that by what is proven about them.
//!
//! Engines deliver two lists of candidates with a measure each, and everything else happens here, so the same
//! candidates rank in the same way whichever engine found them.
//!
//! 1. A list is turned into ranks; equal measures share a rank. Ranks are all that counts of a measure, because a
//!    cosine and a BM25 have no common unit.
//! 2. *Reciprocal rank fusion* (Cormack, Clarke and Büttcher, SIGIR 2009) adds the lists up: `1 / (k + rank)` each,
//!    here scaled so that the first of a list gets 1.
//! 3. Proven quality and use raise what matches by a share of how well it matches. Both weights are small: they decide
//!    among artifacts that match about equally well and cannot lift one that does not.

use std::{collections::HashMap, hash::Hash};

use dise_core::quality::Quality;
use serde::{Deserialize, Serialize};

/// How many candidates each list brings in at most.
pub const CANDIDATES: usize = 100;

/// The `k` of reciprocal rank fusion, the value of the paper: how slowly a rank loses weight.
pub const RANK_CONSTANT: f64 = 60.0;

/// What the first by meaning gets. The same as for words: nothing shows yet that one list is better than the other.
pub const MEANING_WEIGHT: f64 = 1.0;

/// What the first by words gets.
pub const WORDS_WEIGHT: f64 = 1.0;

/// The share by which a quality of 1 raises a match. 10 % make up for 6 ranks at the top of a list.
pub const QUALITY_WEIGHT: f64 = 0.10;

/// The share by which [`FULL_USE`] uses raise a match. 5 % make up for 3 ranks at the top of a list.
pub const USE_WEIGHT: f64 = 0.05;

/// The uses that count in full. Use counts by its logarithm, so that the first uses say most and a popular artifact
/// does not shut out a new one for good.
pub const FULL_USE: f64 = 1000.0;

/// What is not at least this share as near as the nearest is no match by meaning. A namespace with few artifacts would
/// otherwise have all of them among its candidates, and the best proven would be found whatever is asked.
pub const NEARNESS_FLOOR: f32 = 0.5;

/// What a score is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parts {
    /// For its rank by meaning, 0 to [`MEANING_WEIGHT`].
    pub meaning: f64,
    /// For its rank by words, 0 to [`WORDS_WEIGHT`].
    pub words: f64,
    /// For its measured quality, 0 if there is none.
    pub quality: f64,
    /// For how often it was used.
    #[serde(rename = "use")]
    pub usage: f64,
}

impl Parts {
    /// The score: the sum of the parts.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.meaning + self.words + self.quality + self.usage
    }

    /// Adds what is proven to the parts that are about the match.
    fn proven(mut self, candidate: &Candidate) -> Self {
        let matched = self.meaning + self.words;
        let quality = candidate.quality.map_or(0.0, Quality::as_f64);
        self.quality = matched * QUALITY_WEIGHT * quality;
        self.usage = matched * USE_WEIGHT * use_share(candidate.usage);
        self
    }
}

/// What is known of a candidate beside its match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The artifact's name, which decides between equal scores.
    pub(crate) id: String,
    /// Its measured quality.
    pub(crate) quality: Option<Quality>,
    /// How often it was used.
    pub(crate) usage: u64,
}

/// A candidate in its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ranked<K> {
    /// Which one.
    pub(crate) key: K,
    /// What its score is made of.
    pub(crate) parts: Parts,
}

/// The best `limit` of what was found, the best first. Of equal scores the lower id comes first.
///
/// `near` holds cosines, `matching` BM25 scores (higher is better); their order does not matter. A key without
/// an entry in `candidates` is left out.
pub(crate) fn rank<K: Copy + Eq + Hash>(
    near: &[(K, f32)],
    matching: &[(K, f32)],
    candidates: &HashMap<K, Candidate>,
    limit: usize,
) -> Vec<Ranked<K>> {
    let mut found: HashMap<K, Parts> = HashMap::new();
    for (key, rank) in ranks(&above_floor(near)) {
        found.entry(key).or_default().meaning = MEANING_WEIGHT * reciprocal(rank);
    }
    for (key, rank) in ranks(matching) {
        found.entry(key).or_default().words = WORDS_WEIGHT * reciprocal(rank);
    }
    in_order(found, candidates, limit)
}

/// The best proven `limit` of candidates that all match equally well, because nothing was asked of them.
pub(crate) fn rank_proven<K: Copy + Eq + Hash>(
    candidates: &HashMap<K, Candidate>,
    limit: usize,
) -> Vec<Ranked<K>> {
    let equal = Parts { words: WORDS_WEIGHT, ..Parts::default() };
    let found = candidates.keys().map(|key| (*key, equal)).collect();
    in_order(found, candidates, limit)
}

fn in_order<K: Copy + Eq + Hash>(
    found: HashMap<K, Parts>,
    candidates: &HashMap<K, Candidate>,
    limit: usize,
) -> Vec<Ranked<K>> {
    let mut ranked: Vec<(i64, &str, Ranked<K>)> = found
        .into_iter()
        .filter_map(|(key, parts)| {
            let candidate = candidates.get(&key)?;
            let parts = parts.proven(candidate);
            Some((comparable(parts.score()), candidate.id.as_str(), Ranked { key, parts }))
        })
        .collect();
    ranked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    ranked.truncate(limit);
    ranked.into_iter().map(|(_, _, ranked)| ranked).collect()
}

/// A score in billionths: scores that differ by less than rounding errors are equal.
#[expect(clippy::cast_possible_truncation, reason = "a score is below 3")]
fn comparable(score: f64) -> i64 {
    (score * 1e9).round() as i64
}

/// What is near enough to count as a match.
fn above_floor<K: Copy>(near: &[(K, f32)]) -> Vec<(K, f32)> {
    let nearest = near.iter().map(|(_, cosine)| *cosine).fold(0.0, f32::max);
    let floor = nearest * NEARNESS_FLOOR;
    near.iter().filter(|(_, cosine)| *cosine > 0.0 && *cosine >= floor).copied().collect()
}

/// The rank of each key, from 1: one more than how many have a higher measure.
fn ranks<K: Copy>(list: &[(K, f32)]) -> Vec<(K, u32)> {
    let mut order: Vec<&(K, f32)> = list.iter().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut ranked: Vec<(K, u32)> = Vec::with_capacity(order.len());
    let mut rank = 0;
    let mut above = f32::NAN;
    for (place, (key, measure)) in (1..).zip(order) {
        if measure.total_cmp(&above).is_ne() {
            (rank, above) = (place, *measure);
        }
        ranked.push((*key, rank));
    }
    ranked
}

/// What a rank is worth: 1 for the first, less and less for the following.
fn reciprocal(rank: u32) -> f64 {
    (RANK_CONSTANT + 1.0) / (RANK_CONSTANT + f64::from(rank))
}

/// How much of [`USE_WEIGHT`] a number of uses is worth, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a logarithm of a count needs no more than 53 bits")]
fn use_share(usage: u64) -> f64 {
    ((usage as f64).ln_1p() / FULL_USE.ln_1p()).min(1.0)
}

#[cfg(test)]
mod tests;
