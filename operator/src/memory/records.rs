//! From objects to what the index knows of them. Pure.
//!
//! The first line of a record's text is its name, the second its description.

use std::collections::BTreeMap;

use dise_core::{digest::Digest, quality::Quality};
use dise_crds::{Artifact, ArtifactType, Tool, Workflow};
use dise_index::{Kind, Namespace, Record, Standing};
use jiff::Timestamp;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;

use crate::prompts;

/// The records of an artifact: its own, and that of the cases that it was put to.
pub(super) fn of_artifact(artifact: &Artifact) -> Vec<Record> {
    let spec = &artifact.spec;
    let (Some(namespace), Ok(digest)) = (namespace(artifact), spec.digest.parse::<Digest>()) else {
        return Vec::new();
    };
    let kind = match spec.type_ {
        ArtifactType::Function => Kind::Function,
        ArtifactType::Prompt => Kind::Prompt,
        ArtifactType::Test => Kind::Test,
    };
    let place = [&spec.workflow, &spec.step, &spec.option].map(|name| name.as_deref().unwrap_or_default());
    let Standing { quality, p95_latency_us, usage, updated } = standing(artifact);
    let own = Record {
        namespace,
        id: artifact.name_any(),
        kind,
        language: Some(spec.language.into()),
        text: text(&artifact.name_any(), &spec.description, &place),
        tags: spec.tags.clone(),
        digest,
        quality,
        p95_latency_us,
        usage,
        created: created(artifact),
        updated,
        vector: None,
    };
    let tests = spec.tests_digest.as_ref().and_then(|digest| digest.parse().ok()).map(|digest| Record {
        id: format!("test/{}", own.id),
        kind: Kind::Test,
        text: text(&format!("tests of {}", own.id), &spec.description, &place),
        digest,
        quality: None,
        p95_latency_us: None,
        usage: 0,
        ..own.clone()
    });
    let tests = tests.filter(|_| kind == Kind::Function);
    [own].into_iter().chain(tests).collect()
}

/// What changes of a record while its content does not.
pub(super) fn standing_of(record: &Record) -> Standing {
    let Record { quality, p95_latency_us, usage, updated, .. } = *record;
    Standing { quality, p95_latency_us, usage, updated }
}

/// What was measured and counted of an artifact.
fn standing(artifact: &Artifact) -> Standing {
    let status = artifact.status.clone().unwrap_or_default();
    let profile = status.profile.as_ref();
    Standing {
        quality: profile.and_then(|profile| profile.quality.as_ref()?.parse::<Quality>().ok()),
        p95_latency_us: profile.and_then(|profile| micros(&profile.p95_latency_ms)),
        usage: status.usage_count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
        updated: status.last_used.map_or_else(|| created(artifact), |time| time.0),
    }
}

/// The record of a workflow.
pub(super) fn of_workflow(workflow: &Workflow) -> Option<Record> {
    let spec = &workflow.spec;
    let steps: Vec<String> =
        spec.steps.iter().map(|step| format!("{}: {}", step.name, step.description)).collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let quality = workflow.status.as_ref().and_then(|status| status.quality.as_ref()?.parse().ok());
    let executions = workflow.status.as_ref().and_then(|status| status.executions);
    Some(Record {
        tags: spec.tags.clone(),
        quality,
        usage: executions.and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
        ..declared(workflow, Kind::Workflow, "workflow", spec, &spec.description, &steps)?
    })
}

/// The record of a tool.
pub(super) fn of_tool(tool: &Tool) -> Option<Record> {
    let words = [format!("{:?}", tool.spec.type_)];
    let words = words.each_ref().map(String::as_str);
    declared(tool, Kind::Tool, "tool", &tool.spec, &tool.spec.description, &words)
}

/// The records of what models are told, for a namespace in which one was asked.
pub(super) fn of_prompts(namespace: &Namespace, now: Timestamp) -> Vec<Record> {
    let record = |(name, prompt): (&str, &str)| Record {
        namespace: namespace.clone(),
        id: format!("prompt/{name}"),
        kind: Kind::Prompt,
        language: None,
        text: text(name, "what a model is told", &[prompt]),
        tags: [("prompt".to_owned(), name.to_owned())].into(),
        digest: Digest::of(prompt.as_bytes()),
        quality: None,
        p95_latency_us: None,
        usage: 0,
        created: now,
        updated: now,
        vector: None,
    };
    prompts::ALL.into_iter().map(record).collect()
}

