//! Artifacts: the record of each generation of a step's code that was proven.

use std::collections::{BTreeMap, BTreeSet};

use dise_core::{
    digest::Digest,
    synthesis::{self, Outcome},
};
use dise_crds::{
    Artifact, ArtifactSpec, ArtifactStatus, ArtifactType, Language, MeasuredProfile, Origin, OriginKind,
    Verification, Workflow, conditions,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{ListParams, ObjectMeta},
};

use super::decide::Passed;
use crate::{
    controllers::{Context, Error, apply},
    labels,
    store::Key,
};

const DESCRIPTION_CHARACTERS: usize = 4096;

/// A proven option together with the Artifact that records it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    pub(super) passed: Passed,
    pub(super) artifact: String,
    pub(super) generation: i64,
}

/// Makes sure that each proven option has an Artifact, in the bucket and in the cluster.
pub(super) async fn record(
    workflow: &Workflow,
    context: &Context,
    existing: &[Artifact],
    passed: Vec<Passed>,
) -> Result<Vec<Named>, Error> {
    let namespace = workflow.namespace().unwrap_or_default();
    let mut generations = newest_generations(existing);
    let mut named: Vec<Named> = Vec::with_capacity(passed.len());
    for option in passed {
        let name = name(workflow, &option);
        let found = existing.iter().find(|artifact| artifact.name_any() == name);
        let known = found.and_then(|artifact| artifact.status.as_ref()?.generation);
        let generation = known.unwrap_or_else(|| {
            let newest = generations.entry((option.step.clone(), option.option.clone())).or_default();
            *newest += 1;
            *newest
        });
        if known.is_none() {
            let active = !named.iter().any(|named| named.passed.step == option.step);
            let artifact = artifact(workflow, &option, &name, generation, active);
            create(context, &namespace, &artifact).await?;
            if artifact.spec.parent.is_some() {
                context.signals.usage(&namespace);
            }
        }
        named.push(Named { passed: option, artifact: name, generation });
    }
    Ok(named)
}

async fn create(context: &Context, namespace: &str, artifact: &Artifact) -> Result<(), Error> {
    // The bucket first: what is in the cluster can be rebuilt from it, and not the other way round.
    context.store.put(&Key::artifact(namespace, &artifact.name_any()), artifact).await?;
    let applied =
        apply::apply(&context.client, namespace, &Artifact { status: None, ..artifact.clone() }).await?;
    if let Some(status) = &artifact.status {
        let status = ArtifactStatus { observed_generation: applied.metadata.generation, ..status.clone() };
        apply::apply_status(&context.client, &applied, None, &status).await?;
    }
    Ok(())
}

/// Marks which of the artifacts that existed before the plan uses, and deletes those beyond what the workflow keeps. The
/// bucket keeps them all.
pub(super) async fn promote_and_collect(
    workflow: &Workflow,
    context: &Context,
    existing: &[Artifact],
    named: &[Named],
) -> Result<(), Error> {
    let namespace = workflow.namespace().unwrap_or_default();
    let active = active(named);
    let keep = usize::try_from(workflow.spec.evolution.keep_generations).unwrap_or(1);
    let mut surplus = surplus(existing, &active, keep);
    if !surplus.is_empty() {
        let parents = parents(context, &namespace).await?;
        surplus.retain(|name| !parents.contains(name));
    }
    for artifact in existing {
        let name = artifact.name_any();
        if surplus.contains(&name) {
            apply::delete::<Artifact>(&context.client, &namespace, &name).await?;
        } else if let Some(status) = promoted(artifact, active.contains(&name), Timestamp::now()) {
            apply::apply_status(&context.client, artifact, None, &status).await?;
        }
    }
    Ok(())
}

/// The artifacts that others were made from, which are not collected.
async fn parents(context: &Context, namespace: &str) -> Result<BTreeSet<String>, Error> {
    let api: Api<Artifact> = Api::namespaced(context.client.clone(), namespace);
    let found = api.list(&ListParams::default()).await?;
    Ok(found.items.into_iter().filter_map(|artifact| artifact.spec.parent).collect())
}

/// The artifacts that a plan uses: the first option of each step.
fn active(named: &[Named]) -> BTreeSet<String> {
    let mut steps = BTreeSet::new();
    named
        .iter()
        .filter(|option| steps.insert(&option.passed.step))
        .map(|option| option.artifact.clone())
        .collect()
}

