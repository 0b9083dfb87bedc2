//! CEL expressions over JSON values.

mod bind;
mod dialect;
mod parse;
pub(crate) mod path;
mod value;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::OnceLock,
};

use cel::{
    Context, ExecutionError,
    common::{
        ast::IdedExpr,
        types::CelBool,
        value::{CowVal, Val},
    },
    context::VariableResolver,
};
use serde_json::Value;

pub(crate) use bind::{Names, Read, TYPE_NAMES};
pub(crate) use dialect::{ARITHMETIC, TURN};
use path::{Path, Root};

use super::{
    scope::Scope,
    text::{MESSAGE_CHARS, shorten},
};

/// How much of an expression a message repeats.
const SOURCE_CHARS: usize = 120;

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}`: {message}", shorten(.expression, SOURCE_CHARS))]
pub struct ExpressionError {
    /// The expression as written.
    pub expression: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

/// Why an expression has no value for some input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}`: {message}", shorten(.expression, SOURCE_CHARS))]
pub struct EvaluationError {
    /// The expression as written.
    pub expression: String,
    /// What is missing or does not fit.
    pub message: String,
}

/// A parsed expression. Evaluating it is a walk for a path and a run of the interpreter for everything else; both
/// fail in the same words.
pub(crate) struct Expression {
    source: String,
    form: Form,
}

/// How an expression is evaluated.
pub(crate) enum Form {
    /// By walking to the value.
    Path(Path),
    /// By interpreting `code`, whose variables `@0`, `@1`, … are `reads`.
    Program { code: IdedExpr, reads: Vec<Read> },
}

impl Expression {
    /// Parses `source`, which may use `names`.
    pub(crate) fn parse(source: &str, names: Names) -> Result<Self, ExpressionError> {
        let fail = |message: String| ExpressionError {
            expression: shorten(source, MESSAGE_CHARS),
            message: shorten(&message, MESSAGE_CHARS),
        };
        let mut code = parse::parse(source).map_err(fail)?;
        let mut reads = bind::bind(&mut code, names).map_err(fail)?;
        let form = match (&code.expr, reads.as_slice()) {
            (cel::common::ast::Expr::Ident(name), [Read::Value(_)]) if name == "@0" => match reads.pop() {
                Some(Read::Value(path)) => Form::Path(path),
                _ => return Err(fail("the expression reads nothing".to_owned())),
            },
            _ => Form::Program { code, reads },
        };
        Ok(Self { source: source.to_owned(), form })
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn form(&self) -> &Form {
        &self.form
    }

    /// The steps whose outputs it reads, with repetitions.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &str> {
        let (path, reads) = match &self.form {
            Form::Path(path) => (Some(path), [].as_slice()),
            Form::Program { reads, .. } => (None, reads.as_slice()),
        };
        path.into_iter().chain(reads.iter().map(Read::path)).filter_map(|path| match &path.root {
            Root::Step(name) => Some(name.as_str()),
            Root::Input | Root::Output => None,
        })
    }

    /// Its value.
    pub(crate) fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, EvaluationError> {
        match &self.form {
            Form::Path(path) => path.resolve(scope).cloned().map_err(|message| self.failed(&message)),
            Form::Program { code, reads } => self.run(code, reads, scope, value::to_json),
        }
    }

    /// Its value where only true or false will do.
    pub(crate) fn holds(&self, scope: &Scope<'_>) -> Result<bool, EvaluationError> {
        let not_bool = |what: &str| format!("the result is {what}; expected true or false");
        match &self.form {
            Form::Path(path) => path
                .resolve(scope)
                .and_then(|value| value.as_bool().ok_or_else(|| not_bool(path::kind(value))))
                .map_err(|message| self.failed(&message)),
            Form::Program { code, reads } => self.run(code, reads, scope, |value| {
                let bool = value.downcast_ref::<CelBool>();
                bool.map(|bool| *bool.inner())
                    .ok_or_else(|| not_bool(&format!("a {}", value.get_type().name())))
            }),
        }
    }

    fn run<T>(
        &self,
        code: &IdedExpr,
        reads: &[Read],
        scope: &Scope<'_>,
        finish: impl Fn(&dyn Val) -> Result<T, String>,
    ) -> Result<T, EvaluationError> {
        let variables = Variables { reads, scope, values: reads.iter().map(|_| OnceLock::new()).collect() };
        let mut context = Context::with_env(dialect::ENVIRONMENT.clone());
        context.set_variable_resolver(&variables);
        dialect::allow_turns();
        // The interpreter has a few `panic!`s for trees that its parser does not produce. One that was missed must
        // fail this evaluation and not the process that serves everybody else.
        let result = catch_unwind(AssertUnwindSafe(|| match cel::Value::resolve_val(code, &context) {
            Ok(value) => finish(value.as_ref()),
            Err(error) => Err(variables.explain(&error)),
        }));
        result
            .unwrap_or_else(|_| Err("the interpreter failed".to_owned()))
            .map_err(|message| self.failed(&message))
    }

    fn failed(&self, message: &str) -> EvaluationError {
        EvaluationError {
            expression: shorten(&self.source, MESSAGE_CHARS),
            message: shorten(message, MESSAGE_CHARS),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// The variables of a program, converted when they are first read: the branch that is not taken costs nothing.
struct Variables<'s> {
    reads: &'s [Read],
    scope: &'s Scope<'s>,
    values: Vec<OnceLock<Result<Box<dyn Val + 's>, String>>>,
}

impl<'s> Variables<'s> {
    fn read(&self, index: usize) -> Option<&Result<Box<dyn Val + 's>, String>> {
        let read = self.reads.get(index)?;
        let value = self.values.get(index)?;
        Some(value.get_or_init(|| match read {
            Read::Value(path) => path.resolve(self.scope).map(value::to_cel),
            Read::Presence(path, field) => {
                path.has(field, self.scope).map(|has| Box::new(CelBool::from(has)) as Box<dyn Val + 's>)
            }
        }))
    }

    /// Says what went wrong in the author's terms.
    fn explain(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::UndeclaredReference(name) => match index(name).and_then(|index| self.read(index))
            {
                Some(Err(message)) => message.clone(),
                _ => format!("`{name}` is not a function; see the standard library of CEL"),
            },
            ExecutionError::NoSuchKey(name) => format!("there is no field `{}`", shorten(name, SOURCE_CHARS)),
            ExecutionError::IndexOutOfBounds(_) => "the index is beyond the end of the list".to_owned(),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                "division by zero".to_owned()
            }
            ExecutionError::Overflow(..) => "the result does not fit 64 bits".to_owned(),
            ExecutionError::NoSuchOverload(overload) => {
                let types = overload.argument_types().join(", ");
                format!("`{}` cannot be applied to {types}", overload.function().trim_matches('_'))
            }
            ExecutionError::FunctionError { message, .. } => shorten(message, SOURCE_CHARS),
            // The crate's own words may repeat whole values.
            ExecutionError::ValuesNotComparable(..) => "the values cannot be compared".to_owned(),
            other => shorten(&other.to_string(), SOURCE_CHARS),
        }
    }
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let value = self.read(index(name)?)?.as_ref().ok()?;
        Some(CowVal::Borrowed(value.as_ref()))
    }
}

/// Which variable `@n` is.
pub(crate) fn index(name: &str) -> Option<usize> {
    name.strip_prefix('@')?.parse().ok()
}
