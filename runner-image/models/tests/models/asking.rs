//! What is sent, and what is made of the answer.

use std::sync::Arc;

use dise_core::synthesis::ModelApi;
use dise_models::{ChatModel, ChatRequest, Concession, Finish, Message, UsageSource};
use serde_json::{Value, json};

use crate::harness::{BOTH, KEY, Server, ask, question, usd};

fn schema() -> Value {
    json!({"type": "object", "properties": {"legs": {"type": "integer"}}, "required": ["legs"]})
}

fn constrained() -> ChatRequest {
    ChatRequest { schema: Some(schema()), ..question() }
}

#[tokio::test]
async fn gives_text_usage_and_the_exact_cost() {
    for api in BOTH {
        let server =
            Server::answering(json!([{"text": "Eight.", "usage": {"input": 17, "output": 3}}])).await;
        let answer = ask(&server.model(api)).await.unwrap();
        assert_eq!((answer.text.as_str(), &answer.finish, answer.requests), ("Eight.", &Finish::Stop, 1));
        assert_eq!((answer.usage.input_tokens, answer.usage.output_tokens), (17, 3));
        assert_eq!(answer.usage.source, UsageSource::Reported);
        // 17 × 3 / 1 000 000 + 3 × 15 / 1 000 000.
        assert_eq!(answer.cost, usd("0.000096"));
        assert_eq!((answer.json, answer.concessions), (None, vec![]));
    }
}

#[tokio::test]
async fn sends_what_the_openai_api_wants() {
    let server = Server::answering(json!(["8"])).await;
    let request = ChatRequest {
        temperature: Some("0.7".parse().unwrap()),
        max_tokens: Some(20),
        seed: Some(42),
        ..question()
    };
    server.model(ModelApi::OpenAI).chat(&request).await.unwrap();
    let sent = &server.requests().await[0];
    assert_eq!((&sent["path"], &sent["key"]), (&json!("/v1/chat/completions"), &json!("right")));
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How many legs has a spider?"}
    ]);
    let body =
        json!({"model": "scripted", "messages": messages, "temperature": 0.7, "max_tokens": 20, "seed": 42});
    assert_eq!(sent["body"], body);
}

#[tokio::test]
async fn sends_what_the_anthropic_api_wants() {
    let server = Server::answering(json!(["8"])).await;
    let mut request = ChatRequest { temperature: Some("0.7".parse().unwrap()), seed: Some(42), ..question() };
    request.messages.push(Message::assistant("It has"));
    server.model(ModelApi::Anthropic).chat(&request).await.unwrap();
    let sent = &server.requests().await[0];
    assert_eq!((&sent["path"], &sent["key"]), (&json!("/v1/messages"), &json!("right")));
    assert_eq!(sent["headers"]["anthropic-version"], "2023-06-01");
    let messages = json!([
        {"role": "user", "content": "How many legs has a spider?"},
        {"role": "assistant", "content": "It has"}
    ]);
    let body = json!({"model": "scripted", "system": "Be brief.", "messages": messages, "temperature": 0.7, "max_tokens": 256});
    assert_eq!(sent["body"], body);
}

#[tokio::test]
async fn asks_for_the_models_default_when_nothing_is_said() {
    for api in BOTH {
        let server = Server::answering(json!(["8"])).await;
        ask(&server.model(api)).await.unwrap();
        let body = server.requests().await[0]["body"].clone();
        assert_eq!(body["max_tokens"], 256);
        assert!(body.get("temperature").is_none() && body.get("seed").is_none(), "{body}");
    }
}