/// The name of an object's record, which no artifact can have.
pub(super) fn id<K: Resource>(prefix: &str, object: &K) -> String {
    format!("{prefix}/{}", object.meta().name.as_deref().unwrap_or_default())
}

pub(super) fn namespace<K: Resource>(object: &K) -> Option<Namespace> {
    object.meta().namespace.as_ref()?.parse().ok()
}

fn declared<K: Resource, S: Serialize>(
    object: &K,
    kind: Kind,
    prefix: &str,
    spec: &S,
    description: &str,
    words: &[&str],
) -> Option<Record> {
    let created = created(object);
    Some(Record {
        namespace: namespace(object)?,
        id: id(prefix, object),
        kind,
        language: None,
        text: text(object.meta().name.as_deref().unwrap_or_default(), description, words),
        tags: BTreeMap::new(),
        digest: Digest::of_json(spec).ok()?,
        quality: None,
        p95_latency_us: None,
        usage: 0,
        created,
        updated: created,
        vector: None,
    })
}

fn text(name: &str, description: &str, words: &[&str]) -> String {
    let description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{name}\n{description}\n{}", words.join("\n"))
}

fn created<K: Resource>(object: &K) -> Timestamp {
    object.meta().creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

fn micros(millis: &str) -> Option<u64> {
    let millis: rust_decimal::Decimal = millis.parse().ok()?;
    u64::try_from(millis * rust_decimal::Decimal::from(1000)).ok()
}

#[cfg(test)]
mod tests {
    use dise_crds::{ArtifactSpec, ArtifactStatus, MeasuredProfile, ToolSpec, WorkflowSpec};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn artifact() -> Artifact {
        let spec = ArtifactSpec {
            description: "Reverse\n the text.".into(),
            digest: Digest::of(b"code").to_string(),
            tests_digest: Some(Digest::of(b"tests").to_string()),
            tags: [("domain".to_owned(), "text".to_owned())].into(),
            workflow: Some("mirror".into()),
            ..ArtifactSpec::default()
        };
        let profile = MeasuredProfile {
            quality: Some("1".into()),
            quality_lower_bound: None,
            p50_latency_ms: "0.1".into(),
            p95_latency_ms: "1.84".into(),
            cost_usd: "0".into(),
            peak_memory_kib: None,
            samples: 20,
            measured_at: Time(Timestamp::UNIX_EPOCH),
        };
        let mut artifact = Artifact::new("mirror-reverse-code-1", spec);
        artifact.metadata.namespace = Some("shop".into());
        artifact.status = Some(ArtifactStatus {
            profile: Some(profile),
            usage_count: Some(7),
            ..ArtifactStatus::default()
        });
        artifact
    }

    #[test]
    fn knows_a_function_and_its_tests() {
        let records = of_artifact(&artifact());
        assert_eq!(
            records.iter().map(|record| record.kind).collect::<Vec<_>>(),
            [Kind::Function, Kind::Test]
        );
        assert_eq!((records[0].usage, records[0].p95_latency_us), (7, Some(1840)));
        assert_eq!(records[0].text.lines().nth(1), Some("Reverse the text."));
        assert_eq!(records[1].digest, Digest::of(b"tests"));
    }

    #[test]
    fn tells_artifacts_workflows_and_tools_of_one_name_apart() {
        let mut workflow = Workflow::new("mirror", WorkflowSpec::default());
        let mut tool = Tool::new("mirror", ToolSpec::default());
        workflow.metadata.namespace = Some("shop".into());
        tool.metadata.namespace = Some("shop".into());
        assert_eq!(of_workflow(&workflow).unwrap().id, "workflow/mirror");
        assert_eq!(of_tool(&tool).unwrap().id, "tool/mirror");
    }

    #[test]
    fn leaves_out_what_belongs_nowhere() {
        let mut artifact = artifact();
        artifact.metadata.namespace = None;
        assert!(of_artifact(&artifact).is_empty());
    }
}
