//! What a person wants to know about a workflow at night.

use std::{collections::BTreeMap, fmt::Write as _};

use dise_crds::{
    Artifact, Bottleneck, SearchStatus, ServingMode, SpendStatus, StepState, Workflow, conditions,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use serde::Serialize;

use super::{
    advice,
    events::EventLine,
    table::{self, Cell},
    text::{Paint, Tone, age, millis, short_digest, thousands, usd},
};
use crate::words::count;

/// A workflow as it stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    name: String,
    namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    conditions: Vec<ConditionLine>,
    /// What to do next.
    next: String,
    steps: Vec<StepLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bottleneck: Option<Bottleneck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_hash: Option<String>,
    serving_mode: ServingMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executions: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_execution_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_latency_ms: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd_per_run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spend: Option<SpendStatus>,
    events: Vec<EventLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_time: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConditionLine {
    #[serde(rename = "type")]
    type_: String,
    status: String,
    reason: String,
    message: String,
    since: Timestamp,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct StepLine {
    name: String,
    state: StepState,
    #[serde(skip_serializing_if = "Option::is_none")]
    option: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tests: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_latency_ms: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<SearchStatus>,
}

impl Summary {
    /// Puts together what is known; `artifacts` are those of the workflow.
    pub(crate) fn new(workflow: &Workflow, artifacts: &[Artifact], events: Vec<EventLine>) -> Self {
        let status = workflow.status.clone().unwrap_or_default();
        Self {
            name: workflow.name_any(),
            namespace: workflow.namespace().unwrap_or_default(),
            description: workflow.spec.description.clone(),
            next: advice::next(workflow),
            conditions: status.conditions.iter().map(ConditionLine::from).collect(),
            steps: steps(workflow, artifacts),
            bottleneck: status.bottleneck,
            plan_hash: status.plan_hash,
            serving_mode: status.serving_mode.unwrap_or(workflow.spec.serving.mode),
            replicas: status.replicas,
            executions: status.executions,
            last_execution_time: status.last_execution_time.map(|time| time.0),
            quality: status.quality,
            p95_latency_ms: status.p95_latency_ms,
            cost_usd_per_run: status.cost_usd_per_run,
            spend: status.spend,
            events,
            creation_time: workflow.creation_timestamp().map(|time| time.0),
        }
    }

    fn condition(&self, type_: &str) -> Option<&ConditionLine> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }
}

impl From<&Condition> for ConditionLine {
    fn from(condition: &Condition) -> Self {
        Self {
            type_: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            since: condition.last_transition_time.0,
        }
    }
}

/// The steps in the order of the spec, with what was measured about the code that each uses.
fn steps(workflow: &Workflow, artifacts: &[Artifact]) -> Vec<StepLine> {
    let artifacts: BTreeMap<String, &Artifact> =
        artifacts.iter().map(|artifact| (artifact.name_any(), artifact)).collect();
    let known = workflow.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
    let line = |name: &String| {
        let Some(step) = known.iter().find(|step| step.name == *name) else {
            return StepLine { name: name.clone(), ..StepLine::default() };
        };
        let artifact = step.artifact.as_ref().and_then(|name| artifacts.get(name));
        let profile = artifact.and_then(|artifact| artifact.status.as_ref()?.profile.as_ref());
        StepLine {
            name: name.clone(),
            state: step.state,
            option: step.active_option.clone(),
            artifact: step.artifact.clone(),
            generation: step.generation,
            tests: step.tests.clone(),
            quality: profile.and_then(|profile| profile.quality.clone()),
            p95_latency_ms: profile.map(|profile| profile.p95_latency_ms.clone()),
            search: step.search.clone(),
        }
    };
    workflow.spec.steps.iter().map(|step| line(&step.name)).collect()
}

/// All there is to know about one workflow.
pub(crate) fn render(summary: &Summary, now: Timestamp, paint: Paint) -> String {
    let Summary { namespace, name, description, .. } = summary;
    let mut text = format!("Workflow {namespace}/{}", paint.apply(Tone::Strong, name));
    if let Some(line) = description.lines().next() {
        let _ = write!(text, "   {line}");
    }
    text.push_str("\n\n");
    text.push_str(&conditions(summary, now, paint));
    let _ = writeln!(text, "{} {}\n", paint.apply(Tone::Strong, "Next:"), summary.next);
    text.push_str(&step_table(&summary.steps, paint));
    for step in &summary.steps {
        text.push_str(&failed_search(step));
    }
    text.push_str(&facts(summary, now));
    text.push_str(&events(&summary.events, now, paint));
    text
}

/// A line for each condition. `Ready` carries the message; the others mostly repeat it.
fn conditions(summary: &Summary, now: Timestamp, paint: Paint) -> String {
    let stalled = summary.condition(conditions::STALLED).is_some_and(|condition| condition.status == "True");
    let row = |condition: &ConditionLine| {
        let tone = match (condition.type_.as_str(), condition.status.as_str()) {
            (conditions::STALLED, "True") => Tone::Bad,
            (conditions::RECONCILING, _) | (_, "Unknown") => Tone::Waiting,
            (_, "True") => Tone::Good,
            _ if stalled => Tone::Bad,
            _ => Tone::Waiting,
        };
        let ConditionLine { type_, status, reason, since, .. } = condition;
        [type_.as_str().into(), Cell::toned(status, tone), Cell::toned(reason, tone), age(*since, now).into()]
    };
    let rows: Vec<_> = summary.conditions.iter().map(row).collect();
    let mut text = table::render(["CONDITION", "STATUS", "REASON", "SINCE"], &rows, paint);
    if let Some(ready) = summary.condition(conditions::READY) {
        let _ = write!(text, "\n{}\n", ready.message);
    }
    text
}

fn step_table(steps: &[StepLine], paint: Paint) -> String {
    let row = |step: &StepLine| {
        let tone = match step.state {
            StepState::Ready => Tone::Good,
            StepState::Failed => Tone::Bad,
            _ => Tone::Waiting,
        };
        [
            Cell::from(step.name.as_str()),
            Cell::toned(format!("{:?}", step.state), tone),
            step.option.as_deref().into(),
            step.generation.map(|generation| generation.to_string()).into(),
            step.quality.as_deref().into(),
            step.tests.as_deref().into(),
            step.p95_latency_ms.as_deref().map(millis).into(),
            step.artifact.as_deref().into(),
        ]
    };
    let header = ["STEP", "STATE", "OPTION", "GEN", "QUALITY", "TESTS", "P95", "ARTIFACT"];
    table::render(header, &steps.iter().map(row).collect::<Vec<_>>(), paint)
}

/// The candidate that came closest, for a step whose search found nothing.
fn failed_search(step: &StepLine) -> String {
    let Some(search) = &step.search else { return String::new() };
    let Some(best) = &search.best_candidate else { return String::new() };
    let mut text = format!(
        "\nStep {}: {} after {} and {} for {}. The best candidate passed {} examples ({}):\n",
        step.name,
        search.outcome,
        count(usize::try_from(search.candidates).unwrap_or_default(), "candidate"),
        count(usize::try_from(search.calls).unwrap_or_default(), "call"),
        usd(&search.spent_usd),
        best.tests,
        best.reason,
    );
    for failure in &best.failures {
        let _ = writeln!(text, "  {failure}");
    }
    text.push_str("  Its code is in -o yaml.\n");
    text
}

fn facts(summary: &Summary, now: Timestamp) -> String {
    let mut lines = String::new();
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(lines, "{name:<12}{value}");
        }
    };
    fact("Usage", summary.executions.map(|executions| usage(summary, executions, now)));
    let measured = [
        summary.quality.as_ref().map(|quality| format!("quality {quality}")),
        summary.p95_latency_ms.as_ref().map(|p95| format!("p95 {}", millis(p95))),
        summary.cost_usd_per_run.as_ref().map(|cost| format!("{} per run", usd(cost))),
    ];
    let measured: Vec<String> = measured.into_iter().flatten().collect();
    fact("Measured", (!measured.is_empty()).then(|| measured.join(", ")));
    let bottleneck = summary.bottleneck.as_ref();
    fact(
        "Bottleneck",
        bottleneck.map(|found| format!("{}, {} % of the time", found.step, found.time_percent)),
    );
    fact("Generation", summary.spend.as_ref().map(spend));
    fact(
        "Plan",
        summary.plan_hash.as_deref().map(|plan| format!("{}, {}", short_digest(plan), served_by(summary))),
    );
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn usage(summary: &Summary, executions: i64, now: Timestamp) -> String {
    let plural = if executions == 1 { "" } else { "s" };
    let last = summary.last_execution_time.map(|last| format!(", the last {} ago", age(last, now)));
    format!("{} execution{plural}{}", thousands(executions), last.unwrap_or_default())
}

