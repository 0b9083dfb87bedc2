//! How many tokens a call used, and how many it can use.

use dise_core::synthesis::ModelApi;
use serde_json::Value;

use crate::{ChatRequest, Settings, call};

/// Tokens that a server's chat template may put around one message, such as `<|im_start|>user\n`.
const PER_MESSAGE: u64 = 16;
/// Tokens that a chat template may put before the first message, such as a default system prompt.
const TEMPLATE: u64 = 256;
/// Tokens that Anthropic adds to explain the use of tools. The largest documented number is 530.
const TOOL_USE: u64 = 1024;

/// The tokens of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer, those that the model thought and did not show included.
    pub output_tokens: u64,
    /// Where the numbers come from.
    pub source: UsageSource,
}

/// Where the numbers of a [`Usage`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageSource {
    /// The server reported them.
    Reported,
    /// The server reported none: they are the most that the call can have used.
    Missing,
    /// What the server reported cannot be: they are the most that the call can have used.
    Implausible,
}

/// A number of tokens as a server reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Missing,
    /// Negative, broken or no number at all.
    Invalid,
    Tokens(u64),
}

impl Count {
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Missing,
            value => value.as_u64().map_or(Self::Invalid, Self::Tokens),
        }
    }

    /// The sum with a number that servers may leave out.
    pub(crate) fn plus(self, optional: &Value) -> Self {
        match (self, Self::of(optional)) {
            (count, Self::Missing) => count,
            (Self::Tokens(a), Self::Tokens(b)) => Self::Tokens(a.saturating_add(b)),
            _ => Self::Invalid,
        }
    }
}

/// The usage of a call as its server reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) input: Count,
    pub(crate) output: Count,
}

/// The most tokens that a call can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Bound {
    /// Of a chat. In: the bytes of all messages, those of the schema and of the sentence that introduces it, 16 for
    /// each message and 256 for the whole; with a schema on Anthropic's API 1024 more. Out: the limit of an answer.
    ///
    /// A token stands for at least one byte of text, so the bytes bound the tokens; the constants cover what chat
    /// templates add. A server that adds a prompt of its own can exceed this.
    pub(crate) fn of_chat(settings: &Settings, request: &ChatRequest) -> Self {
        let texts: u64 = request.messages.iter().map(|message| bytes(&message.text) + PER_MESSAGE).sum();
        let schema = request.schema.as_ref().map_or(0, |schema| {
            let tool_use = if settings.api == ModelApi::Anthropic { TOOL_USE } else { 0 };
            // It may end up in a system message that is not there yet.
            bytes(&call::instruction(schema)) + PER_MESSAGE + tool_use
        });
        let output = request.max_tokens.unwrap_or(settings.max_tokens).min(settings.max_tokens);
        Self { input: texts + schema + TEMPLATE, output: u64::from(output) }
    }

    /// Of an embedding: `bytes + 16 per text` in and nothing out.
    pub(crate) fn of_texts<T: AsRef<str>>(texts: &[T]) -> Self {
        Self { input: texts.iter().map(|text| bytes(text.as_ref()) + PER_MESSAGE).sum(), output: 0 }
    }

    pub(crate) const fn usage(self, source: UsageSource) -> Usage {
        Usage { input_tokens: self.input, output_tokens: self.output, source }
    }

    /// What to believe of a report: a number that is missing or cannot be makes the whole of it worthless, and the
    /// bound stands in for it, so that no mistake of a server makes a call cheaper.
    ///
    /// `context` is what the model is declared to hold, which people understate: what the bound allows is possible
    /// too. `answered` says whether there was an answer that took tokens.
    pub(crate) fn judge(self, reported: Reported, context: u64, answered: bool) -> Usage {
        let limit = context.max(self.input.saturating_add(self.output));
        match (reported.input, reported.output) {
            (Count::Tokens(input), Count::Tokens(output)) => {
                let possible =
                    input >= 1 && (output >= 1 || !answered) && input.saturating_add(output) <= limit;
                if possible {
                    Usage { input_tokens: input, output_tokens: output, source: UsageSource::Reported }
                } else {
                    self.usage(UsageSource::Implausible)
                }
            }
            (Count::Invalid, _) | (_, Count::Invalid) => self.usage(UsageSource::Implausible),
            _ => self.usage(UsageSource::Missing),
        }
    }
}

