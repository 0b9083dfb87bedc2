//! Connections to a catalogue: one for writing, a few for searching at the same time.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, functions::FunctionFlags};

use crate::{Error, book::Slots};

/// Page cache of one connection in KiB.
const CACHE_KIB: u32 = 2048;

/// A connection, on which SQL can ask whether a slot is `allowed`.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    allowed: Arc<Mutex<Slots>>,
}

impl Session {
    /// Opens the file, or an empty catalogue in memory.
    pub(crate) fn open(path: Option<&Path>) -> rusqlite::Result<Self> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        connection.busy_timeout(Duration::from_secs(5))?;
        // Checkpoints are made between writes, when nobody waits for them; see `Shelf`.
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;
             PRAGMA cache_size = -{CACHE_KIB}; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;"
        ))?;
        let allowed: Arc<Mutex<Slots>> = Arc::default();
        let known = Arc::clone(&allowed);
        connection.create_scalar_function("allowed", 1, FunctionFlags::SQLITE_UTF8, move |context| {
            let slot: i64 = context.get(0)?;
            Ok(lock(&known).contains(slot.cast_unsigned()))
        })?;
        Ok(Self { connection, allowed })
    }

    /// Says which slots are allowed from now on.
    pub(crate) fn allow(&self, slots: Slots) {
        *lock(&self.allowed) = slots;
    }
}

impl Deref for Session {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// Sessions to one catalogue, opened when needed, at most `limit` in use at a time.
#[derive(Debug)]
pub(crate) struct Sessions {
    path: Option<PathBuf>,
    limit: usize,
    idle: Mutex<Vec<Session>>,
    in_use: Mutex<usize>,
    returned: Condvar,
}

impl Sessions {
    /// Sessions to a file.
    pub(crate) fn to_file(path: &Path, limit: usize) -> Self {
        Self::new(Some(path.to_owned()), limit, Vec::new())
    }

    /// The one session there can be to a catalogue in memory.
    pub(crate) fn only(session: Session) -> Self {
        Self::new(None, 1, vec![session])
    }

    fn new(path: Option<PathBuf>, limit: usize, idle: Vec<Session>) -> Self {
        Self { path, limit, idle: Mutex::new(idle), in_use: Mutex::new(0), returned: Condvar::new() }
    }

    /// Does some work with a session, after waiting for one while all are in use.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, Error> {
        let _permit = self.permit();
        let idle = lock(&self.idle).pop();
        let session = match idle {
            Some(session) => session,
            None => Session::open(self.path.as_deref())?,
        };
        let done = work(&session);
        lock(&self.idle).push(session);
        done
    }

    fn permit(&self) -> Permit<'_> {
        let in_use = lock(&self.in_use);
        let mut in_use = self
            .returned
            .wait_while(in_use, |count| *count >= self.limit)
            .unwrap_or_else(PoisonError::into_inner);
        *in_use += 1;
        Permit(self)
    }
}

/// The right to use one session.
struct Permit<'a>(&'a Sessions);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *lock(&self.0.in_use) -= 1;
        self.0.returned.notify_one();
    }
}

/// What a mutex guards. A panic elsewhere does not make these values wrong.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
