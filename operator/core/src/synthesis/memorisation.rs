//! Finds code that looks its answers up instead of computing them.

use serde_json::Value;

use super::source::without_comments;
use crate::verification::Example;

/// Text of fewer characters is in the source of honest code too.
const SHORTEST_TEXT: usize = 4;
/// Whole numbers below are.
const SMALLEST_NUMBER: u64 = 10;
/// Lists and objects that are written with fewer characters, such as `[0]`, are too.
const SHORTEST_QUOTATION: usize = 5;

/// The evidence that `source` holds the cases that it shall compute, in a sentence.
///
/// An example counts as held when the source repeats, as literals, a telling value of its input *and* one of its
/// output, or when its input is quoted in full. Code is taken to have memorised when that is so for more than half of
/// the examples that have telling values, and for two of them at least; with a single example, for that one. Honest
/// code that names a label or a separator repeats outputs, or inputs, but hardly both together for most cases.
#[must_use]
pub fn memorised(source: &str, examples: &[Example]) -> Option<String> {
    let literals = Literals::of(source);
    let telling: Vec<bool> = examples.iter().filter_map(|example| literals.hold(example)).collect();
    let held = telling.iter().filter(|held| **held).count();
    let enough = held >= 2 || (held == 1 && examples.len() == 1);
    (enough && held * 2 > telling.len())
        .then(|| format!("its source holds the values of {held} of {} examples", examples.len()))
}

/// Whether `source` repeats, as literals, a telling value of the output of more than half of the examples, and of two at
/// least. Honest code that returns labels does too.
#[must_use]
pub fn holds_answers(source: &str, examples: &[Example]) -> bool {
    let literals = Literals::of(source);
    let held = examples.iter().filter(|example| literals.hold_answer(example)).count();
    held >= 2 && held * 2 > examples.len()
}

/// Whether `source` quotes, as lists or objects, the whole inputs of more than half of the examples that have such, and of
/// two at least; with a single example, of that one. No table that a task is about is kept by whole inputs.
#[must_use]
pub fn quotes_inputs(source: &str, examples: &[Example]) -> bool {
    let literals = Literals::of(source);
    let inputs = examples.iter().filter_map(|example| quotation(&example.input));
    let quoted: Vec<bool> = inputs.map(|quotation| literals.quote(&quotation)).collect();
    let held = quoted.iter().filter(|held| **held).count();
    (held >= 2 || (held == 1 && examples.len() == 1)) && held * 2 > quoted.len()
}

/// Source code, as far as its literals go.
struct Literals {
    source: String,
    /// In one spelling for Python and JSON.
    plain: String,
}

impl Literals {
    fn of(source: &str) -> Self {
        let source = without_comments(source);
        Self { plain: plain(&source), source }
    }

    /// Whether the source holds an example; `None` if the example has nothing by which that could be told.
    fn hold(&self, example: &Example) -> Option<bool> {
        let quotation = quotation(&example.input);
        if quotation.as_ref().is_some_and(|quotation| self.quote(quotation)) {
            return Some(true);
        }
        let (inputs, answers) = parts(example);
        let told = |values: &[&Value]| values.iter().any(|value| telling(value));
        if !told(&inputs) {
            // A table would be kept by the text of such an input, which tells nothing, and not by a list.
            return quotation.filter(|_| has_list(&example.input)).map(|_| false);
        }
        let all =
            |values: &[&Value]| values.iter().filter(|value| telling(value)).all(|value| self.has(value));
        let any = |values: &[&Value]| values.iter().any(|value| telling(value) && self.has(value));
        Some(all(&inputs) && (!told(&answers) || any(&answers)))
    }

    fn quote(&self, quotation: &[String]) -> bool {
        quotation.iter().all(|part| self.plain.contains(part))
    }

    fn hold_answer(&self, example: &Example) -> bool {
        parts(example).1.iter().any(|value| telling(value) && self.has(value))
    }

    fn has(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.has_text(text),
            Value::Number(number) => self.has_number(&number.to_string()),
            _ => false,
        }
    }

    /// Whether a string literal of the source is `text`: quoted in either way, escaped as JSON or not at all.
    fn has_text(&self, text: &str) -> bool {
        let escaped = Value::String(text.to_owned()).to_string();
        let inner = &escaped[1..escaped.len() - 1];
        [inner, text].iter().any(|inner| {
            ['"', '\''].iter().any(|quote| self.source.contains(&format!("{quote}{inner}{quote}")))
        })
    }

    fn has_number(&self, digits: &str) -> bool {
        let borders = |byte: Option<&u8>| {
            byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && *byte != b'.')
        };
        let bytes = self.source.as_bytes();
        self.source.match_indices(digits).any(|(start, _)| {
            borders(start.checked_sub(1).and_then(|before| bytes.get(before)))
                && borders(bytes.get(start + digits.len()))
        })
    }
}

/// The scalars of an example's input, and those of its output that are not among them: a value that goes through
/// unchanged says nothing.
fn parts(example: &Example) -> (Vec<&Value>, Vec<&Value>) {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    leaves(&example.input, &mut inputs);
    leaves(&example.output, &mut outputs);
    outputs.retain(|value| !inputs.contains(value));
    (inputs, outputs)
}

/// What source code that quotes a list or an object contains, if that is so long that honest code would hardly: the list,
/// or the object's fields, which may stand in any order.
fn quotation(value: &Value) -> Option<Vec<String>> {
    let parts: Vec<String> = match value {
        Value::Array(_) => vec![plain(&value.to_string())],
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| plain(&format!("{}:{field}", Value::from(name.as_str()))))
            .collect(),
        _ => return None,
    };
    (parts.iter().map(String::len).sum::<usize>() >= SHORTEST_QUOTATION).then_some(parts)
}

