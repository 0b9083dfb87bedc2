//! How long checking a value can take.
//!
//! A validator tries every alternative at every place of a value. Alternatives that lead to the same field multiply
//! with every level of the value: a schema of a few lines and a value of a few levels keep it busy for years.

use std::{
    collections::{BTreeMap, HashMap},
    ptr,
};

use serde_json::{Map, Value};

use crate::workflow::text::shorten;

/// How deep the value is assumed to be.
const LEVELS: u8 = 64;

/// How many subschemas may be tried along one path into a value of [`LEVELS`].
const VISITS: u64 = 100_000;

/// How many subschemas are looked at to find out.
const WORK: u32 = 1_000_000;

/// How much of a reference a message repeats.
const ECHOED_CHARS: usize = 80;

/// Keywords whose subschemas apply to the same value.
const HERE: [&str; 8] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"];

/// Keywords whose subschemas apply to any child of the value.
const BELOW: [&str; 8] = [
    "items",
    "prefixItems",
    "contains",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Of these, those whose subschemas have names.
const BY_NAME: [&str; 2] = ["dependentSchemas", "patternProperties"];

/// Refuses schemas that could take exponential time, and references that cannot be followed to find out.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let mut costs = Costs { root: schema, known: HashMap::new(), left: WORK };
    if costs.visits(schema, LEVELS)? > VISITS { Err(too_long()) } else { Ok(()) }
}

fn too_long() -> String {
    "checking a value would take too long: alternatives that lead to the same field multiply with every level; make them \
     differ in their fields, or describe deeper levels as {}"
        .to_owned()
}

struct Costs<'s> {
    root: &'s Value,
    /// By the address of a subschema and the levels of the value below it.
    known: HashMap<(*const Value, u8), u64>,
    left: u32,
}

impl<'s> Costs<'s> {
    /// How many subschemas are tried at a place where `schema` applies and on the worst path of `levels` below it.
    fn visits(&mut self, schema: &'s Value, levels: u8) -> Result<u64, String> {
        let key = (ptr::from_ref(schema), levels);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let mut applied = Vec::new();
        self.expand(schema, &mut Vec::new(), &mut applied)?;
        let mut visits = applied.len() as u64;
        if let Some(levels) = levels.checked_sub(1) {
            let mut by_field: BTreeMap<&str, u64> = BTreeMap::new();
            for keywords in applied {
                for (name, child) in
                    keywords.get("properties").and_then(Value::as_object).into_iter().flatten()
                {
                    let field = by_field.entry(name).or_default();
                    *field = field.saturating_add(self.visits(child, levels)?);
                }
                for child in BELOW.iter().flat_map(|keyword| subschemas(keywords, keyword)) {
                    visits = visits.saturating_add(self.visits(child, levels)?);
                }
            }
            visits = visits.saturating_add(by_field.into_values().max().unwrap_or_default());
        }
        self.known.insert(key, visits);
        Ok(visits)
    }

    /// Collects what is tried at a place where `schema` applies. A subschema that leads to itself at the same place is
    /// tried once.
    fn expand(
        &mut self,
        schema: &'s Value,
        within: &mut Vec<*const Value>,
        applied: &mut Vec<&'s Map<String, Value>>,
    ) -> Result<(), String> {
        self.left = self.left.checked_sub(1).ok_or_else(too_long)?;
        let Value::Object(keywords) = schema else { return Ok(()) };
        if within.contains(&ptr::from_ref(schema)) {
            return Ok(());
        }
        if keywords.contains_key("$id") && !ptr::eq(schema, self.root) {
            return Err("a schema within a schema cannot have an `$id`".to_owned());
        }
        applied.push(keywords);
        within.push(ptr::from_ref(schema));
        for part in HERE.iter().flat_map(|keyword| subschemas(keywords, keyword)) {
            self.expand(part, within, applied)?;
        }
        for reference in ["$ref", "$dynamicRef"].iter().filter_map(|keyword| keywords.get(*keyword)?.as_str())
        {
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            let target = target.ok_or_else(|| {
                let shown = shorten(reference, ECHOED_CHARS);
                format!("the reference `{shown}` does not point into the schema, as in `#/$defs/name`")
            })?;
            self.expand(target, within, applied)?;
        }
        within.pop();
        Ok(())
    }
}

/// The subschemas in the value of `keyword`.
fn subschemas<'s>(keywords: &'s Map<String, Value>, keyword: &&str) -> Vec<&'s Value> {
    match keywords.get(*keyword) {
        None => Vec::new(),
        Some(Value::Array(schemas)) => schemas.iter().collect(),
        Some(Value::Object(named)) if BY_NAME.contains(keyword) => named.values().collect(),
        Some(schema) => vec![schema],
    }
}
