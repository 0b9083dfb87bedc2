//! The two statistics that profiles are made of.

use rust_decimal::prelude::ToPrimitive;

use crate::quality::Quality;

/// The 97.5 % quantile of the normal distribution, so that the interval covers 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Places of a [`Quality`].
const SCALE: f64 = 10_000.0;

/// The lower end of the 95 % score interval of a proportion; nothing was measured when `total` is 0.
///
/// `(p + z²/2n − z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)`: Wilson, “Probable inference, the law of succession, and
/// statistical inference”, JASA 22 (1927) 209–212. Unlike the textbook interval it does not claim certainty after
/// three successes of three: it says 0.43.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "counts beyond 2^53 do not occur, and would be rounded to a ratio"
)]
pub fn wilson_lower_bound(passed: u64, total: u64) -> Option<Quality> {
    if total == 0 || passed > total {
        return None;
    }
    let n = total as f64;
    let p = passed as f64 / n;
    let z2 = Z * Z;
    let spread = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let bound = (p + z2 / (2.0 * n) - spread) / (1.0 + z2 / n);
    // A bound is rounded away from what it bounds.
    let floor = (bound.clamp(0.0, 1.0) * SCALE).floor();
    Quality::of_share(floor.to_u64()?, SCALE.to_u64()?)
}

/// The value that `percent` % of the samples do not exceed: of `n` ascending samples the one of rank
/// `⌈percent/100 · n⌉` (nearest rank; Hyndman and Fan, “Sample quantiles in statistical packages”, The American
/// Statistician 50 (1996) 361–365, definition 1). It is always a value that was measured. Nothing when there are no
/// samples.
#[must_use]
pub fn percentile(ascending: &[u64], percent: u8) -> Option<u64> {
    debug_assert!(ascending.is_sorted(), "the samples must be sorted");
    let rank = (ascending.len() * usize::from(percent.min(100))).div_ceil(100);
    ascending.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_a_share_from_below() {
        // 81 of 263: Newcombe, Statistics in Medicine 17 (1998) 857–872, gives 0.2553. For `n` of `n` the formula is
        // `n / (n + z²)`.
        let table =
            [(0, 10, "0"), (3, 3, "0.4385"), (9, 10, "0.5958"), (81, 263, "0.2552"), (1000, 1000, "0.9961")];
        for (passed, total, expected) in table {
            assert_eq!(
                wilson_lower_bound(passed, total),
                Some(expected.parse().unwrap()),
                "{passed} of {total}"
            );
        }
        assert_eq!(wilson_lower_bound(0, 0), None);
        assert_eq!(wilson_lower_bound(2, 1), None);
    }

    #[test]
    fn grows_with_the_evidence() {
        let bounds: Vec<_> =
            [1, 10, 100, 10_000, u64::MAX].iter().map(|&n| wilson_lower_bound(n, n)).collect();
        assert!(bounds.is_sorted(), "{bounds:?}");
    }

    #[test]
    fn takes_percentiles_by_nearest_rank() {
        let table: [(&[u64], u8, Option<u64>); 8] = [
            (&[], 50, None),
            (&[7], 95, Some(7)),
            (&[1, 2], 50, Some(1)),
            (&[1, 2, 3], 50, Some(2)),
            (&[15, 20, 35, 40, 50], 30, Some(20)),
            (&[15, 20, 35, 40, 50], 95, Some(50)),
            (&[15, 20, 35, 40, 50], 0, Some(15)),
            (&[15, 20, 35, 40, 50], 255, Some(50)),
        ];
        for (samples, percent, expected) in table {
            assert_eq!(percentile(samples, percent), expected, "{percent} % of {samples:?}");
        }
    }
}
