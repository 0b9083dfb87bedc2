//! One HTTP request, bounded in size and time, whose failures never hold the key.

use std::time::{Duration, Instant, SystemTime};

use dise_core::causes;
use reqwest::{Method, Response, Url, header::RETRY_AFTER, redirect};
use serde_json::Value;

use crate::{ApiKey, Failure, Settings, SettingsError, protocol};

const CONNECT: Duration = Duration::from_secs(5);
/// Servers written in Python tend to close idle connections after five seconds. A request on a connection that is just
/// being closed looks like one that may have been charged.
const IDLE: Duration = Duration::from_secs(4);

/// The largest answer that is read: 64 vectors of 4096 numbers fit.
const ANSWER_BYTES: usize = 8 << 20;
/// The most that is read of an error.
const ERROR_BYTES: usize = 64 << 10;
/// The most that a message repeats of what a server said.
const MESSAGE_CHARS: usize = 1000;
/// The most that a message repeats of an answer that is not JSON.
const EXCERPT_CHARS: usize = 100;

/// How both providers say that an account has no money left, whatever the status.
const OUT_OF_CREDIT: [&str; 3] = ["insufficient_quota", "enforced_spend_limit_reached", "credit balance"];

/// Speaks to one server.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    client: reqwest::Client,
    key: Option<ApiKey>,
}

impl Transport {
    pub(crate) fn new(settings: &Settings, key: Option<ApiKey>) -> Result<Self, SettingsError> {
        let headers = protocol::headers(settings.api, key.as_ref())?;
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            // The key must reach no other server than the declared one.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("dise/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SettingsError::Http(causes(&error.without_url())))?;
        Ok(Self { client, key })
    }

    /// Sends one request; gives the JSON of a success and how long it took.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<(Value, Duration), Failure> {
        let mut request = self.client.request(method, url).timeout(timeout);
        if let Some(body) = body {
            request = request.json(body);
        }
        let started = Instant::now();
        let answer = request.send().await.map_err(|error| self.failure(error, timeout))?;
        if !answer.status().is_success() {
            return Err(self.refused(answer).await);
        }
        let content = self.read(answer, timeout).await?;
        let latency = started.elapsed();
        let value = serde_json::from_slice(&content).map_err(|error| self.not_json(&content, &error))?;
        Ok((value, latency))
    }

    /// `text` without the key.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.scrub(text))
    }

    async fn read(&self, mut answer: Response, timeout: Duration) -> Result<Vec<u8>, Failure> {
        let mut content = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.failure(error, timeout))? {
            if content.len() + chunk.len() > ANSWER_BYTES {
                let fault = format!("it is longer than {} MiB", ANSWER_BYTES >> 20);
                return Err(Failure::Malformed { fault });
            }
            content.extend_from_slice(&chunk);
        }
        Ok(content)
    }

    async fn refused(&self, mut answer: Response) -> Failure {
        let status = answer.status().as_u16();
        let retry_after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?, SystemTime::now()));
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > ERROR_BYTES {
                break;
            }
        }
        let raw = String::from_utf8_lossy(&body);
        // Scrubbed before it is cut, lest half a key remain.
        let message = cut(&self.scrub(&message(&raw)), MESSAGE_CHARS);
        if status == 402 || OUT_OF_CREDIT.iter().any(|word| raw.contains(word)) {
            return Failure::OutOfCredit { status, message };
        }
        Failure::Status { status, message, retry_after }
    }

    fn not_json(&self, content: &[u8], error: &serde_json::Error) -> Failure {
        let excerpt = cut(&self.scrub(&String::from_utf8_lossy(content)), EXCERPT_CHARS);
        let fault = format!("it is not JSON ({error}) but starts with `{excerpt}`");
        Failure::Malformed { fault }
    }

    fn failure(&self, error: reqwest::Error, timeout: Duration) -> Failure {
        if error.is_connect() {
            return Failure::Unreachable { cause: self.scrub(&causes(&error.without_url())) };
        }
        if error.is_timeout() {
            return Failure::TimedOut { after: timeout };
        }
        Failure::Interrupted { cause: self.scrub(&causes(&error.without_url())) }
    }
}

/// The sentence in an error document: both providers', what `FastAPI` gives, or all of it.
fn message(body: &str) -> String {
    let document: Option<Value> = serde_json::from_str(body).ok();
    let sentence = document.as_ref().and_then(|document| {
        [&document["error"]["message"], &document["error"], &document["message"], &document["detail"]]
            .into_iter()
            .find_map(Value::as_str)
    });
    sentence.unwrap_or(body).to_owned()
}

/// The first characters of a text, on one line.
fn cut(text: &str, chars: usize) -> String {
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// How long a `Retry-After` asks to wait (RFC 9110, 10.2.3; some servers send fractions of seconds).
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_retry_after() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (value, wait) in [
            ("7", Some(7_000)),
            ("0.25", Some(250)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("NaN", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(value, now), wait.map(Duration::from_millis), "{value}");
        }
    }

    #[test]
    fn finds_the_sentence_in_an_error() {
        for (body, sentence) in [
            (r#"{"error": {"message": "no", "type": "x"}}"#, "no"),
            (r#"{"type": "error", "error": {"type": "x", "message": "no"}}"#, "no"),
            (r#"{"error": "no"}"#, "no"),
            (r#"{"message": "no"}"#, "no"),
            (r#"{"detail": "no"}"#, "no"),
            (r#"{"detail": [1]}"#, r#"{"detail": [1]}"#),
            ("Bad gateway", "Bad gateway"),
            ("", ""),
        ] {
            assert_eq!(message(body), sentence, "{body}");
        }
    }

    #[test]
    fn cuts_at_a_character_and_puts_it_on_one_line() {
        assert_eq!(cut("äöü\n\n  äöü", 5), "äöü ä…");
        assert_eq!(cut("short", 5), "short");
    }
}
