//! Storing and removing.

use std::collections::BTreeMap;

use rusqlite::Transaction;

use super::{Memory, Shelf, kept::CHANGES, searches};
use crate::{
    Error, Record, Stale, Standing, Vector,
    book::Slot,
    catalog::{self, TEXT_BYTES},
    graph::Graph,
    sessions::Session,
    words::beginning,
};

/// Artifacts that become visible together. Adding a vector to the graph takes about 0.2 ms, and a search may have to
/// wait for a whole group.
const GROUP: usize = 16;

/// An artifact that is about to be stored.
struct Stored {
    slot: Slot,
    record: Record,
    vector: Fate,
}

/// What happens to the vector of an artifact.
enum Fate {
    /// Its text is the same, so it still fits.
    Kept,
    /// Its text has changed.
    Removed,
    /// There is a new one, of length 1.
    Set(Vec<f32>),
}

impl Shelf {
    /// Stores records, each in place of what was there under its id; of several with one id the last.
    pub(crate) fn upsert(&self, records: Vec<Record>) -> Result<(), Error> {
        let unique: BTreeMap<String, Record> =
            records.into_iter().map(|record| (record.id.clone(), record)).collect();
        let records: Vec<Record> = unique.into_values().collect();
        records.chunks(GROUP).try_for_each(|group| self.changing(|session| self.upsert_group(session, group)))
    }

    fn upsert_group(&self, session: &Session, records: &[Record]) -> Result<(), Error> {
        let transaction = session.unchecked_transaction()?;
        let (spare, mut dimensions) = {
            let memory = self.look();
            (memory.book.free(records.len()), memory.dimensions)
        };
        let mut stored = Vec::with_capacity(records.len());
        for (record, spare) in records.iter().zip(spare) {
            let old = catalog::slot(session, &record.id)?;
            let vector = match &record.vector {
                Some(vector) if Some(&vector.model) == self.model.as_ref() => {
                    Fate::Set(self.fitting(vector, &mut dimensions)?)
                }
                _ => match old {
                    Some(slot) if catalog::text(session, slot)? == beginning(&record.text, TEXT_BYTES) => {
                        Fate::Kept
                    }
                    _ => Fate::Removed,
                },
            };
            let slot = old.unwrap_or(spare);
            catalog::put(session, slot, record)?;
            stored.push(Stored { slot, record: Record { vector: None, ..record.clone() }, vector });
        }
        self.commit(session, transaction, &stored)
    }

    /// Stores vectors for texts; those whose text has changed since it was asked for are left out. Gives how many
    /// were stored.
    pub(crate) fn set_vectors(&self, vectors: &[(Stale, Vector)]) -> Result<usize, Error> {
        let mut count = 0;
        for group in vectors.chunks(GROUP) {
            count += self.changing(|session| self.set_group(session, group))?;
        }
        Ok(count)
    }

    fn set_group(&self, session: &Session, vectors: &[(Stale, Vector)]) -> Result<usize, Error> {
        let transaction = session.unchecked_transaction()?;
        let mut dimensions = self.look().dimensions;
        let mut stored: BTreeMap<Slot, Stored> = BTreeMap::new();
        for (stale, vector) in vectors {
            let unit = self.fitting(vector, &mut dimensions)?;
            let Some(slot) = catalog::slot(session, &stale.id)? else { continue };
            let record = catalog::record(session, slot)?;
            if record.text == stale.text {
                stored.insert(slot, Stored { slot, record, vector: Fate::Set(unit) });
            }
        }
        let stored: Vec<Stored> = stored.into_values().collect();
        self.commit(session, transaction, &stored)?;
        Ok(stored.len())
    }

