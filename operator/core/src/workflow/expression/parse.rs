//! From text to a syntax tree of bounded depth.

use std::thread;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

use super::dialect::ENVIRONMENT;
use crate::workflow::text::shorten;

/// Longer expressions belong into a step.
const BYTES: usize = 10_000;

/// How deep parentheses, lists and arguments may nest.
const NESTING: u16 = 24;

/// How deep the syntax tree may be. Whoever walks it, the interpreter first of all, does so on the stack of a
/// caller that may have 2 MiB, of which one level takes up to 25 KiB in a build without optimisation.
const DEPTH: usize = 48;

/// The stack that parsing gets. The generated parser and the tree that it leaves need less than 8 MiB for the worst
/// text of [`BYTES`] in a build without optimisation; only what is used is ever backed by memory.
const STACK_BYTES: usize = 16 << 20;

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
    thread::scope(|scope| {
        let parser = thread::Builder::new().name("cel-parser".to_owned()).stack_size(STACK_BYTES);
        let parsed = parser.spawn_scoped(scope, || parse_unbounded(source));
        let parsed = parsed.map_err(|error| format!("no thread to parse the expression: {error}"))?;
        // The generated parser indexes and unwraps; that a text is hostile must not end the process.
        parsed.join().unwrap_or_else(|_| Err("not a CEL expression".to_owned()))
    })
}

/// Parses on the current stack, and drops there what is too deep to be handed out.
fn parse_unbounded(source: &str) -> Result<IdedExpr, String> {
    let parser = ENVIRONMENT.parser().max_recursion_depth(NESTING);
    let tree = parser.parse(source).map_err(|errors| explain(&errors))?;
    match depth(&tree) {
        depth if depth > DEPTH => {
            Err(format!("the expression chains {depth} operations; the limit is {DEPTH}"))
        }
        _ => Ok(tree),
    }
}

fn explain(errors: &cel::ParseErrors) -> String {
    let Some(error) = errors.errors.first() else { return "not a CEL expression".to_owned() };
    let message = error.source.as_ref().map_or_else(|| error.msg.clone(), ToString::to_string);
    if message.contains("Recursion limit") {
        return format!("the expression nests deeper than {NESTING}");
    }
    let message = message.strip_prefix("Syntax error: ").unwrap_or(&message);
    format!("not a CEL expression, at character {}: {}", error.pos.1.max(1), shorten(message, MESSAGE_CHARS))
}

/// The height of the syntax tree.
fn depth(expr: &IdedExpr) -> usize {
    let deepest = match &expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => None,
        Expr::Select(select) => Some(depth(&select.operand)),
        Expr::List(list) => list.elements.iter().map(depth).max(),
        Expr::Map(map) => map.entries.iter().map(|entry| entry_depth(&entry.expr)).max(),
        Expr::Struct(literal) => literal.entries.iter().map(|entry| entry_depth(&entry.expr)).max(),
        Expr::Call(call) => {
            call.target.iter().map(|target| depth(target)).chain(call.args.iter().map(depth)).max()
        }
        Expr::Comprehension(it) => [&it.iter_range, &it.accu_init, &it.loop_cond, &it.loop_step, &it.result]
            .into_iter()
            .map(depth)
            .max(),
    };
    deepest.unwrap_or_default() + 1
}

fn entry_depth(entry: &EntryExpr) -> usize {
    match entry {
        EntryExpr::StructField(field) => depth(&field.value),
        EntryExpr::MapEntry(entry) => depth(&entry.key).max(depth(&entry.value)),
    }
}