fn spend(spend: &SpendStatus) -> String {
    let saved =
        spend.saved_usd.as_deref().map(|saved| format!(", {} saved by code of the memory", usd(saved)));
    format!("{} spent{}", usd(&spend.total_usd), saved.unwrap_or_default())
}

fn served_by(summary: &Summary) -> String {
    match (summary.serving_mode, summary.replicas) {
        (ServingMode::Shared, _) => "served by the executor of the namespace".to_owned(),
        (ServingMode::Dedicated, None) => "served by its own executor".to_owned(),
        (ServingMode::Dedicated, Some(replicas)) => {
            format!("served by its own executor, replicas: {replicas}")
        }
    }
}

fn events(events: &[EventLine], now: Timestamp, paint: Paint) -> String {
    if events.is_empty() {
        return "\nNo recent Events.\n".to_owned();
    }
    let row = |event: &EventLine| {
        let tone = if event.type_ == "Normal" { Tone::Faint } else { Tone::Waiting };
        let times = if event.count > 1 { format!(" (x{})", event.count) } else { String::new() };
        [
            Cell::from(age(event.at, now)),
            Cell::toned(&event.type_, tone),
            Cell::from(event.reason.as_str()),
            Cell::from(event.object.as_str()),
            Cell::from(format!("{}{times}", event.message.lines().next().unwrap_or_default())),
        ]
    };
    let rows: Vec<_> = events.iter().map(row).collect();
    format!("\n{}", table::render(["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"], &rows, paint))
}

