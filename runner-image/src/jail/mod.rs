//! The jail: the only place where generated code runs.

mod error;

pub use error::JailError;
