//! Everything about one namespace: its catalogue, its vectors, and how they are kept in step.
//!
//! The catalogue is the truth. A change becomes visible at once, when it is committed while nobody takes a look:
//! a search takes its look (a snapshot of the catalogue, and what it needs from memory) under a shared lock that
//! it gives back before the longer part of its work.

mod changes;
mod kept;
mod search;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
};

use dise_core::digest::Digest;
use rusqlite::Connection;

use crate::{
    ChromaServer, Error, Namespace, Record, Stale, Vector,
    book::Book,
    catalog,
    chroma::Chroma,
    graph::Graph,
    sessions::{Session, Sessions, lock},
};

/// The catalogue's file in the folder of its namespace.
const CATALOGUE: &str = "catalogue.sqlite";

/// How large the journal of changes may get before it is moved into the catalogue's file.
const JOURNAL_BYTES: u64 = 4 << 20;

/// Artifacts that are put on a Chroma server in one request.
const PUSHED: usize = 100;

/// Where the state of a catalogue says which collection holds its vectors.
const COLLECTION_NAME: &str = "collectionName";
const COLLECTION_ID: &str = "collectionId";

/// One namespace of an index.
pub(crate) struct Shelf {
    /// None in memory.
    folder: Option<PathBuf>,
    /// What errors name the catalogue.
    file: String,
    model: Option<String>,
    chroma: Option<Chroma>,
    /// The session for changes; none in memory, where there is but one session.
    writer: Mutex<Option<Session>>,
    sessions: Sessions,
    memory: RwLock<Memory>,
}

/// What is kept in memory beside the catalogue, always in step with it.
#[derive(Default)]
struct Memory {
    book: Book,
    /// The embedded engine's vectors, once there are any.
    graph: Option<Graph>,
    /// How many numbers a vector of the model has, once there are any.
    dimensions: Option<usize>,
}

