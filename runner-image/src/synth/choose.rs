//! Which of the functions that passed serves, and which are kept beside it.

use dise_core::{
    function::Function,
    money::Usd,
    quality::Quality,
    synthesis::{Measured, front, prefer},
    verification::VerificationReport,
};

/// A function that passed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Passed {
    pub(super) function: Function,
    pub(super) proof: VerificationReport,
    /// Generated test cases that it agrees with.
    pub(super) agreeing: u32,
}

/// The function that serves, and the others on the front in the order in which they were found. `tests` is the number
/// of generated test cases that count. Nothing, if nothing passed.
pub(super) fn choose(passed: Vec<Passed>, tests: u32) -> Option<(Passed, Vec<Function>)> {
    let measured: Vec<Measured> = passed.iter().map(|one| measure(one, tests)).collect();
    let front = front(&measured);
    let best = prefer(&front)?.function;
    let (mut best_one, mut others) = (None, Vec::new());
    for one in passed {
        let digest = one.function.digest();
        if digest == best {
            best_one = Some(one);
        } else if front.iter().any(|kept| kept.function == digest) {
            others.push(one.function);
        }
    }
    Some((best_one?, others))
}

fn measure(one: &Passed, tests: u32) -> Measured {
    let cases = u64::from(one.proof.passed);
    Measured {
        function: one.function.digest(),
        quality: Quality::of_share(cases + u64::from(one.agreeing), cases + u64::from(tests)),
        p95_latency_us: one.proof.profile.as_ref().map(|profile| profile.p95_latency_us),
        cost_usd: Usd::ZERO,
        size: one.function.source.len(),
    }
}

#[cfg(test)]
mod tests {
    use dise_core::{digest::Digest, function::Language, profile::Profile};
    use jiff::Timestamp;

    use super::*;

    fn passed(source: &str, p95: u64, agreeing: u32) -> Passed {
        let function = Function { language: Language::Python, source: source.to_owned() };
        let proof = VerificationReport {
            passed: 4,
            profile: Profile::measure(&[p95], 4, 4, None, Timestamp::UNIX_EPOCH),
            ..VerificationReport::new(Digest::of(b""), function.digest(), "", Timestamp::UNIX_EPOCH)
        };
        Passed { function, proof, agreeing }
    }

    fn sources(passed: Vec<Passed>, tests: u32) -> (String, Vec<String>) {
        let (best, others) = choose(passed, tests).unwrap();
        (best.function.source, others.into_iter().map(|function| function.source).collect())
    }

    #[test]
    fn keeps_what_is_faster_beside_what_is_better() {
        let both = vec![passed("fast", 10, 1), passed("better", 1000, 2)];
        assert_eq!(sources(both, 2), ("better".into(), vec!["fast".into()]));
    }

    #[test]
    fn drops_what_is_worse_in_every_respect() {
        let both = vec![passed("slow", 1000, 1), passed("good", 10, 2)];
        assert_eq!(sources(both, 2), ("good".into(), vec![]));
    }

    #[test]
    fn takes_the_shorter_of_two_that_are_equal() {
        let both = vec![passed("longer", 10, 0), passed("short", 10, 0)];
        assert_eq!(sources(both, 0), ("short".into(), vec!["longer".into()]));
        assert!(choose(Vec::new(), 0).is_none());
    }
}
