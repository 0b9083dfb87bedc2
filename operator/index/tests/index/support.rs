//! Records and queries for tests.

use std::path::Path;

use dise_core::digest::Digest;
use dise_index::{Engine, Filter, Index, Kind, Namespace, Options, Place, Query, Record, Standing, Vector};

pub(crate) const MODEL: &str = "test-model";

pub(crate) fn namespace() -> Namespace {
    "shop".parse().unwrap()
}

/// A function without proof, tags or vector.
pub(crate) fn record(id: &str, text: &str) -> Record {
    Record {
        namespace: namespace(),
        id: id.to_owned(),
        kind: Kind::Function,
        language: None,
        text: text.to_owned(),
        tags: [].into(),
        digest: Digest::of(text.as_bytes()),
        quality: None,
        p95_latency_us: None,
        usage: 0,
        created: "2026-11-01T00:00:00Z".parse().unwrap(),
        updated: "2026-11-02T00:00:00Z".parse().unwrap(),
        vector: None,
    }
}

pub(crate) fn vector(values: &[f32]) -> Vector {
    Vector { model: MODEL.to_owned(), values: values.to_vec() }
}

pub(crate) fn with_vector(record: Record, values: &[f32]) -> Record {
    Record { vector: Some(vector(values)), ..record }
}

pub(crate) fn tags(tags: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn standing(quality: Option<&str>, usage: u64) -> Standing {
    Standing {
        quality: quality.map(|quality| quality.parse().unwrap()),
        p95_latency_us: Some(1200),
        usage,
        updated: "2026-11-24T00:00:00Z".parse().unwrap(),
    }
}

/// A question for everything.
pub(crate) fn query() -> Query {
    Query { namespace: namespace(), text: None, vector: None, filter: Filter::default(), limit: 100 }
}

pub(crate) fn words(text: &str) -> Query {
    Query { text: Some(text.to_owned()), ..query() }
}

pub(crate) fn meaning(values: &[f32]) -> Query {
    Query { vector: Some(vector(values)), ..query() }
}

pub(crate) fn ids(index: &Index, query: &Query) -> Vec<String> {
    index.search(query).unwrap().into_iter().map(|hit| hit.record.id).collect()
}

pub(crate) fn options(place: Place) -> Options {
    Options { place, model: Some(MODEL.to_owned()), engine: Engine::Embedded }
}

pub(crate) fn in_memory() -> Index {
    Index::open(options(Place::Memory)).unwrap()
}

pub(crate) fn in_folder(folder: &Path) -> Index {
    Index::open(options(Place::Folder(folder.to_owned()))).unwrap()
}

pub(crate) fn storing(records: impl Into<Vec<Record>>) -> Index {
    let index = in_memory();
    index.upsert(records.into()).unwrap();
    index
}
