//! From declarations to what a search for code is asked.

use dise_core::{
    money::Usd,
    synthesis::{ModelApi, ModelTool, Pricing, Search, SearchBudget, SecretKey, ToolLimits},
};
use rust_decimal::Decimal;

use crate::{Budget, Constraints, LlmApi, SecretKeyRef, Synthesis, TokenPrices, ToolSpec, ToolType};

/// Seconds that one call of a model may take where the Tool does not say.
const CALL_SECONDS: u32 = 300;

impl ToolSpec {
    /// The model behind a tool of this name; absent when it is none.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<ModelTool> {
        let llm = self.llm.as_ref()?;
        let constraints = self.constraints.clone().unwrap_or_default();
        Some(ModelTool {
            tool: name.to_owned(),
            api: match llm.api {
                LlmApi::OpenAI => ModelApi::OpenAI,
                LlmApi::Anthropic => ModelApi::Anthropic,
            },
            endpoint: llm.endpoint.clone(),
            model: llm.model.clone(),
            api_key: llm.api_key_secret.as_ref().map(SecretKey::from),
            pricing: llm.pricing.as_ref().map(Pricing::from),
            context_tokens: llm.context_tokens.unsigned_abs(),
            max_tokens: llm.max_tokens.unsigned_abs(),
            timeout_seconds: constraints.timeout_seconds.map_or(CALL_SECONDS, i32::unsigned_abs),
            limits: ToolLimits::from(&constraints),
        })
    }

    /// Whether the tool is a model that can write code.
    #[must_use]
    pub fn writes_code(&self) -> bool {
        matches!(self.type_, ToolType::LocalLlm | ToolType::CloudLlm)
    }
}

impl From<&SecretKeyRef> for SecretKey {
    fn from(reference: &SecretKeyRef) -> Self {
        Self { name: reference.name.clone(), key: reference.key.clone() }
    }
}

impl From<&TokenPrices> for Pricing {
    fn from(prices: &TokenPrices) -> Self {
        Self {
            input_usd_per_million_tokens: usd(&prices.input_usd_per_million_tokens),
            output_usd_per_million_tokens: usd(&prices.output_usd_per_million_tokens),
        }
    }
}

impl From<&Constraints> for ToolLimits {
    fn from(constraints: &Constraints) -> Self {
        Self {
            max_calls_per_hour: constraints.max_calls_per_hour.map(i32::unsigned_abs),
            max_usd_per_hour: constraints.max_usd_per_hour.as_deref().map(usd),
        }
    }
}

impl From<&Synthesis> for Search {
    fn from(synthesis: &Synthesis) -> Self {
        let temperatures = synthesis.temperatures.iter().filter_map(|text| text.parse::<Decimal>().ok());
        Self {
            candidates: synthesis.candidates.unsigned_abs(),
            repair_rounds: synthesis.repair_rounds.unsigned_abs(),
            temperatures: temperatures.collect(),
            generated_tests: synthesis.generated_tests.unsigned_abs(),
            recall: synthesis.recall.unsigned_abs(),
        }
    }
}

impl From<&Budget> for SearchBudget {
    fn from(budget: &Budget) -> Self {
        Self {
            max_usd_per_search: Some(usd(&budget.max_usd_per_search)),
            max_usd_per_day: Some(usd(&budget.max_usd_per_day)),
        }
    }
}

/// An amount that the API server has checked. What cannot be read allows nothing, and costs nothing.
fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::Llm;

    use super::*;

    #[test]
    fn reads_a_model_with_its_prices_and_limits() {
        let spec = ToolSpec {
            type_: ToolType::CloudLlm,
            llm: Some(Llm {
                api: LlmApi::Anthropic,
                endpoint: "https://api.anthropic.com".into(),
                model: "m".into(),
                api_key_secret: Some(SecretKeyRef { name: "keys".into(), key: "anthropic".into() }),
                pricing: Some(TokenPrices {
                    input_usd_per_million_tokens: "3".into(),
                    output_usd_per_million_tokens: "15".into(),
                }),
                context_tokens: 200_000,
                max_tokens: 4096,
            }),
            constraints: Some(Constraints {
                max_calls_per_hour: Some(10),
                max_usd_per_hour: Some("0.50".into()),
                ..Constraints::default()
            }),
            ..ToolSpec::default()
        };
        let model = spec.model("claude").unwrap();
        assert_eq!((model.api, model.timeout_seconds), (ModelApi::Anthropic, CALL_SECONDS));
        assert_eq!(model.limits.max_usd_per_hour, Some("0.5".parse().unwrap()));
        assert_eq!(model.pricing.unwrap().output_usd_per_million_tokens, "15".parse().unwrap());
        assert!(spec.writes_code() && spec.function().is_none());
    }

    #[test]
    fn searches_within_a_budget_unless_told_otherwise() {
        let (search, budget) = (Search::from(&Synthesis::default()), SearchBudget::from(&Budget::default()));
        assert_eq!((search.candidates, search.temperatures.len()), (3, 3));
        assert_eq!(budget.max_usd_per_search, Some("1".parse().unwrap()));
    }
}
