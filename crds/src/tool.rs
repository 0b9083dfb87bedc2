//! The kind `Tool`.
#![expect(unreachable_pub, reason = "KubeSchema copies each struct into a function body")]
#![allow(clippy::duplicated_attributes, reason = "printer columns repeat the names of their attributes")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{schema, shared::Example};

/// Something that the steps of several workflows can use.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "dise.dev",
    version = "v1alpha1",
    kind = "Tool",
    namespaced,
    status = "ToolStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "dtool",
    category = "dise",
    doc = "A Tool is something that the steps of several Workflows can use; an option names it with `tool`. \
           Exactly the member that matches `type` is set.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether workflows can use the tool."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why it is ready or not."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.type == 'PythonFunction') == has(self.pythonFunction)")
        .message("pythonFunction must be set when type is PythonFunction, and only then; make type and member match")
        .field_path(".pythonFunction"),
    validation = Rule::new("(self.type == 'BashScript') == has(self.bashScript)")
        .message("bashScript must be set when type is BashScript, and only then; make type and member match")
        .field_path(".bashScript"),
    validation = Rule::new("(self.type in ['LocalLlm', 'CloudLlm', 'EmbeddingModel']) == has(self.llm)")
        .message("llm must be set when type is LocalLlm, CloudLlm or EmbeddingModel, and only then; make type and member match")
        .field_path(".llm"),
    validation = Rule::new("self.type != 'CloudLlm' || !has(self.llm) || has(self.llm.pricing)")
        .message("llm.pricing must be set when type is CloudLlm, because budgets are kept by it; a model that costs nothing says \"0\"")
        .field_path(".llm"),
    validation = Rule::new("self.type != 'EmbeddingModel' || !has(self.llm) || !has(self.llm.api) || self.llm.api != 'Anthropic'")
        .message("Anthropic's API has no embeddings; use an EmbeddingModel whose llm.api is OpenAI")
        .field_path(".llm"),
    validation = Rule::new("has(self.llm) || !has(self.constraints) || (!has(self.constraints.maxCallsPerHour) && !has(self.constraints.maxUsdPerHour))")
        .message("maxCallsPerHour and maxUsdPerHour are for language models; remove them")
        .field_path(".constraints"),
    validation = Rule::new("!has(self.llm) || (!has(self.examples) && !has(self.output))")
        .message("examples and output are for code; remove them from a language model")
)]
pub struct ToolSpec {
    /// What the tool is. `PythonFunction`: Python code in `pythonFunction`. `BashScript`: a script in
    /// `bashScript`. `LocalLlm`: a language model on own hardware, in `llm`. `CloudLlm`: a language model that is
    /// paid for, in `llm`. `EmbeddingModel`: a model that turns text into vectors, in `llm`.
    #[serde(rename = "type")]
    pub type_: ToolType,
    /// What the tool does, at most 4096 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub description: String,
    /// Python code that defines `run(input)`, whose argument and result are JSON values. Only with type
    /// `PythonFunction`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_function: Option<Script>,
    /// Script that reads JSON on standard input and writes JSON to standard output. Only with type `BashScript`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bash_script: Option<Script>,
    /// A language model or an embedding model behind an HTTP API. Only with types `LocalLlm`, `CloudLlm` and
    /// `EmbeddingModel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm: Option<Llm>,
    /// JSON Schema (draft 2020-12) that every output must fit. Default: any output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::json_schema_object")]
    pub output: Option<Value>,
    /// Up to 256 cases that the tool must pass before workflows can use it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub examples: Vec<Example>,
    /// What one call may use at most. Default: what the calling step allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraints: Option<Constraints>,
}

/// What a Tool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ToolType {
    /// Python code.
    #[default]
    PythonFunction,
    /// A Bash script.
    BashScript,
    /// A language model on own hardware.
    LocalLlm,
    /// A language model that is paid for.
    CloudLlm,
    /// A model that turns text into vectors.
    EmbeddingModel,
}

/// Code of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// The code, at most 65536 characters.
    #[schemars(length(min = 1, max = schema::SOURCE_MAX))]
    pub source: String,
}

/// A model behind an HTTP API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Llm {
    /// What the server speaks. `OpenAI`: `/chat/completions` and `/embeddings`, as Ollama, llama.cpp, vLLM and
    /// `LiteLLM` do too. `Anthropic`: `/v1/messages`. Default: `OpenAI`.
    #[serde(default)]
    pub api: LlmApi,
    /// Base URL of the server, for example `http://ollama.models:11434/v1` or `https://api.anthropic.com`. Without
    /// user, password, query and fragment.
    #[schemars(length(max = 1024), regex(pattern = r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"))]
    pub endpoint: String,
    /// The server's name of the model, at most 256 characters.
    #[schemars(length(min = 1, max = 256))]
    pub model: String,
    /// The entry of a Secret in the same namespace that holds the key of the API. Default: no key is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_secret: Option<SecretKeyRef>,
    /// What tokens cost. Required for `CloudLlm`. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<TokenPrices>,
    /// Tokens that prompt and answer may have together, 512 to 10000000. Default: 8192.
    #[serde(default = "default_context_tokens")]
    #[schemars(range(min = 512, max = 10_000_000))]
    pub context_tokens: i32,
    /// Tokens that an answer may have, 16 to 1000000. Default: 2048.
    #[serde(default = "default_max_tokens")]
    #[schemars(range(min = 16, max = 1_000_000))]
    pub max_tokens: i32,
}

/// What a model's server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum LlmApi {
    /// `/chat/completions` and `/embeddings`.
    #[default]
    OpenAI,
    /// `/v1/messages`.
    Anthropic,
}

/// An entry of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
    /// The entry, for example `apiKey`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// What tokens cost, in US dollars for a million of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenPrices {
    /// Tokens of the prompt: a decimal string such as `"0.15"`.
    #[schemars(schema_with = "schema::usd")]
    pub input_usd_per_million_tokens: String,
    /// Tokens of the answer: a decimal string such as `"0.60"`.
    #[schemars(schema_with = "schema::usd")]
    pub output_usd_per_million_tokens: String,
}

/// What one call of a tool may use at most. A step's own limits apply too; the lower one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Constraints {
    /// Seconds that one call may take, 1 to 3600. Default: what the calling step allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: Option<i32>,
    /// Memory that one call may use, in MiB, 32 to 65536. Default: what the calling step allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 32, max = 65_536))]
    pub memory_mib: Option<i32>,
    /// Calls of a language model in one clock hour (UTC), 1 to 1000000. Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_calls_per_hour: Option<i32>,
    /// US dollars that calls of a language model may cost in one clock hour (UTC): a decimal string such as
    /// `"0.50"`. A call that could exceed it is not made. Default: any amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::usd")]
    pub max_usd_per_hour: Option<String>,
}

/// What DiSE observed about a tool.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `Ready`: workflows can use the tool. Code passed its examples; a model answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Digest of language and code: `sha256:` and 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::digest")]
    pub digest: Option<String>,
    /// When a model was last asked whether it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_probe_time: Option<Time>,
}

const fn default_context_tokens() -> i32 {
    8192
}

const fn default_max_tokens() -> i32 {
    2048
}
