//! Which examples the model has seen.

use std::collections::BTreeSet;

use dise_core::{synthesis::Holdout, verification::Example};

/// The examples of a task, by whether the model has seen them. The rest tells whether it understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exhibit {
    holdout: Holdout,
    seen: BTreeSet<usize>,
}

impl Exhibit {
    /// Nothing seen yet.
    pub(super) fn new(examples: &[Example]) -> Self {
        Self { holdout: Holdout::of(examples), seen: BTreeSet::new() }
    }

    /// The examples that may be shown from the beginning, in their order.
    pub(super) fn open(&self) -> Vec<usize> {
        self.holdout.shown().collect()
    }

    /// Takes note that a prompt shows these.
    pub(super) fn show(&mut self, examples: &[usize]) {
        self.seen.extend(examples);
    }

    pub(super) fn has_seen(&self, example: usize) -> bool {
        self.seen.contains(&example)
    }

    /// How many of `count` examples the model has not seen.
    pub(super) fn unseen(&self, count: usize) -> usize {
        count.saturating_sub(self.seen.len())
    }

    /// Chooses the failing case that a repair shows: one that need not be hidden, else one that was hidden until now.
    pub(super) fn show_one_of(&mut self, failing: &[usize]) -> Option<usize> {
        let open = failing.iter().copied().find(|case| !self.holdout.is_hidden(*case));
        let case = open.or_else(|| failing.iter().copied().find(|case| self.holdout.reveal(*case)))?;
        self.seen.insert(case);
        Some(case)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exhibit(count: usize) -> (Exhibit, Vec<usize>) {
        let examples: Vec<Example> =
            (0..count).map(|index| Example { input: json!(index), output: json!(index) }).collect();
        let mut exhibit = Exhibit::new(&examples);
        let open = exhibit.open();
        exhibit.show(&open);
        let hidden = (0..count).filter(|index| !open.contains(index)).collect();
        (exhibit, hidden)
    }

    #[test]
    fn shows_an_open_case_before_a_hidden_one() {
        let (mut exhibit, hidden) = exhibit(8);
        assert_eq!(exhibit.show_one_of(&[hidden[0], 0]), Some(0));
        assert_eq!(exhibit.unseen(8), 2);
        assert_eq!(exhibit.show_one_of(&[hidden[0]]), Some(hidden[0]));
        assert!(exhibit.has_seen(hidden[0]));
    }

    #[test]
    fn keeps_the_last_one_hidden() {
        let (mut exhibit, hidden) = exhibit(3);
        assert_eq!(hidden.len(), 1);
        assert_eq!(exhibit.show_one_of(&hidden), None);
        assert_eq!(exhibit.unseen(3), 1);
    }
}
