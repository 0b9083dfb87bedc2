//! What a search does next, decided from what it has tried. No I/O and no clock: the same answers lead to the same
//! questions, so that a search that is started again finds its answers stored.

use std::{cmp::Reverse, collections::VecDeque};

use dise_core::{
    digest::Digest,
    function::Function,
    synthesis::{Candidate, Failing, Search, Verdict},
    verification::VerificationReport,
};
use rust_decimal::Decimal;

use super::exhibit::Exhibit;

/// A candidate and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tried {
    pub(super) candidate: Candidate,
    /// The prompt that it answers.
    pub(super) prompt: Digest,
    /// The code; absent when the answer held none, or one that was tried before.
    pub(super) function: Option<Function>,
    /// Absent without code.
    pub(super) proof: Option<VerificationReport>,
}

/// A call of the model that the search needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// Counts the candidates, from 0.
    pub(super) number: u32,
    pub(super) round: u32,
    pub(super) temperature: Decimal,
    pub(super) wish: Wish,
}

/// What the model shall write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Code.
    Draft,
    /// Better code than candidate `of`.
    Repair {
        of: usize,
        /// The failing case that is shown; absent when there is none that may be.
        case: Option<usize>,
    },
}

/// A search on its way.
#[derive(Debug)]
pub(super) struct Course<'r> {
    search: &'r Search,
    exhibit: Exhibit,
    tried: Vec<Tried>,
    round: u32,
    planned: VecDeque<Wish>,
    /// How often each candidate was repaired, by its position.
    repaired: Vec<u32>,
}

impl<'r> Course<'r> {
    pub(super) fn new(search: &'r Search, exhibit: Exhibit) -> Self {
        let planned = (0..search.candidates).map(|_| Wish::Draft).collect();
        Self { search, exhibit, tried: Vec::new(), round: 0, planned, repaired: Vec::new() }
    }

    /// The next call, to be answered by [`Course::record`]; nothing when the search has come to its end. A round is
    /// asked to its end even when one of its candidates is accepted, for two that pass can be compared.
    pub(super) fn next(&mut self) -> Option<Ask> {
        if self.planned.is_empty() {
            if self.accepted().next().is_some() || self.round >= self.search.repair_rounds {
                return None;
            }
            self.round += 1;
            self.planned = self.plan();
        }
        let wish = self.planned.pop_front()?;
        let number = u32::try_from(self.tried.len()).unwrap_or(u32::MAX);
        Some(Ask { number, round: self.round, temperature: self.temperature(), wish })
    }

    pub(super) fn record(&mut self, tried: Tried) {
        self.tried.push(tried);
        self.repaired.push(0);
    }

    pub(super) fn exhibit(&self) -> &Exhibit {
        &self.exhibit
    }

    pub(super) fn tried(&self) -> &[Tried] {
        &self.tried
    }

    pub(super) fn into_candidates(self) -> Vec<Candidate> {
        self.tried.into_iter().map(|tried| tried.candidate).collect()
    }

    /// The candidate that had this code already.
    pub(super) fn known(&self, function: Digest) -> Option<&Candidate> {
        self.tried.iter().map(|tried| &tried.candidate).find(|known| known.function == Some(function))
    }

    /// The functions that passed everything, each once, with their proofs.
    pub(super) fn accepted(&self) -> impl Iterator<Item = (&Function, &VerificationReport)> {
        let accepted = self.tried.iter().filter(|tried| tried.candidate.verdict == Verdict::Accepted);
        accepted.filter_map(|tried| tried.function.as_ref().zip(tried.proof.as_ref()))
    }

    /// The prompt that a function answers.
    pub(super) fn prompt_of(&self, function: Digest) -> Option<Digest> {
        let tried = self.tried.iter().find(|tried| tried.candidate.function == Some(function))?;
        Some(tried.prompt)
    }

