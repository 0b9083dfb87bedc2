//! The API of `OpenAI`: <https://platform.openai.com/docs/api-reference/chat>.

use serde_json::{Value, json};

use super::{Reply, other};
use crate::{
    Concession, Finish,
    call::Call,
    usage::{Count, Reported},
};

pub(super) fn chat_body(call: &Call<'_>) -> Value {
    let messages: Vec<Value> = call
        .messages()
        .into_iter()
        .map(|message| json!({"role": message.role, "content": message.text}))
        .collect();
    let mut body = json!({"model": call.settings.model, "messages": messages});
    let limit =
        if call.has(Concession::MaxCompletionTokens) { "max_completion_tokens" } else { "max_tokens" };
    body[limit] = call.max_tokens().into();
    if let Some(temperature) = call.temperature() {
        body["temperature"] = temperature.as_f64().into();
    }
    if let Some(seed) = call.seed() {
        body["seed"] = seed.into();
    }
    if let Some(schema) = call.schema() {
        // Not `strict`: OpenAI would refuse every schema outside a small subset.
        body["response_format"] =
            json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
    }
    body
}

pub(super) fn read_chat(answer: &Value) -> Result<Reply, String> {
    let choice = &answer["choices"][0];
    let message = choice["message"].as_object().ok_or("it has no choices[0].message")?;
    let refusal = message.get("refusal").and_then(Value::as_str);
    let text = match (message.get("content"), refusal) {
        (None | Some(Value::Null), refusal) => refusal.unwrap_or_default(),
        (Some(Value::String(text)), None) => text,
        (Some(Value::String(text)), Some(refusal)) => {
            if text.is_empty() {
                refusal
            } else {
                text
            }
        }
        _ => return Err("choices[0].message.content is not text".into()),
    };
    let finish = match choice["finish_reason"].as_str() {
        _ if refusal.is_some() => Finish::Refusal,
        Some("stop") => Finish::Stop,
        Some("length") => Finish::Length,
        Some("content_filter") => Finish::Refusal,
        _ => other(&choice["finish_reason"]),
    };
    Ok(Reply { text: text.to_owned(), finish, usage: usage(&answer["usage"]) })
}

/// The usage of a chat. Some servers count thoughts in the total alone.
fn usage(usage: &Value) -> Reported {
    let (input, mut output) = (Count::of(&usage["prompt_tokens"]), Count::of(&usage["completion_tokens"]));
    if let (Count::Tokens(prompt), Count::Tokens(shown), Count::Tokens(total)) =
        (input, output, Count::of(&usage["total_tokens"]))
    {
        output = Count::Tokens(shown.max(total.saturating_sub(prompt)));
    }
    Reported { input, output }
}

pub(crate) fn embedding_body(model: &str, texts: &[&str]) -> Value {
    json!({"model": model, "input": texts, "encoding_format": "float"})
}

/// The usage of an embedding, which has no output.
pub(crate) fn embedding_usage(answer: &Value) -> Reported {
    Reported { input: Count::of(&answer["usage"]["prompt_tokens"]), output: Count::Tokens(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(message: &Value, finish: &Value) -> Value {
        json!({
            "choices": [{"message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        })
    }

    #[test]
    fn reads_why_an_answer_ends() {
        for (message, reason, text, finish) in [
            (json!({"content": "hi"}), json!("stop"), "hi", Finish::Stop),
            (json!({"content": "hi"}), json!("length"), "hi", Finish::Length),
            (json!({"content": null}), json!("content_filter"), "", Finish::Refusal),
            (json!({"content": null, "refusal": "No."}), json!("stop"), "No.", Finish::Refusal),
            (json!({"content": "", "refusal": "No."}), json!("stop"), "No.", Finish::Refusal),
            (json!({"content": "hi"}), json!("tool_calls"), "hi", Finish::Other("tool_calls".into())),
            (json!({"content": "hi"}), json!(null), "hi", Finish::Other("no reason given".into())),
        ] {
            let reply = read_chat(&answer(&message, &reason)).unwrap();
            assert_eq!((reply.text.as_str(), reply.finish), (text, finish), "{message} {reason}");
        }
    }

    #[test]
    fn says_what_an_answer_lacks() {
        for (broken, word) in [
            (json!({}), "choices[0]"),
            (json!({"choices": []}), "choices[0]"),
            (json!([1]), "choices[0]"),
            (answer(&json!({"content": 5}), &json!("stop")), "not text"),
        ] {
            let fault = read_chat(&broken).unwrap_err();
            assert!(fault.contains(word), "{broken}: {fault}");
        }
    }

    #[test]
    fn counts_thoughts_that_only_the_total_shows() {
        let reported = usage(&json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 50}));
        assert_eq!(reported, Reported { input: Count::Tokens(3), output: Count::Tokens(47) });
        let reported = usage(&json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 1}));
        assert_eq!(reported.output, Count::Tokens(2));
    }
}
