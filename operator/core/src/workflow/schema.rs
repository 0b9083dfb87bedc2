//! JSON Schemas (draft 2020-12), compiled once and checked on every execution.

mod cost;

use jsonschema::{
    Draft, PatternOptions, ValidationError, Validator,
    paths::{Location, LocationSegment},
};
use serde_json::Value;

use super::text::shorten;

/// The most that a message repeats of a value: it may be large, and it may be someone's letter.
const ECHOED_CHARS: usize = 200;

/// The most that a message says.
const MESSAGE_CHARS: usize = 400;

/// The most violations looked at to find the first.
const VIOLATIONS: usize = 1000;

/// Bytes that the automaton of one `pattern` may take.
const PATTERN_BYTES: usize = 1 << 20;

/// A compiled JSON Schema.
///
/// References point into the schema, as in `#/$defs/name`: nothing is ever fetched. Patterns run in linear time, so
/// they have neither look-around nor back-references. `format` is an annotation, as the draft says. Schemas that could
/// take exponential time to check are refused, since they are checked in processes that serve others too.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
}

/// Why a value is not a usable JSON Schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", at(.pointer))]
pub struct SchemaError {
    /// JSON pointer into the schema.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

/// Where and why a value does not fit a [`Schema`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", at(.pointer))]
pub struct SchemaViolation {
    /// JSON pointer into the value; empty: the value itself.
    pub pointer: String,
    /// What is wrong there. Repeats at most 200 characters of the value.
    pub message: String,
}

fn at(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!("{}: ", shorten(pointer, ECHOED_CHARS)) }
}

impl Schema {
    /// Compiles `schema`.
    ///
    /// # Errors
    /// Not a schema of draft 2020-12, a reference out of the document, a pattern that cannot run in linear time, or
    /// combinations that cannot be checked in reasonable time.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .with_pattern_options(patterns)
            .build(schema)
            .map_err(|error| SchemaError {
                pointer: error.instance_path().to_string(),
                message: message(&error),
            })?;
        cost::check(schema).map_err(|message| SchemaError { pointer: String::new(), message })?;
        Ok(Self { validator })
    }

    /// Checks `value`.
    ///
    /// # Errors
    /// The first violation in document order.
    pub fn check(&self, value: &Value) -> Result<(), SchemaViolation> {
        // Most values fit, and telling only whether they do is several times faster than collecting why not.
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let first = self
            .validator
            .iter_errors(value)
            .take(VIOLATIONS)
            .min_by(|a, b| document_order(a.instance_path(), b.instance_path()));
        match first {
            None => Ok(()),
            Some(error) => {
                Err(SchemaViolation { pointer: error.instance_path().to_string(), message: message(&error) })
            }
        }
    }
}

fn document_order(a: &Location, b: &Location) -> std::cmp::Ordering {
    let key = |segment: LocationSegment<'_>| match segment {
        LocationSegment::Index(index) => (index, String::new()),
        LocationSegment::Property(name) => (0, name.into_owned()),
    };
    a.into_iter().map(key).cmp(b.into_iter().map(key))
}

fn message(error: &ValidationError<'_>) -> String {
    let placeholder = match error.instance().as_ref() {
        Value::Object(_) => "the object",
        Value::Array(_) => "the list",
        Value::String(text) if text.len() > ECHOED_CHARS => "the text",
        _ => return shorten(&error.to_string(), MESSAGE_CHARS),
    };
    shorten(&error.masked_with(placeholder).to_string(), MESSAGE_CHARS)
}

#[cfg(test)]
mod tests;
