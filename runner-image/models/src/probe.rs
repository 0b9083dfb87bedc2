//! Whether a model could be asked, found out at no cost.

use std::time::Duration;

use dise_core::synthesis::ModelApi;
use reqwest::Method;
use serde_json::Value;

use crate::{Failure, Model};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Models that a message names.
const NAMED: usize = 5;

/// What a probe found, in the terms of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What was found.
    pub verdict: Verdict,
    /// The same in a sentence, with what to do about it. Never holds the key.
    pub message: String,
}

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server has the model.
    ModelFound,
    /// The server answers, but cannot tell which models it has.
    ServerAnswers,
    /// The server has no such model.
    ModelNotFound,
    /// The server does not take the key.
    KeyRefused,
    /// There is no server.
    Unreachable,
    /// The server is in trouble, or does not speak the protocol.
    ProbeFailed,
}

impl Verdict {
    /// Whether calls can be expected to work.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::ModelFound | Self::ServerAnswers)
    }

    /// The reason of a condition.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ModelFound => "ModelFound",
            Self::ServerAnswers => "ServerAnswers",
            Self::ModelNotFound => "ModelNotFound",
            Self::KeyRefused => "KeyRefused",
            Self::Unreachable => "Unreachable",
            Self::ProbeFailed => "ProbeFailed",
        }
    }
}

impl Model {
    /// Asks the server once whether it has the model: `GET /models` of the `OpenAI` API, `GET /v1/models/{model}` of
    /// Anthropic's. Neither costs anything. A server that offers no such call is taken to be ready.
    pub async fn probe(&self) -> Probe {
        let api = self.settings.api;
        let url = match api {
            ModelApi::OpenAI => self.url(&["models"]),
            ModelApi::Anthropic => self.url(&["models", &self.settings.model]),
        };
        let answer = self.transport.send(Method::GET, url, None, TIMEOUT.min(self.settings.timeout)).await;
        let model = &self.settings.model;
        let (verdict, said) = match (answer, api) {
            (Ok((list, _)), ModelApi::OpenAI) => listed(&list, model),
            (Ok(_), ModelApi::Anthropic) => (Verdict::ModelFound, format!("has the model `{model}`")),
            (Err(failure), _) => failed(&failure, model, api),
        };
        let message = format!("the server at {} {}", self.settings.endpoint, self.transport.scrub(&said));
        Probe { verdict, message }
    }
}

/// Judges a list of models.
fn listed(list: &Value, model: &str) -> (Verdict, String) {
    let Some(models) = list["data"].as_array() else {
        return (
            Verdict::ProbeFailed,
            "answers, but not with a list of models; check that the endpoint is the base of the API, which often ends \
             in /v1"
                .into(),
        );
    };
    let names: Vec<&str> = models.iter().filter_map(|entry| entry["id"].as_str()).collect();
    // Ollama lists `qwen:latest` and answers to `qwen`.
    if names.iter().any(|name| *name == model || name.strip_suffix(":latest") == Some(model)) {
        return (Verdict::ModelFound, format!("has the model `{model}`"));
    }
    // llama.cpp with a single model lists its file and answers to any name.
    if let [only] = names.as_slice()
        && models.iter().all(|entry| entry["owned_by"] == "llamacpp")
    {
        return (Verdict::ModelFound, format!("serves the one model `{only}` whatever name is asked for"));
    }
    let mut shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    if names.len() > NAMED {
        shown.push(format!("and {} more", names.len() - NAMED));
    }
    let has = if shown.is_empty() { "none".into() } else { shown.join(", ") };
    (Verdict::ModelNotFound, format!("has no model `{model}`; it has {has}"))
}

/// Judges a failure.
fn failed(failure: &Failure, model: &str, api: ModelApi) -> (Verdict, String) {
    match failure {
        Failure::Status { status: 401 | 403, .. } => (Verdict::KeyRefused, failure.to_string()),
        // Anthropic names the model that it does not have; whatever else answers 404 just has no such call.
        Failure::Status { status: 404, message, .. }
            if api == ModelApi::Anthropic && message.contains(model) =>
        {
            (Verdict::ModelNotFound, format!("has no model `{model}`: {message}"))
        }
        Failure::Status { status: 404 | 405 | 501, .. } => (
            Verdict::ServerAnswers,
            format!(
                "answers, but does not tell which models it has; the first call will show whether `{model}` is one"
            ),
        ),
        Failure::Unreachable { .. } => (Verdict::Unreachable, format!("is not there: {failure}")),
        _ => (Verdict::ProbeFailed, format!("cannot tell which models it has: {failure}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn judges_lists_of_models() {
        for (list, verdict, word) in [
            (json!({"data": [{"id": "a"}, {"id": "qwen"}]}), Verdict::ModelFound, "has the model `qwen`"),
            (json!({"data": [{"id": "qwen:latest"}]}), Verdict::ModelFound, "has the model `qwen`"),
            (
                json!({"data": [{"id": "/m/x.gguf", "owned_by": "llamacpp"}]}),
                Verdict::ModelFound,
                "/m/x.gguf",
            ),
            (json!({"data": [{"id": "x"}]}), Verdict::ModelNotFound, "it has `x`"),
            (json!({"data": [{"id": "qwen:7b"}]}), Verdict::ModelNotFound, "it has `qwen:7b`"),
            (json!({"data": []}), Verdict::ModelNotFound, "it has none"),
            (
                json!({"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d"}, {"id": "e"}, {"id": "f"}, {"id": "g"}]}),
                Verdict::ModelNotFound,
                "`e`, and 2 more",
            ),
            (json!({"hello": "world"}), Verdict::ProbeFailed, "/v1"),
        ] {
            let (found, message) = listed(&list, "qwen");
            assert_eq!(found, verdict, "{list}");
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn judges_failures() {
        let status =
            |status, message: &str| Failure::Status { status, message: message.into(), retry_after: None };
        for (failure, api, verdict) in [
            (status(401, ""), ModelApi::OpenAI, Verdict::KeyRefused),
            (status(403, ""), ModelApi::Anthropic, Verdict::KeyRefused),
            (status(404, "model: qwen"), ModelApi::Anthropic, Verdict::ModelNotFound),
            (status(404, "no such page"), ModelApi::Anthropic, Verdict::ServerAnswers),
            (status(404, "no such page: qwen"), ModelApi::OpenAI, Verdict::ServerAnswers),
            (status(503, ""), ModelApi::OpenAI, Verdict::ProbeFailed),
            (status(302, ""), ModelApi::OpenAI, Verdict::ProbeFailed),
            (Failure::Unreachable { cause: "dns".into() }, ModelApi::OpenAI, Verdict::Unreachable),
            (Failure::Malformed { fault: "html".into() }, ModelApi::OpenAI, Verdict::ProbeFailed),
        ] {
            let (found, message) = failed(&failure, "qwen", api);
            assert_eq!(found, verdict, "{message}");
        }
    }
}
