//! What is asked of a search.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest::Digest,
    function::{Function, Language, Limits},
    money::Usd,
    verification::{Check, Example, VerificationRequest},
};

/// What the code of a step has to do. Its digest names the problem: equal tasks have the same solutions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// What the step does, in its author's words.
    pub description: String,
    /// The language to write in.
    pub language: Language,
    /// JSON Schema that every output must fit.
    pub output: Value,
    /// The cases that the code must pass. They are law.
    pub examples: Vec<Example>,
    /// The predicates that must hold on every case.
    pub checks: Vec<Check>,
    /// What one call may use.
    pub limits: Limits,
}

impl Task {
    /// The name of this problem.
    ///
    /// # Errors
    /// An example or schema that canonical JSON cannot hold.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Digest::of_json(self)
    }

    /// What proves that a function solves the task: the same that an author's own code is put to.
    #[must_use]
    pub fn verification(&self, function: Function) -> VerificationRequest {
        VerificationRequest {
            function,
            output: self.output.clone(),
            examples: self.examples.clone(),
            checks: self.checks.clone(),
            limits: self.limits,
        }
    }
}

/// Everything that decides how a search goes. Its digest names the work, so equal work is done once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SynthesisRequest {
    /// The problem.
    pub task: Task,
    /// The model that writes the code.
    pub model: ModelTool,
    /// What the model is told.
    pub prompts: Prompts,
    /// How far the search goes.
    pub search: Search,
    /// What it may spend.
    pub budget: SearchBudget,
    /// When a person asked for another try; empty if nobody did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub retry: String,
}

impl SynthesisRequest {
    /// The name of this work.
    ///
    /// # Errors
    /// A task that canonical JSON cannot hold.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Digest::of_json(self)
    }
}

/// The protocol of a model's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ModelApi {
    /// `/chat/completions` as `OpenAI`, Ollama, llama.cpp, vLLM and `LiteLLM` serve it.
    OpenAI,
    /// `/v1/messages` of Anthropic.
    Anthropic,
}

/// A Tool that is a language model, as its author declared it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelTool {
    /// Name of the Tool.
    pub tool: String,
    /// What its server speaks.
    pub api: ModelApi,
    /// Base URL of the server.
    pub endpoint: String,
    /// The server's name of the model.
    pub model: String,
    /// Where the key is, if the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SecretKey>,
    /// What tokens cost; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// Tokens that prompt and answer may have together.
    pub context_tokens: u32,
    /// Tokens that an answer may have.
    pub max_tokens: u32,
    /// Seconds that one call may take, its retries included.
    pub timeout_seconds: u32,
    /// What the tool allows everybody together.
    pub limits: ToolLimits,
}

/// An entry of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Name of the Secret.
    pub name: String,
    /// The entry.
    pub key: String,
}

/// What tokens cost, in US dollars for a million of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pricing {
    /// Tokens of the prompt.
    pub input_usd_per_million_tokens: Usd,
    /// Tokens of the answer.
    pub output_usd_per_million_tokens: Usd,
}

/// What a model allows in one clock hour (UTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolLimits {
    /// Calls; absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls_per_hour: Option<u32>,
    /// Money; absent: any amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_usd_per_hour: Option<Usd>,
}

/// The prompts of a search, each a blob that holds a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prompts {
    /// What the model is, said first.
    pub system: Digest,
    /// Asks for code.
    pub generate: Digest,
    /// Asks to repair code that failed.
    pub repair: Digest,
    /// Asks for further test cases.
    pub tests: Digest,
}

/// How far a search goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Search {
    /// Candidates that are asked for at first.
    pub candidates: u32,
    /// How often failing candidates are repaired.
    pub repair_rounds: u32,
    /// Temperatures of the calls, from the first candidate to the last, and over again.
    pub temperatures: Vec<Decimal>,
    /// Test cases that the model is asked to invent; 0: it is not asked.
    pub generated_tests: u32,
    /// Similar functions that are looked up before anything is generated.
    pub recall: u32,
}

/// What a search may spend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchBudget {
    /// On one search; absent: any amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_usd_per_search: Option<Usd>,
    /// On all searches of a workflow in one day (UTC); absent: any amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_usd_per_day: Option<Usd>,
}
