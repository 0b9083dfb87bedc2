//! Where each kind of object lies.

use std::fmt;

use dise_core::digest::Digest;
use object_store::path::PathPart;

/// The key of an object, or of a folder of objects. Parts are escaped, so that no name can leave its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Vec<String>);

impl Key {
    /// A content-addressed blob.
    #[must_use]
    pub fn blob(namespace: &str, digest: Digest) -> Self {
        Self::of(["blobs", namespace, &digest.hex()])
    }

    /// The report on a verification request.
    #[must_use]
    pub fn verification(namespace: &str, request: Digest) -> Self {
        Self::of(["verifications", namespace, &format!("{}.json", request.hex())])
    }

    /// The report on a search for code.
    #[must_use]
    pub fn synthesis(namespace: &str, request: Digest) -> Self {
        Self::of(["syntheses", namespace, &format!("{}.json", request.hex())])
    }

    /// The report on the search that solved a task.
    #[must_use]
    pub fn solution(namespace: &str, task: Digest) -> Self {
        Self::of(["solutions", namespace, &format!("{}.json", task.hex())])
    }

    /// What a model answered to a call.
    #[must_use]
    pub fn call(namespace: &str, call: Digest) -> Self {
        Self::of(["calls", namespace, &format!("{}.json", call.hex())])
    }

    /// What was spent.
    #[must_use]
    pub fn spend(namespace: &str) -> Self {
        Self::of(["spend", &format!("{namespace}.json")])
    }

    /// Whether a model answered.
    #[must_use]
    pub fn probe(namespace: &str, request: Digest) -> Self {
        Self::of(["probes", namespace, &format!("{}.json", request.hex())])
    }

    /// The record of an artifact.
    #[must_use]
    pub fn artifact(namespace: &str, name: &str) -> Self {
        Self::of(["artifacts", namespace, &format!("{name}.json")])
    }

    /// The result of a run.
    #[must_use]
    pub fn run(namespace: &str, uid: &str) -> Self {
        Self::of(["runs", namespace, &format!("{uid}.json")])
    }

    /// What one runner process has executed.
    #[must_use]
    pub fn usage(namespace: &str, boot: &str) -> Self {
        Self::of(["usage", namespace, &format!("{boot}.json")])
    }

    /// The folder of [`Key::usage`].
    #[must_use]
    pub fn usage_folder(namespace: &str) -> Self {
        Self::of(["usage", namespace])
    }

    /// What processes that are gone had executed.
    #[must_use]
    pub fn usage_folded(namespace: &str) -> Self {
        Self::of(["usage-folded", &format!("{namespace}.json")])
    }

    /// The folder of all [`Key::artifact`]s.
    #[must_use]
    pub fn artifacts() -> Self {
        Self::of(["artifacts"])
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = PathPart<'_>> {
        self.0.iter().map(|part| PathPart::from(part.as_str()))
    }

    fn of<const N: usize>(parts: [&str; N]) -> Self {
        Self(parts.map(str::to_owned).to_vec())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}
