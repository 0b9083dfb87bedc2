//! A task as a plain, typed function: what small models write far better than `run(input)`.
//!
//! Where all inputs are objects with the same fields, these become parameters; where all outputs are objects with one and
//! the same field, its value becomes the result. The code that the model writes is then completed by a `run` that calls
//! it.

use std::collections::BTreeSet;

use dise_core::{
    function::{Function, Language},
    synthesis::Task,
    verification::Example,
};
use serde_json::{Map, Value};

use super::notation::literal;

/// Words of the description that name the function: what is done, and to what.
const NAME_WORDS: usize = 2;
/// Words that say nothing in a name.
const FILLERS: [&str; 16] = [
    "a", "an", "and", "are", "by", "for", "if", "in", "is", "it", "of", "on", "the", "to", "whether", "with",
];
const NAME_CHARS: usize = 40;
const MOST_PARAMETERS: usize = 8;
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// A plain function that does what a task asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    name: String,
    /// Name and type of each parameter, which is a field of the input.
    parameters: Vec<(String, &'static str)>,
    /// The field of the output that the result becomes.
    field: Option<String>,
    result: &'static str,
}

impl Signature {
    /// The plain function of a task, if its examples have a form that allows one.
    pub(super) fn of(task: &Task) -> Option<Self> {
        if task.language != Language::Python || task.examples.is_empty() {
            return None;
        }
        let inputs: Vec<&Map<String, Value>> = objects(task.examples.iter().map(|example| &example.input))?;
        let fields: Vec<&String> = inputs.first()?.keys().collect();
        let same = inputs.iter().all(|input| input.keys().eq(fields.iter().copied()));
        if !same
            || !(1..=MOST_PARAMETERS).contains(&fields.len())
            || !fields.iter().all(|field| is_name(field))
        {
            return None;
        }
        let type_of = |field: &String| type_name(inputs.iter().filter_map(|input| input.get(field)));
        let parameters = fields.into_iter().map(|field| (field.clone(), type_of(field))).collect();
        let field = only_field(&task.examples);
        let outputs = task.examples.iter().map(|example| match &field {
            Some(field) => &example.output[field],
            None => &example.output,
        });
        Some(Self { name: name(&task.description), parameters, result: type_name(outputs), field })
    }

    /// `name(parameter: type, …) -> type`.
    pub(super) fn declaration(&self) -> String {
        let parameters = self.parameters.iter().map(|(name, type_)| format!("{name}: {type_}"));
        format!("{}({}) -> {}", self.name, parameters.collect::<Vec<_>>().join(", "), self.result)
    }

    /// The call of an example's input; nothing for an input of another form.
    pub(super) fn call(&self, input: &Value) -> String {
        let arguments =
            self.parameters.iter().map(|(name, _)| literal(Language::Python, &input[name.as_str()]));
        format!("{}({})", self.name, arguments.collect::<Vec<_>>().join(", "))
    }

    /// What the call of an example gives.
    pub(super) fn outcome(&self, output: &Value) -> String {
        literal(Language::Python, self.field.as_ref().map_or(output, |field| &output[field]))
    }

    /// What is said about the output's schema: of one whose field the result becomes, that of the field, and only if it
    /// says more than the type.
    pub(super) fn schema(&self, schema: &Value) -> Option<Value> {
        let Some(field) = &self.field else { return Some(schema.clone()) };
        let inner = schema.pointer(&format!("/properties/{field}"))?;
        let says_more = inner.as_object().is_some_and(|keywords| keywords.keys().any(|word| word != "type"));
        says_more.then(|| inner.clone())
    }

    /// Completes code that defines the plain function by a `run` that calls it. Code that has a `run` stays as it is.
    pub(super) fn complete(&self, function: Function) -> Function {
        let defined: Vec<&str> = function.source.lines().filter_map(defines).collect();
        if defined.contains(&"run") {
            return function;
        }
        let Some(name) = defined.iter().find(|name| **name == self.name).or(defined.last()) else {
            return function;
        };
        let arguments = self.parameters.iter().map(|(name, _)| format!("input[\"{name}\"]"));
        let call = format!("{name}({})", arguments.collect::<Vec<_>>().join(", "));
        let result = match &self.field {
            Some(field) => format!("{{{}: {call}}}", Value::from(field.as_str())),
            None => call,
        };
        let source = format!("{}\n\n\ndef run(input):\n    return {result}\n", function.source.trim_end());
        Function { source, ..function }
    }
}

fn objects<'v>(values: impl Iterator<Item = &'v Value>) -> Option<Vec<&'v Map<String, Value>>> {
    values.map(Value::as_object).collect()
}

/// The one field that all outputs have, and no other.
fn only_field(examples: &[Example]) -> Option<String> {
    let outputs = objects(examples.iter().map(|example| &example.output))?;
    let field = outputs.first()?.keys().next()?;
    outputs.iter().all(|output| output.len() == 1 && output.contains_key(field)).then(|| field.clone())
}

