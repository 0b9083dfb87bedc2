//! YAML as kubectl reads it, with the place of everything in it.
//!
//! kubectl reads YAML 1.1, where an unquoted `y`, `no` or `on` is a boolean and `010` is eight, also as a key. What
//! a newer reader shows would not be what reaches the cluster, so such words are read here as kubectl reads them.

use std::{collections::BTreeMap, iter::Peekable};

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::Value;

use super::path::Pointer;

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Position {
    const START: Self = Self { line: 1, column: 1 };
}

/// One document of a file.
pub(crate) struct Document {
    pub(crate) value: Value,
    /// What kubectl reads otherwise than it looks.
    pub(crate) surprises: Vec<Surprise>,
    places: BTreeMap<String, Position>,
}

/// An unquoted word that kubectl takes for something else.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Surprise {
    pub(crate) pointer: Pointer,
    pub(crate) written: String,
    pub(crate) read: Value,
    is_key: bool,
}

/// A text that is no YAML.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) position: Position,
    pub(crate) message: String,
}

impl Document {
    /// Where a value is, or the nearest value around it that was written.
    pub(crate) fn position(&self, pointer: &Pointer) -> Position {
        let mut pointer = pointer.as_str();
        loop {
            if let Some(position) = self.places.get(pointer) {
                return *position;
            }
            let Some((parent, _)) = pointer.rsplit_once('/') else { return Position::START };
            pointer = parent;
        }
    }
}

/// The documents of a text. As kubectl does it, a line that starts with `---` ends one, so that a mistake in one
/// document leaves the others alone.
pub(crate) fn read(text: &str) -> Vec<Result<Document, SyntaxError>> {
    split(text).iter().filter_map(|text| read_one(text).transpose()).collect()
}

/// The text of each document, below as many empty lines as are before it in the file.
fn split(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.starts_with("---") {
            documents.push("\n".repeat(index + 1));
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
        }
    }
    documents
}

fn read_one(text: &str) -> Result<Option<Document>, SyntaxError> {
    let mut value = parse(text).map_err(|fault| SyntaxError {
        position: fault.location().map_or(Position::START, |location| Position {
            line: location.line(),
            column: location.column(),
        }),
        message: fault.to_string(),
    })?;
    if value.is_null() {
        return Ok(None);
    }
    let mut walk = Walk::default();
    walk.document(text);
    for surprise in &walk.surprises {
        surprise.apply(&mut value);
    }
    Ok(Some(Document { value, surprises: walk.surprises, places: walk.places }))
}

fn parse(text: &str) -> Result<Value, serde_yaml::Error> {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text)?;
    value.apply_merge()?;
    serde_yaml::from_value(value)
}

impl Surprise {
    fn apply(&self, document: &mut Value) {
        if !self.is_key {
            if let Some(value) = document.pointer_mut(self.pointer.as_str()) {
                *value = self.read.clone();
            }
        } else if let Some(Value::Object(members)) = document.pointer_mut(self.pointer.parent().as_str())
            && let Some(value) = members.remove(&self.written)
        {
            members.insert(self.read.to_string(), value);
        }
    }
}

/// What YAML 1.1 makes of an unquoted word, where YAML 1.2 sees text. Checked against kubectl 1.34.
fn yaml_1_1(word: &str) -> Option<Value> {
    match word {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Some(Value::Bool(true)),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Some(Value::Bool(false)),
        _ => {}
    }
    let (sign, number) = match word.strip_prefix('-') {
        Some(number) => (-1, number),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    let digits = number.replace('_', "");
    let is_number = number.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_octal = digits.len() > 1 && digits.starts_with('0');
    if !is_number || (!is_octal && digits.len() == number.len()) {
        return None;
    }
    let octal = is_octal.then(|| i64::from_str_radix(&digits, 8).ok()).flatten();
    octal.or_else(|| digits.parse().ok()).map(|value| Value::from(sign * value))
}

/// Notes where each value is and which words surprise.
#[derive(Default)]
struct Walk {
    places: BTreeMap<String, Position>,
    surprises: Vec<Surprise>,
}

type Spanned<'t> = (Event<'t>, Span);

impl Walk {
    /// Stops at whatever this parser does not understand: then the places of what is around have to do.
    fn document(&mut self, text: &str) {
        let mut events = Parser::<StrInput<'_>>::new_from_str(text)
            .map_while(Result::ok)
            .filter(|(event, _)| event.is_node() || matches!(event, Event::SequenceEnd | Event::MappingEnd))
            .peekable();
        self.node(&mut events, &Pointer::root(), None);
    }

