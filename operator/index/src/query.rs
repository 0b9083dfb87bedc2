//! What is asked, and what is answered.

use std::collections::BTreeMap;

use dise_core::{function::Language, quality::Quality};
use serde::{Deserialize, Serialize};

use crate::{Kind, Namespace, Record, Vector, rank::Parts};

/// A question to the index. The same for every engine.
///
/// With neither text nor vector it lists what passes the filter, the best proven first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    /// Whose artifacts are searched.
    pub namespace: Namespace,
    /// Words to find. Any text is allowed; it has no syntax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The embedding of what is meant, made by the index's model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vector>,
    /// What a hit must be.
    #[serde(default)]
    pub filter: Filter,
    /// How many hits at most. No more than [`crate::rank::CANDIDATES`] are found by words, and as many by meaning.
    pub limit: usize,
}

/// What a hit must be. Everything that is given must hold; what is empty does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Filter {
    /// One of these kinds.
    pub kinds: Vec<Kind>,
    /// Written in one of these languages.
    pub languages: Vec<Language>,
    /// Every one of these tags, with exactly these values.
    pub tags: BTreeMap<String, String>,
    /// A measured quality of at least this.
    pub min_quality: Option<Quality>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hit {
    /// The artifact, without its vector.
    pub record: Record,
    /// What hits are ordered by, the highest first: the sum of `parts`. Comparable within one answer only.
    pub score: f64,
    /// Where the score comes from.
    pub parts: Parts,
}
