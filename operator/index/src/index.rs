//! The index: one shelf for each namespace, opened when it is needed.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use dise_core::digest::Digest;

use crate::{
    ChromaServer, Error, Hit, Namespace, Query, Record, Stale, Standing, Vector, sessions::lock, shelf::Shelf,
};

/// Namespaces that are kept open. An open namespace costs a few connections and what [`crate`] keeps in memory of it.
const OPEN: usize = 64;

/// Where an index keeps its catalogues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a folder of its own, which may vanish at any time and may not be shared with another process.
    Folder(PathBuf),
    /// In memory, until the index is dropped.
    Memory,
}

/// What searches by meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// A graph of eight-bit vectors in this process.
    #[default]
    Embedded,
    /// A Chroma server, which keeps the vectors of all replicas out of their memory. Words are searched here all
    /// the same.
    Chroma(ChromaServer),
}

/// How an index is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it keeps its catalogues.
    pub place: Place,
    /// The embedding model whose vectors are compared; without one, words alone are searched.
    pub model: Option<String>,
    /// What searches by meaning.
    pub engine: Engine,
}

/// The memory of all namespaces. Its methods may be called by many threads at the same time.
pub struct Index {
    options: Options,
    spots: Mutex<HashMap<Namespace, Arc<Spot>>>,
    clock: AtomicU64,
}

/// A namespace's place in an index.
#[derive(Default)]
struct Spot {
    /// None while it is closed.
    shelf: Mutex<Option<Arc<Shelf>>>,
    /// When it was last used, by the index's clock.
    used: AtomicU64,
}

