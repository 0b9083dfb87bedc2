//! Where the code of a workflow's steps comes from.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use dise_crds::{Artifact, OriginKind, conditions};
use kube::ResourceExt as _;
use serde::Serialize;

use super::text::{Paint, Tone, millis, short_digest, thousands, usd};

/// The generations of each step's code, those that were made from another below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lineage {
    workflow: String,
    steps: Vec<StepLineage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct StepLineage {
    step: String,
    generations: Vec<Node>,
}

/// An Artifact and what was made from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    artifact: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    option: Option<String>,
    digest: String,
    origin: OriginKind,
    /// The Tool whose model wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    /// What generating it cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation_cost_usd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tests: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_latency_ms: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<String>,
    uses: i64,
    promoted: bool,
    /// Why it is promoted or not.
    reason: String,
    /// The Artifact that it was made from, where that one is not a generation of this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    children: Vec<Self>,
}

impl Lineage {
    /// The lineage of a workflow's artifacts, or of those of one `step`.
    pub(crate) fn new(workflow: &str, artifacts: &[Artifact], step: Option<&str>) -> Self {
        let mut steps: BTreeMap<&str, Vec<&Artifact>> = BTreeMap::new();
        for artifact in artifacts {
            let of = artifact.spec.step.as_deref().unwrap_or_default();
            if step.is_none_or(|step| step == of) {
                steps.entry(of).or_default().push(artifact);
            }
        }
        let steps = steps
            .into_iter()
            .map(|(step, artifacts)| StepLineage { step: step.to_owned(), generations: forest(artifacts) });
        Self { workflow: workflow.to_owned(), steps: steps.collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// The artifacts as trees, older generations first. Every artifact is in exactly one tree, whatever the parents say.
fn forest(mut artifacts: Vec<&Artifact>) -> Vec<Node> {
    artifacts.sort_by_key(|artifact| (generation(artifact), artifact.name_any()));
    let names: BTreeSet<String> = artifacts.iter().map(|artifact| artifact.name_any()).collect();
    let has_parent =
        |artifact: &Artifact| artifact.spec.parent.as_ref().is_some_and(|parent| names.contains(parent));
    let mut placed = BTreeSet::new();
    let mut trees = Vec::new();
    let (roots, others): (Vec<&Artifact>, Vec<&Artifact>) =
        artifacts.iter().copied().partition(|artifact| !has_parent(artifact));
    // Artifacts that are each other's parents hang below no root.
    for artifact in roots.into_iter().chain(others) {
        if placed.insert(artifact.name_any()) {
            let parent = artifact.spec.parent.clone();
            trees.push(Node { parent, ..tree(artifact, &artifacts, &mut placed) });
        }
    }
    trees
}

fn tree(artifact: &Artifact, all: &[&Artifact], placed: &mut BTreeSet<String>) -> Node {
    let name = artifact.name_any();
    let children = all.iter().filter(|child| child.spec.parent.as_ref() == Some(&name));
    let mut made = Vec::new();
    for child in children {
        if placed.insert(child.name_any()) {
            made.push(tree(child, all, placed));
        }
    }
    Node { children: made, ..describe(artifact) }
}

fn generation(artifact: &Artifact) -> Option<i64> {
    artifact.status.as_ref()?.generation
}

fn describe(artifact: &Artifact) -> Node {
    let status = artifact.status.clone().unwrap_or_default();
    let promoted = conditions::find_condition(&status.conditions, conditions::PROMOTED);
    let reason = promoted.map(|condition| format!("{}: {}", condition.reason, condition.message));
    let profile = status.profile.as_ref();
    let spec = &artifact.spec;
    Node {
        artifact: artifact.name_any(),
        generation: status.generation,
        option: spec.option.clone(),
        digest: spec.digest.clone(),
        origin: spec.origin.kind,
        tool: spec.origin.tool.clone(),
        generation_cost_usd: spec.origin.cost_usd.clone(),
        quality: profile.and_then(|profile| profile.quality.clone()),
        p95_latency_ms: profile.map(|profile| profile.p95_latency_ms.clone()),
        cost_usd: profile.map(|profile| profile.cost_usd.clone()),
        tests: status.tests,
        uses: status.usage_count.unwrap_or(0),
        promoted: conditions::is_true(&status.conditions, conditions::PROMOTED),
        reason: reason.unwrap_or_default(),
        parent: None,
        children: Vec::new(),
    }
}

/// The lineage as a tree.
pub(crate) fn render(lineage: &Lineage, paint: Paint) -> String {
    let mut text = format!("Workflow {}\n", paint.apply(Tone::Strong, &lineage.workflow));
    let last = lineage.steps.len().saturating_sub(1);
    for (index, step) in lineage.steps.iter().enumerate() {
        let (branch, indent) = branch("", index == last);
        let _ = writeln!(text, "{branch}{}", paint.apply(Tone::Strong, &step.step));
        nodes(&step.generations, &indent, paint, &mut text);
    }
    text
}

fn nodes(generations: &[Node], indent: &str, paint: Paint, text: &mut String) {
    let last = generations.len().saturating_sub(1);
    for (index, generation) in generations.iter().enumerate() {
        let (branch, deeper) = branch(indent, index == last);
        let _ = writeln!(text, "{branch}{}", headline(generation, paint));
        let below = if generation.children.is_empty() { "    " } else { "│   " };
        for line in details(generation) {
            let _ = writeln!(text, "{deeper}{below}{}", paint.apply(Tone::Faint, &line));
        }
        nodes(&generation.children, &deeper, paint, text);
    }
}

/// What goes before a node, and before everything below it.
fn branch(indent: &str, last: bool) -> (String, String) {
    let (own, below) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
    (format!("{indent}{own}"), format!("{indent}{below}"))
}

fn headline(generation: &Node, paint: Paint) -> String {
    let number = generation.generation.map_or_else(|| "gen ?".to_owned(), |number| format!("gen {number}"));
    let mark = if generation.promoted {
        format!(" {}", paint.apply(Tone::Good, "● in use"))
    } else {
        String::new()
    };
    let origin = match (generation.origin, &generation.tool) {
        (OriginKind::Authored, _) => "written by a person".to_owned(),
        (OriginKind::Synthesis, Some(tool)) => format!("written by Tool {tool}"),
        (OriginKind::Synthesis, None) => "written by a model".to_owned(),
        (OriginKind::Reuse, _) => "found in the memory".to_owned(),
    };
    format!("{number}{mark}  {}  {origin}", generation.artifact)
}

/// What was measured, and why it is in use or not.
fn details(generation: &Node) -> Vec<String> {
    let facts = [
        generation.option.as_ref().map(|option| format!("option {option}")),
        Some(format!("digest {}", short_digest(&generation.digest))),
        generation.quality.as_ref().map(|quality| format!("quality {quality}")),
        generation.tests.as_ref().map(|tests| format!("tests {tests}")),
        generation.p95_latency_ms.as_ref().map(|p95| format!("p95 {}", millis(p95))),
        generation.cost_usd.as_ref().map(|cost| format!("{} per use", usd(cost))),
        generation.generation_cost_usd.as_ref().map(|cost| format!("{} to generate", usd(cost))),
        Some(format!("uses {}", thousands(generation.uses))),
    ];
    let parent =
        generation.parent.as_ref().map(|parent| format!("made from {parent}, which is not shown here"));
    let reason = Some(generation.reason.clone()).filter(|reason| !reason.is_empty());
    [Some(facts.into_iter().flatten().collect::<Vec<_>>().join(", ")), parent, reason]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use dise_crds::{
        ArtifactSpec, ArtifactStatus, MeasuredProfile, Origin,
        conditions::{PROMOTED, condition},
    };
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn artifact(step: &str, number: i64, parent: Option<&str>, promoted: bool) -> Artifact {
        let spec = ArtifactSpec {
            digest: format!("sha256:{}", number.to_string().repeat(64)),
            step: Some(step.into()),
            option: Some("code".into()),
            parent: parent.map(str::to_owned),
            ..ArtifactSpec::default()
        };
        let mut artifact = Artifact::new(&format!("{step}-{number}"), spec);
        let reason =
            if promoted { ("Active", "the plan uses it") } else { ("Superseded", "another is better") };
        artifact.status = Some(ArtifactStatus {
            generation: Some(number),
            tests: Some("6/6".into()),
            usage_count: Some(1200 * number),
            conditions: vec![condition(PROMOTED, promoted, reason.0, reason.1, None, Timestamp::UNIX_EPOCH)],
            profile: Some(MeasuredProfile {
                quality: Some("1".into()),
                quality_lower_bound: None,
                p50_latency_ms: "0.2".into(),
                p95_latency_ms: "0.41".into(),
                cost_usd: "0".into(),
                peak_memory_kib: None,
                samples: 1,
                measured_at: Time(Timestamp::UNIX_EPOCH),
            }),
            ..ArtifactStatus::default()
        });
        artifact
    }

    fn names(generations: &[Node]) -> Vec<String> {
        let name = |generation: &Node| match names(&generation.children).as_slice() {
            [] => generation.artifact.clone(),
            children => format!("{}({})", generation.artifact, children.join(" ")),
        };
        generations.iter().map(name).collect()
    }

    #[test]
    fn draws_what_was_made_from_what() {
        let mut generated = artifact("score", 1, Some("elsewhere"), true);
        generated.spec.origin = Origin {
            kind: OriginKind::Synthesis,
            tool: Some("qwen".into()),
            cost_usd: Some("0.01".into()),
            ..Origin::default()
        };
        generated.status.as_mut().unwrap().profile = None;
        let artifacts =
            [artifact("clean", 2, Some("clean-1"), true), artifact("clean", 1, None, false), generated];
        let expected = "\
Workflow triage
├── clean
│   └── gen 1  clean-1  written by a person
│       │   option code, digest 111111111111, quality 1, tests 6/6, p95 0.41 ms, $0 per use, uses 1 200
│       │   Superseded: another is better
│       └── gen 2 ● in use  clean-2  written by a person
│               option code, digest 222222222222, quality 1, tests 6/6, p95 0.41 ms, $0 per use, uses 2 400
│               Active: the plan uses it
└── score
    └── gen 1 ● in use  score-1  written by Tool qwen
            option code, digest 111111111111, tests 6/6, $0.01 to generate, uses 1 200
            made from elsewhere, which is not shown here
            Active: the plan uses it
";
        assert_eq!(render(&Lineage::new("triage", &artifacts, None), Paint::NONE), expected);
    }

    #[test]
    fn shows_every_generation_once_even_if_parents_go_in_circles() {
        let artifacts = [
            artifact("a", 1, Some("a-3"), false),
            artifact("a", 2, Some("a-1"), false),
            artifact("a", 3, Some("a-2"), false),
            artifact("a", 4, Some("a-1"), false),
            artifact("a", 5, Some("a-5"), false),
        ];
        let lineage = Lineage::new("w", &artifacts, None);
        assert_eq!(names(&lineage.steps[0].generations), ["a-1(a-2(a-3) a-4)", "a-5"]);
    }

    #[test]
    fn shows_one_step_on_request() {
        let artifacts = [artifact("a", 1, None, true), artifact("b", 1, None, true)];
        let lineage = Lineage::new("w", &artifacts, Some("b"));
        assert_eq!(lineage.steps.len(), 1);
        assert!(Lineage::new("w", &artifacts, Some("c")).is_empty());
    }
}
