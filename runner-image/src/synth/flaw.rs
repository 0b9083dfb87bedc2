//! What is wrong with code that shall be repaired.

use dise_core::{function::Function, synthesis::Verdict};

use super::course::Tried;

/// Code that shall be repaired, and what is wrong with it.
#[derive(Clone, Debug)]
pub(super) struct Broken<'b> {
    pub(super) function: &'b Function,
    pub(super) flaw: Flaw,
}

impl Broken<'_> {
    /// The same without what may be said differently the next time: times, addresses.
    pub(super) fn steady(&self) -> Self {
        Self { function: self.function, flaw: self.flaw.steady() }
    }
}

/// What is wrong with code.
#[derive(Clone, Debug)]
pub(super) enum Flaw {
    /// It cannot be run.
    Fault(String),
    /// It looks its answers up.
    Memorised(String),
    /// It fails the case at this position.
    Case(usize, String),
    /// It fails a case that is not shown.
    Unseen,
}

impl Flaw {
    fn steady(&self) -> Self {
        match self {
            Self::Fault(_) => Self::Fault("…".to_owned()),
            Self::Memorised(_) => Self::Memorised("…".to_owned()),
            Self::Case(case, _) => Self::Case(*case, "…".to_owned()),
            Self::Unseen => Self::Unseen,
        }
    }
}

/// What is to be repaired about a candidate; nothing without code.
pub(super) fn broken(tried: &Tried, case: Option<usize>) -> Option<Broken<'_>> {
    let function = tried.function.as_ref()?;
    let mut failures = tried.proof.iter().flat_map(|proof| &proof.failures);
    let failure = case.and_then(|case| failures.find(|failure| failure.example as usize == case));
    let flaw = match (&tried.candidate.verdict, failure) {
        (Verdict::Fault { message }, _) => Flaw::Fault(message.clone()),
        (Verdict::Memorised { message }, _) => Flaw::Memorised(message.clone()),
        (_, Some(failure)) => Flaw::Case(failure.example as usize, failure.message.clone()),
        (_, None) => Flaw::Unseen,
    };
    Some(Broken { function, flaw })
}
