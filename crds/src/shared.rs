//! What several kinds share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema;

/// The language of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Language {
    /// `CPython`: the source defines `run(input)`, whose argument and result are JSON values.
    #[default]
    Python,
    /// Bash: the script reads JSON on standard input and writes JSON to standard output.
    Bash,
}

/// An input and the output that the code must return for it. Every example is a test: code that fails one is
/// never served.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// The argument, any JSON value.
    #[schemars(schema_with = "schema::any_json")]
    pub input: Value,
    /// The result that must be returned, any JSON value. Numbers compare by value, so `1` equals `1.0`.
    #[schemars(schema_with = "schema::any_json")]
    pub output: Value,
}
