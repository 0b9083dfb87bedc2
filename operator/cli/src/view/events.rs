//! What happened around a workflow lately.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::ObjectMeta;
use serde::Serialize;

const EXECUTOR: &str = "dise.dev/executor";

/// An Event in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventLine {
    pub(crate) at: Timestamp,
    #[serde(rename = "type")]
    pub(crate) type_: String,
    pub(crate) reason: String,
    pub(crate) object: String,
    pub(crate) message: String,
    pub(crate) count: i32,
}

/// Which objects' Events are of interest: a workflow, what it owns, and the pods that serve it.
pub(crate) struct Related {
    uids: BTreeSet<String>,
}

impl Related {
    /// `candidates` are objects that may belong to the workflow of this `uid`, directly or through one another;
    /// `executor` is the label of the pods that serve it.
    pub(crate) fn to(uid: &str, executor: &str, candidates: &[ObjectMeta]) -> Self {
        let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut open = vec![uid];
        for object in candidates {
            let Some(own) = object.uid.as_deref() else { continue };
            for owner in object.owner_references.iter().flatten() {
                children.entry(owner.uid.as_str()).or_default().push(own);
            }
            let label = object.labels.as_ref().and_then(|labels| labels.get(EXECUTOR));
            if label.is_some_and(|label| label == executor) {
                open.push(own);
            }
        }
        let mut uids = BTreeSet::new();
        while let Some(uid) = open.pop() {
            if uids.insert(uid.to_owned()) {
                open.extend(children.get(uid).into_iter().flatten());
            }
        }
        Self { uids }
    }

    fn has(&self, event: &Event) -> bool {
        event.involved_object.uid.as_ref().is_some_and(|uid| self.uids.contains(uid))
    }
}

/// The newest `limit` Events of these objects, the oldest first.
pub(crate) fn events_of(related: &Related, events: &[Event], limit: usize) -> Vec<EventLine> {
    let mut lines: Vec<EventLine> =
        events.iter().filter(|event| related.has(event)).filter_map(line).collect();
    lines.sort_by_key(|line| line.at);
    lines.split_off(lines.len().saturating_sub(limit))
}

/// Events of the older API have `lastTimestamp` and `count`, those of the newer one `eventTime` and `series`.
fn line(event: &Event) -> Option<EventLine> {
    let series = event.series.as_ref();
    let at = series
        .and_then(|series| series.last_observed_time.as_ref().map(|time| time.0))
        .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))?;
    let object = &event.involved_object;
    Some(EventLine {
        at,
        type_: event.type_.clone().unwrap_or_default(),
        reason: event.reason.clone().unwrap_or_default(),
        object: format!(
            "{}/{}",
            object.kind.as_deref().unwrap_or_default(),
            object.name.as_deref().unwrap_or_default()
        ),
        message: event.message.clone().unwrap_or_default(),
        count: series.and_then(|series| series.count).or(event.count).unwrap_or(1),
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        api::core::v1::ObjectReference,
        apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference, Time},
    };

    use super::*;

    fn object(uid: &str, owner: Option<&str>, executor: Option<&str>) -> ObjectMeta {
        let reference = |uid: &str| OwnerReference { uid: uid.into(), ..OwnerReference::default() };
        ObjectMeta {
            uid: Some(uid.into()),
            owner_references: owner.map(|uid| vec![reference(uid)]),
            labels: executor.map(|label| BTreeMap::from([(EXECUTOR.to_owned(), label.to_owned())])),
            ..ObjectMeta::default()
        }
    }

    fn event(uid: &str, second: i64) -> Event {
        Event {
            involved_object: ObjectReference {
                uid: Some(uid.into()),
                kind: Some("Pod".into()),
                name: Some(uid.into()),
                ..ObjectReference::default()
            },
            last_timestamp: Some(Time(Timestamp::from_second(second).unwrap())),
            reason: Some("BackOff".into()),
            ..Event::default()
        }
    }

    #[test]
    fn takes_what_is_owned_through_others_and_the_pods_that_serve() {
        let objects = [
            object("pod", Some("job"), None),
            object("job", Some("workflow"), None),
            object("executor", Some("set"), Some("shared.dise.dev")),
            object("stranger", Some("other"), Some("other")),
        ];
        let related = Related::to("workflow", "shared.dise.dev", &objects);
        let names = ["pod", "stranger", "executor", "workflow", "set"];
        let events: Vec<Event> = names.iter().zip(1..).map(|(uid, second)| event(uid, second)).collect();
        let found: Vec<_> = events_of(&related, &events, 10).into_iter().map(|line| line.object).collect();
        assert_eq!(found, ["Pod/pod", "Pod/executor", "Pod/workflow"]);
    }

    #[test]
    fn keeps_the_newest_whichever_way_their_time_is_written() {
        let related = Related::to("w", "", &[]);
        let newer = Event {
            last_timestamp: None,
            event_time: Some(MicroTime(Timestamp::from_second(7).unwrap())),
            ..event("w", 0)
        };
        let events = [event("w", 9), newer, event("w", 5)];
        let seconds: Vec<_> =
            events_of(&related, &events, 2).iter().map(|line| line.at.as_second()).collect();
        assert_eq!(seconds, [7, 9]);
    }
}
