//! What models are told. Each prompt is a file, and in the object store a blob that searches name by its digest.

use bytes::Bytes;
use dise_core::{digest::Digest, synthesis::Prompts};

use crate::store::{Store, StoreError};

/// The prompts of a search, by name.
pub const ALL: [(&str, &str); 4] =
    [("system", SYSTEM), ("generate", GENERATE), ("repair", REPAIR), ("tests", TESTS)];

const SYSTEM: &str = include_str!("../prompts/system.md");
const GENERATE: &str = include_str!("../prompts/generate.md");
const REPAIR: &str = include_str!("../prompts/repair.md");
const TESTS: &str = include_str!("../prompts/tests.md");

/// What a search names the prompts by.
#[must_use]
pub fn digests() -> Prompts {
    let [system, generate, repair, tests] = ALL.map(|(_, text)| Digest::of(text.as_bytes()));
    Prompts { system, generate, repair, tests }
}

/// Puts the prompts where the searches of a namespace find them.
///
/// # Errors
/// The store does not answer.
pub async fn store(store: &Store, namespace: &str) -> Result<(), StoreError> {
    for (_, text) in ALL {
        store.put_blob(namespace, Bytes::from_static(text.as_bytes())).await?;
    }
    Ok(())
}
