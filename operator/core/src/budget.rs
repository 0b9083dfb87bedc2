//! Budgets: money is reserved before a call and settled after it.
//!
//! The ledger of a namespace holds what was spent and what is reserved. A reservation counts as spent at its full
//! amount until it is settled, so that no crash between a call and its bill can lead to more being spent than was
//! allowed; one that is never settled stays counted.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{digest::Digest, money::Usd};

/// Hours and days that are remembered.
const DAYS_KEPT: i64 = 31;
const HOURS_KEPT: i64 = 48;

/// A call that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Names the call: equal calls have equal answers.
    pub call: Digest,
    /// The search that it is part of. A search has one pod at a time; while that may be making the call, no other
    /// search makes it.
    pub search: Digest,
    /// The workflow that pays.
    pub workflow: String,
    /// The model.
    pub tool: String,
    /// The most that it can cost.
    pub at_most: Usd,
}

/// What must not be exceeded. Absent: unlimited; zero: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// On this search.
    pub search: Option<Usd>,
    /// On the workflow's searches of this day (UTC).
    pub workflow_day: Option<Usd>,
    /// On the model in this hour (UTC).
    pub tool_hour: Option<Usd>,
    /// Calls of the model in this hour (UTC).
    pub calls_hour: Option<u32>,
}

/// Whether a call may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Its money is reserved.
    Granted,
    /// Somebody else is making it; its answer is worth waiting for, until then.
    Held(Timestamp),
}

/// Why a call must not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The budget, with its numbers, in a sentence.
    pub message: String,
    /// When that budget is renewed; absent when it never is.
    pub until: Option<Timestamp>,
}

/// What was spent in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    searches: BTreeMap<String, Usd>,
    workflows: BTreeMap<String, WorkflowAccount>,
    tools: BTreeMap<String, BTreeMap<i64, HourAccount>>,
    open: BTreeMap<String, Reservation>,
}

