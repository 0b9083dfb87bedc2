//! What the two protocols look like. Values in, values out.

use dise_core::synthesis::ModelApi;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::{ApiKey, ApiKeyError, Finish, call::Call, usage::Reported};

pub(crate) mod anthropic;
pub(crate) mod openai;

/// The longest word of a server that is repeated.
const WORD_CHARS: usize = 64;

/// An answer as a server gives it.
#[derive(Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) finish: Finish,
    pub(crate) usage: Reported,
}

pub(crate) const fn chat_path(api: ModelApi) -> &'static [&'static str] {
    match api {
        ModelApi::OpenAI => &["chat", "completions"],
        ModelApi::Anthropic => &["messages"],
    }
}

pub(crate) fn chat_body(call: &Call<'_>) -> Value {
    match call.settings.api {
        ModelApi::OpenAI => openai::chat_body(call),
        ModelApi::Anthropic => anthropic::chat_body(call),
    }
}

/// # Errors
/// What the answer lacks.
pub(crate) fn read_chat(api: ModelApi, answer: &Value) -> Result<Reply, String> {
    match api {
        ModelApi::OpenAI => openai::read_chat(answer),
        ModelApi::Anthropic => anthropic::read_chat(answer),
    }
}

/// The headers that every request carries.
pub(crate) fn headers(api: ModelApi, key: Option<&ApiKey>) -> Result<HeaderMap, ApiKeyError> {
    let (name, prefix) = match api {
        ModelApi::OpenAI => (AUTHORIZATION, "Bearer "),
        ModelApi::Anthropic => (HeaderName::from_static("x-api-key"), ""),
    };
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        headers.insert(name, key.header(prefix)?);
    }
    if api == ModelApi::Anthropic {
        headers.insert("anthropic-version", HeaderValue::from_static(anthropic::VERSION));
    }
    Ok(headers)
}

/// A reason of ending that has no meaning here, in the server's word.
fn other(reason: &Value) -> Finish {
    let word = reason.as_str().unwrap_or("no reason given");
    Finish::Other(word.chars().take(WORD_CHARS).collect())
}
