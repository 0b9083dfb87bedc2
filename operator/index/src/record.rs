//! What is stored: one record for each artifact.

use std::{collections::BTreeMap, fmt, str::FromStr};

use dise_core::{digest::Digest, function::Language, quality::Quality};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The namespace that an artifact belongs to. No search crosses it.
///
/// A DNS label (RFC 1123), like the names of Kubernetes namespaces, so it is a safe file name too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace(String);

impl Namespace {
    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Namespace {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let valid = (1..=63).contains(&name.len())
            && name.bytes().all(inner)
            && !name.starts_with('-')
            && !name.ends_with('-');
        if valid { Ok(Self(name)) } else { Err(Error::Namespace(name)) }
    }
}

impl FromStr for Namespace {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        name.to_owned().try_into()
    }
}

impl From<Namespace> for String {
    fn from(namespace: Namespace) -> Self {
        namespace.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an artifact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Code that maps one JSON value to another.
    Function,
    /// A graph of steps.
    Workflow,
    /// Something that a step can use.
    Tool,
    /// Cases for a function.
    Test,
    /// What a language model is told.
    Prompt,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The embedding of a record's text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vector {
    /// The embedding model that made it. Only vectors of one model can be compared.
    pub model: String,
    /// The numbers. Their length (the norm) does not matter, because meanings are compared by angle.
    pub values: Vec<f32>,
}

/// An artifact as the index knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Where it belongs.
    pub namespace: Namespace,
    /// The artifact's name, unique in its namespace.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// What it is written in, if it is code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// What is searched: name, description and further words. Its first 16 KiB count.
    pub text: String,
    /// Facts that a filter compares exactly: `domain`, `language`, `platform`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The digest of the artifact's content.
    pub digest: Digest,
    /// The share of cases that it passed; absent when it was never measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// The 95th percentile of its latency in microseconds; absent when it was never measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_latency_us: Option<u64>,
    /// How often it was used.
    #[serde(default)]
    pub usage: u64,
    /// When the artifact was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// The embedding of `text`. Hits carry none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vector>,
}

/// What changes while an artifact is used. Its text, tags and embedding do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// See [`Record::quality`].
    pub quality: Option<Quality>,
    /// See [`Record::p95_latency_us`].
    pub p95_latency_us: Option<u64>,
    /// See [`Record::usage`].
    pub usage: u64,
    /// See [`Record::updated`].
    pub updated: Timestamp,
}

/// A text without an embedding of the index's model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The artifact's name.
    pub id: String,
    /// What to embed.
    pub text: String,
}
