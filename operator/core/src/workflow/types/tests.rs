use serde_json::{Value, json};

use super::*;
use crate::workflow::{Predicate, Template};

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["text"],
        "properties": {
            "text": {"type": "string"},
            "n": {"type": "integer"},
            "f": {"type": "number"},
            "yes": {"type": "boolean"},
            "maybe": {"type": ["string", "null"]},
            "label": {"enum": ["a", "b"]},
            "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
            "free": {"type": "object"},
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
            "open": {"properties": {"a": {"type": "string"}}, "additionalProperties": true},
            "either": {"oneOf": [{"type": "string"}, {"$ref": "#/$defs/item"}]},
            "both": {"allOf": [{"$ref": "#/$defs/item"}, {"properties": {"extra": {"type": "boolean"}}}]},
            "tree": {"$ref": "#/$defs/tree"},
        },
        "$defs": {
            "item": {"type": "object", "properties": {"name": {"type": "string"}, "price": {"type": "number"}}},
            "tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}, "value": {"type": "integer"}}},
        },
    })
}

fn check(expression: &str) -> (Type, Vec<String>) {
    let input = of_schema(&schema());
    let steps = BTreeMap::from([("clean", of_schema(&json!({"properties": {"text": {"type": "string"}}})))]);
    let template =
        Template::parse(&json!(format!("${{{expression}}}"))).unwrap_or_else(|errors| panic!("{errors:?}"));
    let mut complaints = Vec::new();
    let known = Known { input: &input, output: None, steps: &steps };
    let inferred = type_of_template(template.root(), &known, "", &mut complaints);
    (inferred, complaints.into_iter().map(|(_, message)| message).collect())
}

/// Expressions that can run, and what they yield.
fn runnable() -> Vec<(&'static str, Type)> {
    vec![
        ("input.text", Type::String),
        ("input.text + '!'", Type::String),
        ("input.n + 1", Type::Int),
        ("input.n + 1.5", Type::Double),
        ("input.f * 2", Type::number()),
        ("input.f / 2.0", Type::Double),
        ("-input.n", Type::Int),
        ("input.n < input.f", Type::Bool),
        ("input.maybe", Type::any_of([Type::String, Type::Null])),
        ("input.maybe + '!'", Type::String),
        ("input.maybe == null ? 'none' : input.maybe", Type::any_of([Type::String, Type::Null])),
        ("input.text == null", Type::Bool),
        ("input.label in ['a', 'c']", Type::Bool),
        ("input.items[0].name", Type::String),
        ("input.items[input.n].price", Type::number()),
        ("input.items.map(x, x.name)", Type::list(Type::String)),
        ("input.items.filter(x, x.price > 1)[0].name", Type::String),
        ("input.items.map(x, x.price > 1.0, x.name)", Type::list(Type::String)),
        ("input.items.exists(x, x.name == 'a') && input.items.all(x, has(x.price))", Type::Bool),
        ("input.items.exists_one(x, x.price == 1)", Type::Bool),
        ("input.free.whatever.you[0].like", Type::Dyn),
        ("input.counts.anything + 1", Type::Int),
        ("input.counts.map(key, key)", Type::list(Type::String)),
        ("input.counts[input.text]", Type::Int),
        ("input.open.b", Type::Dyn),
        ("input.either.name", Type::String),
        ("input.both.name + string(input.both.extra)", Type::String),
        ("input.tree.left.left.left.value", Type::Dyn),
        ("input.tree.value", Type::Int),
        ("{'a': input.n}.a", Type::Int),
        ("[1, 'a'][0]", Type::any_of([Type::Int, Type::String])),
        ("[] + [input.n]", Type::list(Type::Int)),
        ("size(input.text) + size(input.items) + input.text.size()", Type::Int),
        ("input.text.lowerAscii().split(' ').join('-')", Type::String),
        ("input.text.matches('^a') || matches(input.text, 'b')", Type::Bool),
        ("int(input.text) + int(input.f)", Type::Int),
        ("strings.quote(input.text)", Type::String),
        ("type(input.n) == int", Type::Bool),
        ("dyn(input.n) + input.text", Type::Dyn),
        ("has(input.n) && input.yes", Type::Bool),
        ("steps.clean.text", Type::String),
        ("input.items.map(x, input.items.map(y, x.price * y.price))", Type::list(Type::list(Type::number()))),
    ]
}

