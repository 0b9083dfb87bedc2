//! From JSON Schema to types. What a schema does not say, or says in a way that types cannot express, is unknown:
//! a type that is too narrow would reject a workflow that runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Fields, Type};

/// How many subschemas are looked at. References make a schema of a few lines describe a type of any size.
const SUBSCHEMAS: usize = 2_000;

/// How deep a type describes a value.
const DEPTH: usize = 32;

/// The type of the values that fit `schema`.
pub(crate) fn of_schema(schema: &Value) -> Type {
    Inference { root: schema, left: SUBSCHEMAS, references: Vec::new() }.infer(schema, 0)
}

struct Inference<'s> {
    root: &'s Value,
    left: usize,
    /// The references that are being followed: a schema that contains itself is unknown from its second turn on.
    references: Vec<&'s str>,
}

impl<'s> Inference<'s> {
    fn infer(&mut self, schema: &'s Value, depth: usize) -> Type {
        let Some(left) = self.left.checked_sub(1).filter(|_| depth <= DEPTH) else { return Type::Dyn };
        self.left = left;
        let Value::Object(keywords) = schema else { return Type::Dyn };
        let mut inferred = self.own(keywords, depth);
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
            inferred = meet(inferred, self.follow(reference, depth));
        }
        for part in keywords.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            inferred = meet(inferred, self.infer(part, depth + 1));
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(parts) = keywords.get(keyword).and_then(Value::as_array) {
                let alternatives: Vec<Type> = parts.iter().map(|part| self.infer(part, depth + 1)).collect();
                inferred = meet(inferred, Type::any_of(alternatives));
            }
        }
        inferred
    }

    fn follow(&mut self, reference: &'s str, depth: usize) -> Type {
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        match target {
            Some(target) if !self.references.contains(&reference) => {
                self.references.push(reference);
                let inferred = self.infer(target, depth + 1);
                self.references.pop();
                inferred
            }
            _ => Type::Dyn,
        }
    }

    /// What the keywords say that do not combine other schemas.
    fn own(&mut self, keywords: &'s Map<String, Value>, depth: usize) -> Type {
        if let Some(value) = keywords.get("const") {
            return Type::of_value(value);
        }
        if let Some(values) = keywords.get("enum").and_then(Value::as_array) {
            return Type::any_of(values.iter().map(Type::of_value));
        }
        match keywords.get("type") {
            Some(Value::String(name)) => self.named(name, keywords, depth),
            Some(Value::Array(names)) => {
                let names = names.iter().filter_map(Value::as_str);
                let types: Vec<Type> = names.map(|name| self.named(name, keywords, depth)).collect();
                Type::any_of(types)
            }
            // Whoever describes fields means an object, whoever describes elements a list.
            _ if keywords.contains_key("properties") => self.named("object", keywords, depth),
            _ if keywords.contains_key("items") => self.named("array", keywords, depth),
            _ => Type::Dyn,
        }
    }

    fn named(&mut self, name: &str, keywords: &'s Map<String, Value>, depth: usize) -> Type {
        match name {
            "null" => Type::Null,
            "boolean" => Type::Bool,
            "integer" => Type::Int,
            "number" => Type::number(),
            "string" => Type::String,
            "array" => Type::list(self.element(keywords, depth)),
            "object" => self.object(keywords, depth),
            _ => Type::Dyn,
        }
    }

    fn element(&mut self, keywords: &'s Map<String, Value>, depth: usize) -> Type {
        let rest = match keywords.get("items") {
            Some(Value::Bool(false)) => Type::never(),
            Some(items) => self.infer(items, depth + 1),
            None => Type::Dyn,
        };
        let first = keywords.get("prefixItems").and_then(Value::as_array).into_iter().flatten();
        let first: Vec<Type> = first.map(|item| self.infer(item, depth + 1)).collect();
        Type::any_of(first.into_iter().chain([rest]))
    }

    fn object(&mut self, keywords: &'s Map<String, Value>, depth: usize) -> Type {
        let mut known = BTreeMap::new();
        let declared = keywords.get("properties").and_then(Value::as_object);
        for (name, schema) in declared.into_iter().flatten() {
            known.insert(name.clone(), self.infer(schema, depth + 1));
        }
        let others = match keywords.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            Some(schema) => Some(self.infer(schema, depth + 1)),
            // JSON Schema allows what is not declared, authors rarely mean it: a field that is not among the declared
            // ones is more likely misspelt.
            None if declared.is_some() => None,
            None => Some(Type::Dyn),
        };
        let others = if keywords.contains_key("patternProperties") { Some(Type::Dyn) } else { others };
        Type::Object(Arc::new(Fields { known, others }))
    }
}

/// The type of what fits both.
fn meet(a: Type, b: Type) -> Type {
    match (a, b) {
        (Type::Dyn, other) | (other, Type::Dyn) => other,
        (Type::Object(a), Type::Object(b)) => Type::Object(Arc::new(meet_fields(&a, &b))),
        (a, b) => {
            let mut common = Vec::new();
            for a in a.alternatives() {
                for b in b.alternatives() {
                    match (a, b) {
                        (Type::Object(_), Type::Object(_)) => common.push(meet(a.clone(), b.clone())),
                        (a, b) if a == b => common.push(a.clone()),
                        (Type::List(_), Type::List(_)) => common.push(b.clone()),
                        _ => {}
                    }
                }
            }
            // Nothing fits both, or only what these few rules do not see.
            if common.is_empty() { Type::Dyn } else { Type::any_of(common) }
        }
    }
}

fn meet_fields(a: &Fields, b: &Fields) -> Fields {
    let mut known = a.known.clone();
    for (name, field) in &b.known {
        let field = match known.remove(name) {
            Some(other) => meet(other, field.clone()),
            None => field.clone(),
        };
        known.insert(name.clone(), field);
    }
    // One part that lists fields does not forbid those of the other; one that is just an object says nothing.
    let bare = |fields: &Fields| fields.known.is_empty() && fields.others == Some(Type::Dyn);
    let others = match (bare(a), bare(b)) {
        (true, _) => b.others.clone(),
        (_, true) => a.others.clone(),
        _ => a.others.clone().or_else(|| b.others.clone()),
    };
    Fields { known, others }
}