    /// Makes what is stored visible, with what follows from it: vectors, and what a Chroma server is to know.
    fn commit(
        &self,
        session: &Session,
        transaction: Transaction<'_>,
        stored: &[Stored],
    ) -> Result<(), Error> {
        let change = count_change(session)?;
        for Stored { slot, vector, .. } in stored {
            match (vector, &self.model) {
                (Fate::Set(unit), Some(model)) => catalog::put_vector(session, *slot, model, change, unit)?,
                (Fate::Removed, _) => catalog::remove_vector(session, *slot)?,
                _ => {}
            }
        }
        // The server first: an artifact that it alone knows is never found, one that it lacks would be missed.
        self.tell_server(session, stored)?;
        let mut memory = self.change();
        transaction.commit()?;
        for Stored { slot, record, vector } in stored {
            memory.book.set(*slot, record);
            match vector {
                Fate::Kept => {}
                Fate::Removed => memory.remove_vector(*slot)?,
                Fate::Set(unit) => {
                    memory.dimensions = Some(unit.len());
                    if self.chroma.is_none() {
                        memory.set_vector(*slot, unit)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn tell_server(&self, session: &Session, stored: &[Stored]) -> Result<(), Error> {
        let (Some(chroma), Some(model)) = (self.connect(session)?, &self.model) else { return Ok(()) };
        let mut with_vector = Vec::with_capacity(stored.len());
        let mut without = Vec::new();
        for artifact in stored {
            match catalog::vector(session, artifact.slot, model)? {
                Some(vector) => with_vector.push((&artifact.record, vector)),
                None => without.push(artifact.record.id.as_str()),
            }
        }
        chroma.delete(&without)?;
        chroma
            .put(&with_vector.iter().map(|(record, vector)| (*record, vector.as_slice())).collect::<Vec<_>>())
    }

    /// Changes what use changes; false if there is no such artifact.
    pub(crate) fn set_standing(&self, id: &str, standing: &Standing) -> Result<bool, Error> {
        self.changing(|session| {
            let transaction = session.unchecked_transaction()?;
            let Some(slot) = catalog::slot(session, id)? else { return Ok(false) };
            catalog::set_standing(session, slot, standing)?;
            if let (Some(chroma), Some(model)) = (self.connect(session)?, &self.model)
                && catalog::vector(session, slot, model)?.is_some()
            {
                chroma.set_quality(id, standing.quality)?;
            }
            let mut memory = self.change();
            transaction.commit()?;
            memory.book.set_quality(slot, standing.quality);
            Ok(true)
        })
    }

    /// Removes artifacts; those that are not there are no error.
    pub(crate) fn delete(&self, ids: &[&str]) -> Result<(), Error> {
        self.changing(|session| {
            let transaction = session.unchecked_transaction()?;
            count_change(session)?;
            let mut slots = Vec::with_capacity(ids.len());
            for id in ids {
                slots.extend(catalog::slot(session, id)?);
            }
            slots.iter().try_for_each(|slot| catalog::remove(session, *slot))?;
            if let Some(chroma) = self.connect(session)? {
                chroma.delete(ids)?;
            }
            let mut memory = self.change();
            transaction.commit()?;
            slots.into_iter().try_for_each(|slot| {
                memory.book.remove(slot);
                memory.remove_vector(slot)
            })
        })
    }

    /// A vector of length 1 with as many numbers as the others have, the first of which says how many.
    fn fitting(&self, vector: &Vector, dimensions: &mut Option<usize>) -> Result<Vec<f32>, Error> {
        let unit = self.unit(vector)?;
        self.check_dimensions(unit.len(), *dimensions)?;
        *dimensions = Some(unit.len());
        Ok(unit)
    }
}

impl Memory {
    fn set_vector(&mut self, slot: Slot, unit: &[f32]) -> Result<(), Error> {
        match &mut self.graph {
            Some(graph) => graph.set(slot, unit),
            None => self.graph.insert(Graph::new(unit.len(), searches())?).set(slot, unit),
        }
    }

    fn remove_vector(&mut self, slot: Slot) -> Result<(), Error> {
        self.graph.as_mut().map_or(Ok(()), |graph| graph.remove(slot))
    }
}

/// Counts a change of vectors, and gives its number.
fn count_change(session: &Session) -> Result<u64, Error> {
    let change = catalog::state::<i64>(session, CHANGES)?.unwrap_or_default() + 1;
    catalog::set_state(session, CHANGES, change)?;
    Ok(change.cast_unsigned())
}
