//! The embedded engine: vectors in memory as eight-bit integers in a `USearch` graph (HNSW).
//!
//! It delivers candidates; how near they are is computed from the vectors as they were given, in [`crate::shelf`].

use std::path::Path;

use numkong::Angular as _;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use crate::{
    Error,
    book::{Slot, Slots},
};

/// Neighbours of each vector in the graph.
const CONNECTIVITY: usize = 16;

/// Candidates that adding a vector looks at.
const EXPANSION_ADD: usize = 128;

/// Candidates that searching the graph looks at. With 512 it finds 99.8 % of the nearest 100 of 100 000 vectors;
/// `tests/bench/index` measures it.
const EXPANSION_SEARCH: usize = 512;

/// Up to this many vectors are compared one by one whatever the graph would cost, because that is exact.
const ALWAYS_COMPARED: usize = 10_000;

/// How much more a step in the graph costs than comparing one vector, measured at 100 000 vectors: with a filter that
/// lets a share of 1 in 10 pass, both took equally long.
const GRAPH_COST: usize = 5;

/// The vectors of one model and namespace.
pub(crate) struct Graph {
    index: Index,
    /// How many threads may search at the same time.
    threads: usize,
}

impl Graph {
    /// An empty graph.
    pub(crate) fn new(dimensions: usize, threads: usize) -> Result<Self, Error> {
        let options = IndexOptions {
            dimensions,
            metric: MetricKind::Cos,
            quantization: ScalarKind::I8,
            connectivity: CONNECTIVITY,
            expansion_add: EXPANSION_ADD,
            expansion_search: EXPANSION_SEARCH,
            multi: false,
        };
        let graph = Self { index: Index::new(&options).map_err(fault)?, threads };
        graph.reserve(0)?;
        Ok(graph)
    }

    /// A graph from a file whose digest the caller has checked: `USearch` trusts what it reads.
    pub(crate) fn load(path: &Path, dimensions: usize, threads: usize) -> Result<Self, Error> {
        let graph = Self::new(dimensions, threads)?;
        graph.index.load(&path.to_string_lossy()).map_err(fault)?;
        if graph.index.dimensions() != dimensions {
            return Err(Error::Graph(format!("{} has vectors of another length", path.display())));
        }
        graph.index.change_expansion_add(EXPANSION_ADD);
        graph.index.change_expansion_search(EXPANSION_SEARCH);
        graph.reserve(graph.index.size())?;
        Ok(graph)
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), Error> {
        self.index.save(&path.to_string_lossy()).map_err(fault)
    }

    pub(crate) fn contains(&self, slot: Slot) -> bool {
        self.index.contains(slot)
    }

    /// Sets the vector of a slot, in place of an earlier one.
    pub(crate) fn set(&mut self, slot: Slot, vector: &[f32]) -> Result<(), Error> {
        self.remove(slot)?;
        if self.index.size() >= self.index.capacity() {
            self.reserve(self.index.size() + self.index.size() / 2 + 64)?;
        }
        self.index.add(slot, &quantised(vector)).map_err(fault)
    }

    /// Removes the vector of a slot, if there is one.
    pub(crate) fn remove(&mut self, slot: Slot) -> Result<(), Error> {
        if self.contains(slot) {
            self.index.remove(slot).map_err(fault)?;
        }
        Ok(())
    }

    /// About the `count` nearest of the allowed slots, in no particular order.
    pub(crate) fn nearest(&self, vector: &[f32], count: usize, allowed: &Slots) -> Result<Vec<Slot>, Error> {
        let query = quantised(vector);
        // The graph passes about `size / allowed` vectors for every one that is allowed.
        let steps = count.saturating_mul(self.index.size()) / allowed.len().max(1);
        if allowed.len() <= ALWAYS_COMPARED || allowed.len() <= GRAPH_COST.saturating_mul(steps) {
            return self.compare(&query, count, allowed);
        }
        let found =
            self.index.filtered_search(&query, count, |slot| allowed.contains(slot)).map_err(fault)?;
        Ok(found.keys)
    }

    /// Compares every allowed vector.
    fn compare(&self, query: &[i8], count: usize, allowed: &Slots) -> Result<Vec<Slot>, Error> {
        let mut found = Vec::with_capacity(allowed.len());
        let mut vector = vec![0_i8; query.len()];
        for slot in allowed.iter() {
            if self.index.get(slot, &mut vector).map_err(fault)? > 0 {
                // None is for vectors of different lengths.
                found.extend(i8::angular(query, &vector).map(|distance| (distance, slot)));
            }
        }
        if found.len() > count {
            found.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0));
            found.truncate(count);
        }
        Ok(found.into_iter().map(|(_, slot)| slot).collect())
    }

    /// Makes room for `capacity` vectors and for the threads that search.
    fn reserve(&self, capacity: usize) -> Result<(), Error> {
        self.index.reserve_capacity_and_threads(capacity, self.threads).map_err(fault)
    }
}