#[test]
fn accepts_what_can_run() {
    for (expression, expected) in runnable() {
        assert_eq!(check(expression), (expected, vec![]), "{expression}");
    }
}

#[test]
fn rejects_what_cannot_run_and_says_why() {
    let table = [
        ("input.txt", "`input` has no field `txt`; did you mean `text`?"),
        ("input.zzzzzz", "`input` has no field `zzzzzz`; it has `both`, `counts`"),
        (
            "input.items[0].nmae",
            "`input.items[0]` has no field `nmae`; did you mean `name`?; it has `name`, `price`",
        ),
        ("input.items.name", "`input.items` is a list, which has no field `name`"),
        ("input.text.x", "`input.text` is a string, which has no field `x`"),
        ("input.text[0]", "`input.text` is a string and has no elements"),
        ("input[0]", "`input` is an object: its fields have names, not numbers"),
        ("has(input.txt)", "`input` has no field `txt`"),
        ("steps.claen.text", "`steps.claen` is not a step; did you mean `clean`?"),
        ("steps.zzzzzzz.text", "`steps.zzzzzzz` is not a step; the steps are `clean`"),
        ("steps.clean.label", "`steps.clean` has no field `label`; it has `text`"),
        (
            "input.text + 1",
            "`+` cannot be applied to a string and an int; convert the other operand, as in `string(…)`",
        ),
        ("input.text - 'a'", "`-` cannot be applied to a string and a string"),
        ("input.f % 2.0", "`%` cannot be applied to a number and a double"),
        ("input.n && true", "an operand of `&&` must be a bool; it is an int"),
        ("!input.n", "an operand of `!` must be a bool; it is an int"),
        ("-input.text", "`-` cannot be applied to a string"),
        ("'a' < 1", "`<` cannot compare a string and an int"),
        ("input.free < input.free", "`<` cannot compare an object and an object"),
        ("input.text == 1", "`==` between a string and an int is always false"),
        ("input.n != 'a'", "`!=` between an int and a string is always true"),
        ("'a' in input.text", "`in` does not search a string; use `text.contains(part)`"),
        ("1 in ['a']", "an int is never `in` a list whose elements are a string"),
        ("1 in input.free", "the fields of an object have names; an int is never `in` it"),
        ("1 in 2", "`in` needs a list or an object on its right, not an int"),
        ("input.text ? 1 : 2", "the condition before `?` must be a bool; it is a string"),
        ("input.items['a']", "`input.items` is a list, which has no field `a`"),
        ("input.items[input.text]", "is a list; its index cannot be a string"),
        ("input.text.map(x, x)", "only lists and objects can be looped over; `…` is a string"),
        ("input.items.map(x, x.nmae)", "`x` has no field `nmae`; did you mean `name`?"),
        ("input.items.all(x, x.name)", "an operand of `&&` must be a bool; it is a string"),
        ("input.items.filter(x, x.price)", "must be a bool; it is a number"),
        ("siez(input.text)", "there is no function `siez`; did you mean `size`?"),
        ("input.text.lower()", "there is no function `lower`"),
        ("input.text.startWith('a')", "there is no function `startWith`; did you mean `startsWith`?"),
        (
            "startsWith(input.text, 'a')",
            "`startsWith` is called on a value, as in `input.text.startsWith(…)`",
        ),
        ("input.text.int()", "`int` is not called on a value but with it, as in `int(input.text)`"),
        ("input.text.startsWith()", "`startsWith` takes 1 argument, not 0"),
        ("input.text.substring()", "`substring` takes 1 or 2 arguments, not 0"),
        ("input.n.startsWith('a')", "`startsWith` cannot be called on an int with a string"),
        ("size(input.n)", "`size` cannot be applied to an int"),
        ("strings.qoute('a')", "there is no function `strings.qoute`; did you mean `strings.quote`?"),
        ("{1.5: 2}", "the keys of an object must be strings; this one is a double"),
    ];
    for (expression, expected) in table {
        let (_, complaints) = check(expression);
        assert!(complaints.len() == 1 && complaints[0].contains(expected), "{expression}: {complaints:?}");
    }
}

