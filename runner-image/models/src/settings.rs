//! Which model, where, and at what price.

use std::time::Duration;

use dise_core::{
    digest::Digest,
    money::Usd,
    synthesis::{ModelApi, Pricing},
};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::{ApiKeyError, Endpoint, Temperature, Usage};

fn price(per_million: Usd, tokens: u64) -> Usd {
    let cost = per_million
        .as_decimal()
        .checked_mul(Decimal::from(tokens))
        .map_or(Decimal::MAX, |product| product / Decimal::from(1_000_000));
    // A product of amounts that are not negative is not negative.
    Usd::try_from(cost).unwrap_or_default()
}

/// A model and how it is asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What its server speaks.
    pub api: ModelApi,
    /// Base URL of the server.
    pub endpoint: Endpoint,
    /// The server's name of the model.
    pub model: String,
    /// What its tokens cost; absent: nothing.
    pub pricing: Option<Pricing>,
    /// Tokens that prompt and answer may have together.
    pub context_tokens: u32,
    /// Tokens that an answer may have at most.
    pub max_tokens: u32,
    /// For requests that name no temperature; absent: the server's own default.
    pub temperature: Option<Temperature>,
    /// How long one call may take, its retries included.
    pub timeout: Duration,
    /// How often a request that failed for a passing reason is sent at most. 1: it is not repeated.
    pub attempts: u32,
}

/// Why settings cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No model.
    #[error("the name of the model is empty")]
    NoModel,
    /// A limit of zero.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// An answer could not be sent whole.
    #[error(
        "an answer may have {max_tokens} tokens, more than the {context_tokens} that the model can hold at all"
    )]
    AnswerTooLong {
        /// Tokens of an answer.
        max_tokens: u32,
        /// Tokens of prompt and answer.
        context_tokens: u32,
    },
    /// The key cannot be sent.
    #[error(transparent)]
    Key(#[from] ApiKeyError),
    /// The HTTP client cannot be built.
    #[error("cannot set up the HTTP client: {0}")]
    Http(String),
}

/// What an answer depends on besides the request.
#[derive(Serialize)]
struct Identity<'s> {
    api: ModelApi,
    place: String,
    model: &'s str,
    max_tokens: u32,
    temperature: Option<Temperature>,
}

impl Settings {
    /// What that many tokens cost: exact for prices of up to 12 decimal places.
    pub(crate) fn cost(&self, usage: &Usage) -> Usd {
        self.pricing.map_or(Usd::ZERO, |pricing| {
            price(pricing.input_usd_per_million_tokens, usage.input_tokens)
                + price(pricing.output_usd_per_million_tokens, usage.output_tokens)
        })
    }

    /// Whether calls cost nothing.
    pub(crate) fn is_free(&self) -> bool {
        self.pricing.is_none_or(|pricing| {
            pricing.input_usd_per_million_tokens == Usd::ZERO
                && pricing.output_usd_per_million_tokens == Usd::ZERO
        })
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        if self.model.trim().is_empty() {
            return Err(SettingsError::NoModel);
        }
        for (name, count) in [("maxTokens", self.max_tokens), ("the number of attempts", self.attempts)] {
            if count == 0 {
                return Err(SettingsError::Zero(name));
            }
        }
        if self.max_tokens > self.context_tokens {
            let Self { max_tokens, context_tokens, .. } = *self;
            return Err(SettingsError::AnswerTooLong { max_tokens, context_tokens });
        }
        Ok(())
    }

    /// Names the model as far as its answers depend on it: protocol, host, port, path, model and the defaults of a
    /// request. Neither key, price nor patience is part of it.
    pub(crate) fn identity(&self) -> Digest {
        let identity = Identity {
            api: self.api,
            place: self.endpoint.place(self.api),
            model: &self.model,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
        };
        // Strings and integers alone, which JSON can always hold.
        Digest::of(&serde_json::to_vec(&identity).unwrap_or_default())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::UsageSource;

    type Change = fn(&mut Settings);

    /// A free model of 8192 tokens, 1024 of them for an answer.
    pub(crate) fn settings() -> Settings {
        Settings {
            api: ModelApi::OpenAI,
            endpoint: "http://h:11434/v1".parse().unwrap(),
            model: "qwen".into(),
            pricing: None,
            context_tokens: 8192,
            max_tokens: 1024,
            temperature: None,
            timeout: Duration::from_mins(1),
            attempts: 3,
        }
    }

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    fn priced(input: &str, output: &str) -> Settings {
        let pricing =
            Pricing { input_usd_per_million_tokens: usd(input), output_usd_per_million_tokens: usd(output) };
        Settings { pricing: Some(pricing), ..settings() }
    }

    fn usage(input_tokens: u64, output_tokens: u64) -> Usage {
        Usage { input_tokens, output_tokens, source: UsageSource::Reported }
    }

    #[test]
    fn prices_tokens_exactly() {
        let settings = priced("2.5", "0.000001");
        for (input, output, cost) in [
            (0, 0, "0"),
            (1, 0, "0.0000025"),
            (1_234_567, 0, "3.0864175"),
            (0, 1, "0.000000000001"),
            (1_000_000, 3, "2.500000000003"),
        ] {
            assert_eq!(settings.cost(&usage(input, output)), usd(cost));
        }
    }

    #[test]
    fn an_amount_too_large_to_hold_is_not_small() {
        let settings = priced("9999999999999", "0");
        assert!(settings.cost(&usage(u64::MAX, 0)) > usd("1000000000000000000"));
    }

    #[test]
    fn is_free_when_nothing_has_a_price() {
        assert!(settings().is_free());
        assert!(priced("0", "0").is_free());
        assert!(!priced("0", "0.1").is_free());
    }

    #[test]
    fn is_the_same_model_whatever_it_costs_and_however_its_url_is_written() {
        let mut same = priced("3", "4");
        same.endpoint = "https://H:11434/v1/".parse().unwrap();
        same.timeout = Duration::from_secs(1);
        same.context_tokens = 9000;
        assert_eq!(settings().identity(), same.identity());
    }

    #[test]
    fn is_another_model_when_answers_could_differ() {
        let changes: [Change; 6] = [
            |settings| settings.api = ModelApi::Anthropic,
            |settings| settings.endpoint = "http://h:11435/v1".parse().unwrap(),
            |settings| settings.endpoint = "http://h:11434/other/v1".parse().unwrap(),
            |settings| settings.model = "qwen2".into(),
            |settings| settings.max_tokens = 2,
            |settings| settings.temperature = Some("0.5".parse().unwrap()),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut other = settings();
            change(&mut other);
            assert_ne!(settings().identity(), other.identity(), "change {index}");
        }
    }

    #[test]
    fn refuses_settings_that_cannot_work() {
        let changes: [(Change, &str); 4] = [
            (|settings| settings.model = " ".into(), "name of the model"),
            (|settings| settings.attempts = 0, "attempts"),
            (|settings| settings.max_tokens = 0, "maxTokens"),
            (|settings| settings.context_tokens = 1023, "1023"),
        ];
        for (change, word) in changes {
            let mut wrong = settings();
            change(&mut wrong);
            let message = wrong.check().unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }
}
