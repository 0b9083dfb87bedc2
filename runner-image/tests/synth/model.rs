//! A model that answers by a script.

use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use dise_core::{digest::Digest, money::Usd};
use dise_models::{Answer, ChatModel, ChatRequest, Failure, Finish, ModelError, Usage, UsageSource};
use serde_json::Value;

use crate::desk::FakeDesk;

/// What every call of the model costs, and what it may cost.
pub(crate) const COST: &str = "0.004";
pub(crate) const BOUND: &str = "0.01";

/// What the model says.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    Text(String),
    /// Python code, fenced.
    Code(String),
    Json(Value),
    /// Text that ends too soon.
    Cut(String),
    Fail {
        charged: bool,
    },
}

pub(crate) fn code(source: &str) -> Say {
    Say::Code(source.to_owned())
}

type Script = Box<dyn Fn(&ChatRequest) -> Say + Send + Sync>;

/// Answers each request by what it says, and remembers them all.
pub(crate) struct ScriptedModel<'d> {
    script: Script,
    asked: Mutex<Vec<ChatRequest>>,
    /// Whose fuse burns here too.
    desk: Option<&'d FakeDesk>,
}

impl<'d> ScriptedModel<'d> {
    pub(crate) fn new(script: impl Fn(&ChatRequest) -> Say + Send + Sync + 'static) -> Self {
        Self { script: Box::new(script), asked: Mutex::default(), desk: None }
    }

    /// Answers the calls in the order of their seeds; the last answer is repeated.
    pub(crate) fn in_order(answers: Vec<Say>) -> Self {
        Self::new(move |request| {
            let index = request.seed.unwrap() as usize;
            answers[index.min(answers.len() - 1)].clone()
        })
    }

    pub(crate) fn at(mut self, desk: &'d FakeDesk) -> Self {
        self.desk = Some(desk);
        self
    }

    pub(crate) fn calls(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The last message of each request.
    pub(crate) fn prompts(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|request| request.messages.last().unwrap().text.clone()).collect()
    }

    pub(crate) fn asked(&self) -> Vec<ChatRequest> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl ChatModel for ScriptedModel<'_> {
    async fn chat(&self, request: &ChatRequest) -> Result<Answer, ModelError> {
        if let Some(desk) = self.desk {
            desk.point().await;
        }
        self.asked.lock().unwrap().push(request.clone());
        if let Some(desk) = self.desk {
            desk.point().await;
        }
        let mut finish = Finish::Stop;
        let mut json = None;
        let text = match (self.script)(request) {
            Say::Text(text) => text,
            Say::Code(source) => format!("Here it is:\n```python\n{source}```\nDone."),
            Say::Json(value) => {
                json = Some(value.clone());
                format!("```json\n{value}\n```")
            }
            Say::Cut(text) => {
                finish = Finish::Length;
                text
            }
            Say::Fail { charged } => {
                return Err(ModelError {
                    model: "scripted".into(),
                    endpoint: "http://nowhere/v1".into(),
                    requests: 1,
                    maybe_charged: charged,
                    failure: Failure::Interrupted { cause: "scripted".into() },
                });
            }
        };
        Ok(Answer {
            text,
            json: json.filter(|_| request.schema.is_some()),
            finish,
            usage: Usage { input_tokens: 100, output_tokens: 10, source: UsageSource::Reported },
            cost: COST.parse().unwrap(),
            latency: Duration::ZERO,
            requests: 1,
            concessions: Vec::new(),
        })
    }

    fn upper_bound(&self, _: &ChatRequest) -> Usd {
        BOUND.parse().unwrap()
    }

    fn identity(&self) -> Digest {
        Digest::of(b"scripted")
    }
}