    /// The candidate that came closest.
    pub(super) fn best(&self) -> Option<Failing> {
        let tried = &self.tried[*self.failing().first()?];
        let (function, proof) = tried.function.as_ref().zip(tried.proof.as_ref())?;
        Some(Failing {
            function: function.clone(),
            verdict: tried.candidate.verdict.clone(),
            passed: proof.passed,
            failed: proof.failed,
            failures: proof.failures.clone(),
        })
    }

    fn temperature(&self) -> Decimal {
        temperature(self.search, self.tried.len())
    }

    /// Positions of the different functions that failed, the most promising first: what computes before what looks
    /// up, what passes more before what passes less.
    fn failing(&self) -> Vec<usize> {
        let mut failing: Vec<usize> = (0..self.tried.len())
            .filter(|position| {
                let tried = &self.tried[*position];
                tried.function.is_some() && tried.candidate.verdict != Verdict::Accepted
            })
            .collect();
        failing.sort_by_key(|position| {
            let Candidate { verdict, passed, .. } = &self.tried[*position].candidate;
            (matches!(verdict, Verdict::Memorised { .. }), Reverse(*passed), self.repaired[*position])
        });
        failing
    }

    /// The calls of a round of repair; drafts, where there is nothing to repair.
    fn plan(&mut self) -> VecDeque<Wish> {
        let width = (self.search.candidates / 2).max(1);
        let mut chosen = self.failing();
        chosen.truncate(width as usize);
        if chosen.is_empty() {
            return (0..width).map(|_| Wish::Draft).collect();
        }
        chosen
            .into_iter()
            .map(|of| {
                self.repaired[of] += 1;
                let failures = self.tried[of].proof.iter().flat_map(|proof| &proof.failures);
                let failing: Vec<usize> = failures.map(|failure| failure.example as usize).collect();
                Wish::Repair { of, case: self.exhibit.show_one_of(&failing) }
            })
            .collect()
    }
}

