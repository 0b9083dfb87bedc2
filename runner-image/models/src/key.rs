//! The key that a server wants to see.

use std::fmt;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

/// What stands in place of a key wherever somebody could read it.
const HIDDEN: &str = "[key]";

/// A server's API key. It shows itself to nobody but the server, and is wiped from memory when it is dropped.
#[derive(Clone)]
pub struct ApiKey(SecretString);

/// Why a text is not an API key. Says nothing of the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// There is nothing but white space.
    #[error("the API key is empty; check the entry of the Secret that holds it")]
    Empty,
    /// It cannot be put into a header.
    #[error(
        "the API key holds characters that no key has, such as a line break in its middle; check the entry of the \
         Secret that holds it"
    )]
    Unprintable,
}

impl ApiKey {
    /// A key, without the white space around it that files tend to end with.
    ///
    /// # Errors
    /// A key that is empty or cannot be sent in a header.
    pub fn new(text: &str) -> Result<Self, ApiKeyError> {
        let key = text.trim();
        if key.is_empty() {
            return Err(ApiKeyError::Empty);
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ApiKeyError::Unprintable);
        }
        Ok(Self(key.to_owned().into()))
    }

    /// A header's value: the key after `prefix`, marked as sensitive so that nothing logs it.
    pub(crate) fn header(&self, prefix: &str) -> Result<HeaderValue, ApiKeyError> {
        let mut value = HeaderValue::from_str(&format!("{prefix}{}", self.0.expose_secret()))
            .map_err(|_| ApiKeyError::Unprintable)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// `text` without the key, in case a server repeats it.
    pub(crate) fn scrub(&self, text: &str) -> String {
        text.replace(self.0.expose_secret(), HIDDEN)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_itself_to_nobody() {
        let key = ApiKey::new("sk-secret\n").unwrap();
        assert_eq!(format!("{key} {key:?} {key:#?}"), "[key] [key] [key]");
        assert_eq!(format!("{:?}", key.header("Bearer ").unwrap()), "Sensitive");
    }

    #[test]
    fn is_taken_out_of_what_a_server_says() {
        let key = ApiKey::new(" sk-secret\n").unwrap();
        assert_eq!(key.scrub("wrong key sk-secret, sk-secret"), "wrong key [key], [key]");
    }

    #[test]
    fn refuses_what_is_no_key_without_repeating_it() {
        assert_eq!(ApiKey::new(" \n").unwrap_err(), ApiKeyError::Empty);
        for text in ["two\nlines", "with blank", "schlüssel"] {
            let error = ApiKey::new(text).unwrap_err();
            assert_eq!(error, ApiKeyError::Unprintable);
            assert!(!error.to_string().contains(text));
        }
    }
}
