//! A workflow as its author wrote it: expressions are still text and nothing has been checked.

use serde_json::Value;

use crate::{
    function::{Function, Language, Limits},
    verification::{Check, Example},
};

/// A workflow as declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    /// The namespace that it is declared in.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// JSON Schema of its input; absent: anything.
    pub input: Option<Value>,
    /// Its steps, in the author's order.
    pub steps: Vec<StepDefinition>,
    /// Template of its output; absent: the output of the last step.
    pub result: Option<Value>,
}

/// A step as declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepDefinition {
    /// Unique in the workflow.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Template of its input; absent: the workflow's input.
    pub input: Option<Value>,
    /// JSON Schema of its output; absent: anything.
    pub output: Option<Value>,
    /// Cases that its code must pass.
    pub examples: Vec<Example>,
    /// Predicates over `input` and `output`.
    pub checks: Vec<Check>,
    /// Ways to get it done, the preferred first; none: one function whose code is missing.
    pub options: Vec<OptionDefinition>,
    /// Steps that must end first although no expression refers to them.
    pub after: Vec<String>,
    /// What one call may use.
    pub limits: Limits,
}

/// A declared way to get a step done.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionDefinition {
    /// Unique in the step.
    pub name: String,
    /// Where its code comes from.
    pub code: Code,
}

/// Where the code of an option comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Code {
    /// The author wrote it.
    Authored(Function),
    /// Nobody wrote it yet, in this language.
    Missing(Language),
    /// A Tool of this name holds it.
    Tool(String),
}
