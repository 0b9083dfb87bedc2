//! The functions that expressions may call: the standard library of CEL and its `strings` extension, as the crate
//! `cel` 0.15 implements them. The standard leaves optional values, time and protocol buffers out of reach here:
//! JSON has none of them.

use super::Type;
use crate::workflow::text::did_you_mean;

/// What a function takes or yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    List,
    Object,
    Strings,
    Meta,
}

/// One way to call a function. The first parameter of a method stands before the dot.
struct Overload {
    name: &'static str,
    method: bool,
    takes: &'static [Kind],
    yields: Kind,
}

impl Kind {
    /// Whether a value of type `given` may have this kind.
    fn accepts(self, given: &Type) -> bool {
        let alternatives = given.alternatives();
        alternatives.is_empty()
            || alternatives.iter().any(|alternative| self.accepts_alternative(alternative))
    }

    fn accepts_alternative(self, given: &Type) -> bool {
        match (self, given) {
            (Self::Any, _)
            | (_, Type::Dyn)
            | (Self::List | Self::Strings, Type::List(_))
            | (Self::Object, Type::Object(_)) => true,
            (kind, given) => *given == kind.into(),
        }
    }
}

impl From<Kind> for Type {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Any => Self::Dyn,
            Kind::Bool => Self::Bool,
            Kind::Int => Self::Int,
            Kind::Uint => Self::Uint,
            Kind::Double => Self::Double,
            Kind::String => Self::String,
            Kind::Bytes => Self::Bytes,
            Kind::List => Self::list(Self::Dyn),
            Kind::Object => Self::map(Self::Dyn),
            Kind::Strings => Self::list(Self::String),
            Kind::Meta => Self::Meta,
        }
    }
}

use Kind::{Any, Bool, Bytes, Double, Int, List, Object, String as Text, Strings, Uint};

const fn function(name: &'static str, takes: &'static [Kind], yields: Kind) -> Overload {
    Overload { name, method: false, takes, yields }
}

const fn method(name: &'static str, takes: &'static [Kind], yields: Kind) -> Overload {
    Overload { name, method: true, takes, yields }
}

/// Every way to call every function.
const OVERLOADS: [Overload; 56] = [
    function("bool", &[Bool], Bool),
    function("bool", &[Text], Bool),
    function("bytes", &[Bytes], Bytes),
    function("bytes", &[Text], Bytes),
    function("double", &[Double], Double),
    function("double", &[Int], Double),
    function("double", &[Uint], Double),
    function("double", &[Text], Double),
    function("dyn", &[Any], Any),
    function("int", &[Int], Int),
    function("int", &[Uint], Int),
    function("int", &[Double], Int),
    function("int", &[Text], Int),
    function("matches", &[Text, Text], Bool),
    function("size", &[Text], Int),
    function("size", &[Bytes], Int),
    function("size", &[List], Int),
    function("size", &[Object], Int),
    function("string", &[Text], Text),
    function("string", &[Bool], Text),
    function("string", &[Int], Text),
    function("string", &[Uint], Text),
    function("string", &[Double], Text),
    function("string", &[Bytes], Text),
    function("strings.quote", &[Text], Text),
    function("type", &[Any], Kind::Meta),
    function("uint", &[Uint], Uint),
    function("uint", &[Int], Uint),
    function("uint", &[Double], Uint),
    function("uint", &[Text], Uint),
    method("charAt", &[Text, Int], Text),
    method("contains", &[Text, Text], Bool),
    method("endsWith", &[Text, Text], Bool),
    method("format", &[Text, List], Text),
    method("indexOf", &[Text, Text], Int),
    method("indexOf", &[Text, Text, Int], Int),
    method("join", &[List], Text),
    method("join", &[List, Text], Text),
    method("lastIndexOf", &[Text, Text], Int),
    method("lastIndexOf", &[Text, Text, Int], Int),
    method("lowerAscii", &[Text], Text),
    method("matches", &[Text, Text], Bool),
    method("replace", &[Text, Text, Text], Text),
    method("replace", &[Text, Text, Text, Int], Text),
    method("reverse", &[Text], Text),
    method("size", &[Text], Int),
    method("size", &[Bytes], Int),
    method("size", &[List], Int),
    method("size", &[Object], Int),
    method("split", &[Text, Text], Strings),
    method("split", &[Text, Text, Int], Strings),
    method("startsWith", &[Text, Text], Bool),
    method("substring", &[Text, Int], Text),
    method("substring", &[Text, Int, Int], Text),
    method("trim", &[Text], Text),
    method("upperAscii", &[Text], Text),
];

