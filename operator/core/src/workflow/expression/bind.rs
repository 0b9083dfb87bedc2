//! Separates what an expression reads from what it does with it.
//!
//! Every path in the syntax tree is replaced by a variable `@0`, `@1`, …. That makes a missing field the business
//! of [`Path`], which says what is there instead, and it means that only the values that are read ever become CEL
//! values. It is also where the names that an expression may use are enforced.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, operators};

use super::{
    dialect::{ARITHMETIC, TURN},
    path::{self, Path, Root, Segment},
};
use crate::workflow::text::{did_you_mean, list};

/// What an expression may start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// `input` and `steps`: in a template.
    Template,
    /// `input` and `output`: in a check.
    Check,
}

impl Names {
    fn roots(self) -> [&'static str; 2] {
        match self {
            Self::Template => ["input", "steps"],
            Self::Check => ["input", "output"],
        }
    }
}

/// Something that an expression reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// The value at the end of a path.
    Value(Path),
    /// `has(path.field)`.
    Presence(Path, String),
}

impl Read {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Value(path) | Self::Presence(path, _) => path,
        }
    }
}

/// The types that CEL names; they are values, as in `type(x) == string`.
pub(crate) const TYPE_NAMES: [&str; 10] =
    ["bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "uint"];

/// Comprehensions nested deeper than this multiply a list's length too often to be meant.
const NESTED_COMPREHENSIONS: usize = 3;

/// Replaces the paths in `expr` by variables and returns what they read.
pub(crate) fn bind(expr: &mut IdedExpr, names: Names) -> Result<Vec<Read>, String> {
    let mut binder = Binder { names, reads: Vec::new(), locals: Vec::new() };
    binder.visit(expr)?;
    Ok(binder.reads)
}

struct Binder {
    names: Names,
    reads: Vec<Read>,
    /// The variables of the comprehensions around the current node.
    locals: Vec<String>,
}

impl Binder {
    fn visit(&mut self, expr: &mut IdedExpr) -> Result<(), String> {
        if let Some(read) = self.presence(expr)? {
            self.replace(expr, read);
            return Ok(());
        }
        if let Some((root, segments)) = path::segments(expr)
            && let Some(path) = self.path(root, segments)?
        {
            self.replace(expr, Read::Value(path));
            return Ok(());
        }
        match &mut expr.expr {
            Expr::Unspecified => Err("the expression has a hole".to_owned()),
            Expr::Ident(_) | Expr::Literal(_) => Ok(()),
            Expr::Select(select) => self.visit(&mut select.operand),
            Expr::List(list) => list.elements.iter_mut().try_for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| self.visit_entry(&mut entry.expr)),
            Expr::Struct(literal) => Err(format!(
                "`{}{{…}}` constructs a type that does not exist; an object is written {{\"field\": value}}",
                literal.type_name
            )),
            Expr::Call(call) => self.visit_call(call),
            Expr::Comprehension(comprehension) => self.visit_comprehension(comprehension),
        }
    }

    fn visit_entry(&mut self, entry: &mut EntryExpr) -> Result<(), String> {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.visit(&mut entry.key)?;
                self.visit(&mut entry.value)
            }
            EntryExpr::StructField(field) => self.visit(&mut field.value),
        }
    }

    fn visit_call(&mut self, call: &mut CallExpr) -> Result<(), String> {
        if let Some(hint) = self.dashed_step(call).or_else(|| misused_macro(call)) {
            return Err(hint);
        }
        // `strings.quote(…)` names a function, not a method of a variable.
        let qualified = call.target.as_ref().is_some_and(|target| is_ident(target, "strings"));
        if let (Some(target), false) = (&mut call.target, qualified) {
            self.visit(target)?;
        }
        call.args.iter_mut().try_for_each(|argument| self.visit(argument))?;
        // What `map` and `filter` append with is CEL's own `+`, which its interpreter recognises and makes cheap.
        let generated = call.args.first().is_some_and(|first| is_ident(first, "@result"));
        if let Some(arithmetic) = ARITHMETIC.iter().find(|a| a.operator == call.func_name)
            && call.args.len() == 2
            && !generated
        {
            arithmetic.name.clone_into(&mut call.func_name);
        }
        Ok(())
    }

    fn visit_comprehension(&mut self, it: &mut ComprehensionExpr) -> Result<(), String> {
        self.visit(&mut it.iter_range)?;
        self.visit(&mut it.accu_init)?;
        if self.names.roots().contains(&it.iter_var.as_str()) {
            return Err(format!("the variable `{0}` hides `{0}`; give it another name", it.iter_var));
        }
        if self.locals.len() == NESTED_COMPREHENSIONS {
            return Err(format!("more than {NESTED_COMPREHENSIONS} nested loops (map, filter, all, exists)"));
        }
        self.locals.push(it.iter_var.clone());
        let body = [&mut it.loop_cond, &mut it.loop_step, &mut it.result];
        body.into_iter().try_for_each(|part| self.visit(part))?;
        self.locals.pop();
        count_turns(it);
        Ok(())
    }

    /// `has(path.field)`, which CEL parses into a selection that only tests.
    fn presence(&self, expr: &IdedExpr) -> Result<Option<Read>, String> {
        let Expr::Select(select) = &expr.expr else { return Ok(None) };
        if !select.test {
            return Ok(None);
        }
        let Some((root, segments)) = path::segments(&select.operand) else { return Ok(None) };
        let path = self.path(root, segments)?;
        Ok(path.map(|path| Read::Presence(path, select.field.clone())))
    }

    /// The path that starts at the identifier `root`; nothing if that is a variable of a comprehension or a type.
    fn path(&self, root: &str, mut segments: Vec<Segment>) -> Result<Option<Path>, String> {
        if root.starts_with('@') || self.locals.iter().any(|local| local == root) {
            return Ok(None);
        }
        let root = match (self.names, root) {
            (_, "input") => Root::Input,
            (Names::Check, "output") => Root::Output,
            (Names::Template, "steps") if segments.is_empty() => {
                return Err("`steps` needs the name of a step in quotes or after a dot, as in `steps.clean`"
                    .to_owned());
            }
            (Names::Template, "steps") => match segments.remove(0) {
                Segment::Field(name) => Root::Step(name),
                Segment::Element(index) => {
                    return Err(format!(
                        "`steps[{index}]`: steps are referred to by name, as in `steps.clean`"
                    ));
                }
            },
            (_, name) if segments.is_empty() && TYPE_NAMES.contains(&name) => return Ok(None),
            (_, name) => return Err(self.unknown(name)),
        };
        Ok(Some(Path { root, segments }))
    }

    fn unknown(&self, name: &str) -> String {
        let roots = self.names.roots();
        match (self.names, name) {
            (Names::Template, "output") => {
                "`output` is only known in a check; the output of a step is `steps.<name>`".to_owned()
            }
            (Names::Check, "steps") => {
                "a check sees only `input` and `output` of its own step, not `steps`".to_owned()
            }
            _ => format!(
                "`{name}` is not known here{}; an expression starts from {}",
                did_you_mean(name, roots),
                list(roots)
            ),
        }
    }

    /// `steps.clean-up.text` is a subtraction to CEL. Whoever writes that means the step `clean-up`.
    fn dashed_step(&self, call: &CallExpr) -> Option<String> {
        let (first, mut rest) = operands(call)?;
        let ("steps", segments) = path::segments(first)? else { return None };
        let [Segment::Field(start)] = segments.as_slice() else { return None };
        let mut name = start.clone();
        let mut fields = String::new();
        while let Some((operand, more)) = rest.split_first() {
            let (part, segments) = path::segments(operand)?;
            if self.names.roots().contains(&part) || self.locals.iter().any(|local| local == part) {
                return None;
            }
            name = format!("{name}-{part}");
            for segment in &segments {
                match segment {
                    Segment::Field(field) => fields = format!("{fields}.{field}"),
                    Segment::Element(index) => fields = format!("{fields}[{index}]"),
                }
            }
            rest = more.to_vec();
        }
        Some(format!(
            "`steps.{name}{fields}` reads as a subtraction; the step `{name}` is referred to as `steps[\"{name}\"]{fields}`"
        ))
    }

    fn replace(&mut self, expr: &mut IdedExpr, read: Read) {
        let index = self.reads.iter().position(|known| *known == read).unwrap_or_else(|| {
            self.reads.push(read);
            self.reads.len() - 1
        });
        expr.expr = Expr::Ident(format!("@{index}"));
    }
}

