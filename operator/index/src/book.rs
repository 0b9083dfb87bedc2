//! What filters need to know of every artifact, kept in memory: deciding a filter takes nanoseconds for each.
//!
//! Artifacts are numbered by *slots*: small integers, reused after a deletion, so that sets of them are bitmaps.

use std::collections::HashMap;

use dise_core::{function::Language, quality::Quality};

use crate::{Filter, Kind, Record};

/// The number of an artifact in its namespace.
pub(crate) type Slot = u64;

/// What a filter can ask about.
#[derive(Debug)]
struct Facts {
    kind: Kind,
    language: Option<Language>,
    quality: Option<Quality>,
    /// Numbers of [`Book::tags`].
    tags: Box<[u32]>,
}

/// The facts of every artifact of a namespace.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// By slot.
    facts: Vec<Option<Facts>>,
    /// Every pair of key and value that was ever seen, numbered.
    tags: HashMap<(String, String), u32>,
    len: usize,
}

impl Book {
    /// How many artifacts there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All slots in use are lower.
    pub(crate) fn slots(&self) -> Slot {
        self.facts.len() as Slot
    }

    /// The `count` lowest slots that are free.
    pub(crate) fn free(&self, count: usize) -> Vec<Slot> {
        let holes = self.facts.iter().enumerate().filter(|(_, facts)| facts.is_none()).map(|(slot, _)| slot);
        holes.chain(self.facts.len()..).take(count).map(|slot| slot as Slot).collect()
    }

    /// Notes what `record` is, in place of what was known of its slot.
    pub(crate) fn set(&mut self, slot: Slot, record: &Record) {
        let facts = Facts {
            kind: record.kind,
            language: record.language,
            quality: record.quality,
            tags: record.tags.iter().map(|(key, value)| self.number(key, value)).collect(),
        };
        let slot = index(slot);
        if self.facts.len() <= slot {
            self.facts.resize_with(slot + 1, || None);
        }
        if self.facts[slot].replace(facts).is_none() {
            self.len += 1;
        }
    }

    /// Notes a new quality.
    pub(crate) fn set_quality(&mut self, slot: Slot, quality: Option<Quality>) {
        if let Some(Some(facts)) = self.facts.get_mut(index(slot)) {
            facts.quality = quality;
        }
    }

    /// Forgets an artifact.
    pub(crate) fn remove(&mut self, slot: Slot) {
        if self.facts.get_mut(index(slot)).is_some_and(|facts| facts.take().is_some()) {
            self.len -= 1;
        }
    }

    /// The artifacts that pass `filter`.
    pub(crate) fn passing(&self, filter: &Filter) -> Slots {
        let tags: Option<Vec<u32>> = filter
            .tags
            .iter()
            .map(|(key, value)| self.tags.get(&(key.clone(), value.clone())).copied())
            .collect();
        let mut passing = Slots::default();
        // A tag that was never seen is one that no artifact has.
        let Some(tags) = tags else { return passing };
        for (slot, facts) in self.facts.iter().enumerate() {
            if facts.as_ref().is_some_and(|facts| facts.pass(filter, &tags)) {
                passing.insert(slot as Slot);
            }
        }
        passing
    }

    fn number(&mut self, key: &str, value: &str) -> u32 {
        let next = u32::try_from(self.tags.len()).unwrap_or(u32::MAX);
        *self.tags.entry((key.to_owned(), value.to_owned())).or_insert(next)
    }
}

impl Facts {
    fn pass(&self, filter: &Filter, tags: &[u32]) -> bool {
        (filter.kinds.is_empty() || filter.kinds.contains(&self.kind))
            && (filter.languages.is_empty()
                || self.language.is_some_and(|own| filter.languages.contains(&own)))
            && filter.min_quality.is_none_or(|min| self.quality.is_some_and(|own| own >= min))
            && tags.iter().all(|tag| self.tags.contains(tag))
    }
}

/// A set of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots {
    words: Vec<u64>,
    len: usize,
}

impl Slots {
    pub(crate) fn insert(&mut self, slot: Slot) {
        let (word, bit) = (index(slot / 64), 1 << (slot % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.len += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    pub(crate) fn contains(&self, slot: Slot) -> bool {
        self.words.get(index(slot / 64)).is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot> {
        (0_u64..).zip(&self.words).flat_map(|(place, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                rest &= rest.wrapping_sub(1);
                (bit < 64).then(|| place * 64 + u64::from(bit))
            })
        })
    }
}

impl FromIterator<Slot> for Slots {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::default();
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

fn index(slot: Slot) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_slots_in_order_and_counts_each_once() {
        let slots: Slots = [130, 0, 63, 64, 0].into_iter().collect();
        assert_eq!(slots.iter().collect::<Vec<_>>(), [0, 63, 64, 130]);
        assert_eq!(slots.len(), 4);
        assert!(slots.contains(130) && !slots.contains(129) && !slots.contains(1000));
    }
}
