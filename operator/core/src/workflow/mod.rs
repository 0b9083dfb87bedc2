//! Workflows: their definition, and its compilation into what can be verified and planned.

mod definition;
mod expression;
mod predicate;
mod scanner;
mod schema;
mod scope;
mod template;
mod text;

pub use definition::{Code, Definition, OptionDefinition, StepDefinition};
pub use expression::{EvaluationError, ExpressionError};
pub use predicate::Predicate;
pub use schema::{Schema, SchemaError, SchemaViolation};
pub use scope::Scope;
pub use template::{Template, TemplateError};
