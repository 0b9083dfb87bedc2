//! Quality: a measured share between 0 and 1.

use std::{fmt, str::FromStr};

use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Serialize};

/// Decimal places kept, enough to tell 9999 of 10 000 from all.
const SCALE: u32 = 4;

/// A measured share between 0 and 1, kept to four places. In JSON a decimal string: `"0.93"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Decimal", into = "Decimal")]
pub struct Quality(Decimal);

/// Why a value is not a quality.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a quality: expected a decimal between 0 and 1 such as 0.75")]
pub struct QualityError(String);

impl Quality {
    /// Nothing passed.
    pub const ZERO: Self = Self(Decimal::ZERO);
    /// Everything passed.
    pub const ONE: Self = Self(Decimal::ONE);

    /// `passed` of `total`, rounded to four places; nothing was measured when `total` is 0.
    ///
    /// The result never rounds up to 1 while something failed.
    #[must_use]
    pub fn of_share(passed: u64, total: u64) -> Option<Self> {
        if total == 0 || passed > total {
            return None;
        }
        let share = (Decimal::from(passed) / Decimal::from(total)).round_dp(SCALE).normalize();
        let almost = Decimal::new(9999, SCALE);
        Some(Self(if passed < total { share.min(almost) } else { share }))
    }

    /// The quality of things that must all succeed.
    #[must_use]
    pub fn product(parts: impl IntoIterator<Item = Self>) -> Self {
        let product = parts.into_iter().fold(Decimal::ONE, |product, part| product * part.0);
        Self(product.round_dp(SCALE).normalize())
    }

    /// The share as a floating point number, for metrics.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0.to_f64().unwrap_or_default()
    }
}

impl TryFrom<Decimal> for Quality {
    type Error = QualityError;

    fn try_from(share: Decimal) -> Result<Self, QualityError> {
        if share < Decimal::ZERO || share > Decimal::ONE {
            return Err(QualityError(share.to_string()));
        }
        Ok(Self(share.round_dp(SCALE).normalize()))
    }
}

impl From<Quality> for Decimal {
    fn from(quality: Quality) -> Self {
        quality.0
    }
}

impl FromStr for Quality {
    type Err = QualityError;

    fn from_str(text: &str) -> Result<Self, QualityError> {
        Decimal::from_str_exact(text).map_err(|_| QualityError(text.to_owned()))?.try_into()
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // At least two places, because that is how people write qualities, and all there are: 0.9999 is not 1.00.
        let mut share = self.0;
        share.rescale(share.scale().max(2));
        fmt::Display::fmt(&share, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_in_a_million_is_not_perfect() {
        assert!(Quality::of_share(999_999, 1_000_000).unwrap() < Quality::ONE);
        assert_eq!(Quality::of_share(7, 7), Some(Quality::ONE));
    }

    #[test]
    fn shows_two_places_and_hides_none() {
        for (text, shown) in [("0.6", "0.60"), ("1", "1.00"), ("0.9999", "0.9999")] {
            assert_eq!(text.parse::<Quality>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn nothing_measured_is_no_quality() {
        assert_eq!(Quality::of_share(0, 0), None);
    }

    #[test]
    fn multiplies_the_parts_of_a_chain() {
        let parts = ["0.9", "0.5"].map(|text| text.parse().unwrap());
        assert_eq!(Quality::product(parts), "0.45".parse().unwrap());
    }

    #[test]
    fn rejects_what_lies_outside_zero_to_one() {
        for text in ["1.01", "-0.1", "good"] {
            assert!(text.parse::<Quality>().is_err(), "{text}");
        }
    }
}
