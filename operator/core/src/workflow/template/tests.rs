use serde_json::{Value, json};

use super::*;

fn evaluate(template: &Value, input: &Value, steps: &[(&str, Value)]) -> Result<Value, String> {
    let template = Template::parse(template).map_err(|errors| errors[0].to_string())?;
    let mut scope = Scope::new(input);
    for (name, output) in steps {
        scope.insert_step(name, output);
    }
    template.evaluate(&scope).map_err(|error| error.to_string())
}

#[test]
fn can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Template>();
    shared::<crate::workflow::Predicate>();
    shared::<crate::workflow::Schema>();
}

#[test]
fn keeps_types_in_whole_strings_and_interpolates_within_text() {
    let input =
        json!({"text": "hi", "n": 3, "f": 1.5, "yes": true, "none": null, "list": [1, "a"], "o": {"k": 1}});
    let steps = [("clean", json!({"text": "ok"})), ("a-b", json!({"x": [10, 20]}))];
    let table = [
        (json!("${input}"), input.clone()),
        (json!("${ input.text }"), json!("hi")),
        (json!("${input.n}"), json!(3)),
        (json!("${steps.clean.text}"), json!("ok")),
        (json!("${steps[\"a-b\"].x[1]}"), json!(20)),
        (json!("${steps['a-b']['x'][0]}"), json!(10)),
        (
            json!({"a": ["${input.yes}", {"b": "${input.none}"}], "c": 1}),
            json!({"a": [true, {"b": null}], "c": 1}),
        ),
        (json!("${input.text}!"), json!("hi!")),
        (json!("n=${input.n} f=${input.f} y=${input.yes} z=${input.none}"), json!("n=3 f=1.5 y=true z=null")),
        (json!("${input.list} ${input.o}"), json!("[1,\"a\"] {\"k\":1}")),
        (json!("$${input.text} costs $5"), json!("${input.text} costs $5")),
        (json!(["$${x}", 1]), json!(["${x}", 1])),
        (json!("${ {\"a\": \"}\"}[\"a\"] }"), json!("}")),
        (json!("${input.text + '!' }"), json!("hi!")),
        (json!("${input.n + 1}"), json!(4)),
        (json!("${input.n * input.f}"), json!(4.5)),
        (json!("${input.n / 2}"), json!(1)),
        (json!("${input.n / 2.0}"), json!(1.5)),
        (json!("${size(input.list)}"), json!(2)),
        (json!("${has(input.text) ? input.text : 'none'}"), json!("hi")),
        (json!("${has(input.nope) ? input.nope : 'none'}"), json!("none")),
        (json!("${input.list.map(x, string(x) + '.')}"), json!(["1.", "a."])),
        (json!("${[1, 2, 3].filter(x, x > 1)}"), json!([2, 3])),
        (json!("${[1, 2.5].map(x, x + 1)}"), json!([2, 3.5])),
        (json!("${[1, 2, 3].exists_one(x, x == input.n)}"), json!(true)),
        (json!("${{'text': input.text, 'n': input.n + 1}}"), json!({"text": "hi", "n": 4})),
        (json!("${input.text.upperAscii()}"), json!("HI")),
        (json!("${['b', 'a'].join('-')}"), json!("b-a")),
        (json!("${strings.quote(input.text)}"), json!("\"hi\"")),
        (json!("${input.n < 3.5 && input.n == 3.0}"), json!(true)),
        (json!("${type(input.n) == int}"), json!(true)),
        (json!("${{'only': input}.only.text}"), json!("hi")),
    ];
    for (template, expected) in table {
        assert_eq!(evaluate(&template, &input, &steps), Ok(expected), "{template}");
    }
}

