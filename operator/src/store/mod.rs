//! The object store: the source of truth for everything large or historical.
//!
//! | key | what |
//! |---|---|
//! | `blobs/<namespace>/<hex>` | plans, function sources and verification requests, by the SHA-256 of their bytes |
//! | `verifications/<namespace>/<hex>.json` | the report on a verification request |
//! | `syntheses/<namespace>/<hex>.json` | the report on a search for code |
//! | `solutions/<namespace>/<hex>.json` | the report on the search that solved a task |
//! | `calls/<namespace>/<hex>.json` | what a model answered to a call, so that it is never paid for again |
//! | `spend/<namespace>.json` | what was spent and what is reserved |
//! | `probes/<namespace>/<hex>.json` | whether a model answered |
//! | `artifacts/<namespace>/<name>.json` | the record of an artifact, enough to rebuild its object |
//! | `runs/<namespace>/<uid>.json` | the result of a run |
//! | `usage/<namespace>/<boot>.json` | what one runner process has executed |
//! | `usage-folded/<namespace>.json` | what processes that are gone had executed |
//!
//! Keys begin with their kind and then the namespace, so that a tenant's data can be listed, aged or granted by prefix.
//! A write is complete or absent; blobs are never overwritten.

mod keys;

use std::sync::Arc;

use bytes::Bytes;
use dise_core::digest::Digest;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, UpdateVersion, path::Path};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

pub use keys::Key;

