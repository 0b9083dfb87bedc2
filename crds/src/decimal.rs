//! Latencies as the API writes them: decimal strings of milliseconds, exact to the microsecond.

/// Microseconds as milliseconds, for example `1840` as `"1.84"`.
#[must_use]
pub fn millis_of_micros(micros: u64) -> String {
    let fraction = format!("{:03}", micros % 1000);
    match fraction.trim_end_matches('0') {
        "" => (micros / 1000).to_string(),
        fraction => format!("{}.{fraction}", micros / 1000),
    }
}

/// Measured milliseconds, rounded to the microsecond, for example `1.8404` as `"1.84"`. What is not a finite
/// positive number becomes `"0"`.
#[must_use]
pub fn millis(millis: f64) -> String {
    if !millis.is_finite() || millis <= 0.0 {
        return "0".to_owned();
    }
    let text = format!("{millis:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_microseconds_exactly() {
        for (micros, text) in
            [(0, "0"), (1, "0.001"), (410, "0.41"), (1000, "1"), (1840, "1.84"), (30_000_000, "30000")]
        {
            assert_eq!(millis_of_micros(micros), text);
        }
    }

    #[test]
    fn rounds_measured_milliseconds() {
        for (value, text) in
            [(0.0, "0"), (1.8404, "1.84"), (100.0, "100"), (0.0004, "0"), (f64::NAN, "0"), (-1.0, "0")]
        {
            assert_eq!(millis(value), text);
        }
    }
}