#[test]
fn says_what_is_missing_and_what_is_there() {
    let input = json!({"text": "hi", "list": [1], "o": {}});
    let steps = [("clean", json!({"text": "ok"}))];
    let table = [
        ("${input.txet}", "`input` has no field `txet`; did you mean `text`?; it has `list`, `o`, `text`"),
        (
            "${input.txet + '!'}",
            "`input` has no field `txet`; did you mean `text`?; it has `list`, `o`, `text`",
        ),
        ("${input.o.x}", "`input.o` has no field `x`: it is empty"),
        ("${input.text.x}", "`input.text` is a string and has no field `x`"),
        ("${input.list[1]}", "`input.list` has no element 1: it has 1"),
        ("${input.list[1] + 1}", "`input.list` has no element 1: it has 1"),
        ("${input[0]}", "`input` is an object and has no element 0"),
        ("${steps.clean.x}", "`steps.clean` has no field `x`; it has `text`"),
        ("${steps.later.x}", "step `later` has no output yet; steps that ended: `clean`"),
        ("${has(input.text.x)}", "`input.text` is a string, which has no fields"),
        ("${input.text + 1}", "`+` cannot be applied to string, int"),
        ("${input.list[input.list[0]]}", "the index is beyond the end of the list"),
        ("${1 / (size(input.list) - 1)}", "division by zero"),
        ("${1.0 / 0.0}", "the result is inf, which JSON cannot hold"),
        ("${{1: 2}}", "the keys of an object must be strings"),
        ("${b'abc'}", "the result is a bytes, which JSON cannot hold"),
        ("${9223372036854775807 + 1}", "the result does not fit 64 bits"),
        ("${input.text.nope()}", "`nope` is not a function"),
    ];
    for (template, expected) in table {
        let message = evaluate(&json!(template), &input, &steps).unwrap_err();
        assert!(message.contains(expected), "{template}: {message}");
    }
}

#[test]
fn rejects_what_is_not_an_expression_and_says_where() {
    let table = [
        (json!({"a": [{"b c": "${1 +}"}]}), ".a[0][\"b c\"]: `1 +`: not a CEL expression, at character 4"),
        (json!("${}"), "the expression is empty"),
        (json!("${input.text"), "`${` has no matching `}`; write `$${` for a literal `${`"),
        (json!("${inptu.text}"), "`inptu` is not known here; did you mean `input`?"),
        (json!("${output.text}"), "the output of a step is `steps.<name>`"),
        (json!("${steps}"), "`steps` needs the name of a step"),
        (json!("${steps[input.name].x}"), "`steps` needs the name of a step"),
        (json!("${steps[0].x}"), "steps are referred to by name"),
        (json!("${steps.clean-up.text}"), "the step `clean-up` is referred to as `steps[\"clean-up\"].text`"),
        (json!("${steps.a-b-c.x.y + 1}"), "the step `a-b-c` is referred to as `steps[\"a-b-c\"].x.y`"),
        (json!("${[1].map(input, input)}"), "hides `input`"),
        (json!("${Foo{a: 1}}"), "constructs a type that does not exist"),
        (json!("${input.items.map(x)}"), "`map` is called on a list with a variable and an expression"),
        (json!("${has(input)}"), "not a CEL expression, at character"),
        (json!("${input.?a}"), "not a CEL expression"),
    ];
    for (template, expected) in table {
        let errors = Template::parse(&template).unwrap_err();
        assert!(errors[0].to_string().contains(expected), "{template}: {}", errors[0]);
    }
}

#[test]
fn collects_every_fault() {
    let errors = Template::parse(&json!({"a": "${", "b": "${x}", "c": "${input.ok} ${y} ${z}"})).unwrap_err();
    let places: Vec<&str> = errors.iter().map(|error| error.place.as_str()).collect();
    assert_eq!(places, [".a", ".b", ".c", ".c"]);
}

#[test]
fn names_the_steps_that_it_reads() {
    let template =
        json!({"a": "${steps.b.x}", "c": ["x ${has(steps['a-b'].y) ? size(steps.c) : steps.b.z}"]});
    let template = Template::parse(&template).unwrap();
    assert_eq!(template.references(), ["a-b", "b", "c"].into());
}