/// An object store with the layout of DiSE.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    updates: Arc<tokio::sync::Mutex<()>>,
}

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names no store that can be opened.
    #[error("cannot open the object store {url}: {source}")]
    Open {
        /// Where it should be.
        url: String,
        /// What the client said.
        source: object_store::Error,
    },
    /// The URL holds credentials, which would end up in logs and process lists.
    #[error(
        "the URL of the object store must hold no user, password or query; put credentials into \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Credentials,
    /// The store did not answer as it should.
    #[error("object store: {action} {key}: {source}")]
    Access {
        /// What was tried.
        action: &'static str,
        /// On which object.
        key: String,
        /// What the client said.
        source: object_store::Error,
    },
    /// An object is there but is not what its key promises.
    #[error("object store: {key} is corrupt: {detail}")]
    Corrupt {
        /// Which object.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl Store {
    /// Opens the store that a URL names. S3 takes its endpoint and credentials from the `AWS_…` variables.
    ///
    /// # Errors
    /// [`StoreError::Open`] when the scheme is unknown or a setting is missing; [`StoreError::Credentials`]. Nothing
    /// is contacted yet.
    pub fn open(url: &Url) -> Result<Self, StoreError> {
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(StoreError::Credentials);
        }
        let options = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
        let (objects, prefix) = object_store::parse_url_opts(url, options)
            .map_err(|source| StoreError::Open { url: url.to_string(), source })?;
        Ok(Self { objects: Arc::from(objects), prefix, updates: Arc::default() })
    }

    /// Stores `content` under its digest, unless it is there already.
    ///
    /// # Errors
    /// [`StoreError::Access`].
    pub async fn put_blob(&self, namespace: &str, content: Bytes) -> Result<Digest, StoreError> {
        let digest = Digest::of(&content);
        let key = Key::blob(namespace, digest);
        let mode = PutMode::Create;
        match self.objects.put_opts(&self.path(&key), content.into(), mode.into()).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(digest),
            Err(source) => Err(access("write", &key, source)),
        }
    }

    /// The content that a digest names, or `None`.
    ///
    /// # Errors
    /// [`StoreError::Access`]; [`StoreError::Corrupt`] when the content does not have that digest.
    pub async fn blob(&self, namespace: &str, digest: Digest) -> Result<Option<Bytes>, StoreError> {
        let key = Key::blob(namespace, digest);
        let Some(content) = self.get(&key).await? else { return Ok(None) };
        if Digest::of(&content) == digest {
            Ok(Some(content))
        } else {
            Err(StoreError::Corrupt { key: key.to_string(), detail: format!("its digest is not {digest}") })
        }
    }

    /// Stores a document, replacing an older one.
    ///
    /// # Errors
    /// [`StoreError::Access`]; [`StoreError::Corrupt`] when the value has no JSON form.
    pub async fn put<T: Serialize>(&self, key: &Key, document: &T) -> Result<(), StoreError> {
        let json = serde_json::to_vec(document).map_err(|fault| corrupt(key, &fault))?;
        self.objects
            .put(&self.path(key), json.into())
            .await
            .map_err(|source| access("write", key, source))?;
        Ok(())
    }

    /// Changes a document, or begins one. `change` may be called again when somebody else has changed the document
    /// meanwhile; nothing is written when it changes nothing.
    ///
    /// Stores that cannot compare before they write, such as a folder, have one writer only, and callers of this
    /// process exclude each other.
    ///
    /// # Errors
    /// [`StoreError::Access`]; [`StoreError::Corrupt`].
    pub async fn update<T, R>(&self, key: &Key, mut change: impl FnMut(&mut T) -> R) -> Result<R, StoreError>
    where
        T: Serialize + DeserializeOwned + Default + PartialEq + Clone,
    {
        let _one_at_a_time = self.updates.lock().await;
        loop {
            let (before, version) = self.versioned::<T>(key).await?;
            let mut document = before.clone().unwrap_or_default();
            let outcome = change(&mut document);
            if before.as_ref() == Some(&document) {
                return Ok(outcome);
            }
            let json = serde_json::to_vec(&document).map_err(|fault| corrupt(key, &fault))?;
            let mode = version.map_or(PutMode::Create, PutMode::Update);
            match self.objects.put_opts(&self.path(key), json.clone().into(), mode.into()).await {
                Ok(_) => return Ok(outcome),
                Err(object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. }) => {
                }
                Err(object_store::Error::NotImplemented { .. }) => {
                    self.put(key, &document).await?;
                    return Ok(outcome);
                }
                Err(source) => return Err(access("write", key, source)),
            }
        }
    }

    async fn versioned<T: DeserializeOwned>(
        &self,
        key: &Key,
    ) -> Result<(Option<T>, Option<UpdateVersion>), StoreError> {
        let found = match self.objects.get(&self.path(key)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok((None, None)),
            Err(source) => return Err(access("read", key, source)),
        };
        let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
        let content = found.bytes().await.map_err(|source| access("read", key, source))?;
        let document = serde_json::from_slice(&content).map_err(|fault| corrupt(key, &fault))?;
        Ok((Some(document), Some(version)))
    }

    /// A document, or `None`.
    ///
    /// # Errors
    /// [`StoreError::Access`]; [`StoreError::Corrupt`] when it is not a `T`.
    pub async fn document<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        let Some(content) = self.get(key).await? else { return Ok(None) };
        serde_json::from_slice(&content).map(Some).map_err(|fault| corrupt(key, &fault))
    }

    /// Removes a document; one that is not there is removed already.
    ///
    /// # Errors
    /// [`StoreError::Access`].
    pub async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        match self.objects.delete(&self.path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(access("delete", key, source)),
        }
    }

    /// The names of the documents under a folder, without `.json`, in order.
    ///
    /// # Errors
    /// [`StoreError::Access`].
    pub async fn list(&self, folder: &Key) -> Result<Vec<String>, StoreError> {
        let path = self.path(folder);
        let objects: Vec<_> = match self.objects.list(Some(&path)).try_collect().await {
            Ok(objects) => objects,
            // A bucket may come into being with its first object.
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(source) => return Err(access("list", folder, source)),
        };
        let mut names: Vec<String> = objects
            .iter()
            .filter_map(|object| Some(object.location.filename()?.strip_suffix(".json")?.to_owned()))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The namespaces and names of all artifacts that have a record.
    ///
    /// # Errors
    /// [`StoreError::Access`].
    pub async fn artifacts(&self) -> Result<Vec<(String, String)>, StoreError> {
        let folder = Key::artifacts();
        let path = self.path(&folder);
        let above = path.parts().count();
        let objects: Vec<_> = match self.objects.list(Some(&path)).try_collect().await {
            Ok(objects) => objects,
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(source) => return Err(access("list", &folder, source)),
        };
        let name = |location: &Path| {
            let mut parts = location.parts().skip(above);
            let (namespace, file) = (parts.next()?, parts.next()?);
            Some((namespace.as_ref().to_owned(), file.as_ref().strip_suffix(".json")?.to_owned()))
        };
        Ok(objects.iter().filter_map(|object| name(&object.location)).collect())
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        match self.objects.get(&self.path(key)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(|source| access("read", key, source)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(access("read", key, source)),
        }
    }

    fn path(&self, key: &Key) -> Path {
        self.prefix.parts().chain(key.parts()).collect()
    }
}

fn access(action: &'static str, key: &Key, source: object_store::Error) -> StoreError {
    StoreError::Access { action, key: key.to_string(), source }
}

fn corrupt(key: &Key, fault: &serde_json::Error) -> StoreError {
    StoreError::Corrupt { key: key.to_string(), detail: fault.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stores() -> (tempfile::TempDir, [Store; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let file = Url::from_directory_path(folder.path()).unwrap();
        let stores = [Url::parse("memory:///").unwrap(), file].map(|url| Store::open(&url).unwrap());
        (folder, stores)
    }

    #[tokio::test]
    async fn keeps_equal_content_once_under_its_digest() {
        let (_folder, stores) = stores();
        for store in stores {
            let first = store.put_blob("shop", Bytes::from_static(b"code")).await.unwrap();
            assert_eq!(store.put_blob("shop", Bytes::from_static(b"code")).await.unwrap(), first);
            assert_eq!(store.blob("shop", first).await.unwrap().unwrap(), "code");
        }
    }

    #[tokio::test]
    async fn hides_blobs_of_other_namespaces() {
        let (_folder, stores) = stores();
        for store in stores {
            let digest = store.put_blob("shop", Bytes::from_static(b"code")).await.unwrap();
            assert_eq!(store.blob("bank", digest).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn lists_replaces_and_deletes_documents() {
        let (_folder, stores) = stores();
        for store in stores {
            for boot in ["b", "a"] {
                store.put(&Key::usage("shop", boot), &boot).await.unwrap();
            }
            store.put(&Key::usage("shop", "a"), &"new").await.unwrap();
            assert_eq!(store.list(&Key::usage_folder("shop")).await.unwrap(), ["a", "b"]);
            assert_eq!(store.document::<String>(&Key::usage("shop", "a")).await.unwrap().unwrap(), "new");
            store.delete(&Key::usage("shop", "a")).await.unwrap();
            store.delete(&Key::usage("shop", "a")).await.unwrap();
            assert_eq!(store.document::<String>(&Key::usage("shop", "a")).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn lists_the_artifacts_of_all_namespaces() {
        let (_folder, stores) = stores();
        for store in stores {
            for (namespace, name) in [("shop", "a-1"), ("bank", "b.2")] {
                store.put(&Key::artifact(namespace, name), &name).await.unwrap();
            }
            let mut found = store.artifacts().await.unwrap();
            found.sort();
            assert_eq!(found, [("bank".to_owned(), "b.2".to_owned()), ("shop".to_owned(), "a-1".to_owned())]);
        }
    }

    #[tokio::test]
    async fn loses_no_change_of_those_that_are_made_at_the_same_time() {
        let (_folder, stores) = stores();
        for store in stores {
            let key = Key::spend("shop");
            let changes = (0..20).map(|_| store.update(&key, |count: &mut u64| *count += 1));
            futures::future::try_join_all(changes).await.unwrap();
            assert_eq!(store.document::<u64>(&key).await.unwrap(), Some(20));
        }
    }

    #[tokio::test]
    async fn starts_a_change_over_when_somebody_else_was_faster() {
        let (_folder, [store, _]) = stores();
        // A replica of its own: it shares the objects and not the lock.
        let other = Store { updates: Arc::default(), ..store.clone() };
        let key = Key::spend("shop");
        let changes = (0..20).map(|n| {
            let store = if n % 2 == 0 { &store } else { &other };
            store.update(&key, |count: &mut u64| *count += 1)
        });
        futures::future::try_join_all(changes).await.unwrap();
        assert_eq!(store.document::<u64>(&key).await.unwrap(), Some(20));
    }

    #[tokio::test]
    async fn reports_content_that_does_not_match_its_digest() {
        let (folder, [_, store]) = stores();
        let digest = store.put_blob("shop", Bytes::from_static(b"code")).await.unwrap();
        let file = folder.path().join("blobs/shop").join(digest.hex());
        std::fs::write(file, "other").unwrap();
        assert!(matches!(store.blob("shop", digest).await, Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn refuses_credentials_in_the_url_without_repeating_them() {
        for url in ["s3://user:secret@bucket/", "s3://bucket/?token=secret", "ftp://:secret@host/x"] {
            let fault = Store::open(&Url::parse(url).unwrap()).unwrap_err();
            assert!(matches!(fault, StoreError::Credentials), "{url}");
            assert!(!fault.to_string().contains("secret"), "{fault}");
        }
    }
}
