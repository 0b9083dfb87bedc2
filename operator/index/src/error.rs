//! What can go wrong.

use std::{io, path::Path};

use rusqlite::ErrorCode;

/// Why the index could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of a namespace is corrupt or of another version. Nothing is lost but the time to make it again:
    /// [`crate::Index::discard`] it, then store the records again.
    #[error("the index in {path} cannot be used: {reason}; it has to be rebuilt from the artifacts")]
    Unusable {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not a DNS label.
    #[error("`{0}` is not a namespace: expected a DNS label of up to 63 lower-case letters, digits and `-`")]
    Namespace(String),
    /// A vector was made by another model than the index compares.
    #[error("the vector was made by `{got}`, but the index compares vectors of {expected}")]
    Model {
        /// The index's model, as a phrase.
        expected: String,
        /// The vector's model.
        got: String,
    },
    /// A vector does not have as many numbers as the other vectors of its model.
    #[error(
        "the vector has {got} numbers, but those of `{model}` have {expected}; give another model another name"
    )]
    Dimensions {
        /// The model.
        model: String,
        /// How many numbers its vectors have.
        expected: usize,
        /// How many this one has.
        got: usize,
    },
    /// A vector has no direction.
    #[error("the vector is empty, all zero or has numbers that are not finite")]
    Direction,
    /// The catalogue failed in another way, such as a full disk.
    #[error("the catalogue {path}: {source}")]
    Catalogue {
        /// The file.
        path: String,
        /// What `SQLite` says.
        source: rusqlite::Error,
    },
    /// A file cannot be read or written.
    #[error("the index file {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The embedded engine failed, such as for lack of memory.
    #[error("the vectors in memory: {0}")]
    Graph(String),
    /// The Chroma server does not answer, or not as expected. Searching with text alone does not need it.
    #[error("the Chroma server at {url}: {reason}")]
    Chroma {
        /// Its address, without credentials.
        url: String,
        /// What happened.
        reason: String,
    },
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { path, source }
    }

    /// Says which catalogue failed, and tells a failure from a file that will never work again.
    pub(crate) fn of_catalogue(self, file: &str) -> Self {
        let path = file.to_owned();
        match self {
            Self::Catalogue { source, .. } if is_corrupt(&source) => {
                Self::Unusable { path, reason: source.to_string() }
            }
            Self::Catalogue { source, .. } => Self::Catalogue { path, source },
            Self::Unusable { reason, .. } => Self::Unusable { path, reason },
            other => other,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        Self::Catalogue { path: String::new(), source }
    }
}

/// Whether the content of a file is not what was written to it.
fn is_corrupt(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, InvalidColumnType};
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || matches!(error, FromSqlConversionFailure(..) | InvalidColumnType(..))
}