/// A line for each workflow; with their namespaces, if they are of several.
pub(crate) fn render_all(summaries: &[Summary], namespaces: bool, now: Timestamp, paint: Paint) -> String {
    let row = |summary: &Summary| {
        let ready = summary.condition(conditions::READY);
        let is_stalled = summary.condition(conditions::STALLED).is_some();
        let tone = match ready.map(|ready| ready.status.as_str()) {
            Some("True") => Tone::Good,
            _ if is_stalled => Tone::Bad,
            _ => Tone::Waiting,
        };
        [
            Cell::from(if namespaces { summary.namespace.as_str() } else { "" }),
            Cell::from(summary.name.as_str()),
            Cell::toned(ready.map_or("Unknown", |ready| &ready.status), tone),
            Cell::toned(ready.map_or("-", |ready| &ready.reason), tone),
            summary.quality.as_deref().into(),
            summary.cost_usd_per_run.as_deref().map(usd).into(),
            summary.p95_latency_ms.as_deref().map(millis).into(),
            summary.executions.map(thousands).into(),
            summary.creation_time.map(|created| age(created, now)).into(),
        ]
    };
    let rows: Vec<_> = summaries.iter().map(row).collect();
    let header = ["NAMESPACE", "NAME", "READY", "REASON", "QUALITY", "COST/RUN", "P95", "RUNS", "AGE"];
    table::render(header, &rows, paint)
}

#[cfg(test)]
mod tests;
