//! Money: exact decimal US dollars.

use std::{fmt, iter::Sum, ops::Add, str::FromStr};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// An exact amount of US dollars, never negative. In JSON a decimal string: `"0.0004"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Decimal", into = "Decimal")]
pub struct Usd(Decimal);

/// Why a value is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The amount is below zero.
    #[error("{0} USD is negative")]
    Negative(Decimal),
    /// The text is not a decimal number.
    #[error("`{0}` is not an amount in USD: expected a decimal such as 0.05")]
    NotDecimal(String),
}

impl Usd {
    /// No money at all.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// The amount as a decimal number of dollars.
    #[must_use]
    pub const fn as_decimal(self) -> Decimal {
        self.0
    }

    /// The sum, or nothing when it no longer fits 96 bits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or no money where `other` is more.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        if self > other { Self((self.0 - other.0).normalize()) } else { Self::ZERO }
    }
}

impl TryFrom<Decimal> for Usd {
    type Error = MoneyError;

    fn try_from(amount: Decimal) -> Result<Self, MoneyError> {
        if amount.is_sign_negative() && !amount.is_zero() {
            return Err(MoneyError::Negative(amount));
        }
        Ok(Self(amount.normalize()))
    }
}

impl From<Usd> for Decimal {
    fn from(usd: Usd) -> Self {
        usd.0
    }
}

impl FromStr for Usd {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        Decimal::from_str_exact(text).map_err(|_| MoneyError::NotDecimal(text.to_owned()))?.try_into()
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_without_binary_rounding() {
        let tenth: Usd = "0.1".parse().unwrap();
        assert_eq!([tenth; 10].into_iter().sum::<Usd>(), "1".parse().unwrap());
    }

    #[test]
    fn is_a_decimal_string_in_json() {
        let usd: Usd = "0.0500".parse().unwrap();
        assert_eq!(serde_json::to_string(&usd).unwrap(), r#""0.05""#);
        assert_eq!(serde_json::from_str::<Usd>(r#""0.05""#).unwrap(), usd);
    }

    #[test]
    fn rejects_negative_and_malformed_amounts() {
        assert!("-0.01".parse::<Usd>().is_err());
        assert!("five".parse::<Usd>().is_err());
        assert!(serde_json::from_str::<Usd>(r#""-1""#).is_err());
    }
}
