//! The API of Anthropic: <https://docs.anthropic.com/en/api/messages>.

use serde_json::{Value, json};

use super::{Reply, other};
use crate::{
    Finish, Role,
    call::Call,
    usage::{Count, Reported},
};

/// The tool that the model must use when its answer has to fit a schema: its input is the answer.
const TOOL: &str = "answer";

/// The version of the API that is spoken.
pub(super) const VERSION: &str = "2023-06-01";

pub(super) fn chat_body(call: &Call<'_>) -> Value {
    let (system, messages): (Vec<_>, Vec<_>) =
        call.messages().into_iter().partition(|message| message.role == Role::System);
    let messages: Vec<Value> =
        messages.into_iter().map(|message| json!({"role": message.role, "content": message.text})).collect();
    let mut body =
        json!({"model": call.settings.model, "max_tokens": call.max_tokens(), "messages": messages});
    if !system.is_empty() {
        let texts: Vec<String> = system.into_iter().map(|message| message.text).collect();
        body["system"] = texts.join("\n\n").into();
    }
    if let Some(temperature) = call.temperature() {
        body["temperature"] = temperature.as_f64().into();
    }
    if let Some(schema) = call.schema() {
        body["tools"] = json!([{"name": TOOL, "description": "Gives the answer.", "input_schema": schema}]);
        body["tool_choice"] = json!({"type": "tool", "name": TOOL});
    }
    body
}

pub(super) fn read_chat(answer: &Value) -> Result<Reply, String> {
    let blocks = answer["content"].as_array().ok_or("it has no content")?;
    let tool = blocks.iter().find(|block| block["type"] == "tool_use" && block["name"] == TOOL);
    let text = match tool {
        Some(block) => block["input"].to_string(),
        None => blocks
            .iter()
            .filter(|block| block["type"] == "text")
            .filter_map(|block| block["text"].as_str())
            .collect(),
    };
    let finish = match answer["stop_reason"].as_str() {
        Some("end_turn" | "stop_sequence") => Finish::Stop,
        Some("tool_use") if tool.is_some() => Finish::Stop,
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        Some("refusal") => Finish::Refusal,
        _ => other(&answer["stop_reason"]),
    };
    Ok(Reply { text, finish, usage: usage(&answer["usage"]) })
}

/// What was read from or written to a cache of prompts is input that is reported apart.
fn usage(usage: &Value) -> Reported {
    let input = Count::of(&usage["input_tokens"])
        .plus(&usage["cache_creation_input_tokens"])
        .plus(&usage["cache_read_input_tokens"]);
    Reported { input, output: Count::of(&usage["output_tokens"]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(content: &Value, reason: &Value) -> Value {
        json!({"content": content, "stop_reason": reason, "usage": {"input_tokens": 3, "output_tokens": 2}})
    }

    #[test]
    fn reads_text_tools_and_why_an_answer_ends() {
        let text = json!([{"type": "thinking", "thinking": "…"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let tool = json!([{"type": "text", "text": "well"}, {"type": "tool_use", "name": "answer", "input": {"n": 1}}]);
        for (content, reason, said, finish) in [
            (&text, json!("end_turn"), "ab", Finish::Stop),
            (&text, json!("max_tokens"), "ab", Finish::Length),
            (&tool, json!("tool_use"), r#"{"n":1}"#, Finish::Stop),
            (&tool, json!("max_tokens"), r#"{"n":1}"#, Finish::Length),
            (&json!([]), json!("refusal"), "", Finish::Refusal),
            (&text, json!("tool_use"), "ab", Finish::Other("tool_use".into())),
            (&text, json!(null), "ab", Finish::Other("no reason given".into())),
        ] {
            let reply = read_chat(&answer(content, &reason)).unwrap();
            assert_eq!((reply.text.as_str(), reply.finish), (said, finish), "{content} {reason}");
        }
    }

    #[test]
    fn says_what_an_answer_lacks() {
        assert!(read_chat(&json!({"type": "message"})).unwrap_err().contains("content"));
    }

    #[test]
    fn counts_what_a_cache_of_prompts_takes() {
        let reported = usage(
            &json!({"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 100}),
        );
        assert_eq!(reported, Reported { input: Count::Tokens(113), output: Count::Tokens(2) });
    }
}