/// The temperature of the call number `call`.
pub(super) fn temperature(search: &Search, call: usize) -> Decimal {
    search
        .temperatures
        .iter()
        .cycle()
        .nth(call % search.temperatures.len().max(1))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use dise_core::{
        function::Language,
        verification::{CaseFailure, Example},
    };
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn search(candidates: u32, repair_rounds: u32) -> Search {
        Search {
            candidates,
            repair_rounds,
            temperatures: vec!["0".parse().unwrap(), "0.8".parse().unwrap()],
            generated_tests: 0,
            recall: 0,
        }
    }

    fn exhibit() -> Exhibit {
        let examples: Vec<Example> =
            (0..8).map(|index| Example { input: json!(index), output: json!(index) }).collect();
        let mut exhibit = Exhibit::new(&examples);
        let open = exhibit.open();
        exhibit.show(&open);
        exhibit
    }

    fn memorised() -> Verdict {
        Verdict::Memorised { message: "a table".into() }
    }

    /// A candidate of 8 cases that fails these.
    fn tried(source: &str, verdict: Verdict, failing: &[u32]) -> Tried {
        let function = Function { language: Language::Python, source: source.to_owned() };
        let failed = u32::try_from(failing.len()).unwrap();
        let failures = failing.iter().map(|example| CaseFailure { example: *example, message: "no".into() });
        let proof = VerificationReport {
            passed: 8 - failed,
            failed,
            failures: failures.collect(),
            ..VerificationReport::new(Digest::of(b""), function.digest(), "", Timestamp::UNIX_EPOCH)
        };
        let candidate = Candidate {
            function: Some(function.digest()),
            round: 0,
            temperature: Decimal::ZERO,
            verdict,
            passed: proof.passed,
            failed,
        };
        Tried { candidate, prompt: Digest::of(b"prompt"), function: Some(function), proof: Some(proof) }
    }

    fn no_code() -> Tried {
        let verdict = Verdict::NoCode { message: "prose".into() };
        let candidate =
            Candidate { function: None, passed: 0, failed: 0, ..tried("", verdict, &[]).candidate };
        Tried { candidate, prompt: Digest::of(b"prompt"), function: None, proof: None }
    }

    /// Answers every call with what `answer` says, and gives the wishes in order.
    fn drive(course: &mut Course<'_>, mut answer: impl FnMut(&Ask) -> Tried) -> Vec<(u32, Wish)> {
        let mut wishes = Vec::new();
        while let Some(ask) = course.next() {
            wishes.push((ask.round, ask.wish));
            course.record(answer(&ask));
        }
        wishes
    }

    #[test]
    fn asks_for_all_candidates_at_cycling_temperatures() {
        let search = search(3, 2);
        let mut course = Course::new(&search, exhibit());
        let mut temperatures = Vec::new();
        let wishes = drive(&mut course, |ask| {
            temperatures.push(ask.temperature.to_string());
            tried(&ask.number.to_string(), Verdict::Accepted, &[])
        });
        assert_eq!(wishes, [(0, Wish::Draft); 3]);
        assert_eq!(temperatures, ["0", "0.8", "0"]);
        assert_eq!(course.accepted().count(), 3);
        assert_eq!(course.best(), None);
    }

    #[test]
    fn repairs_the_best_and_stops_when_a_round_succeeds() {
        let search = search(4, 5);
        let mut course = Course::new(&search, exhibit());
        let wishes = drive(&mut course, |ask| match ask.number {
            0 => tried("a", Verdict::Failed, &[0, 1, 2]),
            1 => tried("b", Verdict::Failed, &[2]),
            2 => no_code(),
            3 => tried("d", memorised(), &[]),
            _ => tried("good", Verdict::Accepted, &[]),
        });
        let repairs =
            [(1, Wish::Repair { of: 1, case: Some(2) }), (1, Wish::Repair { of: 0, case: Some(0) })];
        assert_eq!(wishes[4..], repairs);
        // The second answer had the same code.
        assert_eq!(course.into_candidates().len(), 6);
    }

    #[test]
    fn shows_a_hidden_case_only_when_no_other_fails_and_never_the_last() {
        let exhibit = exhibit();
        let hidden: Vec<u32> = (0..8).filter(|case| !exhibit.has_seen(*case as usize)).collect();
        assert_eq!(hidden.len(), 2);
        let search = search(1, 3);
        let mut course = Course::new(&search, exhibit);
        let wishes = drive(&mut course, |ask| tried(&ask.number.to_string(), Verdict::Failed, &hidden));
        let cases: Vec<Option<usize>> = wishes
            .iter()
            .filter_map(|(_, wish)| match wish {
                Wish::Draft => None,
                Wish::Repair { case, .. } => Some(*case),
            })
            .collect();
        let first = Some(hidden[0] as usize);
        assert_eq!(cases, [first; 3]);
        assert_eq!(course.exhibit().unseen(8), 1);
        assert_eq!(wishes.len(), 4);
    }

    #[test]
    fn tries_a_repair_before_what_was_repaired_already() {
        let search = search(1, 2);
        let mut course = Course::new(&search, exhibit());
        let wishes = drive(&mut course, |ask| tried(&ask.number.to_string(), Verdict::Failed, &[0]));
        assert_eq!(wishes[2].1, Wish::Repair { of: 1, case: Some(0) });
        assert_eq!(course.best().unwrap().passed, 7);
    }

    #[test]
    fn asks_for_drafts_again_when_there_is_nothing_to_repair() {
        let search = search(4, 1);
        let mut course = Course::new(&search, exhibit());
        let wishes = drive(&mut course, |_| no_code());
        assert_eq!(wishes[4..], [(1, Wish::Draft); 2]);
        assert_eq!(course.best(), None);
    }

    #[test]
    fn knows_code_that_was_tried() {
        let search = search(1, 0);
        let mut course = Course::new(&search, exhibit());
        let one = tried("a", Verdict::Failed, &[0]);
        let digest = one.candidate.function.unwrap();
        course.record(one);
        assert!(course.known(digest).is_some());
        assert_eq!(course.prompt_of(digest), Some(Digest::of(b"prompt")));
        assert!(course.known(Digest::of(b"other")).is_none());
    }
}
