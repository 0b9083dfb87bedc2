//! Templates: JSON whose strings may hold `${ CEL }`.

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::{Map, Value};

use super::{
    expression::{EvaluationError, Expression, Names},
    scanner::{Piece, scan},
    scope::Scope,
    text::{MESSAGE_CHARS, shorten},
};

/// Templates nested deeper than this are refused, so that walking one needs no guard.
const DEPTH: usize = 64;

/// How much of a place a message repeats.
const PLACE_CHARS: usize = 200;

/// A compiled template.
///
/// A string that is one expression yields the expression's value with its type; an expression within text becomes
/// text: strings as they are, everything else as compact JSON. `$${` is a literal `${`.
#[derive(Debug)]
pub struct Template {
    root: Node,
}

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{message}", .place, if .place.is_empty() { "" } else { ": " })]
pub struct TemplateError {
    /// Where in the template, such as `.text` or `.items[0]`; empty: the template itself.
    pub place: String,
    /// What is wrong there and what would be right.
    pub message: String,
}

/// A part of a template.
#[derive(Debug)]
pub(crate) enum Node {
    /// Without any expression.
    Literal(Value),
    /// A string that is one expression.
    Expression(Expression),
    /// A string with expressions in it.
    Text(Vec<Fragment>),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A part of a string.
#[derive(Debug)]
pub(crate) enum Fragment {
    Literal(String),
    Expression(Expression),
}

impl Template {
    /// Compiles the expressions in `template`.
    ///
    /// # Errors
    /// Every expression that is not CEL, or starts from something other than `input` and `steps`.
    pub fn parse(template: &Value) -> Result<Self, Vec<TemplateError>> {
        let mut parser = Parser::default();
        let root = parser.parse(template, "", 0);
        if parser.errors.is_empty() { Ok(Self { root }) } else { Err(parser.errors) }
    }

    /// The names of the steps whose outputs it reads.
    #[must_use]
    pub fn references(&self) -> BTreeSet<&str> {
        let mut steps = BTreeSet::new();
        self.walk(&mut |_, expression| steps.extend(expression.steps()));
        steps
    }

    /// Its value.
    ///
    /// # Errors
    /// An expression reads what is not there, or has no value that JSON can hold.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, EvaluationError> {
        self.root.evaluate(scope)
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// Shows every expression together with its place.
    pub(crate) fn walk<'t>(&'t self, visit: &mut dyn FnMut(&str, &'t Expression)) {
        self.root.walk("", visit);
    }
}

impl Node {
    fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, EvaluationError> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Expression(expression) => expression.evaluate(scope),
            Self::Text(fragments) => interpolate(fragments, scope).map(Value::String),
            Self::List(nodes) => nodes.iter().map(|node| node.evaluate(scope)).collect(),
            Self::Object(fields) => {
                let mut object = Map::new();
                for (name, node) in fields {
                    object.insert(name.clone(), node.evaluate(scope)?);
                }
                Ok(Value::Object(object))
            }
        }
    }

    fn walk<'t>(&'t self, place: &str, visit: &mut dyn FnMut(&str, &'t Expression)) {
        match self {
            Self::Literal(_) => {}
            Self::Expression(expression) => visit(place, expression),
            Self::Text(fragments) => {
                for fragment in fragments {
                    if let Fragment::Expression(expression) = fragment {
                        visit(place, expression);
                    }
                }
            }
            Self::List(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    node.walk(&element_of(place, index), visit);
                }
            }
            Self::Object(fields) => {
                for (name, node) in fields {
                    node.walk(&field_of(place, name), visit);
                }
            }
        }
    }
}

fn interpolate(fragments: &[Fragment], scope: &Scope<'_>) -> Result<String, EvaluationError> {
    let mut text = String::new();
    for fragment in fragments {
        match fragment {
            Fragment::Literal(literal) => text.push_str(literal),
            Fragment::Expression(expression) => match expression.evaluate(scope)? {
                Value::String(value) => text.push_str(&value),
                value => {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "{value}");
                }
            },
        }
    }
    Ok(text)
}

pub(crate) fn element_of(place: &str, index: usize) -> String {
    format!("{place}[{index}]")
}

pub(crate) fn field_of(place: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain { format!("{place}.{name}") } else { format!("{place}[{name:?}]") }
}

/// Compiles a template and collects what is wrong with it.
#[derive(Default)]
struct Parser {
    errors: Vec<TemplateError>,
}

impl Parser {
    fn parse(&mut self, template: &Value, place: &str, depth: usize) -> Node {
        if depth > DEPTH {
            self.fail(place, &format!("nests deeper than {DEPTH} levels"));
            return Node::Literal(Value::Null);
        }
        match template {
            Value::String(text) => self.parse_text(text, place),
            Value::Array(elements) => {
                let nodes = elements.iter().enumerate();
                let nodes = nodes.map(|(index, it)| self.parse(it, &element_of(place, index), depth + 1));
                constant_or(Node::List(nodes.collect()), template)
            }
            Value::Object(fields) => {
                let nodes = fields.iter();
                let nodes =
                    nodes.map(|(name, it)| (name.clone(), self.parse(it, &field_of(place, name), depth + 1)));
                constant_or(Node::Object(nodes.collect()), template)
            }
            scalar => Node::Literal(scalar.clone()),
        }
    }

    fn parse_text(&mut self, text: &str, place: &str) -> Node {
        let pieces = scan(text).unwrap_or_else(|message| {
            self.fail(place, &message);
            Vec::new()
        });
        let mut fragments = Vec::with_capacity(pieces.len());
        for piece in &pieces {
            match piece {
                Piece::Text(text) => fragments.push(Fragment::Literal((*text).to_owned())),
                Piece::Expression(source) => match Expression::parse(source.trim(), Names::Template) {
                    Ok(expression) => fragments.push(Fragment::Expression(expression)),
                    Err(error) => self.fail(place, &error.to_string()),
                },
            }
        }
        match fragments.pop() {
            Some(Fragment::Expression(expression)) if fragments.is_empty() => Node::Expression(expression),
            last => {
                fragments.extend(last);
                text_or_literal(fragments)
            }
        }
    }

    fn fail(&mut self, place: &str, message: &str) {
        let place = shorten(place, PLACE_CHARS);
        self.errors.push(TemplateError { place, message: shorten(message, MESSAGE_CHARS) });
    }
}

/// The part itself unless nothing in it is ever evaluated.
fn constant_or(node: Node, template: &Value) -> Node {
    let unchanged =
        |node: &Node, template: Option<&Value>| matches!(node, Node::Literal(it) if Some(it) == template);
    let constant = match &node {
        Node::List(nodes) => {
            nodes.iter().enumerate().all(|(index, node)| unchanged(node, template.get(index)))
        }
        Node::Object(fields) => fields.iter().all(|(name, node)| unchanged(node, template.get(name))),
        Node::Literal(_) | Node::Expression(_) | Node::Text(_) => false,
    };
    if constant { Node::Literal(template.clone()) } else { node }
}

fn text_or_literal(fragments: Vec<Fragment>) -> Node {
    let literals = fragments.iter().map(|fragment| match fragment {
        Fragment::Literal(literal) => Some(literal.as_str()),
        Fragment::Expression(_) => None,
    });
    match literals.collect::<Option<String>>() {
        Some(literal) => Node::Literal(Value::String(literal)),
        None => Node::Text(fragments),
    }
}

#[cfg(test)]
mod tests;
