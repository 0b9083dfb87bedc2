//! `lint`: what the API server and the operator would say about files, without either.

mod document;
mod path;
mod schema;
mod semantics;

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::Value;

use self::{
    document::{Document, Position},
    path::Pointer,
    schema::Schemas,
};
use crate::words::did_you_mean;

/// A text and where it comes from.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Severity {
    /// The API server or the operator would refuse it.
    Error,
    /// It works, but perhaps not as meant.
    Warning,
}

/// Something to say about a place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) severity: Severity,
    /// The object that it is about, for example `Workflow/triage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<String>,
    /// A CamelCase word for programs.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// What was found in all files.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// In the order of files and lines.
    pub(crate) findings: Vec<Finding>,
    /// How many objects of DiSE were looked at.
    pub(crate) objects: usize,
}

impl Report {
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// An object of DiSE in a file.
struct Object<'s> {
    file: &'s str,
    document: Document,
    id: Id,
    /// As the API server would store it; absent when it would not.
    stored: Option<Value>,
}

/// What tells objects apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    kind: String,
    namespace: String,
    name: String,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() { "(unnamed)" } else { &self.name };
        write!(f, "{}/{name}", self.kind)
    }
}

impl Object<'_> {
    fn finding(
        &self,
        severity: Severity,
        pointer: &Pointer,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Finding {
        let object = Some(self.id.to_string());
        finding(self.file, self.document.position(pointer), severity, object, reason, message.into())
    }
}

fn finding(
    file: &str,
    position: Position,
    severity: Severity,
    object: Option<String>,
    reason: &'static str,
    message: String,
) -> Finding {
    let Position { line, column } = position;
    Finding { file: file.to_owned(), line, column, severity, object, reason, message }
}

/// Checks all objects of DiSE in `sources`; they may refer to each other. Other objects are left alone.
///
/// # Errors
/// The schemas of this very release are unusable.
pub(crate) fn check(sources: &[Source]) -> anyhow::Result<Report> {
    let schemas = Schemas::new()?;
    let mut findings = Vec::new();
    let mut objects = Vec::new();
    for source in sources {
        for document in document::read(&source.text) {
            match document {
                Ok(document) => objects.extend(admit(&schemas, &source.name, document, &mut findings)),
                Err(fault) => findings.push(finding(
                    &source.name,
                    fault.position,
                    Severity::Error,
                    None,
                    "InvalidYaml",
                    fault.message,
                )),
            }
        }
    }
    repetitions(&objects, &mut findings);
    semantics::check(&objects, &mut findings);
    let order = |name: &str| sources.iter().position(|source| source.name == name);
    findings.sort_by_key(|finding| (order(&finding.file), finding.line, finding.column));
    Ok(Report { findings, objects: objects.len() })
}

/// The object in a document, if it is one of DiSE.
fn admit<'s>(
    schemas: &Schemas,
    file: &'s str,
    document: Document,
    findings: &mut Vec<Finding>,
) -> Option<Object<'s>> {
    let text = |pointer: &str| document.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("/apiVersion"), text("/kind"));
    let (group, _) = version.split_once('/').unwrap_or_default();
    let known = schemas.get(kind);
    if group != dise_crds::GROUP && !(version.is_empty() && known.is_some()) {
        return None;
    }
    let id = Id {
        kind: kind.to_owned(),
        namespace: text("/metadata/namespace").to_owned(),
        name: text("/metadata/name").to_owned(),
    };
    let misnamed = misnamed(schemas, version, kind);
    let mut object = Object { file, document, id, stored: None };
    if let Some((field, reason, message)) = misnamed {
        findings.push(object.finding(Severity::Error, &Pointer::root().member(field), reason, message));
    }
    for surprise in &object.document.surprises {
        let message = format!(
            "{}: kubectl reads `{}` as {}; put it in quotes if it is text",
            surprise.pointer.dotted(),
            surprise.written,
            surprise.read
        );
        findings.push(object.finding(Severity::Warning, &surprise.pointer, "AmbiguousWord", message));
    }
    match known?.admit(&object.document.value) {
        Ok(stored) => object.stored = Some(stored),
        Err(violations) => findings.extend(violations.into_iter().map(|violation| {
            let message = format!("{}: {}", violation.pointer.dotted(), violation.message);
            object.finding(Severity::Error, &violation.pointer, violation.reason, message)
        })),
    }
    Some(object)
}

/// What is wrong with `apiVersion` or `kind`: the field, a reason and a message.
fn misnamed(schemas: &Schemas, version: &str, kind: &str) -> Option<(&'static str, &'static str, String)> {
    let wanted = format!("{}/{}", dise_crds::GROUP, dise_crds::VERSION);
    if version != wanted {
        let message = format!("apiVersion: {version:?} is not what this release knows; write {wanted}");
        return Some(("apiVersion", "UnknownVersion", message));
    }
    if schemas.get(kind).is_none() {
        let message =
            format!("kind: there is no kind {kind:?} in {wanted}{}", did_you_mean(kind, schemas.names()));
        return Some(("kind", "UnknownKind", message));
    }
    None
}

/// Of two objects with one name kubectl keeps the later one.
fn repetitions(objects: &[Object<'_>], findings: &mut Vec<Finding>) {
    let mut first: BTreeMap<&Id, &Object<'_>> = BTreeMap::new();
    let name = Pointer::root().member("metadata").member("name");
    for object in objects.iter().filter(|object| !object.id.name.is_empty()) {
        if let Some(other) = first.get(&object.id) {
            let place = other.document.position(&name);
            let message = format!(
                "it is declared in {}, line {}, too; the later one replaces it",
                other.file, place.line
            );
            findings.push(object.finding(Severity::Warning, &name, "DeclaredTwice", message));
        } else {
            first.insert(&object.id, object);
        }
    }
}

#[cfg(test)]
mod tests;
