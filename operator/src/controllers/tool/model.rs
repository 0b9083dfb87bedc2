//! Tools that are models: a Job in their namespace, which alone has their key, asks them now and then whether they answer.

use std::{collections::BTreeSet, time::Duration};

use dise_core::wire::{ProbeReport, ProbeRequest};
use dise_crds::{
    Tool, ToolType,
    conditions::{READY, Status, find_condition, is_true},
};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::Verdict;
use crate::{
    controllers::{Context, Error, Owner, reports::store_request},
    store::Key,
};

/// How soon a model that answered is asked again. Its searches would notice sooner.
const ASK_READY: Duration = Duration::from_mins(30);
/// How soon a model that did not is asked again.
const ASK_FAILING: Duration = Duration::from_mins(1);

pub(super) async fn assess(
    context: &Context,
    namespace: &str,
    owner: &Owner,
    tool: &Tool,
) -> Result<Verdict, Error> {
    let Some(model) = tool.spec.model(&tool.name_any()) else {
        return Ok(Verdict::new(Status::False, "InvalidSpec", "spec.llm is not set".to_owned()));
    };
    let last = match last_probe(tool).map(|verdict| (wait(&verdict, Timestamp::now()), verdict)) {
        Some((Some(again), verdict)) => {
            context.probes.retain(namespace, owner, &BTreeSet::new());
            return Ok(Verdict { again, ..verdict });
        }
        Some((None, verdict)) => Some(verdict),
        None => None,
    };
    let secret = model.api_key.clone();
    let embeds = tool.spec.type_ == ToolType::EmbeddingModel;
    let request = ProbeRequest { model, embeds, last: last.as_ref().and_then(|verdict| verdict.probed) };
    let digest = store_request(&context.store, namespace, &request).await?;
    context.probes.retain(namespace, owner, &BTreeSet::from([digest]));
    let key = Key::probe(namespace, digest);
    if let Some(report) = context.store.document::<ProbeReport>(&key).await? {
        context.probes.settle(namespace, digest);
        return Ok(verdict(&report));
    }
    let note = context.probes.submit(namespace, digest, owner, secret.as_ref());
    // A model that answered is taken to answer until it is known that it does not.
    Ok(last.map_or_else(
        || Verdict::new(Status::Unknown, "Probing", note),
        |verdict| Verdict { again: ASK_FAILING, ..verdict },
    ))
}

/// What the model said when it was asked last, as it is declared now.
fn last_probe(tool: &Tool) -> Option<Verdict> {
    let status =
        tool.status.as_ref().filter(|status| status.observed_generation == tool.metadata.generation)?;
    let at = status.last_probe_time.as_ref()?.0;
    let ready = find_condition(&status.conditions, READY)?;
    let holds = is_true(&status.conditions, READY);
    Some(outcome(at, holds, ready.reason.clone(), ready.message.clone()))
}

/// How long until the model is to be asked again; `None` when it is time.
fn wait(verdict: &Verdict, now: Timestamp) -> Option<Duration> {
    let due = verdict.probed? + verdict.again;
    Duration::try_from(due.duration_since(now)).ok().filter(|wait| !wait.is_zero())
}

fn verdict(report: &ProbeReport) -> Verdict {
    outcome(report.at, report.ready, report.reason.clone(), report.message.clone())
}

fn outcome(at: Timestamp, ready: bool, reason: String, message: String) -> Verdict {
    let again = if ready { ASK_READY } else { ASK_FAILING };
    Verdict { status: ready.into(), reason: reason.into(), message, probed: Some(at), again }
}

#[cfg(test)]
mod tests {
    use dise_crds::{ToolSpec, ToolStatus, conditions::condition};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

    fn probed(ready: bool, observed: i64) -> Tool {
        let ready = condition(READY, ready, "R", "m", Some(observed), NOW);
        let mut tool = Tool::new("t", ToolSpec::default());
        tool.metadata.generation = Some(2);
        tool.status = Some(ToolStatus {
            observed_generation: Some(observed),
            conditions: vec![ready],
            last_probe_time: Some(Time(NOW)),
            ..ToolStatus::default()
        });
        tool
    }

    #[test]
    fn asks_a_failing_model_again_within_a_minute_and_an_answering_one_later() {
        for (ready, interval) in [(true, ASK_READY), (false, ASK_FAILING)] {
            let verdict = last_probe(&probed(ready, 2)).unwrap();
            assert_eq!(wait(&verdict, NOW), Some(interval));
            assert_eq!(wait(&verdict, NOW + interval), None);
        }
    }

    #[test]
    fn asks_at_once_when_the_declaration_has_changed() {
        assert!(last_probe(&probed(true, 1)).is_none());
    }
}
