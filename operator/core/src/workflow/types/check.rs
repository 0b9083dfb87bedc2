//! The type checker. It walks the tree that the interpreter will walk and rejects what the interpreter would reject
//! for every value, and nothing else: a field that may be absent, a number that may be whole, and anything unknown
//! pass. After a complaint the type is unknown, so that one mistake is reported once.

use std::collections::BTreeMap;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators,
};

use super::{
    Type,
    functions::{self, Call},
};
use crate::workflow::{
    expression::{
        ARITHMETIC, Expression, Form, Read, TURN, TYPE_NAMES, index,
        path::{Path, Prefix, Root, Segment},
    },
    template::{Fragment, Node, element_of, field_of},
    text::{did_you_mean, list},
};

/// The types of what expressions start from.
pub(crate) struct Known<'t> {
    pub(crate) input: &'t Type,
    /// The output of the step, in a check.
    pub(crate) output: Option<&'t Type>,
    /// The outputs of the steps, in a template.
    pub(crate) steps: &'t BTreeMap<&'t str, Type>,
}

/// Complaints: the place in the template and what is wrong there.
pub(crate) type Complaints = Vec<(String, String)>;

/// The type of what a template yields.
pub(crate) fn type_of_template(
    node: &Node,
    known: &Known<'_>,
    place: &str,
    complaints: &mut Complaints,
) -> Type {
    let mut of_expression = |expression: &Expression| {
        let mut checker = Checker::new(expression, known);
        let inferred = checker.expression();
        complaints.extend(checker.complaints.into_iter().map(|message| (place.to_owned(), message)));
        inferred
    };
    match node {
        Node::Literal(value) => Type::of_value(value),
        Node::Expression(expression) => of_expression(expression),
        Node::Text(fragments) => {
            for fragment in fragments {
                if let Fragment::Expression(expression) = fragment {
                    of_expression(expression);
                }
            }
            Type::String
        }
        Node::List(nodes) => {
            let elements = nodes.iter().enumerate();
            let elements = elements
                .map(|(index, node)| type_of_template(node, known, &element_of(place, index), complaints));
            Type::list(Type::any_of(elements.collect::<Vec<_>>()))
        }
        Node::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, node)| {
                (name.clone(), type_of_template(node, known, &field_of(place, name), complaints))
            });
            Type::object(fields.collect())
        }
    }
}

/// Complains unless `expression` may yield true or false.
pub(crate) fn type_of_predicate(expression: &Expression, known: &Known<'_>) -> Vec<String> {
    let mut checker = Checker::new(expression, known);
    let inferred = checker.expression();
    if !inferred.overlaps(&Type::Bool) {
        checker
            .complaints
            .push(format!("a check must yield true or false; `{}` yields {inferred}", expression.source()));
    }
    checker.complaints
}

struct Checker<'c> {
    form: &'c Form,
    known: &'c Known<'c>,
    /// The variables of the loops around the current node.
    locals: Vec<(&'c str, Type)>,
    complaints: Vec<String>,
}

impl<'c> Checker<'c> {
    fn new(expression: &'c Expression, known: &'c Known<'c>) -> Self {
        Self { form: expression.form(), known, locals: Vec::new(), complaints: Vec::new() }
    }

    fn expression(&mut self) -> Type {
        match self.form {
            Form::Path(path) => self.path(path),
            Form::Program { code, .. } => self.infer(code),
        }
    }

    fn complain(&mut self, message: String) -> Type {
        if !self.complaints.contains(&message) {
            self.complaints.push(message);
        }
        Type::Dyn
    }

    fn accept(&mut self, result: Result<Type, String>) -> Type {
        result.unwrap_or_else(|message| self.complain(message))
    }

    fn path(&mut self, path: &Path) -> Type {
        let mut inferred = match &path.root {
            Root::Input => self.known.input.clone(),
            Root::Output => self.known.output.cloned().unwrap_or(Type::Dyn),
            Root::Step(name) => match self.known.steps.get(name.as_str()) {
                Some(output) => output.clone(),
                None => return self.complain(unknown_step(path, name, self.known.steps)),
            },
        };
        for (depth, segment) in path.segments.iter().enumerate() {
            let here = Prefix { path, depth };
            let next = match segment {
                Segment::Field(name) => inferred.field(name, &here),
                Segment::Element(_) => inferred.element(&here),
            };
            match next {
                Ok(next) => inferred = next,
                Err(message) => return self.complain(message),
            }
        }
        inferred
    }

