//! Paths: `input.text`, `steps["a-b"].x[0]`. Most expressions are one, and a path needs no interpreter.

use std::fmt;

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use serde_json::Value;

use super::super::{
    scope::Scope,
    text::{did_you_mean, list},
};

/// A way from a root into its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) root: Root,
    pub(crate) segments: Vec<Segment>,
}

/// Where a path starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// The input: of the workflow in a template, of the step in a check.
    Input,
    /// The output of the step that a check is about.
    Output,
    /// The output of the step of this name.
    Step(String),
}

/// One turn of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Into the field of an object.
    Field(String),
    /// To the element of a list.
    Element(usize),
}

/// The raw form of a path: a root identifier, whatever it names, and the segments after it.
pub(crate) fn segments(expr: &IdedExpr) -> Option<(&str, Vec<Segment>)> {
    let mut segments = Vec::new();
    let mut expr = expr;
    loop {
        expr = match &expr.expr {
            Expr::Ident(name) => {
                segments.reverse();
                return Some((name, segments));
            }
            Expr::Select(select) if !select.test => {
                segments.push(Segment::Field(select.field.clone()));
                &select.operand
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [operand, index] = call.args.as_slice() else { return None };
                segments.push(match &index.expr {
                    Expr::Literal(LiteralValue::String(name)) => Segment::Field(name.inner().to_owned()),
                    Expr::Literal(LiteralValue::Int(index)) => {
                        Segment::Element(usize::try_from(*index.inner()).ok()?)
                    }
                    _ => return None,
                });
                operand
            }
            _ => return None,
        };
    }
}

impl Path {
    /// The value at the end of the path.
    pub(crate) fn resolve<'a>(&self, scope: &Scope<'a>) -> Result<&'a Value, String> {
        let mut value = self.start(scope)?;
        for (depth, segment) in self.segments.iter().enumerate() {
            value = match (segment, value) {
                (Segment::Field(name), Value::Object(fields)) => fields.get(name.as_str()),
                (Segment::Element(index), Value::Array(elements)) => elements.get(*index),
                _ => None,
            }
            .ok_or_else(|| self.missing(depth, value))?;
        }
        Ok(value)
    }

    fn start<'a>(&self, scope: &Scope<'a>) -> Result<&'a Value, String> {
        match &self.root {
            Root::Input => Ok(scope.input()),
            Root::Output => scope.output().ok_or_else(|| "there is no output here".to_owned()),
            Root::Step(name) => scope.step(name).ok_or_else(|| {
                let known = list(scope.step_names());
                let known = if known.is_empty() { "none".to_owned() } else { known };
                format!("step `{name}` has no output yet; steps that ended: {known}")
            }),
        }
    }

    /// Whether the object at the end of the path has `field`.
    pub(crate) fn has(&self, field: &str, scope: &Scope<'_>) -> Result<bool, String> {
        match self.resolve(scope)? {
            Value::Object(fields) => Ok(fields.contains_key(field)),
            other => Err(format!("`{self}` is {}, which has no fields", kind(other))),
        }
    }

    /// Says why the segment at `depth` leads nowhere from `value`.
    fn missing(&self, depth: usize, value: &Value) -> String {
        let here = Prefix { path: self, depth };
        match (&self.segments[depth], value) {
            (Segment::Field(name), Value::Object(fields)) if fields.is_empty() => {
                format!("`{here}` has no field `{name}`: it is empty")
            }
            (Segment::Field(name), Value::Object(fields)) => {
                let known = || fields.keys().map(String::as_str);
                format!(
                    "`{here}` has no field `{name}`{}; it has {}",
                    did_you_mean(name, known()),
                    list(known())
                )
            }
            (Segment::Field(name), other) => {
                format!("`{here}` is {} and has no field `{name}`", kind(other))
            }
            (Segment::Element(index), Value::Array(elements)) => {
                format!("`{here}` has no element {index}: it has {}", elements.len())
            }
            (Segment::Element(index), other) => {
                format!("`{here}` is {} and has no element {index}", kind(other))
            }
        }
    }
}

/// A JSON type with its article.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The first `depth` segments of a path, as an author would write them.
pub(crate) struct Prefix<'a> {
    pub(crate) path: &'a Path,
    pub(crate) depth: usize,
}

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path.root {
            Root::Input => f.write_str("input")?,
            Root::Output => f.write_str("output")?,
            Root::Step(name) => {
                f.write_str("steps")?;
                write_field(f, name)?;
            }
        }
        for segment in self.path.segments.iter().take(self.depth) {
            match segment {
                Segment::Field(name) => write_field(f, name)?,
                Segment::Element(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Prefix { path: self, depth: self.segments.len() }.fmt(f)
    }
}

fn write_field(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    // CEL has no way to select a field that is named like one of its literals or operators.
    let identifier = !["false", "in", "null", "true"].contains(&name)
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if identifier { write!(f, ".{name}") } else { write!(f, "[{name:?}]") }
}
