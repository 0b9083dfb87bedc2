//! Workflows: their definition, and its compilation into what can be verified and planned.

mod definition;

pub use definition::{Code, Definition, OptionDefinition, StepDefinition};
