//! The client of one model.

use std::time::Duration;

use async_trait::async_trait;
use dise_core::{digest::Digest, money::Usd};
use reqwest::{Method, Url};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Answer, ApiKey, ChatModel, ChatRequest, Failure, ModelError, Settings, SettingsError, UsageSource,
    call::Call, json, protocol, retry::Policy, transport::Transport, usage::Bound,
};

/// A client of one model. Connections are kept and shared; clones share them too.
#[derive(Clone, Debug)]
pub struct Model {
    pub(crate) settings: Settings,
    pub(crate) transport: Transport,
}

impl Model {
    /// A client, without asking the server anything.
    ///
    /// # Errors
    /// Settings that cannot work, or no usable TLS.
    ///
    /// # Panics
    /// If the process has no default `rustls` provider.
    pub fn new(settings: Settings, key: Option<ApiKey>) -> Result<Self, SettingsError> {
        settings.check()?;
        let transport = Transport::new(&settings, key)?;
        Ok(Self { settings, transport })
    }

    pub(crate) fn url(&self, path: &[&str]) -> Url {
        self.settings.endpoint.url(self.settings.api, path)
    }

    pub(crate) fn error(&self, failure: Failure, requests: u32) -> ModelError {
        ModelError {
            model: self.settings.model.clone(),
            endpoint: self.settings.endpoint.to_string(),
            requests,
            maybe_charged: failure.may_be_charged() && !self.settings.is_free(),
            failure,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.settings.timeout
    }

    /// Posts until there is an answer; counts the requests.
    pub(crate) async fn post(
        &self,
        url: &Url,
        body: &Value,
        deadline: Instant,
        requests: &mut u32,
    ) -> Result<(Value, Duration), Failure> {
        let policy = Policy::new(self.settings.attempts, deadline, self.settings.is_free());
        policy
            .run(|left| {
                *requests += 1;
                self.transport.send(Method::POST, url.clone(), Some(body), left)
            })
            .await
    }

    fn answer(
        &self,
        call: Call<'_>,
        content: &Value,
        latency: Duration,
        requests: u32,
    ) -> Result<Answer, Failure> {
        let reply =
            protocol::read_chat(self.settings.api, content).map_err(|fault| Failure::Malformed { fault })?;
        let text = self.transport.scrub(&reply.text);
        let bound = Bound::of_chat(&self.settings, call.request);
        let usage = bound.judge(reply.usage, self.settings.context_tokens.into(), !text.is_empty());
        Ok(Answer {
            json: call.request.schema.as_ref().and_then(|_| json::parse(&text)),
            text,
            finish: reply.finish,
            usage,
            cost: self.settings.cost(&usage),
            latency,
            requests,
            concessions: call.concessions,
        })
    }
}

#[async_trait]
impl ChatModel for Model {
    async fn chat(&self, request: &ChatRequest) -> Result<Answer, ModelError> {
        let url = self.url(protocol::chat_path(self.settings.api));
        let deadline = self.deadline();
        let mut call = Call::new(&self.settings, request);
        let mut requests = 0;
        loop {
            let body = protocol::chat_body(&call);
            match self.post(&url, &body, deadline, &mut requests).await {
                Ok((content, latency)) => {
                    return self
                        .answer(call, &content, latency, requests)
                        .map_err(|failure| self.error(failure, requests));
                }
                Err(failure) if call.concede(&failure) => {}
                Err(failure) => return Err(self.error(failure, requests)),
            }
        }
    }

    fn upper_bound(&self, request: &ChatRequest) -> Usd {
        // The source of the numbers does not matter for their price.
        self.settings.cost(&Bound::of_chat(&self.settings, request).usage(UsageSource::Missing))
    }

    fn identity(&self) -> Digest {
        self.settings.identity()
    }
}
