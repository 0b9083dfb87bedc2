//! A scripted server, and models of it.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use dise_core::{
    money::Usd,
    synthesis::{ModelApi, Pricing},
};
use dise_models::{Answer, ApiKey, ChatModel as _, ChatRequest, Message, Model, ModelError, Settings};
use serde_json::{Value, json};

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/model_server/server.py");

pub(crate) const KEY: &str = "sk-scripted-0123456789";

pub(crate) const BOTH: [ModelApi; 2] = [ModelApi::OpenAI, ModelApi::Anthropic];

/// A server of its own for a test. It ends with the test.
pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
}

impl Server {
    /// Starts a server that goes by `script`.
    pub(crate) async fn start(script: Value) -> Self {
        install_provider();
        let mut process =
            Command::new("python3").args([SERVER, "--port", "0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap();
        let server = Self { url: format!("http://{address}"), process };
        server.play(script).await;
        server
    }

    /// Starts a server that gives these answers, one after the other, to whatever is asked.
    pub(crate) async fn answering(answers: Value) -> Self {
        Self::start(json!({"rules": [{"answers": answers}]})).await
    }

    /// Starts over with another script. The server wants [`KEY`] and has forgotten what was requested.
    pub(crate) async fn play(&self, mut script: Value) {
        script["apiKey"] = KEY.into();
        let url = format!("{}/script", self.url);
        let answer = reqwest::Client::new().post(url).json(&script).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Starts over with these answers, one after the other, to whatever is asked.
    pub(crate) async fn answer(&self, answers: Value) {
        self.play(json!({"rules": [{"answers": answers}]})).await;
    }

    /// What was requested so far.
    pub(crate) async fn requests(&self) -> Vec<Value> {
        let log: Value = reqwest::get(format!("{}/requests", self.url)).await.unwrap().json().await.unwrap();
        log["requests"].as_array().unwrap().clone()
    }

    /// A priced model of this server.
    pub(crate) fn settings(&self, api: ModelApi) -> Settings {
        settings(api, &self.url)
    }

    /// A priced model of this server.
    pub(crate) fn model(&self, api: ModelApi) -> Model {
        model(self.settings(api))
    }

    /// The same without a price.
    pub(crate) fn free_model(&self, api: ModelApi) -> Model {
        model(Settings { pricing: None, ..self.settings(api) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A model for 3 and 15 USD a million tokens.
pub(crate) fn settings(api: ModelApi, url: &str) -> Settings {
    let base = if api == ModelApi::OpenAI { format!("{url}/v1") } else { url.to_owned() };
    let pricing = Pricing {
        input_usd_per_million_tokens: "3".parse().unwrap(),
        output_usd_per_million_tokens: "15".parse().unwrap(),
    };
    Settings {
        api,
        endpoint: base.parse().unwrap(),
        model: "scripted".into(),
        pricing: Some(pricing),
        context_tokens: 8192,
        max_tokens: 256,
        temperature: None,
        timeout: Duration::from_secs(30),
        attempts: 3,
    }
}

pub(crate) fn model(settings: Settings) -> Model {
    Model::new(settings, Some(ApiKey::new(KEY).unwrap())).unwrap()
}

/// Installs the TLS provider as `main` does; another test may have been first.
pub(crate) fn install_provider() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// A port of this machine that nobody listens on.
pub(crate) fn nowhere() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

pub(crate) fn question() -> ChatRequest {
    ChatRequest::new(vec![Message::system("Be brief."), Message::user("How many legs has a spider?")])
}

pub(crate) async fn ask(model: &Model) -> Result<Answer, ModelError> {
    model.chat(&question()).await
}

pub(crate) fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}
