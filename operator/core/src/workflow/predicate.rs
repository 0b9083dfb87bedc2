//! Predicates: what a check asks of a step's input and output.

use serde_json::Value;

use super::{
    expression::{EvaluationError, Expression, ExpressionError, Names},
    scope::Scope,
};

/// A compiled check: a CEL expression over `input` and `output` that yields true or false.
#[derive(Debug)]
pub struct Predicate {
    expression: Expression,
}

impl Predicate {
    /// Parses the expression of a check.
    ///
    /// # Errors
    /// Not CEL, or it starts from something other than `input` and `output`.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        Ok(Self { expression: Expression::parse(text, Names::Check)? })
    }

    /// Whether it holds for this execution of the step.
    ///
    /// # Errors
    /// It reads what is not there, or yields neither true nor false.
    pub fn holds(&self, input: &Value, output: &Value) -> Result<bool, EvaluationError> {
        self.expression.holds(&Scope::of_check(input, output))
    }

    pub(crate) fn expression(&self) -> &Expression {
        &self.expression
    }
}

#[cfg(test)]
mod tests;