/// A call whose arguments are known by their types.
pub(crate) struct Call<'c> {
    pub(crate) name: &'c str,
    /// Whether the first of `given` stands before the dot.
    pub(crate) method: bool,
    pub(crate) given: &'c [Type],
}

/// What a call yields, or why it cannot be made.
pub(crate) fn type_of_call(call: &Call<'_>) -> Result<Type, String> {
    let named: Vec<&Overload> = OVERLOADS.iter().filter(|overload| overload.name == call.name).collect();
    let Some(first) = named.first() else {
        let known = OVERLOADS.iter().map(|overload| overload.name);
        return Err(format!("there is no function `{}`{}", call.name, did_you_mean(call.name, known)));
    };
    let styled: Vec<&Overload> =
        named.iter().copied().filter(|overload| overload.method == call.method).collect();
    if styled.is_empty() {
        return Err(if first.method {
            format!("`{0}` is called on a value, as in `input.text.{0}(…)`", call.name)
        } else {
            format!("`{0}` is not called on a value but with it, as in `{0}(input.text)`", call.name)
        });
    }
    let counted: Vec<&Overload> =
        styled.iter().copied().filter(|overload| overload.takes.len() == call.given.len()).collect();
    if counted.is_empty() {
        return Err(wrong_count(call, &styled));
    }
    let fitting = counted
        .iter()
        .filter(|overload| overload.takes.iter().zip(call.given).all(|(kind, given)| kind.accepts(given)));
    let yields: Vec<Type> = fitting.map(|overload| overload.yields.into()).collect();
    if yields.is_empty() { Err(wrong_types(call)) } else { Ok(Type::any_of(yields)) }
}

fn wrong_count(call: &Call<'_>, overloads: &[&Overload]) -> String {
    let receivers = usize::from(call.method);
    let mut counts: Vec<usize> = overloads.iter().map(|overload| overload.takes.len() - receivers).collect();
    counts.sort_unstable();
    counts.dedup();
    let expected: Vec<String> = counts.iter().map(ToString::to_string).collect();
    let plural = if counts == [1] { "" } else { "s" };
    format!(
        "`{}` takes {} argument{plural}, not {}",
        call.name,
        expected.join(" or "),
        call.given.len() - receivers
    )
}

fn wrong_types(call: &Call<'_>) -> String {
    let given: Vec<String> = call.given.iter().map(ToString::to_string).collect();
    match (call.method, given.as_slice()) {
        (true, [receiver]) => format!("`{}` cannot be called on {receiver}", call.name),
        (true, [receiver, arguments @ ..]) => {
            format!("`{}` cannot be called on {receiver} with {}", call.name, arguments.join(" and "))
        }
        (_, arguments) => format!("`{}` cannot be applied to {}", call.name, arguments.join(" and ")),
    }
}

/// A call of every overload.
#[cfg(test)]
pub(super) fn samples() -> impl Iterator<Item = String> {
    let sample = |kind: &Kind| match kind {
        Kind::Any | Kind::Int | Kind::Meta => "0",
        Kind::Bool => "true",
        Kind::Uint => "1u",
        Kind::Double => "1.5",
        Kind::String => "'1'",
        Kind::Bytes => "b'1'",
        Kind::List | Kind::Strings => "['1']",
        Kind::Object => "{'a': 1}",
    };
    OVERLOADS.iter().map(move |overload| {
        let mut arguments: Vec<&str> = overload.takes.iter().map(sample).collect();
        let receiver = if overload.method { format!("{}.", arguments.remove(0)) } else { String::new() };
        format!("{receiver}{}({})", overload.name, arguments.join(", "))
    })
}