    /// Takes a node, which is at `place` if that is not its own.
    fn node<'t>(
        &mut self,
        events: &mut Peekable<impl Iterator<Item = Spanned<'t>>>,
        pointer: &Pointer,
        place: Option<Position>,
    ) {
        let Some((event, span)) = events.next() else { return };
        let place = place.unwrap_or_else(|| start(&span));
        self.places.insert(pointer.as_str().to_owned(), place);
        match event {
            Event::Scalar(text, ScalarStyle::Plain, _, None) => self.scalar(pointer, &text, false),
            Event::SequenceStart(..) => {
                let mut index = 0;
                while more(events) {
                    self.node(events, &pointer.index(index), None);
                    index += 1;
                }
            }
            Event::MappingStart(..) => {
                while more(events) {
                    self.member(events, pointer);
                }
            }
            _ => {}
        }
    }

    fn member<'t>(&mut self, events: &mut Peekable<impl Iterator<Item = Spanned<'t>>>, pointer: &Pointer) {
        let Some((Event::Scalar(key, style, _, tag), span)) = events.next() else { return };
        let mut member = pointer.member(&key);
        if style == ScalarStyle::Plain
            && tag.is_none()
            && let Some(read) = yaml_1_1(&key)
        {
            self.scalar(&member, &key, true);
            member = pointer.member(&read.to_string());
        }
        self.node(events, &member, Some(start(&span)));
    }

    fn scalar(&mut self, pointer: &Pointer, text: &str, is_key: bool) {
        if let Some(read) = yaml_1_1(text) {
            self.surprises.push(Surprise {
                pointer: pointer.clone(),
                written: text.to_owned(),
                read,
                is_key,
            });
        }
    }
}

fn start(span: &Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

/// Whether a collection goes on; takes its end.
fn more<'t>(events: &mut Peekable<impl Iterator<Item = Spanned<'t>>>) -> bool {
    match events.peek() {
        None => false,
        Some((Event::SequenceEnd | Event::MappingEnd, _)) => {
            events.next();
            false
        }
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(text: &str) -> Document {
        let mut documents = read(text);
        assert_eq!(documents.len(), 1);
        documents.remove(0).unwrap()
    }

    fn line(document: &Document, dotted: &str) -> (usize, usize) {
        let position = document.position(&Pointer::of_dotted(dotted));
        (position.line, position.column)
    }

    #[test]
    fn finds_the_line_of_each_value_and_of_what_is_around_a_missing_one() {
        let text = "# comment\na:\n  b: [1, {c: 2}]\n  d: |\n    x\n    y\n  e: &x 1\n  f: *x\n";
        let document = one(text);
        assert_eq!(document.value, json!({"a": {"b": [1, {"c": 2}], "d": "x\ny\n", "e": 1, "f": 1}}));
        for (path, place) in [
            ("a", (2, 1)),
            ("a.b", (3, 3)),
            ("a.b[1].c", (3, 11)),
            ("a.d", (4, 3)),
            ("a.f", (8, 3)),
            ("a.b[1].missing.x", (3, 10)),
            ("missing", (2, 1)),
        ] {
            assert_eq!(line(&document, path), place, "{path}");
        }
    }

    #[test]
    fn counts_lines_from_the_start_of_the_file_in_every_document() {
        let documents = read("---\n# nothing\n---\na: 1\n--- # next\n\nb: 2\n");
        let lines: Vec<_> = documents.iter().map(|document| line(document.as_ref().unwrap(), "").0).collect();
        assert_eq!(lines, [4, 7]);
    }

    #[test]
    fn a_mistake_in_one_document_leaves_the_others_alone() {
        let documents = read("a: 1\n---\nb: [1\nc: 2\n---\nd: 3\n");
        assert_eq!(documents.len(), 3);
        let fault = documents[1].as_ref().err().unwrap();
        assert_eq!(fault.position.line, 4, "{fault:?}");
        assert!(fault.message.contains("line 4"), "{fault:?}");
        assert_eq!(documents[2].as_ref().unwrap().value, json!({"d": 3}));
    }

    #[test]
    fn refuses_a_key_that_is_there_twice() {
        let fault = read("a: 1\nb: 2\na: 3\n").remove(0).err().unwrap();
        assert!(fault.message.contains("duplicate"), "{fault:?}");
    }

    #[test]
    fn merges_as_kubectl_does() {
        assert_eq!(one("a: &a {x: 1}\nb: {<<: *a, z: 2}\n").value["b"], json!({"x": 1, "z": 2}));
    }

    #[test]
    fn reads_words_and_numbers_as_kubectl_does() {
        let document = one("a: yes\nb: 'yes'\ny: [n, 010, 1_000, 0x1F, 1.0, 08, -010, +1]\n'on': \"no\"\n");
        let read = json!({"a": true, "b": "yes", "true": [false, 8, 1000, 31, 1.0, 8, -8, 1], "on": "no"});
        assert_eq!(document.value, read);
        let written: Vec<_> = document.surprises.iter().map(|surprise| surprise.written.as_str()).collect();
        assert_eq!(written, ["yes", "y", "n", "010", "1_000", "08", "-010"]);
        assert_eq!(line(&document, "true[2]"), (3, 13));
    }
}
