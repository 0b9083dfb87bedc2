//! From text to a syntax tree of bounded depth.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::common::ast::IdedExpr;

use super::dialect::ENVIRONMENT;
use crate::workflow::text::shorten;

/// Longer expressions belong into a step.
const BYTES: usize = 10_000;

/// How deep parentheses, lists and arguments may nest.
const NESTING: u16 = 24;

/// How many operators, dots and brackets an expression may have. `a.b.c` and `1 + 2 + 3` nest in the syntax tree
/// as deep as they are long, and everything that walks a tree does so on a stack of bounded size.
const OPERATORS: usize = 200;

/// How much of the parser's message is repeated: it lists every token that it would have liked.
const MESSAGE_CHARS: usize = 160;

/// Parses `source`.
pub(super) fn parse(source: &str) -> Result<IdedExpr, String> {
    if source.trim().is_empty() {
        return Err("the expression is empty".to_owned());
    }
    if source.len() > BYTES {
        return Err(format!("the expression has {} bytes; the limit is {BYTES}", source.len()));
    }
    check_size(source)?;
    let parser = || ENVIRONMENT.parser().max_recursion_depth(NESTING).parse(source);
    // The generated parser indexes and unwraps; that a text is hostile must not end the process.
    let parsed = catch_unwind(AssertUnwindSafe(parser)).map_err(|_| "not an expression".to_owned())?;
    parsed.map_err(|errors| match errors.errors.first() {
        None => "not an expression".to_owned(),
        Some(error) => {
            let message = error.source.as_ref().map_or_else(|| error.msg.clone(), ToString::to_string);
            let message = message.strip_prefix("Syntax error: ").unwrap_or(&message);
            format!(
                "not a CEL expression, at character {}: {}",
                error.pos.1.max(1),
                shorten(message, MESSAGE_CHARS)
            )
        }
    })
}

/// Refuses what would nest too deep before anything recurses over it.
fn check_size(source: &str) -> Result<(), String> {
    let mut operators = 0;
    let mut depth: usize = 0;
    let mut deepest = 0;
    let mut quote = None;
    let mut escaped = false;
    for character in source.chars() {
        match (quote, character) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(character),
            (None, '(' | '[' | '{') => {
                operators += 1;
                depth += 1;
                deepest = deepest.max(depth);
            }
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, '.' | '+' | '-' | '*' | '/' | '%' | '!' | '&' | '|' | '?' | '<' | '>' | '=') => {
                operators += 1
            }
            (None, _) => {}
        }
    }
    if deepest > usize::from(NESTING) {
        return Err(format!("the expression nests {deepest} deep; the limit is {NESTING}"));
    }
    if operators > OPERATORS {
        return Err(format!("the expression has {operators} operators; the limit is {OPERATORS}"));
    }
    Ok(())
}
