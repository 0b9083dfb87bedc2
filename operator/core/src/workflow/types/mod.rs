//! Static types: what an expression will yield, known before it runs.

mod check;
mod functions;
mod infer;

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;

pub(crate) use check::{Known, type_of_predicate, type_of_template};
pub(crate) use infer::of_schema;

use super::text::{did_you_mean, list};

/// A union of more alternatives than this says nothing that would help an author.
const ALTERNATIVES: usize = 12;

/// What is known about a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    /// Nothing.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    /// What `type(x)` yields.
    Meta,
    List(Arc<Type>),
    Object(Arc<Fields>),
    /// One of several. None at all: the element of an empty list.
    Union(Arc<[Type]>),
}

/// The fields of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fields {
    pub(crate) known: BTreeMap<String, Type>,
    /// The type of all other fields; absent: there are none.
    pub(crate) others: Option<Type>,
}

impl Type {
    pub(crate) fn list(element: Self) -> Self {
        Self::List(Arc::new(element))
    }

    /// An object of exactly these fields.
    pub(crate) fn object(known: BTreeMap<String, Self>) -> Self {
        Self::Object(Arc::new(Fields { known, others: None }))
    }

    /// An object with any fields, all of one type.
    pub(crate) fn map(values: Self) -> Self {
        Self::Object(Arc::new(Fields { known: BTreeMap::new(), others: Some(values) }))
    }

    pub(crate) fn never() -> Self {
        Self::Union(Arc::new([]))
    }

    /// `int` or `double`: JSON does not tell.
    pub(crate) fn number() -> Self {
        Self::any_of([Self::Int, Self::Double])
    }

    /// One of `types`. What is contained twice counts once; with one unknown alternative nothing is known.
    pub(crate) fn any_of(types: impl IntoIterator<Item = Self>) -> Self {
        let mut alternatives: Vec<Self> = Vec::new();
        for alternative in types.into_iter().flat_map(|it| it.alternatives().to_vec()) {
            if alternative == Self::Dyn {
                return Self::Dyn;
            }
            if !alternatives.contains(&alternative) {
                alternatives.push(alternative);
            }
        }
        match alternatives.len() {
            1 => alternatives.remove(0),
            n if n > ALTERNATIVES => Self::Dyn,
            _ => Self::Union(alternatives.into()),
        }
    }

    /// The type itself, or the members of a union.
    pub(crate) fn alternatives(&self) -> &[Self] {
        match self {
            Self::Union(alternatives) => alternatives,
            other => std::slice::from_ref(other),
        }
    }

    /// The type of a JSON value.
    pub(crate) fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_i64() => Self::Int,
            Value::Number(number) if number.is_u64() => Self::Uint,
            Value::Number(_) => Self::Double,
            Value::String(_) => Self::String,
            Value::Array(elements) => Self::list(Self::any_of(elements.iter().map(Self::of_value))),
            Value::Object(fields) => Self::object(
                fields.iter().map(|(name, value)| (name.clone(), Self::of_value(value))).collect(),
            ),
        }
    }

    pub(crate) fn is_numeric(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Whether some value has both types.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self.alternatives(), other.alternatives());
        a.is_empty() || b.is_empty() || a.iter().any(|a| b.iter().any(|b| a.overlaps_alternative(b)))
    }

    fn overlaps_alternative(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) | (Self::Object(_), Self::Object(_)) => true,
            (Self::List(a), Self::List(b)) => a.overlaps(b),
            (a, b) => a == b || (a.is_numeric() && b.is_numeric()),
        }
    }

    /// The type of the field `name` of the value that reads as `place`.
    pub(crate) fn field(&self, name: &str, place: &dyn fmt::Display) -> Result<Self, String> {
        self.distribute(|alternative| match alternative {
            Self::Dyn => Ok(Self::Dyn),
            Self::Object(fields) => match (fields.known.get(name), &fields.others) {
                (Some(field), _) => Ok(field.clone()),
                (None, Some(others)) => Ok(others.clone()),
                (None, None) if fields.known.is_empty() => {
                    Err(format!("`{place}` has no field `{name}`: it is empty"))
                }
                (None, None) => {
                    let known = || fields.known.keys().map(String::as_str);
                    Err(format!(
                        "`{place}` has no field `{name}`{}; it has {}",
                        did_you_mean(name, known()),
                        list(known())
                    ))
                }
            },
            other => Err(format!("`{place}` is {other}, which has no field `{name}`")),
        })
    }

    /// The type of an element, by whatever index, of the value that reads as `place`.
    pub(crate) fn element(&self, place: &dyn fmt::Display) -> Result<Self, String> {
        self.distribute(|alternative| match alternative {
            Self::Dyn => Ok(Self::Dyn),
            Self::List(element) => Ok(element.as_ref().clone()),
            Self::Object(_) => Err(format!("`{place}` is an object: its fields have names, not numbers")),
            other => Err(format!("`{place}` is {other} and has no elements")),
        })
    }

    /// What `operation` yields for whatever alternatives it accepts; the last complaint if it accepts none.
    pub(crate) fn distribute(
        &self,
        operation: impl Fn(&Self) -> Result<Self, String>,
    ) -> Result<Self, String> {
        let mut results = Vec::new();
        let mut complaint = None;
        for alternative in self.alternatives() {
            match operation(alternative) {
                Ok(result) => results.push(result),
                // What is said about null helps least: it is one of the alternatives to mean that there is no value.
                Err(_) if *alternative == Self::Null && complaint.is_some() => {}
                Err(message) => complaint = Some(message),
            }
        }
        match complaint {
            Some(message) if results.is_empty() => Err(message),
            _ if results.is_empty() => Ok(Self::Dyn),
            _ => Ok(Self::any_of(results)),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dyn => "any value",
            Self::Null => "null",
            Self::Bool => "a bool",
            Self::Int => "an int",
            Self::Uint => "a uint",
            Self::Double => "a double",
            Self::String => "a string",
            Self::Bytes => "bytes",
            Self::Meta => "a type",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
            Self::Union(alternatives) if alternatives.is_empty() => "nothing",
            Self::Union(alternatives) => return write_union(f, alternatives),
        })
    }
}

fn write_union(f: &mut fmt::Formatter<'_>, alternatives: &[Type]) -> fmt::Result {
    let numeric = [Type::Int, Type::Double].iter().all(|number| alternatives.contains(number));
    let mut names: Vec<String> = Vec::new();
    for alternative in alternatives {
        let name = match alternative {
            Type::Int | Type::Double if numeric => "a number".to_owned(),
            other => other.to_string(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    f.write_str(&names.join(" or "))
}

#[cfg(test)]
mod tests;
