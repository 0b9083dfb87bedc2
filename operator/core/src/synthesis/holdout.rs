//! Which examples a model is shown and which are kept to see whether it understood or memorised.

use crate::{digest::Digest, verification::Example};

/// Below this many examples none is held out: a model that is shown one case cannot know what is meant.
const FEWEST: usize = 3;
/// One example of this many is held out.
const ONE_OF: usize = 4;

/// The examples of a task, split. Which are held out depends on the examples alone, so that a search that is started
/// again asks the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdout {
    hidden: Vec<usize>,
    count: usize,
}

impl Holdout {
    /// Holds out a quarter of at least three examples, at least one.
    ///
    /// The first example is never held out: authors put the typical case there.
    #[must_use]
    pub fn of(examples: &[Example]) -> Self {
        let count = examples.len();
        if count < FEWEST {
            return Self { hidden: Vec::new(), count };
        }
        // By digest and not by position, so that no author can tell, or arrange, which are hidden.
        let mut order: Vec<(Option<Digest>, usize)> =
            (1..count).map(|index| (Digest::of_json(&examples[index]).ok(), index)).collect();
        order.sort_unstable();
        let held = (count / ONE_OF).max(1);
        let mut hidden: Vec<usize> = order.into_iter().take(held).map(|(_, index)| index).collect();
        hidden.sort_unstable();
        Self { hidden, count }
    }

    /// The positions of the examples that the model is shown.
    pub fn shown(&self) -> impl Iterator<Item = usize> {
        (0..self.count).filter(|index| !self.is_hidden(*index))
    }

    /// Whether an example is held out.
    #[must_use]
    pub fn is_hidden(&self, example: usize) -> bool {
        self.hidden.contains(&example)
    }

    /// How many are held out.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.hidden.len()
    }

    /// Shows one more example, because a candidate failed it and the author may have meant it as an explanation. The
    /// last one stays hidden.
    ///
    /// Returns whether it is shown now.
    pub fn reveal(&mut self, example: usize) -> bool {
        if self.hidden.len() > 1 {
            self.hidden.retain(|hidden| *hidden != example);
        }
        !self.is_hidden(example)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn examples(count: usize) -> Vec<Example> {
        (0..count).map(|n| Example { input: json!(n), output: json!(n + 1) }).collect()
    }

    #[test]
    fn hides_nothing_of_one_or_two_examples() {
        for count in 0..FEWEST {
            assert_eq!(Holdout::of(&examples(count)).hidden(), 0, "{count}");
        }
    }

    #[test]
    fn hides_a_quarter_but_never_the_first() {
        for (count, hidden) in [(3, 1), (7, 1), (8, 2), (40, 10)] {
            let holdout = Holdout::of(&examples(count));
            assert_eq!(holdout.hidden(), hidden, "{count}");
            assert!(!holdout.is_hidden(0));
            assert_eq!(holdout.shown().count() + hidden, count);
        }
    }

    #[test]
    fn hides_the_same_ones_each_time() {
        assert_eq!(Holdout::of(&examples(12)), Holdout::of(&examples(12)));
    }

    #[test]
    fn reveals_all_but_the_last() {
        let mut holdout = Holdout::of(&examples(8));
        let hidden: Vec<usize> = (0..8).filter(|index| holdout.is_hidden(*index)).collect();
        assert!(holdout.reveal(hidden[0]));
        assert!(!holdout.reveal(hidden[1]));
        assert_eq!(holdout.hidden(), 1);
    }
}
