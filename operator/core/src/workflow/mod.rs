//! Workflows: their definition, and its compilation into what can be verified and planned.
//!
//! [`compile`] turns a [`Definition`] into a [`Compiled`] workflow or into every [`Fault`] in it. What it compiles
//! from, the executor evaluates: [`Template`]s make the inputs of steps, [`Schema`]s and [`Predicate`]s judge their
//! outputs.
//!
//! # Names
//!
//! The name of a step is a DNS label that starts with a letter. In an expression its output is `steps.clean`, or
//! `steps["clean-up"]` where there is a dash in the name, which CEL would take for a minus.
//!
//! # Expressions
//!
//! Expressions are CEL with its `strings` extension, over JSON: without optional values, timestamps and durations.
//! Arithmetic between a whole and a fractional number is fractional. `size(steps.list.items) > 0 ? … : …`, `has(…)`
//! and the loops `map`, `filter`, `all`, `exists` and `exists_one` work as usual; every evaluation ends, since the
//! turns of its loops are counted.

mod compile;
mod compiled;
mod definition;
mod expression;
mod fault;
mod graph;
mod predicate;
mod scanner;
mod schema;
mod scope;
mod step;
mod template;
mod text;
mod types;

pub use compile::{ToolCode, ToolState, compile};
pub use compiled::{
    Compiled, CompiledOption, CompiledStep, Missing, MissingCode, Proven, Request, Unproven, Unwritten,
};
pub use definition::{Code, Definition, OptionDefinition, StepDefinition};
pub use expression::{EvaluationError, ExpressionError};
pub use fault::{Fault, FaultReason};
pub use predicate::Predicate;
pub use schema::{Schema, SchemaError, SchemaViolation};
pub use scope::Scope;
pub use template::{Template, TemplateError};