#[test]
fn reports_every_mistake_of_an_expression_once() {
    let (_, complaints) = check("input.txt + input.txt + string(input.itmes) + steps.claen.text");
    assert_eq!(complaints.len(), 3, "{complaints:?}");
}

#[test]
fn infers_the_type_of_a_template() {
    let input = of_schema(&schema());
    let template =
        Template::parse(&json!({"a": "${input.n}", "b": ["${input.text}", 1], "c": "x ${input.n}"})).unwrap();
    let known = Known { input: &input, output: None, steps: &BTreeMap::new() };
    let inferred = type_of_template(template.root(), &known, "", &mut Vec::new());
    let expected =
        [("a", Type::Int), ("b", Type::list(Type::any_of([Type::String, Type::Int]))), ("c", Type::String)];
    assert_eq!(inferred, Type::object(expected.map(|(name, field)| (name.to_owned(), field)).into()));
}

#[test]
fn requires_a_check_to_yield_true_or_false() {
    let output = of_schema(&schema());
    let known = Known { input: &Type::Dyn, output: Some(&output), steps: &BTreeMap::new() };
    for (text, expected) in [
        ("output.yes", None),
        ("input.anything", None),
        ("output.text", Some("a check must yield true or false; `output.text` yields a string")),
        ("size(output.text)", Some("a check must yield true or false; `size(output.text)` yields an int")),
    ] {
        let predicate = Predicate::parse(text).unwrap();
        let complaints = type_of_predicate(predicate.expression(), &known);
        assert_eq!(complaints.first().map(String::as_str), expected, "{text}");
    }
}

#[test]
fn bounds_the_type_of_a_schema_that_explodes() {
    let mut definitions = serde_json::Map::new();
    for level in 0..20 {
        let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
        let fields: serde_json::Map<String, Value> =
            (0..10).map(|n| (format!("f{n}"), next.clone())).collect();
        definitions.insert(format!("l{level}"), json!({"type": "object", "properties": fields}));
    }
    definitions.insert("l20".to_owned(), json!({"type": "string"}));
    let inferred = of_schema(&json!({"$ref": "#/$defs/l0", "$defs": definitions}));
    assert!(matches!(inferred, Type::Object(_)));
}

#[test]
fn infers_what_the_interpreter_yields() {
    let item = json!({"name": "a", "price": 2});
    let input = json!({
        "text": "12", "n": 0, "f": 2.5, "yes": true, "maybe": "m", "label": "a", "items": [item.clone()], "either": item.clone(),
        "free": {"whatever": {"you": [{"like": 1}]}}, "counts": {"anything": 1, "12": 2}, "open": {"a": "x", "b": 1},
        "both": {"name": "a", "extra": true}, "tree": {"value": 1, "left": {"left": {"left": {"value": 3}}}},
    });
    let output = json!({"text": "t"});
    let scope = crate::workflow::Scope::new(&input).with_step("clean", &output);
    for (expression, expected) in runnable() {
        let template = Template::parse(&json!(format!("${{{expression}}}"))).unwrap();
        let value = template.evaluate(&scope);
        if expression.contains("dyn(") {
            continue;
        }
        let value = value.unwrap_or_else(|error| panic!("{error}"));
        assert!(Type::of_value(&value).overlaps(&expected), "{expression}: {value}");
    }
}

#[test]
fn knows_only_functions_that_the_interpreter_has() {
    for call in functions::samples() {
        let template = Template::parse(&json!(format!("${{type({call}) == string}}"))).unwrap();
        let result = template.evaluate(&crate::workflow::Scope::new(&Value::Null));
        assert!(result.is_ok(), "{result:?}");
    }
}