impl Shelf {
    /// Opens or creates the shelf of a namespace.
    pub(crate) fn open(
        namespace: &Namespace,
        folder: Option<PathBuf>,
        model: Option<&str>,
        server: Option<&ChromaServer>,
    ) -> Result<Self, Error> {
        let path = folder.as_ref().map(|folder| folder.join(CATALOGUE));
        let file = path
            .as_ref()
            .map_or_else(|| format!("of {namespace} in memory"), |path| path.display().to_string());
        let chroma = match (server, model) {
            (Some(server), Some(model)) => Some(Chroma::new(server, namespace, model)?),
            _ => None,
        };
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
        }
        let session =
            Session::open(path.as_deref()).map_err(|error| Error::from(error).of_catalogue(&file))?;
        let (writer, sessions, memory) = Self::read(&session, folder.as_deref(), model, chroma.is_none())
            .map(|memory| match &path {
                Some(path) => (Some(session), Sessions::to_file(path, searches()), memory),
                None => (None, Sessions::only(session), memory),
            })
            .map_err(|error| error.of_catalogue(&file))?;
        let (writer, memory) = (Mutex::new(writer), RwLock::new(memory));
        Ok(Self { folder, file, model: model.map(str::to_owned), chroma, writer, sessions, memory })
    }

    /// What is kept in memory, from a catalogue that is prepared first.
    fn read(
        session: &Session,
        folder: Option<&Path>,
        model: Option<&str>,
        embedded: bool,
    ) -> Result<Memory, Error> {
        catalog::prepare(session)?;
        let mut memory = Memory::default();
        catalog::for_each(session, |slot, record| memory.book.set(slot, &record))?;
        let Some(model) = model else { return Ok(memory) };
        let vectors = catalog::vectors(session, model)?;
        let Some((first, _)) = vectors.first() else { return Ok(memory) };
        memory.dimensions = catalog::vector(session, *first, model)?.map(|vector| vector.len());
        if let (true, Some(dimensions)) = (embedded, memory.dimensions) {
            memory.graph = Some(kept::restore(session, folder, model, dimensions, &vectors)?);
        }
        Ok(memory)
    }

    /// How many artifacts there are.
    pub(crate) fn count(&self) -> usize {
        self.look().book.len()
    }

    /// The digest of one artifact's content.
    pub(crate) fn digest(&self, id: &str) -> Result<Option<Digest>, Error> {
        self.reading(|session| {
            let slot = catalog::slot(session, id)?;
            let record = slot.map(|slot| catalog::record(session, slot)).transpose()?;
            Ok(record.map(|record| record.digest))
        })
    }

    /// Calls `each` with every record, which lacks text and vector.
    pub(crate) fn for_each(&self, mut each: impl FnMut(Record)) -> Result<(), Error> {
        self.reading(|session| Ok(catalog::for_each(session, |_, record| each(record))?))
    }

    /// Artifacts whose text has no vector of the index's model; none where the index has no model.
    pub(crate) fn stale(&self, count: usize) -> Result<Vec<Stale>, Error> {
        let Some(model) = &self.model else { return Ok(Vec::new()) };
        self.reading(|session| Ok(catalog::stale(session, model, count)?))
    }

    /// Deletes what a Chroma server has of the namespace.
    pub(crate) fn delete_collection(&self) -> Result<(), Error> {
        let Some(chroma) = &self.chroma else { return Ok(()) };
        let recorded: Option<String> =
            self.reading(|session| Ok(catalog::state(session, COLLECTION_NAME)?))?;
        if let Some(other) = recorded.filter(|name| name != chroma.name()) {
            chroma.drop_collection(&other)?;
        }
        chroma.drop_collection(chroma.name())
    }

    /// A vector scaled to length 1.
    ///
    /// # Errors
    /// It is of another model or has no direction.
    fn unit(&self, vector: &Vector) -> Result<Vec<f32>, Error> {
        if self.model.as_ref() != Some(&vector.model) {
            let expected = self.model.as_ref().map_or("no model".to_owned(), |model| format!("`{model}`"));
            return Err(Error::Model { expected, got: vector.model.clone() });
        }
        let length = vector.values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if !length.is_normal() {
            return Err(Error::Direction);
        }
        #[expect(clippy::cast_possible_truncation, reason = "the vectors of models are 32-bit numbers")]
        let unit = vector.values.iter().map(|value| (f64::from(*value) / length) as f32);
        Ok(unit.collect())
    }

    /// Refuses a vector of another length than those of its model have.
    fn check_dimensions(&self, got: usize, expected: Option<usize>) -> Result<(), Error> {
        let model = self.model.clone().unwrap_or_default();
        match expected {
            Some(expected) if expected != got => Err(Error::Dimensions { model, expected, got }),
            _ => Ok(()),
        }
    }

    /// Has the Chroma server hold the vectors of this shelf. It does after the first call, unless it loses them.
    fn connect(&self, session: &Session) -> Result<Option<&Chroma>, Error> {
        let (Some(chroma), Some(model)) = (&self.chroma, &self.model) else { return Ok(None) };
        if chroma.is_connected() {
            return Ok(Some(chroma));
        }
        let id = chroma.create()?;
        let recorded: Option<String> = catalog::state(session, COLLECTION_NAME)?;
        if let Some(other) = recorded.filter(|name| name != chroma.name()) {
            chroma.drop_collection(&other)?;
        }
        if catalog::state::<String>(session, COLLECTION_ID)?.as_ref() != Some(&id) {
            push(session, chroma, &id, model)?;
            catalog::set_state(session, COLLECTION_NAME, chroma.name())?;
            catalog::set_state(session, COLLECTION_ID, &id)?;
        }
        chroma.connect(id);
        Ok(Some(chroma))
    }

    /// Does some work with a session that only reads.
    fn reading<T>(&self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, Error> {
        self.sessions.with(work).map_err(|error| error.of_catalogue(&self.file))
    }

    /// Does some work that changes the catalogue; one such work at a time.
    fn changing<T>(&self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, Error> {
        let writer = lock(&self.writer);
        let done = match &*writer {
            Some(session) => work(session).and_then(|done| self.shorten_journal(session).map(|()| done)),
            None => self.sessions.with(work),
        };
        done.map_err(|error| error.of_catalogue(&self.file))
    }

    /// Moves the journal into the catalogue's file when it has grown, without waiting for searches.
    fn shorten_journal(&self, session: &Session) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let journal = folder.join(format!("{CATALOGUE}-wal"));
        if std::fs::metadata(journal).is_ok_and(|journal| journal.len() > JOURNAL_BYTES) {
            session.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        }
        Ok(())
    }

    fn look(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts every vector of a catalogue into a collection.
fn push(connection: &Connection, chroma: &Chroma, id: &str, model: &str) -> Result<(), Error> {
    let vectors = catalog::vectors(connection, model)?;
    if !vectors.is_empty() {
        tracing::info!(
            collection = chroma.name(),
            vectors = vectors.len(),
            "filling a new Chroma collection"
        );
    }
    for some in vectors.chunks(PUSHED) {
        let mut artifacts = Vec::with_capacity(some.len());
        for (slot, _) in some {
            let vector = catalog::vector(connection, *slot, model)?.unwrap_or_default();
            artifacts.push((catalog::record(connection, *slot)?, vector));
        }
        let artifacts: Vec<_> =
            artifacts.iter().map(|(record, vector)| (record, vector.as_slice())).collect();
        chroma.put_into(id, &artifacts)?;
    }
    Ok(())
}

/// How many searches may go on at the same time.
fn searches() -> usize {
    thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8))
}