/// The artifacts of a workflow.
pub(super) async fn list(workflow: &Workflow, context: &Context) -> Result<Vec<Artifact>, Error> {
    let namespace = workflow.namespace().unwrap_or_default();
    let api: Api<Artifact> = Api::namespaced(context.client.clone(), &namespace);
    let selector = format!("{}={}", labels::WORKFLOW, workflow.name_any());
    let uid = workflow.uid();
    let found = api.list(&ListParams::default().labels(&selector)).await?;
    // A workflow of the same name that was deleted a moment ago may still have artifacts that are being collected.
    let own = |artifact: &Artifact| {
        artifact.metadata.deletion_timestamp.is_none()
            && artifact.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref())
    };
    Ok(found.items.into_iter().filter(own).collect())
}

/// The newest generation of each step's option.
fn newest_generations(existing: &[Artifact]) -> BTreeMap<(String, String), i64> {
    let mut newest = BTreeMap::new();
    for artifact in existing {
        let (Some(key), Some(generation)) = (line(artifact), generation(artifact)) else { continue };
        let entry: &mut i64 = newest.entry(key).or_default();
        *entry = generation.max(*entry);
    }
    newest
}

/// The artifacts that are neither used nor among the newest `keep` of their step's option.
fn surplus(existing: &[Artifact], active: &BTreeSet<String>, keep: usize) -> BTreeSet<String> {
    let mut lines: BTreeMap<_, Vec<&Artifact>> = BTreeMap::new();
    for artifact in existing {
        lines.entry(line(artifact)).or_default().push(artifact);
    }
    let mut surplus = BTreeSet::new();
    for artifacts in lines.values_mut() {
        artifacts.sort_by_key(|artifact| {
            std::cmp::Reverse((active.contains(&artifact.name_any()), generation(artifact)))
        });
        surplus.extend(artifacts.iter().skip(keep).map(|artifact| artifact.name_any()));
    }
    surplus.retain(|name| !active.contains(name));
    surplus
}

/// The step and the option that an artifact is a generation of.
fn line(artifact: &Artifact) -> Option<(String, String)> {
    Some((artifact.spec.step.clone()?, artifact.spec.option.clone()?))
}

fn generation(artifact: &Artifact) -> Option<i64> {
    artifact.status.as_ref()?.generation
}

/// The status of an artifact when its promotion changes; without counts, which another field manager writes.
fn promoted(artifact: &Artifact, active: bool, now: Timestamp) -> Option<ArtifactStatus> {
    let mut status = artifact.status.clone()?;
    if conditions::find_condition(&status.conditions, conditions::PROMOTED)
        .is_some_and(|condition| (condition.status == "True") == active)
    {
        return None;
    }
    let condition = promotion(active, artifact.metadata.generation, now);
    conditions::set_condition(&mut status.conditions, condition);
    status.usage_count = None;
    status.last_used = None;
    status.reuse_count = None;
    status.saved_usd = None;
    Some(status)
}

fn promotion(active: bool, generation: Option<i64>, now: Timestamp) -> Condition {
    let (reason, message) = if active {
        ("Active", "the workflow's plan uses it")
    } else {
        ("Superseded", "the workflow's plan uses another generation or option")
    };
    conditions::condition(conditions::PROMOTED, active, reason, message, generation, now)
}

/// Equal code with equal proof has an equal name, so that it is recorded once however often this is tried.
fn name(workflow: &Workflow, option: &Passed) -> String {
    let proof = Digest::of(format!("{}{}", workflow.uid().unwrap_or_default(), option.request).as_bytes());
    format!("{}-{}-{}-{}", workflow.name_any(), option.step, option.option, proof.short(10))
}

fn artifact(workflow: &Workflow, option: &Passed, name: &str, generation: i64, active: bool) -> Artifact {
    let namespace = workflow.namespace().unwrap_or_default();
    let function = &option.function;
    let digest = function.digest();
    let steps = &workflow.spec.steps;
    let description = steps.iter().find(|step| step.name == option.step).map(|step| &step.description);
    let spec = ArtifactSpec {
        type_: ArtifactType::Function,
        language: Language::from(function.language),
        description: description
            .map(|text| text.chars().take(DESCRIPTION_CHARACTERS).collect())
            .unwrap_or_default(),
        tags: workflow.spec.tags.clone(),
        digest: digest.to_string(),
        source_ref: Some(Key::blob(&namespace, digest).to_string()),
        source: Some(function.source.clone()),
        tests_digest: Some(option.request.to_string()),
        parent: parent(option),
        origin: origin(option),
        workflow: Some(workflow.name_any()),
        step: Some(option.step.clone()),
        option: Some(option.option.clone()),
    };
    let labels = [(labels::MANAGED_BY, labels::MANAGER.to_owned()), (labels::WORKFLOW, workflow.name_any())];
    Artifact {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value)).into()),
            owner_references: workflow.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec,
        status: Some(status(option, generation, active)),
    }
}