#[tokio::test]
async fn constrains_the_answer_to_a_schema() {
    for api in BOTH {
        let server = Server::answering(json!([r#"{"legs": 8}"#])).await;
        let answer = server.model(api).chat(&constrained()).await.unwrap();
        assert_eq!(answer.json, Some(json!({"legs": 8})));
        assert_eq!((answer.finish, answer.concessions), (Finish::Stop, vec![]));
        let body = server.requests().await[0]["body"].clone();
        let sent = match api {
            ModelApi::OpenAI => &body["response_format"]["json_schema"]["schema"],
            ModelApi::Anthropic => &body["tools"][0]["input_schema"],
        };
        assert_eq!(*sent, schema());
    }
}

#[tokio::test]
async fn puts_the_schema_into_the_prompt_when_the_server_does_not_take_it() {
    for (api, parameter) in [(ModelApi::OpenAI, "response_format"), (ModelApi::Anthropic, "tool_choice")] {
        let rules = json!([{"contains": "JSON Schema", "answers": ["Sure:\n```json\n{\"legs\": 8}\n```"]}]);
        let server = Server::start(json!({"rejects": [parameter], "rules": rules})).await;
        let answer = server.model(api).chat(&constrained()).await.unwrap();
        assert_eq!(answer.json, Some(json!({"legs": 8})));
        assert_eq!((answer.requests, answer.concessions), (2, vec![Concession::SchemaInPrompt]));
    }
}

#[tokio::test]
async fn a_schema_of_no_object_is_enforced_by_servers_that_can() {
    let label = ChatRequest { schema: Some(json!({"enum": ["spider", "fly"]})), ..question() };
    let server = Server::answering(json!(["\"spider\""])).await;
    for (api, concessions) in BOTH.into_iter().zip([vec![], vec![Concession::SchemaInPrompt]]) {
        let answer = server.model(api).chat(&label).await.unwrap();
        assert_eq!((answer.json, answer.concessions), (Some(json!("spider")), concessions));
    }
    let sent = server.requests().await;
    assert_eq!(
        sent[0]["body"]["response_format"]["json_schema"]["schema"],
        json!({"enum": ["spider", "fly"]})
    );
    assert!(sent[1]["body"].get("tools").is_none());
}

#[tokio::test]
async fn does_without_what_newer_models_do_not_take() {
    let script = json!({"rejects": ["temperature", "seed"], "wantsMaxCompletionTokens": true, "rules": [{"answers": ["8"]}]});
    let request = ChatRequest { temperature: Some("0.7".parse().unwrap()), seed: Some(1), ..question() };
    let server = Server::start(script.clone()).await;
    let answer = server.model(ModelApi::OpenAI).chat(&request).await.unwrap();
    let given_up = vec![Concession::NoTemperature, Concession::NoSeed, Concession::MaxCompletionTokens];
    assert_eq!((answer.requests, answer.concessions), (4, given_up));
    assert_eq!(server.requests().await[3]["body"]["max_completion_tokens"], 256);

    let server = Server::start(json!({"rejects": ["temperature"], "rules": script["rules"]})).await;
    let answer = server.model(ModelApi::Anthropic).chat(&request).await.unwrap();
    assert_eq!((answer.requests, answer.concessions), (2, vec![Concession::NoTemperature]));
}

#[tokio::test]
async fn an_answer_that_is_not_the_json_asked_for_is_still_an_answer() {
    for api in BOTH {
        let server = Server::answering(json!(["Eight, I think."])).await;
        let answer = server.model(api).chat(&constrained()).await.unwrap();
        assert_eq!((answer.text.as_str(), answer.json), ("Eight, I think.", None));
        assert!(answer.cost > usd("0"));
    }
}

#[tokio::test]
async fn says_when_an_answer_was_cut_off_or_refused() {
    for api in BOTH {
        let server = Server::answering(json!([
            {"text": "Eig", "truncated": true},
            {"refusal": "I must not count legs."},
            {"text": "Eight", "finish": "pause"},
        ]))
        .await;
        let model = server.model(api);
        for (text, finish) in [
            ("Eig", Finish::Length),
            ("I must not count legs.", Finish::Refusal),
            ("Eight", Finish::Other("pause".into())),
        ] {
            let answer = ask(&model).await.unwrap();
            assert_eq!((answer.text.as_str(), answer.finish), (text, finish));
        }
    }
}

#[tokio::test]
async fn no_call_costs_more_than_its_upper_bound() {
    let long = ChatRequest::new(vec![Message::user("spider ".repeat(500)), Message::assistant("ü")]);
    for api in BOTH {
        let server = Server::answering(json!(["8"])).await;
        let model = server.model(api);
        for request in [&question(), &constrained(), &long] {
            let bound = model.upper_bound(request);
            // An answer of full length at least.
            assert!(bound >= usd("0.00384"), "{bound}");
            assert!(model.chat(request).await.unwrap().cost <= bound);
        }
        assert!(model.upper_bound(&long) > model.upper_bound(&question()));
        assert!(model.upper_bound(&constrained()) > model.upper_bound(&question()));
        assert_eq!(server.free_model(api).upper_bound(&long), usd("0"));
    }
}

#[tokio::test]
async fn equal_calls_have_equal_keys() {
    let server = Server::answering(json!(["8"])).await;
    let model: &dyn ChatModel = &server.model(ModelApi::OpenAI);
    let hot = ChatRequest { temperature: Some("1".parse().unwrap()), ..question() };
    let key = model.call_key(&question()).unwrap();
    assert_eq!(key, server.free_model(ModelApi::OpenAI).call_key(&question()).unwrap());
    assert_ne!(key, model.call_key(&hot).unwrap());
    assert_ne!(key, server.model(ModelApi::Anthropic).call_key(&question()).unwrap());
}

#[tokio::test]
async fn calls_at_the_same_time_each_get_an_answer_of_their_own() {
    let answers: Vec<String> = (0..16).map(|number| number.to_string()).collect();
    let server = Server::answering(json!(answers)).await;
    let model = Arc::new(server.model(ModelApi::OpenAI));
    let calls = (0..16).map(|_| {
        let model = Arc::clone(&model);
        tokio::spawn(async move { ask(&model).await.unwrap().text.parse::<u32>().unwrap() })
    });
    let mut got = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        got.push(call.await.unwrap());
    }
    got.sort_unstable();
    assert_eq!(got, (0..16).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_log_of_the_server_shows_no_key() {
    let server = Server::answering(json!(["8"])).await;
    for api in BOTH {
        ask(&server.model(api)).await.unwrap();
    }
    let log = json!(server.requests().await).to_string();
    assert!(log.contains("redacted") && !log.contains(KEY));
}
