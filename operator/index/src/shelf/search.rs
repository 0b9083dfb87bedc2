//! Searching one namespace.

use std::collections::HashMap;

use super::Shelf;
use crate::{
    Error, Hit, Query,
    book::{Slot, Slots},
    catalog::{self, Extent},
    rank::{self, CANDIDATES, Candidate, Ranked},
    sessions::Session,
};

/// How many times [`CANDIDATES`] an engine is asked for, so that the true nearest are among them although it compares
/// inexactly.
const SURPLUS: usize = 2;

impl Shelf {
    /// The best hits, the best first.
    pub(crate) fn search(&self, query: &Query) -> Result<Vec<Hit>, Error> {
        let unit = query.vector.as_ref().map(|vector| self.unit(vector)).transpose()?;
        if let Some(unit) = &unit {
            self.check_dimensions(unit.len(), self.look().dimensions)?;
            if self.chroma.as_ref().is_some_and(|chroma| !chroma.is_connected()) {
                self.changing(|session| self.connect(session).map(drop))?;
            }
        }
        self.reading(|session| self.search_with(session, query, unit.as_deref()))
    }

    fn search_with(&self, session: &Session, query: &Query, unit: Option<&[f32]>) -> Result<Vec<Hit>, Error> {
        let snapshot = session.unchecked_transaction()?;
        let look = self.look();
        // The first read takes the snapshot. It and memory agree, because nothing is committed during a look.
        catalog::state::<i64>(&snapshot, super::kept::CHANGES)?;
        let allowed = look.book.passing(&query.filter);
        let near = match (unit, &look.graph) {
            (Some(unit), Some(graph)) => graph.nearest(unit, SURPLUS * CANDIDATES, &allowed)?,
            _ => Vec::new(),
        };
        let extent = Extent { all: look.book.len(), allowed: allowed.len() };
        drop(look);
        if allowed.len() == 0 {
            return Ok(Vec::new());
        }
        session.allow(allowed.clone());

        let text = query.text.as_deref().filter(|text| !text.trim().is_empty());
        let ranked = if unit.is_none() && text.is_none() {
            best_proven(session, query.limit)?
        } else {
            let near = match unit {
                Some(unit) => self.nearest(session, query, unit, near, &allowed)?,
                None => Vec::new(),
            };
            let matching = match text {
                Some(text) => catalog::matching(session, text, extent, CANDIDATES)?,
                None => Vec::new(),
            };
            let mut candidates = HashMap::new();
            for slot in near.iter().map(|(slot, _)| *slot).chain(matching.iter().map(|(slot, _)| *slot)) {
                candidates.extend(catalog::candidate(session, slot)?.map(|candidate| (slot, candidate)));
            }
            rank::rank(&near, &matching, &candidates, query.limit)
        };
        ranked.into_iter().map(|ranked| hit(session, &ranked)).collect()
    }

    /// The [`CANDIDATES`] nearest with their cosines, computed from the vectors as they were given.
    ///
    /// `slots` is what the embedded engine found; a Chroma server is asked here.
    fn nearest(
        &self,
        session: &Session,
        query: &Query,
        unit: &[f32],
        mut slots: Vec<Slot>,
        allowed: &Slots,
    ) -> Result<Vec<(Slot, f32)>, Error> {
        if let Some(chroma) = &self.chroma {
            for id in chroma.nearest(unit, SURPLUS * CANDIDATES, &query.filter)? {
                slots.extend(catalog::slot(session, &id)?.filter(|slot| allowed.contains(*slot)));
            }
        }
        let model = self.model.as_deref().unwrap_or_default();
        let mut near = Vec::with_capacity(slots.len());
        for slot in slots {
            if let Some(vector) = catalog::vector(session, slot, model)? {
                near.push((slot, dot(unit, &vector)));
            }
        }
        near.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        near.truncate(CANDIDATES);
        Ok(near)
    }
}

/// The best proven of all that is allowed.
fn best_proven(session: &Session, limit: usize) -> Result<Vec<Ranked<Slot>>, Error> {
    let mut best: HashMap<Slot, Candidate> = HashMap::new();
    let keep = |best: &mut HashMap<Slot, Candidate>| {
        let kept: Slots = rank::rank_proven(best, limit).into_iter().map(|ranked| ranked.key).collect();
        best.retain(|slot, _| kept.contains(*slot));
    };
    catalog::for_each_allowed(session, |slot, candidate| {
        best.insert(slot, candidate);
        // Sorting now and then bounds the memory that a large namespace takes.
        if best.len() > 4 * limit + 1000 {
            keep(&mut best);
        }
    })?;
    Ok(rank::rank_proven(&best, limit))
}

fn hit(session: &Session, ranked: &Ranked<Slot>) -> Result<Hit, Error> {
    let record = catalog::record(session, ranked.key)?;
    Ok(Hit { record, score: ranked.parts.score(), parts: ranked.parts })
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