/// What a workflow has spent on searches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkflowAccount {
    /// Since the first search.
    pub total: Usd,
    /// By day (UTC), the last month.
    pub days: BTreeMap<Date, Usd>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HourAccount {
    usd: Usd,
    calls: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reservation {
    claim: Claim,
    at: Timestamp,
    expires: Timestamp,
}

impl Ledger {
    /// Reserves the money for a call that ends before `expires`.
    ///
    /// A call without price is never refused for money.
    ///
    /// # Errors
    /// The first budget that the call could exceed.
    pub fn reserve(
        &mut self,
        claim: &Claim,
        allowance: &Allowance,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<Grant, Refusal> {
        let call = claim.call.to_string();
        if let Some(open) = self.open.get(&call)
            && open.claim.search != claim.search
            && open.expires > now
        {
            return Ok(Grant::Held(open.expires));
        }
        self.check(claim, allowance, now)?;
        // The reservation of a pod that is gone is replaced, but what it counted stays: the call may have been made.
        self.add(claim, now);
        self.open.insert(call, Reservation { claim: claim.clone(), at: now, expires });
        self.forget(now);
        Ok(Grant::Granted)
    }

    /// Books what a call has cost instead of what was reserved for it. Booking again changes nothing.
    pub fn settle(&mut self, call: Digest, actual: Usd) {
        let Some(Reservation { claim, at, .. }) = self.open.remove(&call.to_string()) else { return };
        for account in self.accounts(&claim, at) {
            *account = account.saturating_sub(claim.at_most) + actual;
        }
    }

    /// Takes a reservation back: the call was not made, or failed before it could be charged.
    pub fn release(&mut self, call: Digest) {
        self.settle(call, Usd::ZERO);
    }

    /// What a workflow has spent, reservations included.
    #[must_use]
    pub fn workflow(&self, name: &str) -> Option<&WorkflowAccount> {
        self.workflows.get(name)
    }

    /// What a search has spent, reservations included.
    #[must_use]
    pub fn search(&self, search: Digest) -> Usd {
        self.searches.get(&search.to_string()).copied().unwrap_or_default()
    }

    /// Forgets a search that has ended; its report says what it spent.
    pub fn close(&mut self, search: Digest) {
        self.searches.remove(&search.to_string());
    }

    fn check(&self, claim: &Claim, allowance: &Allowance, now: Timestamp) -> Result<(), Refusal> {
        let (day, hour) = (day(now), hour(now));
        let tool =
            self.tools.get(&claim.tool).and_then(|hours| hours.get(&hour)).copied().unwrap_or_default();
        if let Some(limit) = allowance.calls_hour
            && tool.calls >= limit
        {
            let message = format!("Tool {} allows {limit} calls an hour, and they were made", claim.tool);
            return Err(Refusal { message, until: next_hour(hour) });
        }
        if claim.at_most == Usd::ZERO {
            return Ok(());
        }
        let today = self.workflow(&claim.workflow).and_then(|account| account.days.get(&day)).copied();
        let workflow = format!("workflow {} today", claim.workflow);
        let tool_name = format!("Tool {} this hour", claim.tool);
        let budgets = [
            (allowance.search, self.search(claim.search), "this search", None),
            (allowance.workflow_day, today.unwrap_or_default(), workflow.as_str(), next_day(day)),
            (allowance.tool_hour, tool.usd, tool_name.as_str(), next_hour(hour)),
        ];
        for (limit, spent, what, until) in budgets {
            if let Some(limit) = limit
                && spent + claim.at_most > limit
            {
                let message = format!(
                    "the budget of {what} is ${limit}: ${spent} is spent, and the next call could cost ${}",
                    claim.at_most
                );
                return Err(Refusal { message, until });
            }
        }
        Ok(())
    }

    fn add(&mut self, claim: &Claim, now: Timestamp) {
        for account in self.accounts(claim, now) {
            *account = *account + claim.at_most;
        }
        let hours = self.tools.entry(claim.tool.clone()).or_default();
        let account = hours.entry(hour(now)).or_default();
        account.calls = account.calls.saturating_add(1);
    }

    /// Every account that a call of that time is booked on.
    fn accounts(&mut self, claim: &Claim, at: Timestamp) -> [&mut Usd; 4] {
        let workflow = self.workflows.entry(claim.workflow.clone()).or_default();
        let hours = self.tools.entry(claim.tool.clone()).or_default();
        [
            self.searches.entry(claim.search.to_string()).or_default(),
            workflow.days.entry(day(at)).or_default(),
            &mut workflow.total,
            &mut hours.entry(hour(at)).or_default().usd,
        ]
    }

    fn forget(&mut self, now: Timestamp) {
        let oldest = day(now).saturating_sub(DAYS_KEPT.days());
        for account in self.workflows.values_mut() {
            account.days.retain(|day, _| *day >= oldest);
        }
        let oldest = hour(now) - HOURS_KEPT;
        for hours in self.tools.values_mut() {
            hours.retain(|hour, _| *hour >= oldest);
        }
        // An open reservation must still find its accounts when it is settled.
        let oldest = now - HOURS_KEPT.hours();
        self.open.retain(|_, reservation| reservation.at >= oldest);
    }
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}

fn next_day(day: Date) -> Option<Timestamp> {
    Some(day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn next_hour(hour: i64) -> Option<Timestamp> {
    Timestamp::from_second((hour + 1) * 3600).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);
    const LATER: Timestamp = Timestamp::constant(1_700_000_600, 0);

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    fn claim(call: &str, at_most: &str) -> Claim {
        Claim {
            call: Digest::of(call.as_bytes()),
            search: Digest::of(b"search"),
            workflow: "triage".into(),
            tool: "gpt".into(),
            at_most: usd(at_most),
        }
    }

    fn search(limit: &str) -> Allowance {
        Allowance { search: Some(usd(limit)), ..Allowance::default() }
    }

    #[test]
    fn counts_what_is_reserved_until_it_is_settled() {
        let mut ledger = Ledger::default();
        let allowance = search("0.10");
        assert_eq!(ledger.reserve(&claim("a", "0.06"), &allowance, NOW, LATER), Ok(Grant::Granted));
        let refusal = ledger.reserve(&claim("b", "0.06"), &allowance, NOW, LATER).unwrap_err();
        assert_eq!(
            refusal.message,
            "the budget of this search is $0.1: $0.06 is spent, and the next call could cost $0.06"
        );
        assert_eq!(refusal.until, None);
        ledger.settle(Digest::of(b"a"), usd("0.01"));
        assert_eq!(ledger.reserve(&claim("b", "0.06"), &allowance, NOW, LATER), Ok(Grant::Granted));
        assert_eq!(ledger.search(Digest::of(b"search")), usd("0.07"));
    }

    #[test]
    fn settles_once() {
        let mut ledger = Ledger::default();
        ledger.reserve(&claim("a", "0.06"), &Allowance::default(), NOW, LATER).unwrap();
        for _ in 0..2 {
            ledger.settle(Digest::of(b"a"), usd("0.02"));
        }
        assert_eq!(ledger.workflow("triage").unwrap().total, usd("0.02"));
    }

    #[test]
    fn books_more_than_was_reserved_when_more_was_charged() {
        let mut ledger = Ledger::default();
        ledger.reserve(&claim("a", "0.01"), &Allowance::default(), NOW, LATER).unwrap();
        ledger.settle(Digest::of(b"a"), usd("0.05"));
        assert_eq!(ledger.search(Digest::of(b"search")), usd("0.05"));
    }

    #[test]
    fn lets_one_pod_make_a_call_and_others_wait_for_it() {
        let mut ledger = Ledger::default();
        let other = Claim { search: Digest::of(b"other"), ..claim("a", "0.05") };
        ledger.reserve(&claim("a", "0.05"), &Allowance::default(), NOW, LATER).unwrap();
        assert_eq!(ledger.reserve(&other, &Allowance::default(), NOW, LATER), Ok(Grant::Held(LATER)));
        assert_eq!(ledger.workflow("triage").unwrap().total, usd("0.05"));
    }

    #[test]
    fn keeps_counting_the_call_of_a_pod_that_is_gone() {
        let mut ledger = Ledger::default();
        ledger.reserve(&claim("a", "0.05"), &search("0.12"), NOW, LATER).unwrap();
        let heir = claim("a", "0.05");
        assert_eq!(ledger.reserve(&heir, &search("0.12"), LATER, LATER), Ok(Grant::Granted));
        assert_eq!(ledger.search(Digest::of(b"search")), usd("0.1"));
        ledger.settle(Digest::of(b"a"), usd("0.01"));
        assert_eq!(ledger.search(Digest::of(b"search")), usd("0.06"));
    }

    #[test]
    fn never_refuses_a_free_call_for_money() {
        let mut ledger = Ledger::default();
        let nothing = Allowance {
            search: Some(Usd::ZERO),
            workflow_day: Some(Usd::ZERO),
            tool_hour: Some(Usd::ZERO),
            calls_hour: None,
        };
        assert_eq!(ledger.reserve(&claim("a", "0"), &nothing, NOW, LATER), Ok(Grant::Granted));
        assert!(ledger.reserve(&claim("b", "0.0001"), &nothing, NOW, LATER).is_err());
    }

    #[test]
    fn renews_the_budget_of_a_workflow_each_day_and_of_a_tool_each_hour() {
        let mut ledger = Ledger::default();
        let day = Allowance { workflow_day: Some(usd("0.05")), ..Allowance::default() };
        ledger.reserve(&claim("a", "0.05"), &day, NOW, LATER).unwrap();
        let until = ledger.reserve(&claim("b", "0.05"), &day, NOW, LATER).unwrap_err().until.unwrap();
        assert_eq!(until.to_string(), "2023-11-15T00:00:00Z");
        assert_eq!(ledger.reserve(&claim("b", "0.05"), &day, until, until), Ok(Grant::Granted));
        let calls = Allowance { calls_hour: Some(1), ..Allowance::default() };
        let refusal = ledger.reserve(&claim("c", "0"), &calls, until, until).unwrap_err();
        assert_eq!(refusal.message, "Tool gpt allows 1 calls an hour, and they were made");
        assert_eq!(refusal.until.unwrap().to_string(), "2023-11-15T01:00:00Z");
    }

    #[test]
    fn forgets_old_hours_and_days_but_not_the_total() {
        let mut ledger = Ledger::default();
        ledger.reserve(&claim("a", "0.05"), &Allowance::default(), NOW, LATER).unwrap();
        ledger.settle(Digest::of(b"a"), usd("0.05"));
        let much_later = NOW + (60 * 24).hours();
        ledger.reserve(&claim("b", "0.01"), &Allowance::default(), much_later, much_later).unwrap();
        let account = ledger.workflow("triage").unwrap();
        assert_eq!((account.total, account.days.len()), (usd("0.06"), 1));
    }
}