    fn infer(&mut self, expr: &'c IdedExpr) -> Type {
        match &expr.expr {
            Expr::Unspecified | Expr::Struct(_) => Type::Dyn,
            Expr::Literal(literal) => of_literal(literal),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.select(select),
            Expr::List(list) => {
                let elements: Vec<Type> = list.elements.iter().map(|element| self.infer(element)).collect();
                Type::list(Type::any_of(elements))
            }
            Expr::Map(map) => {
                let entries: Vec<_> = map.entries.iter().map(|entry| self.entry(&entry.expr)).collect();
                let named: Option<BTreeMap<String, Type>> = entries.iter().cloned().collect();
                named.map_or_else(|| Type::map(Type::Dyn), Type::object)
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    /// The name and type of an entry; nothing if its key is computed.
    fn entry(&mut self, entry: &'c EntryExpr) -> Option<(String, Type)> {
        let EntryExpr::MapEntry(entry) = entry else { return None };
        let key = self.infer(&entry.key);
        if [Type::Double, Type::Null, Type::Bytes].contains(&key)
            || matches!(key, Type::List(_) | Type::Object(_))
        {
            self.complain(format!("the keys of an object must be strings; this one is {key}"));
        }
        let value = self.infer(&entry.value);
        match &entry.key.expr {
            Expr::Literal(LiteralValue::String(name)) => Some((name.inner().to_owned(), value)),
            _ => None,
        }
    }

    fn variable(&mut self, name: &str) -> Type {
        if let Some((_, local)) = self.locals.iter().rev().find(|(local, _)| *local == name) {
            return local.clone();
        }
        let read = match self.form {
            Form::Program { reads, .. } => index(name).and_then(|index| reads.get(index)),
            Form::Path(_) => None,
        };
        match read {
            Some(Read::Value(path)) => self.path(path),
            Some(Read::Presence(path, field)) => {
                let object = self.path(path);
                let field = object.field(field, path);
                self.accept(field);
                Type::Bool
            }
            None if TYPE_NAMES.contains(&name) => Type::Meta,
            None => Type::Dyn,
        }
    }

    fn select(&mut self, select: &'c SelectExpr) -> Type {
        let operand = self.infer(&select.operand);
        let field = operand.field(&select.field, &spell(&select.operand));
        let field = self.accept(field);
        if select.test { Type::Bool } else { field }
    }

    fn call(&mut self, call: &'c CallExpr) -> Type {
        let name = call.func_name.as_str();
        match (name, call.args.as_slice()) {
            (TURN, [value]) => self.infer(value),
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.condition(condition, "the condition before `?`");
                let alternatives = [self.infer(yes), self.infer(no)];
                Type::any_of(alternatives)
            }
            (operators::LOGICAL_AND, [left, right]) => self.logical("&&", [left, right]),
            (operators::LOGICAL_OR, [left, right]) => self.logical("||", [left, right]),
            (operators::LOGICAL_NOT, [operand]) => self.logical("!", [operand]),
            (operators::NOT_STRICTLY_FALSE, _) => Type::Bool,
            (operators::NEGATE, [operand]) => self.negate(operand),
            (operators::INDEX, [operand, at]) => self.index(operand, at),
            (operators::IN, [element, container]) => self.contains(element, container),
            (operators::EQUALS, [left, right]) => self.equality("==", left, right),
            (operators::NOT_EQUALS, [left, right]) => self.equality("!=", left, right),
            (operators::LESS, [left, right]) => self.comparison("<", left, right),
            (operators::LESS_EQUALS, [left, right]) => self.comparison("<=", left, right),
            (operators::GREATER, [left, right]) => self.comparison(">", left, right),
            (operators::GREATER_EQUALS, [left, right]) => self.comparison(">=", left, right),
            (_, [left, right]) => match ARITHMETIC.iter().find(|it| it.name == name || it.operator == name) {
                Some(arithmetic) => self.arithmetic(arithmetic.symbol, left, right),
                None => self.function(call),
            },
            _ => self.function(call),
        }
    }

    fn condition(&mut self, condition: &'c IdedExpr, what: &str) {
        let inferred = self.infer(condition);
        if !inferred.overlaps(&Type::Bool) {
            self.complain(format!("{what} must be a bool; it is {inferred}"));
        }
    }

    fn logical<const N: usize>(&mut self, symbol: &str, operands: [&'c IdedExpr; N]) -> Type {
        for operand in operands {
            self.condition(operand, &format!("an operand of `{symbol}`"));
        }
        Type::Bool
    }

    fn negate(&mut self, operand: &'c IdedExpr) -> Type {
        let inferred = self.infer(operand);
        let result = inferred.distribute(|alternative| match alternative {
            Type::Dyn | Type::Int | Type::Double => Ok(alternative.clone()),
            other => Err(format!("`-` cannot be applied to {other}")),
        });
        self.accept(result)
    }

    fn arithmetic(&mut self, symbol: &str, left: &'c IdedExpr, right: &'c IdedExpr) -> Type {
        let (left, right) = (self.infer(left), self.infer(right));
        let result = left.distribute(|left| right.distribute(|right| arithmetic(symbol, left, right)));
        self.accept(result.map_err(|_| {
            let hint = match (symbol, left == Type::String || right == Type::String) {
                ("+", true) => "; convert the other operand, as in `string(…)`",
                _ => "",
            };
            format!("`{symbol}` cannot be applied to {left} and {right}{hint}")
        }))
    }

    fn comparison(&mut self, symbol: &str, left: &'c IdedExpr, right: &'c IdedExpr) -> Type {
        let (left, right) = (self.infer(left), self.infer(right));
        let ordered =
            |it: &Type| it.is_numeric() || matches!(it, Type::Dyn | Type::Bool | Type::String | Type::Bytes);
        let comparable = left.distribute(|left| {
            right.distribute(|right| {
                let comparable = left.overlaps(right) && ordered(left) && ordered(right);
                if comparable { Ok(Type::Bool) } else { Err(String::new()) }
            })
        });
        self.accept(comparable.map_err(|_| format!("`{symbol}` cannot compare {left} and {right}")));
        Type::Bool
    }

    fn equality(&mut self, symbol: &str, left: &'c IdedExpr, right: &'c IdedExpr) -> Type {
        let (left, right) = (self.infer(left), self.infer(right));
        // Comparing with null is how absence is asked for where the schema forgot to mention it.
        if !left.overlaps(&right) && left != Type::Null && right != Type::Null {
            let always = symbol == "!=";
            self.complain(format!("`{symbol}` between {left} and {right} is always {always}"));
        }
        Type::Bool
    }

    fn index(&mut self, operand: &'c IdedExpr, at: &'c IdedExpr) -> Type {
        let (object, key) = (self.infer(operand), self.infer(at));
        let place = spell(operand);
        if let Expr::Literal(LiteralValue::String(name)) = &at.expr {
            let field = object.field(name.inner(), &place);
            return self.accept(field);
        }
        let result = object.distribute(|alternative| match alternative {
            Type::Object(fields) if key.overlaps(&Type::String) => {
                let types = fields.known.values().chain(&fields.others).cloned();
                Ok(Type::any_of(types))
            }
            Type::List(element) if key.overlaps(&Type::Int) => Ok(element.as_ref().clone()),
            Type::Dyn => Ok(Type::Dyn),
            Type::Object(_) | Type::List(_) => {
                Err(format!("`{place}` is {alternative}; its index cannot be {key}"))
            }
            other => Err(format!("`{place}` is {other} and has no elements")),
        });
        self.accept(result)
    }

    fn contains(&mut self, element: &'c IdedExpr, container: &'c IdedExpr) -> Type {
        let (element, container) = (self.infer(element), self.infer(container));
        let result = container.distribute(|alternative| match alternative {
            Type::Dyn => Ok(Type::Bool),
            Type::List(elements) if elements.overlaps(&element) => Ok(Type::Bool),
            Type::List(elements) => {
                Err(format!("{element} is never `in` a list whose elements are {elements}"))
            }
            Type::Object(_) if element.overlaps(&Type::String) => Ok(Type::Bool),
            Type::Object(_) => Err(format!("the fields of an object have names; {element} is never `in` it")),
            Type::String => Err("`in` does not search a string; use `text.contains(part)`".to_owned()),
            other => Err(format!("`in` needs a list or an object on its right, not {other}")),
        });
        self.accept(result);
        Type::Bool
    }

    fn comprehension(&mut self, it: &'c ComprehensionExpr) -> Type {
        let range = self.infer(&it.iter_range);
        let element = range.distribute(|alternative| match alternative {
            Type::Dyn => Ok(Type::Dyn),
            Type::List(element) => Ok(element.as_ref().clone()),
            Type::Object(_) => Ok(Type::String),
            other => Err(format!(
                "only lists and objects can be looped over; `{}` is {other}",
                spell(&it.iter_range)
            )),
        });
        let element = self.accept(element);
        let start = self.infer(&it.accu_init);
        self.locals.push((&it.iter_var, element));
        self.locals.push((&it.accu_var, start.clone()));
        let step = self.infer(&it.loop_step);
        self.locals.pop();
        self.locals.push((&it.accu_var, Type::any_of([start, step])));
        let result = self.infer(&it.result);
        self.locals.truncate(self.locals.len() - 2);
        // The list that `map` starts from is empty, and one that stays empty has every type.
        match result {
            Type::Union(alternatives) if alternatives.iter().all(|it| matches!(it, Type::List(_))) => {
                let elements = alternatives.iter().filter_map(|it| match it {
                    Type::List(element) => Some(element.as_ref().clone()),
                    _ => None,
                });
                Type::list(Type::any_of(elements))
            }
            other => other,
        }
    }

    fn function(&mut self, call: &'c CallExpr) -> Type {
        let namespace =
            call.target.as_ref().filter(|it| matches!(&it.expr, Expr::Ident(name) if name == "strings"));
        let receiver = call.target.as_deref().filter(|_| namespace.is_none());
        let name = match namespace {
            Some(_) => format!("strings.{}", call.func_name),
            None => call.func_name.clone(),
        };
        let given: Vec<Type> =
            receiver.into_iter().chain(&call.args).map(|argument| self.infer(argument)).collect();
        let yielded =
            functions::type_of_call(&Call { name: &name, method: receiver.is_some(), given: &given });
        self.accept(yielded)
    }
}

fn unknown_step(path: &Path, name: &str, steps: &BTreeMap<&str, Type>) -> String {
    let step = Prefix { path, depth: 0 };
    match did_you_mean(name, steps.keys().copied()).as_str() {
        "" => format!("`{step}` is not a step; the steps are {}", list(steps.keys().copied())),
        suggestion => format!("`{step}` is not a step{suggestion}"),
    }
}

fn of_literal(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// What an arithmetic operator yields for two operands, as the interpreter computes it.
fn arithmetic(symbol: &str, left: &Type, right: &Type) -> Result<Type, String> {
    match (symbol, left, right) {
        (_, Type::Dyn, _) | (_, _, Type::Dyn) => Ok(Type::Dyn),
        ("+", Type::List(a), Type::List(b)) => {
            Ok(Type::list(Type::any_of([a.as_ref().clone(), b.as_ref().clone()])))
        }
        ("+", Type::String, Type::String) => Ok(Type::String),
        ("+", Type::Bytes, Type::Bytes) => Ok(Type::Bytes),
        (_, Type::Int, Type::Int) => Ok(Type::Int),
        (_, Type::Uint, Type::Uint) => Ok(Type::Uint),
        ("+" | "-" | "*" | "/", Type::Double, other) | ("+" | "-" | "*" | "/", other, Type::Double)
            if other.is_numeric() =>
        {
            Ok(Type::Double)
        }
        _ => Err(String::new()),
    }
}

/// A few words for an operand that is not a path.
fn spell(expr: &IdedExpr) -> String {
    match &expr.expr {
        Expr::Ident(name) if !name.starts_with('@') => name.clone(),
        Expr::Select(select) => format!("{}.{}", spell(&select.operand), select.field),
        _ => "…".to_owned(),
    }
}