impl Index {
    /// An index with what its folder holds. Namespaces are opened at their first use.
    ///
    /// With [`Engine::Chroma`] the process must have installed a rustls crypto provider.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(options: Options) -> Result<Self, Error> {
        if let Place::Folder(folder) = &options.place {
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
        }
        Ok(Self { options, spots: Mutex::default(), clock: AtomicU64::new(0) })
    }

    /// Stores records, each in place of what was there under its id: words, tags and vector of that are gone.
    ///
    /// A record without a vector of the index's model keeps the vector that its text had, if the text is the same.
    /// Records become visible in groups of a few.
    ///
    /// # Errors
    /// A vector that does not fit, or a failure of files or of the server; records of earlier groups stay stored.
    pub fn upsert(&self, records: Vec<Record>) -> Result<(), Error> {
        let mut by_namespace: BTreeMap<Namespace, Vec<Record>> = BTreeMap::new();
        for record in records {
            by_namespace.entry(record.namespace.clone()).or_default().push(record);
        }
        by_namespace.into_iter().try_for_each(|(namespace, records)| self.shelf(&namespace)?.upsert(records))
    }

    /// Changes quality, latency and use of an artifact; false if there is no such artifact. Its words and its vector
    /// are not touched, so this is cheap.
    ///
    /// # Errors
    /// A failure of files or of the server.
    pub fn set_standing(&self, namespace: &Namespace, id: &str, standing: &Standing) -> Result<bool, Error> {
        self.existing(namespace)?.map_or(Ok(false), |shelf| shelf.set_standing(id, standing))
    }

    /// Removes artifacts with everything known of them; those that are not there are no error.
    ///
    /// # Errors
    /// A failure of files or of the server.
    pub fn delete(&self, namespace: &Namespace, ids: &[&str]) -> Result<(), Error> {
        self.existing(namespace)?.map_or(Ok(()), |shelf| shelf.delete(ids))
    }

    /// Removes a namespace with all its artifacts, on a Chroma server too.
    ///
    /// # Errors
    /// A failure of files or of the server.
    pub fn delete_namespace(&self, namespace: &Namespace) -> Result<(), Error> {
        if let Some(shelf) = self.existing(namespace)? {
            shelf.delete_collection()?;
        }
        self.discard(namespace)
    }

    /// Throws away the files of a namespace, usable or not, so that its records can be stored again. What other
    /// replicas share on a Chroma server stays.
    ///
    /// # Errors
    /// The files cannot be removed.
    pub fn discard(&self, namespace: &Namespace) -> Result<(), Error> {
        let spot = Arc::clone(lock(&self.spots).entry(namespace.clone()).or_default());
        // Nobody can open the namespace before its files are gone.
        let mut open = lock(&spot.shelf);
        *open = None;
        let Some(folder) = self.folder(namespace) else { return Ok(()) };
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file(&folder)(error)),
            _ => Ok(()),
        }
    }

    /// The best hits for a query, the best first.
    ///
    /// # Errors
    /// A vector of another model or length, or a failure of files or of the server. A server that does not answer
    /// fails queries with a vector only.
    pub fn search(&self, query: &Query) -> Result<Vec<Hit>, Error> {
        self.existing(&query.namespace)?.map_or(Ok(Vec::new()), |shelf| shelf.search(query))
    }

    /// Up to `limit` texts without a vector of the index's model: new ones, and all after a change of the model.
    /// None if the index has no model.
    ///
    /// # Errors
    /// A failure of files.
    pub fn stale_vectors(&self, namespace: &Namespace, limit: usize) -> Result<Vec<Stale>, Error> {
        self.existing(namespace)?.map_or(Ok(Vec::new()), |shelf| shelf.stale(limit))
    }

    /// Stores the vectors of texts that [`Index::stale_vectors`] gave. A text that has changed meanwhile is left out.
    /// Gives how many were stored.
    ///
    /// # Errors
    /// A vector that does not fit, or a failure of files or of the server.
    pub fn set_vectors(&self, namespace: &Namespace, vectors: &[(Stale, Vector)]) -> Result<usize, Error> {
        self.existing(namespace)?.map_or(Ok(0), |shelf| shelf.set_vectors(vectors))
    }

    /// The artifacts of a namespace with the digests of their contents, to be compared with what should be there.
    ///
    /// # Errors
    /// A failure of files.
    pub fn digests(&self, namespace: &Namespace) -> Result<BTreeMap<String, Digest>, Error> {
        let mut digests = BTreeMap::new();
        if let Some(shelf) = self.existing(namespace)? {
            shelf.for_each(|record| {
                digests.insert(record.id, record.digest);
            })?;
        }
        Ok(digests)
    }

    /// The digest of one artifact's content; `None` if there is no such artifact.
    ///
    /// # Errors
    /// A failure of files.
    pub fn digest(&self, namespace: &Namespace, id: &str) -> Result<Option<Digest>, Error> {
        self.existing(namespace)?.map_or(Ok(None), |shelf| shelf.digest(id))
    }

    /// How many artifacts a namespace has.
    ///
    /// # Errors
    /// A failure of files.
    pub fn count(&self, namespace: &Namespace) -> Result<usize, Error> {
        Ok(self.existing(namespace)?.map_or(0, |shelf| shelf.count()))
    }

    /// The namespaces that have something stored.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn namespaces(&self) -> Result<Vec<Namespace>, Error> {
        let mut names: Vec<Namespace> = match &self.options.place {
            Place::Memory => {
                let spots = lock(&self.spots);
                spots
                    .iter()
                    .filter(|(_, spot)| lock(&spot.shelf).is_some())
                    .map(|(name, _)| name.clone())
                    .collect()
            }
            Place::Folder(folder) => fs::read_dir(folder)
                .map_err(Error::file(folder))?
                .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
                .collect(),
        };
        names.sort();
        Ok(names)
    }

    /// Writes down what makes the next start quick. Without it that start takes longer, and nothing is lost.
    ///
    /// # Errors
    /// A failure of files.
    pub fn flush(&self) -> Result<(), Error> {
        let spots: Vec<Arc<Spot>> = lock(&self.spots).values().cloned().collect();
        spots.into_iter().filter_map(|spot| lock(&spot.shelf).clone()).try_for_each(|shelf| shelf.flush())
    }

    /// The shelf of a namespace, unless nothing was ever stored in it.
    fn existing(&self, namespace: &Namespace) -> Result<Option<Arc<Shelf>>, Error> {
        let exists = match self.folder(namespace) {
            Some(folder) => folder.exists(),
            None => lock(&self.spots).get(namespace).is_some_and(|spot| lock(&spot.shelf).is_some()),
        };
        exists.then(|| self.shelf(namespace)).transpose()
    }

    /// The shelf of a namespace, opened if it is not.
    fn shelf(&self, namespace: &Namespace) -> Result<Arc<Shelf>, Error> {
        let spot = Arc::clone(lock(&self.spots).entry(namespace.clone()).or_default());
        spot.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        // Opening may take long. It keeps only those waiting who want the same namespace.
        let mut open = lock(&spot.shelf);
        if let Some(open) = &*open {
            return Ok(Arc::clone(open));
        }
        let server = match &self.options.engine {
            Engine::Embedded => None,
            Engine::Chroma(server) => Some(server),
        };
        let opened = Shelf::open(namespace, self.folder(namespace), self.options.model.as_deref(), server)?;
        let opened = Arc::clone(open.insert(Arc::new(opened)));
        drop(open);
        self.close_oldest()?;
        Ok(opened)
    }

    /// Closes the namespace that was not used for longest, if too many are open and it is not in use.
    fn close_oldest(&self) -> Result<(), Error> {
        if self.options.place == Place::Memory {
            return Ok(());
        }
        let mut open: Vec<Arc<Spot>> = lock(&self.spots).values().cloned().collect();
        open.retain(|spot| spot.shelf.try_lock().is_ok_and(|shelf| shelf.is_some()));
        if open.len() <= OPEN {
            return Ok(());
        }
        let Some(oldest) = open.iter().min_by_key(|spot| spot.used.load(Ordering::Relaxed)) else {
            return Ok(());
        };
        let mut place = lock(&oldest.shelf);
        // While it is locked here, nobody else can get hold of it.
        if let Some(idle) = place.take_if(|shelf| Arc::strong_count(shelf) == 1) {
            idle.flush()?;
        }
        Ok(())
    }

    fn folder(&self, namespace: &Namespace) -> Option<PathBuf> {
        match &self.options.place {
            Place::Folder(folder) => Some(folder.join(namespace.as_str())),
            Place::Memory => None,
        }
    }
}
