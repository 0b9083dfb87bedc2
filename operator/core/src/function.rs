//! Functions: source code that maps one JSON value to another.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The languages that a function can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Language {
    /// `CPython`: the source defines `run(input)`, whose argument and result are JSON values.
    Python,
    /// Bash: the script reads JSON on standard input and writes JSON to standard output.
    Bash,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Python => "Python",
            Self::Bash => "Bash",
        })
    }
}

/// Source code together with the language that it is written in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Function {
    /// What runs it.
    pub language: Language,
    /// The code itself.
    pub source: String,
}

impl Function {
    /// The function as a blob: its language on the first line, then its source.
    #[must_use]
    pub fn content(&self) -> String {
        format!("{}\n{}", self.language, self.source)
    }

    /// The address of [`Function::content`]: equal digests behave equally.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.content().as_bytes())
    }
}

/// What one call of a function may use. A breach ends the call, not the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Wall-clock seconds for one call.
    pub timeout_seconds: u32,
    /// Address space of the worker in MiB.
    pub memory_mib: u32,
    /// Bytes of JSON that a call may return.
    pub output_bytes: u32,
    /// Bytes that a call may print; what exceeds it fails the call.
    pub printed_bytes: u32,
}

impl Limits {
    /// No limit at all, to be lowered by what does limit.
    pub const NONE: Self = Self {
        timeout_seconds: u32::MAX,
        memory_mib: u32::MAX,
        output_bytes: u32::MAX,
        printed_bytes: u32::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout_seconds: 30, memory_mib: 256, output_bytes: 4 << 20, printed_bytes: 1 << 20 }
    }
}