/// The name of the function that a line at the left margin defines.
fn defines(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("def ")?;
    Some(rest.split('(').next().unwrap_or_default().trim())
}

/// The first words of a description as a name.
fn name(description: &str) -> String {
    let words = description.split(|character: char| !character.is_ascii_alphanumeric());
    let words = words.map(str::to_ascii_lowercase);
    let telling = words.filter(|word| !word.is_empty() && !FILLERS.contains(&word.as_str()));
    let words: Vec<String> = telling.take(NAME_WORDS).collect();
    let name: String = words.join("_").chars().take(NAME_CHARS).collect();
    if is_name(&name) && name != "run" { name } else { "solve".to_owned() }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
        && !KEYWORDS.contains(&text)
}

/// The type of all these values as Python's hints name it.
fn type_name<'v>(values: impl Iterator<Item = &'v Value>) -> &'static str {
    let types: BTreeSet<&'static str> = values.map(type_of).collect();
    let types: Vec<&'static str> = types.into_iter().collect();
    match types.as_slice() {
        [only] => only,
        ["float", "int"] => "float",
        ["list", full] if full.starts_with("list[") => full,
        _ => "object",
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "None",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Object(_) => "dict",
        Value::Array(items) if items.is_empty() => "list",
        Value::Array(items) => match type_name(items.iter()) {
            "bool" => "list[bool]",
            "int" => "list[int]",
            "float" => "list[float]",
            "str" => "list[str]",
            "dict" => "list[dict]",
            _ => "list",
        },
    }
}

#[cfg(test)]
mod tests {
    use dise_core::function::Limits;
    use serde_json::json;

    use super::*;

    fn task(description: &str, examples: &[(Value, Value)]) -> Task {
        let example =
            |(input, output): &(Value, Value)| Example { input: input.clone(), output: output.clone() };
        Task {
            description: description.to_owned(),
            language: Language::Python,
            output: json!(true),
            examples: examples.iter().map(example).collect(),
            checks: Vec::new(),
            limits: Limits::default(),
        }
    }

    fn python(source: &str) -> Function {
        Function { language: Language::Python, source: source.to_owned() }
    }

    #[test]
    fn turns_fields_into_parameters_and_a_lone_field_into_the_result() {
        let task = task(
            "Reverse the text, loudly or not!",
            &[
                (json!({"text": "hi", "times": [1]}), json!({"text": "ih"})),
                (json!({"text": "", "times": []}), json!({"text": ""})),
            ],
        );
        let signature = Signature::of(&task).unwrap();
        assert_eq!(signature.declaration(), "reverse_text(text: str, times: list[int]) -> str");
        assert_eq!(signature.call(&task.examples[0].input), r#"reverse_text("hi", [1])"#);
        assert_eq!(signature.outcome(&task.examples[0].output), r#""ih""#);
        let complete = signature.complete(python("def reverse_text(text, times):\n    return text\n"));
        assert_eq!(
            complete.source,
            "def reverse_text(text, times):\n    return text\n\n\ndef run(input):\n    return {\"text\": \
             reverse_text(input[\"text\"], input[\"times\"])}\n"
        );
    }

    #[test]
    fn returns_what_has_more_than_one_field_as_it_is() {
        let task = task("Split.", &[(json!({"n": 7}), json!({"q": 3, "r": 1}))]);
        let signature = Signature::of(&task).unwrap();
        assert_eq!(signature.declaration(), "split(n: int) -> dict");
        assert!(
            signature
                .complete(python("def f(n):\n    return {}\n"))
                .source
                .ends_with("return f(input[\"n\"])\n")
        );
    }

    #[test]
    fn leaves_code_alone_that_has_a_run() {
        let signature = Signature::of(&task("", &[(json!({"n": 7}), json!(1))])).unwrap();
        assert_eq!(signature.declaration(), "solve(n: int) -> int");
        for source in ["def run(input):\n    return 1\n", "RUN = 1\n"] {
            assert_eq!(signature.complete(python(source)).source, source);
        }
    }

    #[test]
    fn gives_up_on_inputs_without_fields_that_are_always_there() {
        for examples in [
            vec![(json!("text"), json!(1))],
            vec![(json!({"a": 1}), json!(1)), (json!({"a": 1, "b": 2}), json!(1))],
            vec![(json!({"class": 1}), json!(1))],
            vec![(json!({"a b": 1}), json!(1))],
            vec![(json!({}), json!(1))],
            vec![],
        ] {
            assert_eq!(Signature::of(&task("Do.", &examples)), None, "{examples:?}");
        }
    }

    #[test]
    fn says_of_the_schema_what_the_types_do_not() {
        let signature = Signature::of(&task("Do.", &[(json!({"n": 7}), json!({"label": "a"}))])).unwrap();
        let schema = |field: Value| json!({"type": "object", "properties": {"label": field}});
        assert_eq!(signature.schema(&schema(json!({"type": "string"}))), None);
        let labels = json!({"enum": ["a", "b"]});
        assert_eq!(signature.schema(&schema(labels.clone())), Some(labels));
    }
}