fn bytes(text: &str) -> u64 {
    text.len() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Message, settings::tests::settings};

    const BOUND: Bound = Bound { input: 500, output: 100 };

    #[test]
    fn bounds_tokens_by_bytes_and_what_templates_add() {
        let plain = ChatRequest::new(vec![Message::user("äb"), Message::assistant("")]);
        let schema = Some(json!({}));
        let instruction = call::instruction(&json!({})).len() as u64;
        let openai = settings();
        let anthropic = Settings { api: ModelApi::Anthropic, ..settings() };
        for (settings, request, input) in [
            (&openai, plain.clone(), 3 + 2 * 16 + 256),
            (&anthropic, plain.clone(), 3 + 2 * 16 + 256),
            (
                &openai,
                ChatRequest { schema: schema.clone(), ..plain.clone() },
                3 + 3 * 16 + 256 + instruction,
            ),
            (&anthropic, ChatRequest { schema, ..plain.clone() }, 3 + 3 * 16 + 256 + instruction + 1024),
        ] {
            assert_eq!(Bound::of_chat(settings, &request), Bound { input, output: 1024 });
        }
        let short = ChatRequest { max_tokens: Some(7), ..plain };
        assert_eq!(Bound::of_chat(&openai, &short).output, 7);
        assert_eq!(Bound::of_texts(&["äb", ""]), Bound { input: 3 + 2 * 16, output: 0 });
    }

    #[test]
    fn believes_what_can_be_and_nothing_else() {
        use UsageSource::{Implausible, Missing, Reported as Told};
        for (input, output, answered, source) in [
            (json!(10), json!(5), true, Told),
            (json!(10), json!(0), false, Told),
            (json!(999), json!(1), true, Told),
            (json!(10), json!(0), true, Implausible),
            (json!(0), json!(5), true, Implausible),
            (json!(-1), json!(5), true, Implausible),
            (json!(10), json!(5.5), true, Implausible),
            (json!("10"), json!(5), true, Implausible),
            (json!(999), json!(2), true, Implausible),
            (json!(u64::MAX), json!(u64::MAX), true, Implausible),
            (json!(null), json!(-5), true, Implausible),
            (json!(null), json!(5), true, Missing),
            (json!(null), json!(null), true, Missing),
        ] {
            let reported = Reported { input: Count::of(&input), output: Count::of(&output) };
            let usage = BOUND.judge(reported, 1000, answered);
            assert_eq!(usage.source, source, "{input} {output}");
            if source != Told {
                assert_eq!((usage.input_tokens, usage.output_tokens), (500, 100));
            }
        }
    }

    #[test]
    fn believes_more_than_an_understated_context_holds() {
        for (input, source) in [(400, UsageSource::Reported), (600, UsageSource::Implausible)] {
            let reported = Reported { input: Count::Tokens(input), output: Count::Tokens(90) };
            assert_eq!(BOUND.judge(reported, 100, true).source, source, "{input}");
        }
    }

    #[test]
    fn adds_what_is_reported_apart() {
        for (count, optional, sum) in [
            (json!(3), json!(4), Count::Tokens(7)),
            (json!(3), json!(null), Count::Tokens(3)),
            (json!(3), json!(-1), Count::Invalid),
            (json!(null), json!(4), Count::Invalid),
            (json!(null), json!(null), Count::Missing),
        ] {
            assert_eq!(Count::of(&count).plus(&optional), sum, "{count} + {optional}");
        }
    }
}
