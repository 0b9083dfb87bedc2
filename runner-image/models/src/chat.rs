//! What is asked of a model and what it answers.

use std::{fmt, str::FromStr, time::Duration};

use async_trait::async_trait;
use dise_core::{digest::Digest, money::Usd};
use rust_decimal::{Decimal, prelude::ToPrimitive as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ModelError, Usage};

/// The most that any server takes.
const HOTTEST: Decimal = Decimal::TWO;

/// A model that answers messages.
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Asks the model.
    ///
    /// # Errors
    /// See [`ModelError`], which says whether the call may have been charged.
    async fn chat(&self, request: &ChatRequest) -> Result<Answer, ModelError>;

    /// The most that [`chat`](Self::chat) can cost for this request, to be reserved before it is called.
    fn upper_bound(&self, request: &ChatRequest) -> Usd;

    /// Names the model as far as its answers depend on it; two models of one identity answer alike.
    fn identity(&self) -> Digest;

    /// Names the call: model and request together.
    ///
    /// # Errors
    /// A schema that canonical JSON cannot hold.
    fn call_key(&self, request: &ChatRequest) -> Result<Digest, serde_json::Error> {
        Digest::of_json(&(self.identity(), request))
    }
}

/// What a model is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatRequest {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// How freely it is to answer; absent: as the model's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Temperature>,
    /// Tokens that the answer may have; absent, or more than the settings allow: as the settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Makes a server that knows seeds answer alike for alike requests. Anthropic's API has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// JSON Schema that the answer shall fit. Servers differ in how strictly they see to that, so check the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

impl ChatRequest {
    /// Asks with everything else as the model's settings say.
    #[must_use]
    pub fn new(messages: Vec<Message>) -> Self {
        Self { messages, ..Self::default() }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub text: String,
}

impl Message {
    /// An instruction that holds for the whole conversation.
    #[must_use]
    pub fn system(text: impl Into<String>) -> Self {
        Self { role: Role::System, text: text.into() }
    }

    /// What the model shall answer.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, text: text.into() }
    }

    /// What the model answered before.
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, text: text.into() }
    }
}

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The one who set the model up.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

/// How freely a model answers: 0 (the likeliest words) to 2. In JSON a decimal string: `"0.7"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Decimal", into = "Decimal")]
pub struct Temperature(Decimal);

/// Why a value is not a temperature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a temperature: expected a decimal between 0 and 2 such as 0.7")]
pub struct TemperatureError(String);

impl Temperature {
    pub(crate) fn as_f64(self) -> f64 {
        self.0.to_f64().unwrap_or_default()
    }
}

impl TryFrom<Decimal> for Temperature {
    type Error = TemperatureError;

    fn try_from(degree: Decimal) -> Result<Self, TemperatureError> {
        if degree < Decimal::ZERO || degree > HOTTEST {
            return Err(TemperatureError(degree.to_string()));
        }
        Ok(Self(degree.normalize()))
    }
}

impl From<Temperature> for Decimal {
    fn from(temperature: Temperature) -> Self {
        temperature.0
    }
}

impl FromStr for Temperature {
    type Err = TemperatureError;

    fn from_str(text: &str) -> Result<Self, TemperatureError> {
        Decimal::from_str_exact(text).map_err(|_| TemperatureError(text.to_owned()))?.try_into()
    }
}

impl fmt::Display for Temperature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a model answered, and at what price.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The text; empty when the model said nothing.
    pub text: String,
    /// The text as JSON, where a schema was asked for and the text is JSON.
    pub json: Option<Value>,
    /// Why the answer ends where it ends.
    pub finish: Finish,
    /// The tokens that were used.
    pub usage: Usage,
    /// What they cost.
    pub cost: Usd,
    /// From sending the request that was answered to the last byte of the answer.
    pub latency: Duration,
    /// Requests that were sent until one was answered.
    pub requests: u32,
    /// What had to be given up because the server does not take it.
    pub concessions: Vec<Concession>,
}

/// Why an answer ends where it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model was done.
    Stop,
    /// The answer had as many tokens as it may have, or the context was full.
    Length,
    /// The model, or a filter of its server, refused to answer.
    Refusal,
    /// Anything else, in the server's word.
    Other(String),
}

/// Something that was asked for and that a server does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concession {
    /// The schema stands in the prompt; nothing enforces it.
    SchemaInPrompt,
    /// The temperature is the server's own.
    NoTemperature,
    /// The seed was left out.
    NoSeed,
    /// The limit of an answer is called `max_completion_tokens`, as newer models of `OpenAI` want it. Nothing is lost.
    MaxCompletionTokens,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_temperatures_from_zero_to_two() {
        for (text, shown) in [("0", "0"), ("0.70", "0.7"), ("2.0", "2")] {
            assert_eq!(text.parse::<Temperature>().unwrap().to_string(), shown);
        }
        for text in ["-0.1", "2.01", "hot"] {
            assert!(text.parse::<Temperature>().unwrap_err().to_string().contains(text));
        }
    }

    #[test]
    fn equal_requests_are_written_alike() {
        let request = |temperature: &str| ChatRequest {
            temperature: Some(temperature.parse().unwrap()),
            ..ChatRequest::new(vec![Message::user("hello")])
        };
        let written = serde_json::to_string(&request("0.70")).unwrap();
        assert_eq!(written, r#"{"messages":[{"role":"user","text":"hello"}],"temperature":"0.7"}"#);
        assert_eq!(request("0.70"), request("0.7"));
    }
}
