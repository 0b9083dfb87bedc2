//! Conditions as kstatus, `kubectl wait` and Argo CD read them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// A long-running object does what it was told to do.
pub const READY: &str = "Ready";
/// Every step that came without code has some.
pub const SYNTHESIZED: &str = "Synthesized";
/// The code behind an object passed its tests.
pub const VERIFIED: &str = "Verified";
/// The code is part of a plan.
pub const PROMOTED: &str = "Promoted";
/// A run can be executed as declared.
pub const ACCEPTED: &str = "Accepted";
/// A run ended well.
pub const SUCCEEDED: &str = "Succeeded";
/// The controller works towards the declared state. Present only while it is `True`.
pub const RECONCILING: &str = "Reconciling";
/// Only a person can make the object go on. Present only while it is `True`.
pub const STALLED: &str = "Stalled";

/// The longest message that the API server takes, in characters.
const MESSAGE_MAX: usize = 32_768;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It is not known yet.
    Unknown,
}

impl Status {
    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Status {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// A condition as observed `now` for `generation` of its object.
///
/// A message that is longer than the API server takes is cut, so that a long failure is still reported.
#[must_use]
pub fn condition(
    type_: &str,
    status: impl Into<Status>,
    reason: &str,
    message: impl Into<String>,
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    let mut message = message.into();
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_MAX) {
        message.truncate(end);
    }
    Condition {
        type_: type_.to_owned(),
        status: status.into().as_str().to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: Time(now),
    }
}

/// Puts `new` in the place of the condition of its type. `lastTransitionTime` moves only when the status differs.
pub fn set_condition(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|old| old.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

/// Takes the condition of a type away, as kstatus wants it for [`RECONCILING`] and [`STALLED`] that do not hold.
pub fn remove_condition(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|condition| condition.type_ != type_);
}

/// The condition of a type.
#[must_use]
pub fn find_condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of a type is `True`.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find_condition(conditions, type_).is_some_and(|condition| condition.status == Status::True.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(status: Status, message: &str, generation: i64, second: i64) -> Condition {
        condition(READY, status, "Because", message, Some(generation), at(second))
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let mut conditions = vec![];
        set_condition(&mut conditions, ready(Status::False, "waits", 1, 10));
        set_condition(&mut conditions, ready(Status::False, "still waits", 2, 20));
        let [condition] = &conditions[..] else { panic!("{conditions:?}") };
        assert_eq!(condition.last_transition_time, Time(at(10)));
        assert_eq!((condition.message.as_str(), condition.observed_generation), ("still waits", Some(2)));

        set_condition(&mut conditions, ready(Status::True, "serves", 2, 30));
        assert_eq!(conditions[0].last_transition_time, Time(at(30)));
        assert!(is_true(&conditions, READY));
    }

    #[test]
    fn other_conditions_stay_where_they_are() {
        let other = condition(VERIFIED, true, "Because", "", None, at(1));
        let mut conditions = vec![other.clone(), ready(Status::Unknown, "", 1, 1)];
        set_condition(&mut conditions, ready(Status::True, "", 1, 2));
        assert_eq!(conditions[0], other);
        assert_eq!(conditions[1].status, "True");
        remove_condition(&mut conditions, READY);
        assert_eq!(conditions, [other]);
        assert!(!is_true(&conditions, READY));
        assert_eq!(find_condition(&conditions, READY), None);
    }

    #[test]
    fn messages_are_cut_between_characters() {
        let long = "ä".repeat(MESSAGE_MAX + 1);
        assert_eq!(ready(Status::False, &long, 1, 1).message.chars().count(), MESSAGE_MAX);
    }
}