/// The parser expands a macro that is used as it should be; what is left is used otherwise.
fn misused_macro(call: &CallExpr) -> Option<String> {
    let name = call.func_name.as_str();
    match name {
        operators::HAS => Some("`has` takes one field, as in `has(input.text)`".to_owned()),
        operators::ALL | operators::EXISTS | operators::EXISTS_ONE | operators::FILTER | operators::MAP => {
            Some(format!(
                "`{name}` is called on a list with a variable and an expression, as in `input.items.{name}(x, x > 0)`"
            ))
        }
        _ => None,
    }
}

/// Wraps what every turn of the loop evaluates. CEL's macros expand to few shapes, and the interpreter makes `map`
/// and `filter` cheap only if theirs are left alone but for the element or the condition.
fn count_turns(it: &mut ComprehensionExpr) {
    let every_turn = match &mut it.loop_step.expr {
        Expr::Call(step) if step.func_name == operators::CONDITIONAL => step.args.first_mut(),
        Expr::Call(step) if step.func_name == operators::ADD => match step.args.get_mut(1) {
            Some(IdedExpr { expr: Expr::List(appended), .. }) => appended.elements.first_mut(),
            _ => None,
        },
        _ => None,
    };
    let every_turn = every_turn.unwrap_or(&mut it.loop_cond);
    let argument = std::mem::take(every_turn);
    let id = argument.id;
    let call = CallExpr { func_name: TURN.to_owned(), target: None, args: vec![argument] };
    *every_turn = IdedExpr { id, expr: Expr::Call(call) };
}

/// The operands of a chain of subtractions, from left to right.
fn operands(call: &CallExpr) -> Option<(&IdedExpr, Vec<&IdedExpr>)> {
    let mut call = call;
    let mut rest = Vec::new();
    loop {
        let [left, right] = call.args.as_slice() else { return None };
        if call.func_name != operators::SUBSTRACT {
            return None;
        }
        rest.insert(0, right);
        match &left.expr {
            Expr::Call(inner) if inner.func_name == operators::SUBSTRACT => call = inner,
            _ => return Some((left, rest)),
        }
    }
}

fn is_ident(expr: &IdedExpr, name: &str) -> bool {
    matches!(&expr.expr, Expr::Ident(ident) if ident == name)
}
