//! Colours, ages and amounts.

use std::io::{IsTerminal, stdout};

use jiff::Timestamp;

/// Colours text, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(bool);

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// All is well.
    Good,
    /// It may become so.
    Waiting,
    /// It is not.
    Bad,
    /// The word that the eye should find.
    Strong,
    /// Of little interest.
    Faint,
}

impl Paint {
    /// Colours where a person looks at standard output and has not asked for none (<https://no-color.org>).
    pub(crate) fn detect() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self(stdout().is_terminal() && !set("NO_COLOR") && !dumb)
    }

    #[cfg(test)]
    pub(crate) const NONE: Self = Self(false);
    #[cfg(test)]
    pub(crate) const ALWAYS: Self = Self(true);

    pub(crate) fn apply(self, tone: Tone, text: &str) -> String {
        if !self.0 || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => 32,
            Tone::Waiting => 33,
            Tone::Bad => 31,
            Tone::Strong => 1,
            Tone::Faint => 2,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// How long ago something was, as kubectl shows it: the two largest units while the first is small.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    until(now.duration_since(since).as_secs().max(0))
}

/// A number of seconds, as kubectl shows it.
pub(crate) fn until(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |whole: i64, unit: &str, rest: i64, smaller: &str| {
        if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{smaller}") }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if hours < 3 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if days < 2 => format!("{hours}h"),
        () if days < 8 => pair(days, "d", hours % 24, "h"),
        () => format!("{days}d"),
    }
}

/// Milliseconds of the API with their unit.
pub(super) fn millis(value: &str) -> String {
    format!("{value} ms")
}

/// US dollars of the API.
pub(super) fn usd(value: &str) -> String {
    format!("${value}")
}

/// The start of a digest, enough to tell two of them apart.
pub(super) fn short_digest(digest: &str) -> String {
    digest.strip_prefix("sha256:").unwrap_or(digest).chars().take(12).collect()
}

/// A number with its thousands apart, for example `18 230`.
pub(super) fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_ages_as_kubectl_does() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (185, "3m5s"),
            (3599, "59m"),
            (4 * 3600 + 120, "4h2m"),
            (47 * 3600, "47h"),
            (2 * 86_400, "2d"),
            (3 * 86_400 + 3600, "3d1h"),
            (30 * 86_400, "30d"),
        ] {
            assert_eq!(until(seconds), text);
        }
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(age(now + jiff::SignedDuration::from_secs(5), now), "0s", "clocks differ");
    }

    #[test]
    fn keeps_thousands_apart() {
        for (number, text) in
            [(0, "0"), (999, "999"), (18_230, "18 230"), (1_000_000, "1 000 000"), (-1000, "-1 000")]
        {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn colours_only_where_it_is_wanted() {
        assert_eq!(Paint::NONE.apply(Tone::Bad, "x"), "x");
        assert_eq!(Paint::ALWAYS.apply(Tone::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