/// What no sane author writes.
const ODD: [&str; 98] = [
    "\0",
    "\u{feff}",
    "🦀",
    "'",
    "\"\\",
    "r'",
    "b'\\u1234'",
    "1e999",
    "0x",
    "99999999999999999999",
    "-9223372036854775808",
    "a.",
    ".",
    ".input",
    "?",
    "a ? b",
    "[,]",
    "{:}",
    "{a}",
    "f(",
    ")",
    "]",
    "/* x */",
    "// x",
    "1//x",
    "a.b.c()",
    "has()",
    "has(1)",
    "x.map(1, 2)",
    "[].map(x)",
    "[].map(x.y, 1)",
    "@0",
    "@add(1, 2)",
    "__x__",
    "`a`",
    "a.`b`",
    "in",
    "in in in",
    "true.false",
    "null[null]",
    "''''''",
    "'\\x'",
    "'\\xg'",
    "'\\u12'",
    "'\\777'",
    "'\\U00110000'",
    "1u + 1",
    "1.0u",
    "--1",
    "!!true",
    "-(-1)",
    "input input",
    "input;input",
    "\u{0}input",
    "a\u{300}",
    "１",
    "=",
    "==",
    "= =",
    "&&&",
    "a&&",
    "|",
    "$",
    "${",
    "#",
    "dyn(1)",
    "type(type(1))",
    "optional.of(1)",
    "optional.none()",
    "strings",
    "strings.quote",
    "strings.quote()",
    "'%s'.format([1])",
    "'%d %s %f %x'.format([])",
    "'a'.substring(5)",
    "'a'.charAt(-1)",
    "''.split('')",
    "'abc'.replace('', 'x', -1)",
    "int('x')",
    "'('.matches('(')",
    "matches('a', 'b')",
    "[1][-1]",
    "[1][1.5]",
    "{'a': 1, 'a': 2}",
    "{[1]: 2}",
    "{1: 2}.map(k, k)",
    "9223372036854775807 * 2",
    "-9223372036854775808 / -1",
    "1 % 0",
    "bytes('a') + b'b'",
    "int",
    "int.x",
    "type",
    "@result",
    "[1].exists(x, y)",
    "[1].all(@x, true)",
    "1.map(x, x)",
    "'abc'.map(x, x)",
];

/// Texts that nest or chain something `n` times.
fn deep(n: usize) -> impl Iterator<Item = String> {
    let shapes = [
        ("(", ")"),
        ("[", "]"),
        ("f(", ")"),
        ("!", ""),
        ("-", ""),
        ("{'a':", "}"),
        ("1+", ""),
        ("", ".a"),
        ("", "[0]"),
        ("1?1:", ""),
        ("true?", ":1"),
        ("a||", ""),
        ("[1].map(x,", ")"),
        ("1 in ", ""),
        ("'", ""),
        ("1,", ""),
        ("a=='a'&&", ""),
        ("- ", ""),
        ("r'\\' + ", ""),
    ];
    let flat = [format!("[{}1]", "1,".repeat(n)), format!("'{}'", "x".repeat(n * 3))];
    shapes.into_iter().map(move |(open, close)| format!("{}1{}", open.repeat(n), close.repeat(n))).chain(flat)
}

#[test]
fn survives_hostile_expressions() {
    let odd = ODD.into_iter().map(str::to_owned);
    let table = odd
        .chain([1, 10, 20, 24, 25, 90, 1000, 3000].into_iter().flat_map(deep))
        .chain(["\\".repeat(10_001)]);
    let input = json!({"a": [1, 2, {"b": "c"}]});
    for text in table {
        for source in [format!("input.a.map(x, {text})"), text] {
            if let Ok(expression) = Expression::parse(&source, Names::Template) {
                let _ = expression.evaluate(&Scope::new(&input)).map_err(|error| {
                    assert!(error.to_string().chars().count() < 1200, "{source}");
                });
            }
        }
    }
}

#[test]
fn counts_the_turns_of_loops() {
    let input = json!({"list": vec![1; 1000]});
    for body in [
        "exists(x, false)",
        "all(x, true)",
        "map(x, x)",
        "filter(x, true)",
        "map(x, true, x)",
        "exists_one(x, false)",
    ] {
        let one = evaluate(&json!(format!("${{input.list.{body}}}")), &input, &[]);
        assert!(one.is_ok(), "{one:?}");
        let nested = format!("${{input.list.all(a, size([1].map(b, input.list.{body})) >= 0)}}");
        let error = evaluate(&json!(nested), &input, &[]).unwrap_err();
        assert!(error.ends_with("the loops take more than 100000 turns"), "{error}");
    }
}

#[test]
fn gives_the_same_answer_with_and_without_the_interpreter() {
    let input = json!({"a": {"b": [{"c": 1.5}, 2, "x", null, true]}, "big": 18_446_744_073_709_551_615_u64, "neg": -1});
    for path in [
        "input",
        "input.a",
        "input.a.b",
        "input.a.b[0].c",
        "input.a.b[3]",
        "input.big",
        "input.neg",
        "input.x",
        "input.a.b[9]",
    ] {
        let walked = evaluate(&json!(format!("${{{path}}}")), &input, &[]);
        let interpreted = evaluate(&json!(format!("${{true ? {path} : 0}}")), &input, &[]);
        match (walked, interpreted) {
            (Ok(walked), Ok(interpreted)) => assert_eq!(walked, interpreted, "{path}"),
            (Err(walked), Err(interpreted)) => {
                assert_eq!(walked.split("`: ").last(), interpreted.split("`: ").last(), "{path}");
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}