/// The artifact that the code was taken from.
fn parent(option: &Passed) -> Option<String> {
    let Outcome::Found(solution) = &option.search.as_ref()?.outcome else { return None };
    match &solution.origin {
        synthesis::Origin::Recalled { artifact, .. } => Some(artifact.clone()),
        synthesis::Origin::Generated { .. } => None,
    }
}

fn origin(option: &Passed) -> Origin {
    let Some(report) = &option.search else { return Origin::default() };
    let Outcome::Found(solution) = &report.outcome else { return Origin::default() };
    match &solution.origin {
        synthesis::Origin::Generated { tool, prompt } => Origin {
            kind: OriginKind::Synthesis,
            tool: Some(tool.clone()),
            prompt: Some(prompt.to_string()),
            cost_usd: Some(report.spend.usd.to_string()),
            saved_usd: None,
        },
        synthesis::Origin::Recalled { saved_usd, .. } => Origin {
            kind: OriginKind::Reuse,
            cost_usd: Some(report.spend.usd.to_string()),
            saved_usd: saved_usd.map(|saved| saved.to_string()),
            ..Origin::default()
        },
    }
}

fn status(option: &Passed, generation: i64, active: bool) -> ArtifactStatus {
    let verification = Verification::from(&*option.report);
    let message = format!("{} of {} examples passed", option.report.passed, option.report.passed);
    let verified =
        conditions::condition(conditions::VERIFIED, true, "Passed", message, None, option.report.at);
    ArtifactStatus {
        conditions: vec![verified, promotion(active, None, option.report.at)],
        tests: Some(verification.tests()),
        verification: Some(verification),
        profile: option.report.profile.as_ref().map(MeasuredProfile::from),
        generation: Some(generation),
        ..ArtifactStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(name: &str, step: &str, generation: i64) -> Artifact {
        let spec =
            ArtifactSpec { step: Some(step.into()), option: Some("code".into()), ..ArtifactSpec::default() };
        let status = ArtifactStatus { generation: Some(generation), ..ArtifactStatus::default() };
        Artifact { status: Some(status), ..Artifact::new(name, spec) }
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn counts_generations_per_step() {
        let existing = [recorded("a1", "a", 1), recorded("a3", "a", 3), recorded("b1", "b", 1)];
        let newest = newest_generations(&existing);
        assert_eq!(newest[&("a".to_owned(), "code".to_owned())], 3);
        assert_eq!(newest[&("b".to_owned(), "code".to_owned())], 1);
    }

    #[test]
    fn keeps_the_newest_generations_of_each_step() {
        let existing: Vec<_> =
            (1..=4).map(|n| recorded(&format!("a{n}"), "a", n)).chain([recorded("b1", "b", 1)]).collect();
        assert_eq!(surplus(&existing, &names(&["a4", "b1"]), 2), names(&["a1", "a2"]));
    }

    #[test]
    fn never_collects_what_the_plan_uses_however_old_it_is() {
        let existing: Vec<_> = (1..=4).map(|n| recorded(&format!("a{n}"), "a", n)).collect();
        assert_eq!(surplus(&existing, &names(&["a1"]), 2), names(&["a2", "a3"]));
    }

    #[test]
    fn writes_a_promotion_only_when_it_changes_and_without_counts() {
        let mut artifact = recorded("a1", "a", 1);
        artifact.status.as_mut().unwrap().usage_count = Some(7);
        let status = promoted(&artifact, true, Timestamp::UNIX_EPOCH).unwrap();
        assert!(conditions::is_true(&status.conditions, conditions::PROMOTED));
        assert_eq!(status.usage_count, None);
        artifact.status = Some(status);
        assert_eq!(promoted(&artifact, true, Timestamp::UNIX_EPOCH), None);
    }
}