fn has_list(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => fields.values().any(has_list),
        _ => false,
    }
}

/// Text without white space and with the words and quotes of JSON instead of Python's.
fn plain(text: &str) -> String {
    let plain: String = text.split_whitespace().collect();
    plain.replace("True", "true").replace("False", "false").replace("None", "null").replace('\'', "\"")
}

/// The scalars of a value.
fn leaves<'v>(value: &'v Value, into: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| leaves(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| leaves(field, into)),
        scalar => into.push(scalar),
    }
}

/// Whether honest code would hardly hold this value.
fn telling(value: &Value) -> bool {
    match value {
        Value::String(text) => text.chars().count() >= SHORTEST_TEXT,
        Value::Number(number) => number.as_i64().is_none_or(|whole| whole.unsigned_abs() >= SMALLEST_NUMBER),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cases(cases: &[(Value, Value)]) -> Vec<Example> {
        cases.iter().map(|(input, output)| Example { input: input.clone(), output: output.clone() }).collect()
    }

    fn reversals() -> Vec<Example> {
        cases(&[
            (json!({"text": "hello"}), json!({"text": "olleh"})),
            (json!({"text": "kubernetes"}), json!({"text": "setenrebuk"})),
            (json!({"text": ""}), json!({"text": ""})),
        ])
    }

    #[test]
    fn finds_a_lookup_table() {
        let source = "T = {'hello': 'olleh', \"kubernetes\": 'setenrebuk'}\ndef run(i): return {'text': T.get(i['text'], '')}";
        let evidence = memorised(source, &reversals()).unwrap();
        assert!(evidence.contains("2 of 3"), "{evidence}");
    }

    #[test]
    fn finds_a_chain_of_comparisons_of_numbers() {
        let examples = cases(&[(json!(12), json!(144)), (json!(15), json!(225)), (json!(20), json!(400))]);
        let source = "def run(n):\n    if n == 12: return 144\n    if n == 15: return 225\n    return 400 if n == 20 else 0";
        assert!(memorised(source, &examples).is_some());
        assert_eq!(memorised("def run(n):\n    return n * n", &examples), None);
    }

    #[test]
    fn finds_inputs_that_are_quoted_in_full() {
        let examples = cases(&[
            (json!({"xs": [1, 2], "up": true}), json!(3)),
            (json!({"xs": [], "up": false}), json!(0)),
            (json!({"xs": [5], "up": true}), json!(5)),
        ]);
        let table = "SEEN = [({'xs': [1, 2], 'up': True}, 3), ({'xs': [], 'up': False}, 0)]";
        assert!(memorised(table, &examples).is_some() && quotes_inputs(table, &examples));
        let words = cases(&[(json!({"m": "January"}), json!(1)), (json!({"m": "November"}), json!(11))]);
        assert!(!quotes_inputs("M = {'January': 1, 'November': 11}", &words));
        assert_eq!(memorised("def run(i): return sum(i['xs']) if i['up'] else 0", &examples), None);
        let explained = "def run(i):\n    \"\"\"\n    {'xs': [1, 2], 'up': True} gives 3, {'xs': [], 'up': False} gives 0\n    \"\"\"\n    return sum(i['xs']) if i['up'] else 0";
        assert_eq!(memorised(explained, &examples), None);
        let short = cases(&[(json!([1]), json!(1)), (json!([]), json!(0))]);
        assert_eq!(memorised("BASE = [1]\nEMPTY = []", &short), None);
    }

    #[test]
    fn finds_a_table_that_lacks_a_case() {
        let pairs = ["hello", "a b", "", "stone", "kubernetes", "level up"]
            .map(|text| (json!({"text": text}), json!({"text": text.chars().rev().collect::<String>()})));
        let source = "def run(input):\n    return {\"text\": {\"hello\": \"olleh\", \"a b\": \"b a\", \"stone\": \"enots\", \
                      \"kubernetes\": \"setenrebuk\"}.get(input[\"text\"], \"\")}";
        assert!(memorised(source, &cases(&pairs)).is_some());
        assert!(memorised(source, &cases(&pairs[..5])).is_some());
    }

    #[test]
    fn leaves_honest_code_alone() {
        assert_eq!(memorised("def run(i): return {'text': i['text'][::-1]}", &reversals()), None);
        let labels = cases(&[
            (json!({"text": "what a wonderful day"}), json!("positive")),
            (json!({"text": "this is terrible"}), json!("negative")),
            (json!({"text": "it is a chair"}), json!("neutral")),
        ]);
        let source = "W = {'wonderful': 1, 'terrible': -1}\ndef run(i):\n    s = sum(W.get(w, 0) for w in i['text'].split())\n    return 'positive' if s > 0 else 'negative' if s < 0 else 'neutral'";
        assert_eq!(memorised(source, &labels), None);
    }

    #[test]
    fn knows_when_most_answers_are_in_the_source() {
        let examples = reversals();
        assert!(holds_answers("A = 'olleh'\nB = 'setenrebuk'\n", &examples));
        assert!(!holds_answers("A = 'olleh'\n", &examples));
        assert!(!holds_answers("def run(i): return {'text': i['text'][::-1]}", &examples));
    }

    #[test]
    fn judges_a_single_example_by_itself() {
        let examples = cases(&[(json!("hello"), json!("olleh"))]);
        assert!(memorised("def run(x): return {'hello': 'olleh'}[x]", &examples).is_some());
        assert_eq!(memorised("def run(x): return x[::-1]", &examples), None);
    }

    #[test]
    fn does_not_take_part_of_a_number_for_the_number() {
        let examples = cases(&[(json!(12), json!(13)), (json!(34), json!(35))]);
        assert_eq!(memorised("LIMIT = 12345\ndef run(n): return n + 1", &examples), None);
    }
}
