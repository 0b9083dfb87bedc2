//! Plans and code on disk, so that a restarted executor serves although the operator is away.

use std::{
    collections::HashSet,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use dise_core::{digest::Digest, wire::PlanList};
use serde::Serialize;
use tempfile::NamedTempFile;

/// A folder of blobs, each named by its digest, and the last list of plans.
///
/// It is a convenience: what cannot be read is not there, and what cannot be written is asked for again. Files
/// come to be by renaming and blobs are verified when they are read, so that neither a crash nor a full disk can
/// make it lie, and nothing needs to be flushed.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// The cache in `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir.join("blobs"))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The blob, if it is here and whole.
    #[must_use]
    pub fn blob(&self, digest: &Digest) -> Option<Bytes> {
        let path = self.path(digest);
        let content = fs::read(&path).ok()?;
        if Digest::of(&content) == *digest {
            return Some(content.into());
        }
        tracing::warn!(%digest, "a cached blob is damaged and will be fetched again");
        drop(fs::remove_file(path));
        None
    }

    /// Keeps a blob.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_blob(&self, digest: &Digest, content: &[u8]) -> io::Result<()> {
        self.write(&self.path(digest), content)
    }

    /// The list that was kept last.
    #[must_use]
    pub fn list(&self) -> Option<PlanList> {
        serde_json::from_slice(&fs::read(self.list_path()).ok()?).ok()
    }

    /// Keeps the list of plans.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_list(&self, list: &PlanList) -> io::Result<()> {
        self.write(&self.list_path(), &to_json(list)?)
    }

    /// Removes all blobs but `wanted`. How many went.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn retain(&self, wanted: &HashSet<Digest>) -> io::Result<usize> {
        let names: HashSet<String> = wanted.iter().map(Digest::hex).collect();
        let mut removed = 0;
        for file in fs::read_dir(self.dir.join("blobs"))? {
            let file = file?;
            let unwanted = file.file_name().to_str().is_none_or(|name| !names.contains(name));
            if unwanted && fs::remove_file(file.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.hex())
    }

    fn list_path(&self) -> PathBuf {
        self.dir.join("plans.json")
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(&self.dir)?;
        file.write_all(content)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

fn to_json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("deep/er")).unwrap();
        (dir, cache)
    }

    #[test]
    fn gives_back_what_was_kept() {
        let (_dir, cache) = cache();
        let digest = Digest::of(b"code");
        cache.keep_blob(&digest, b"code").unwrap();
        assert_eq!(cache.blob(&digest).unwrap(), &b"code"[..]);
        let list = PlanList { revision: "7".into(), plans: [("w".into(), digest)].into() };
        cache.keep_list(&list).unwrap();
        assert_eq!(cache.list(), Some(list));
    }

    #[test]
    fn a_damaged_blob_is_not_there() {
        let (_dir, cache) = cache();
        let digest = Digest::of(b"code");
        cache.keep_blob(&digest, b"c0de").unwrap();
        assert_eq!(cache.blob(&digest), None);
        assert!(!cache.path(&digest).exists());
    }

    #[test]
    fn a_torn_list_is_not_there() {
        let (_dir, cache) = cache();
        fs::write(cache.list_path(), br#"{"revision": "7", "pl"#).unwrap();
        assert_eq!(cache.list(), None);
    }

    #[test]
    fn forgets_what_is_not_wanted() {
        let (_dir, cache) = cache();
        let (kept, gone) = (Digest::of(b"a"), Digest::of(b"b"));
        cache.keep_blob(&kept, b"a").unwrap();
        cache.keep_blob(&gone, b"b").unwrap();
        assert_eq!(cache.retain(&HashSet::from([kept])).unwrap(), 1);
        assert!(cache.blob(&kept).is_some() && cache.blob(&gone).is_none());
    }
}
