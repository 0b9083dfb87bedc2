//! The memory of `DiSE`: finds artifacts by meaning, words, tags and proven quality.
//!
//! An [`Index`] keeps a catalogue of every namespace's artifacts and answers a [`Query`]. It finds candidates twice:
//! by words (BM25) in the catalogue, and by meaning (cosine of embeddings) with one of two [`Engine`]s. [`rank`] puts
//! the two together with what is proven about each artifact. Nothing here calls a model: texts are embedded by the
//! caller.
//!
//! Everything is derived: what an index holds can be thrown away and stored again from the artifacts themselves.
//! The calls block for milliseconds on files or on a server; asynchronous callers run them in `spawn_blocking`.

mod book;
mod catalog;
mod chroma;
mod error;
mod graph;
mod index;
mod query;
pub mod rank;
mod record;
mod sessions;
mod shelf;
mod words;

pub use chroma::ChromaServer;
pub use error::Error;
pub use index::{Engine, Index, Options, Place};
pub use query::{Filter, Hit, Query};
pub use record::{Kind, Namespace, Record, Stale, Standing, Vector};
