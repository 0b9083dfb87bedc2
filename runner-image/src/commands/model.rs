//! Models that a Tool declares, with the key that the pod was given.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use dise_core::synthesis::ModelTool;
use dise_models::{ApiKey, Model, Settings};

/// How often a call that failed for a passing reason is sent, within the time that the Tool allows it.
const ATTEMPTS: u32 = 5;

/// Where the key of the model is.
#[derive(Clone, Debug, Args)]
pub struct ModelArgs {
    /// File with the model's API key, if the Tool names one.
    #[arg(long, env = "DISE_MODEL_KEY_FILE")]
    pub model_key_file: Option<PathBuf>,
}

impl ModelArgs {
    /// The client of a model. `namespace` is where its Tool and its Secret are.
    ///
    /// # Errors
    /// Settings that cannot work, or a key that is not there.
    pub fn model(&self, tool: &ModelTool, namespace: &str) -> anyhow::Result<Model> {
        let settings = Settings {
            api: tool.api,
            endpoint: tool.endpoint.parse().with_context(|| format!("Tool {}", tool.tool))?,
            model: tool.model.clone(),
            pricing: tool.pricing,
            context_tokens: tool.context_tokens,
            max_tokens: tool.max_tokens.min(tool.context_tokens),
            temperature: None,
            timeout: Duration::from_secs(tool.timeout_seconds.into()),
            attempts: ATTEMPTS,
        };
        Model::new(settings, self.key(tool, namespace)?).with_context(|| format!("Tool {}", tool.tool))
    }

    fn key(&self, tool: &ModelTool, namespace: &str) -> anyhow::Result<Option<ApiKey>> {
        let Some(secret) = &tool.api_key else { return Ok(None) };
        let place = || {
            format!(
                "the API key of Tool {} cannot be used: key `{}` of Secret `{}` in namespace `{namespace}`",
                tool.tool, secret.key, secret.name
            )
        };
        let file =
            self.model_key_file.as_ref().context("DISE_MODEL_KEY_FILE is not set").with_context(place)?;
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))
            .with_context(place)?;
        ApiKey::new(&text).with_context(place).map(Some)
    }
}
