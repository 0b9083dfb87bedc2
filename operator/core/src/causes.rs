//! Errors with everything that caused them.

use std::error::Error;

/// An error and its causes, from the outside in. What TLS and DNS say went wrong is in the innermost.
#[must_use]
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot connect")]
    struct Outer(#[source] io::Error);

    #[test]
    fn tells_the_innermost_cause_too() {
        assert_eq!(causes(&Outer(io::Error::other("refused"))), "cannot connect: refused");
    }
}
