//! A request as it is put to a server that may not take all of it.

use dise_core::synthesis::ModelApi;
use serde_json::Value;

use crate::{ChatRequest, Concession, Failure, Message, Role, Settings, Temperature};

/// What a server that refuses a parameter answers, and the words by which it names the parameter.
const REFUSALS: [(Concession, &[&str]); 4] = [
    (Concession::SchemaInPrompt, &["response_format", "json_schema", "tool_choice", "input_schema", "tools"]),
    (Concession::MaxCompletionTokens, &["max_completion_tokens"]),
    (Concession::NoTemperature, &["temperature"]),
    (Concession::NoSeed, &["seed"]),
];

/// One request, and what of it was given up.
#[derive(Debug)]
pub(crate) struct Call<'c> {
    pub(crate) settings: &'c Settings,
    pub(crate) request: &'c ChatRequest,
    pub(crate) concessions: Vec<Concession>,
}

impl<'c> Call<'c> {
    pub(crate) fn new(settings: &'c Settings, request: &'c ChatRequest) -> Self {
        let mut call = Self { settings, request, concessions: Vec::new() };
        // The input of a tool is an object. Servers of the OpenAI API can often constrain more, and else say so.
        let object = request.schema.as_ref().is_none_or(|schema| schema["type"] == "object");
        if settings.api == ModelApi::Anthropic && !object {
            call.concessions.push(Concession::SchemaInPrompt);
        }
        call
    }

    pub(crate) fn has(&self, concession: Concession) -> bool {
        self.concessions.contains(&concession)
    }

    /// The schema that the server shall enforce.
    pub(crate) fn schema(&self) -> Option<&Value> {
        self.request.schema.as_ref().filter(|_| !self.has(Concession::SchemaInPrompt))
    }

    pub(crate) fn temperature(&self) -> Option<Temperature> {
        self.request
            .temperature
            .or(self.settings.temperature)
            .filter(|_| !self.has(Concession::NoTemperature))
    }

    pub(crate) fn seed(&self) -> Option<u32> {
        self.request.seed.filter(|_| !self.has(Concession::NoSeed))
    }

    pub(crate) fn max_tokens(&self) -> u32 {
        self.request.max_tokens.unwrap_or(self.settings.max_tokens).clamp(1, self.settings.max_tokens)
    }

    /// The messages, with the schema among them where nothing enforces it.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut messages = self.request.messages.clone();
        let Some(schema) = self.request.schema.as_ref().filter(|_| self.has(Concession::SchemaInPrompt))
        else {
            return messages;
        };
        let instruction = instruction(schema);
        match messages.first_mut() {
            Some(first) if first.role == Role::System => {
                first.text.push_str("\n\n");
                first.text.push_str(&instruction);
            }
            _ => messages.insert(0, Message::system(instruction)),
        }
        messages
    }

    /// Gives up what the server said that it does not take. Returns whether there is anything new to try.
    pub(crate) fn concede(&mut self, failure: &Failure) -> bool {
        let Failure::Status { status: 400 | 422 | 501, message, .. } = failure else { return false };
        let message = message.to_ascii_lowercase();
        let conceded = REFUSALS.into_iter().find(|(concession, words)| {
            self.sends(*concession) && words.iter().any(|word| message.contains(word))
        });
        self.concessions.extend(conceded.map(|(concession, _)| concession));
        conceded.is_some()
    }

    /// Whether the request holds what the concession would give up.
    fn sends(&self, concession: Concession) -> bool {
        match concession {
            Concession::SchemaInPrompt => self.schema().is_some(),
            Concession::NoTemperature => self.temperature().is_some(),
            Concession::NoSeed => self.seed().is_some(),
            Concession::MaxCompletionTokens => !self.has(concession),
        }
    }
}

/// Asks for JSON where nothing enforces it.
pub(crate) fn instruction(schema: &Value) -> String {
    format!("Answer with JSON alone, without a code fence. It must fit this JSON Schema: {schema}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::tests::settings;

    fn refused(status: u16, message: &str) -> Failure {
        Failure::Status { status, message: message.into(), retry_after: None }
    }

    #[test]
    fn gives_up_once_what_the_server_does_not_take() {
        let settings = settings();
        let request = ChatRequest {
            temperature: Some("0.1".parse().unwrap()),
            schema: Some(json!({"type": "object"})),
            seed: Some(1),
            ..ChatRequest::new(vec![Message::user("hi")])
        };
        let mut call = Call::new(&settings, &request);
        for (status, message, conceded) in [
            (400, "'response_format.type' must be 'text'", true),
            (400, "'response_format.type' must be 'text'", false),
            (400, "`temperature` is deprecated for this model.", true),
            (422, "seed: extra fields not permitted", true),
            (400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", true),
            (400, "the prompt is too long", false),
            (500, "seed", false),
        ] {
            assert_eq!(call.concede(&refused(status, message)), conceded, "{message}");
        }
        assert_eq!((call.schema(), call.temperature(), call.seed()), (None, None, None));
        assert_eq!(call.concessions.len(), 4);
    }

    #[test]
    fn the_schema_joins_the_system_message_when_nothing_enforces_it() {
        let settings = Settings { api: ModelApi::Anthropic, ..settings() };
        let schema = Some(json!({"type": "string"}));
        for (messages, count) in
            [(vec![Message::system("Be brief."), Message::user("hi")], 2), (vec![Message::user("hi")], 2)]
        {
            let request = ChatRequest { schema: schema.clone(), ..ChatRequest::new(messages) };
            let sent = Call::new(&settings, &request).messages();
            assert_eq!((sent.len(), sent[0].role), (count, Role::System));
            assert!(sent[0].text.ends_with(r#"JSON Schema: {"type":"string"}"#), "{}", sent[0].text);
        }
    }

    #[test]
    fn an_answer_is_never_longer_than_the_settings_allow() {
        let settings = settings();
        for (asked, sent) in [(None, 1024), (Some(7), 7), (Some(2000), 1024), (Some(0), 1)] {
            let request = ChatRequest { max_tokens: asked, ..ChatRequest::default() };
            assert_eq!(Call::new(&settings, &request).max_tokens(), sent);
        }
    }
}