/// A vector as integers from -127 to 127. Its length does not matter, so the largest number uses the whole range.
#[expect(clippy::cast_possible_truncation, reason = "the quotient is between -127 and 127")]
fn quantised(vector: &[f32]) -> Vec<i8> {
    let largest = vector.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    vector.iter().map(|value| (value / largest * 127.0).round() as i8).collect()
}

fn fault(error: impl std::fmt::Display) -> Error {
    Error::Graph(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(dimensions: usize) -> Vec<f32> {
        (0..dimensions).map(|_| fastrand::f32() - 0.5).collect()
    }

    /// Of the truly nearest, the share that `nearest` finds, in percent.
    fn recall(graph: &Graph, vectors: &[Option<Vec<f32>>], allowed: &Slots) -> usize {
        let (mut hits, mut total) = (0, 0);
        for _ in 0..20 {
            let query = random(16);
            let cosine = |slot: Slot| {
                let vector = vectors[usize::try_from(slot).unwrap()].as_ref().unwrap();
                let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
                dot(&query, vector) / dot(vector, vector).sqrt()
            };
            let mut truth: Vec<Slot> = allowed.iter().collect();
            truth.sort_by(|a, b| cosine(*b).total_cmp(&cosine(*a)));
            truth.truncate(10);
            let found = graph.nearest(&query, 40, allowed).unwrap();
            assert!(found.iter().all(|slot| allowed.contains(*slot)));
            hits += truth.iter().filter(|slot| found.contains(slot)).count();
            total += truth.len();
        }
        100 * hits / total
    }

    #[test]
    fn finds_the_nearest_after_many_changes() {
        fastrand::seed(7);
        let count = 2 * ALWAYS_COMPARED;
        let mut graph = Graph::new(16, 2).unwrap();
        let mut vectors: Vec<Option<Vec<f32>>> = vec![None; count];
        let mut change = |graph: &mut Graph, slot: usize, vector: Option<Vec<f32>>| {
            match &vector {
                Some(vector) => graph.set(slot as Slot, vector).unwrap(),
                None => graph.remove(slot as Slot).unwrap(),
            }
            vectors[slot] = vector;
        };
        (0..count).for_each(|slot| change(&mut graph, slot, Some(random(16))));
        for _ in 0..count / 2 {
            let slot = fastrand::usize(..count);
            let vector = fastrand::bool().then(|| random(16));
            change(&mut graph, slot, vector);
        }
        let present = |keep: &dyn Fn(usize) -> bool| -> Slots {
            (0..count)
                .filter(|slot| vectors[*slot].is_some() && keep(*slot))
                .map(|slot| slot as Slot)
                .collect()
        };
        for allowed in [present(&|_| true), present(&|slot| slot % 20 == 0), present(&|slot| slot < 5)] {
            let recall = recall(&graph, &vectors, &allowed);
            assert!(recall >= 99, "{recall} % with {} allowed", allowed.len());
        }
        assert!(present(&|_| true).len() > ALWAYS_COMPARED);
    }

    #[test]
    fn is_the_same_after_saving_and_loading() {
        let folder = tempfile::tempdir().unwrap();
        let mut graph = Graph::new(3, 1).unwrap();
        graph.set(1, &[1.0, 0.0, 0.0]).unwrap();
        graph.set(2, &[0.0, 1.0, 0.0]).unwrap();
        graph.remove(2).unwrap();
        graph.save(&folder.path().join("graph")).unwrap();
        let mut loaded = Graph::load(&folder.path().join("graph"), 3, 1).unwrap();
        assert!(loaded.contains(1) && !loaded.contains(2));
        loaded.set(3, &[0.9, 0.1, 0.0]).unwrap();
        let found = loaded.nearest(&[1.0, 0.0, 0.0], 5, &[1, 2, 3].into_iter().collect()).unwrap();
        assert_eq!(found.len(), 2);
        assert!(Graph::load(&folder.path().join("graph"), 4, 1).is_err());
    }

    #[test]
    fn quantises_to_the_whole_range() {
        assert_eq!(quantised(&[0.01, -0.02, 0.0]), [64, -127, 0]);
    }
}
