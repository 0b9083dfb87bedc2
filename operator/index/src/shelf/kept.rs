//! The graph's file, which spares the making of the graph at every start.
//!
//! The catalogue holds every vector, so the file may be old, damaged or missing: what it lacks is added from there. It
//! counts only if the catalogue names it together with its digest.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Shelf, searches};
use crate::{Error, book::Slot, catalog, graph::Graph};

/// Where the state of a catalogue says which file holds the graph.
const GRAPH: &str = "graph";

/// Where the state of a catalogue counts the changes of vectors.
pub(super) const CHANGES: &str = "changes";

/// What every graph file's name begins with.
const PREFIX: &str = "graph-";

/// What a catalogue knows of its graph's file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    file: String,
    digest: String,
    model: String,
    /// The last change of vectors that is in it.
    change: u64,
    /// All slots in it are lower.
    slots: u64,
}

/// The graph of a catalogue's vectors: from its file as far as that goes, the rest from the catalogue.
pub(super) fn restore(
    connection: &Connection,
    folder: Option<&Path>,
    model: &str,
    dimensions: usize,
    vectors: &[(Slot, u64)],
) -> Result<Graph, Error> {
    let mut graph = match folder {
        Some(folder) => read(connection, folder, model, dimensions, vectors)?,
        None => None,
    }
    .map_or_else(|| Graph::new(dimensions, searches()), Ok)?;
    let missing: Vec<Slot> =
        vectors.iter().map(|(slot, _)| *slot).filter(|slot| !graph.contains(*slot)).collect();
    if missing.len() > vectors.len() / 2 {
        tracing::info!(vectors = missing.len(), "making the graph of vectors");
    }
    for slot in missing {
        if let Some(vector) = catalog::vector(connection, slot, model)? {
            graph.set(slot, &vector)?;
        }
    }
    Ok(graph)
}

/// The graph in the file, without what has changed since.
fn read(
    connection: &Connection,
    folder: &Path,
    model: &str,
    dimensions: usize,
    vectors: &[(Slot, u64)],
) -> Result<Option<Graph>, Error> {
    let recorded: Option<String> = catalog::state(connection, GRAPH)?;
    let Some(kept) = recorded.and_then(|kept| serde_json::from_str::<Kept>(&kept).ok()) else {
        return Ok(None);
    };
    let path = folder.join(&kept.file);
    if kept.model != model {
        return Ok(None);
    }
    if !digest(&path).is_ok_and(|digest| digest == kept.digest) {
        tracing::warn!(file = %path.display(), "the graph's file is damaged or gone: it is made again");
        return Ok(None);
    }
    let mut graph = match Graph::load(&path, dimensions, searches()) {
        Ok(graph) => graph,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "the graph's file is of no use: it is made again");
            return Ok(None);
        }
    };
    let current: crate::book::Slots =
        vectors.iter().filter(|(_, change)| *change <= kept.change).map(|(slot, _)| *slot).collect();
    for slot in (0..kept.slots).filter(|slot| !current.contains(*slot)) {
        graph.remove(slot)?;
    }
    Ok(Some(graph))
}

impl Shelf {
    /// Writes the graph's file, if vectors have changed since it was written. Searches go on meanwhile.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        let (Some(folder), Some(model)) = (&self.folder, &self.model) else { return Ok(()) };
        self.changing(|session| {
            let memory = self.look();
            let Some(graph) = &memory.graph else { return Ok(()) };
            let change = catalog::state::<i64>(session, CHANGES)?.unwrap_or_default().cast_unsigned();
            let recorded: Option<String> = catalog::state(session, GRAPH)?;
            let recorded = recorded.and_then(|kept| serde_json::from_str::<Kept>(&kept).ok());
            if recorded.is_some_and(|kept| kept.change == change && kept.model == *model) {
                return Ok(());
            }
            let file = format!("{PREFIX}{change}");
            let path = folder.join(&file);
            graph.save(&path)?;
            let slots = memory.book.slots();
            drop(memory);
            let digest = File::open(&path).and_then(|file| file.sync_all()).and_then(|()| digest(&path));
            let digest = digest.map_err(Error::file(&path))?;
            let kept = Kept { file, digest, model: model.clone(), change, slots };
            let json = serde_json::to_string(&kept).unwrap_or_default();
            catalog::set_state(session, GRAPH, json)?;
            delete_others(folder, &kept.file).map_err(Error::file(folder))
        })
    }
}

fn delete_others(folder: &Path, kept: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with(PREFIX) && name.to_str() != Some(kept) {
            fs::remove_file(folder.join(name))?;
        }
    }
    Ok(())
}

fn digest(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hex::encode(hash.finalize()))
}
