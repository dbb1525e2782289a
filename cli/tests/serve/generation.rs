use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::*;

/// A causal model of a few kilobytes with a chat template.
fn model() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/tiny-llama").display().to_string()
}

fn server() -> Server {
    Server::start_at(&["--generate", &model(), "--max-length", "256"], &[])
}

/// What `wgr generate` answers to a prompt.
fn generated(flags: &[&str]) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgr"));
    let ended = command.args(["generate", "--json", "--model", &model()]).args(flags).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let summary: Value = serde_json::from_slice(&ended.stdout).unwrap();
    summary["rows"].as_array().unwrap().iter().map(|row| row["text"].as_str().unwrap().to_owned()).collect()
}

fn texts_of(answer: &Value) -> Vec<String> {
    let choices = answer["choices"].as_array().unwrap();
    assert!(choices.iter().enumerate().all(|(index, choice)| choice["index"] == index));
    choices.iter().map(|choice| choice["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn completions_are_those_of_wgr_generate() {
    let server = server();
    let raw = ["--raw", "--prompt", "hello there", "--max-new-tokens", "30"];
    let greedy = generated(&[&raw[..], &["--temperature", "0"]].concat());
    let request = json!({"prompt": "hello there", "max_tokens": 30, "temperature": 0});
    assert_eq!(texts_of(&server.ask("/v1/completions", &request)), greedy);
    let drawn = generated(&[&raw[..], &["--n", "3", "--seed", "9", "--top-k", "40", "--stop", "e"]].concat());
    let request = json!({"prompt": ["hello there"], "max_tokens": 30, "n": 3, "seed": 9, "top_k": 40, "stop": "e", "model": "any"});
    for _ in 0..2 {
        assert_eq!(texts_of(&server.ask("/v1/completions", &request)), drawn);
    }
    let chat = generated(&["--prompt", "hello", "--max-new-tokens", "20", "--seed", "9"]);
    let request = json!({"messages": [{"role": "user", "content": "hello"}], "max_completion_tokens": 20, "seed": 9});
    let answer = server.ask("/v1/chat/completions", &request);
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"], json!({"role": "assistant", "content": chat[0]}));
    let models = server.client().get("/v1/models").body;
    assert_eq!((&models["data"][0]["max_model_len"], &models["data"][0]["id"]), (&json!(256), &answer["model"]));
    // Rewards are not what it serves.
    assert_eq!(server.client().post("/get_reward", &json!({"query": "x"})).status, 404);
}

#[test]
fn tokens_and_their_log_probabilities_are_told() {
    let server = server();
    // As TRL's asynchronous trainer asks.
    let request = json!({
        "model": "Qwen/Qwen3-0.6B", "prompt": [0, 262, 40], "max_tokens": 12, "temperature": 1.0, "n": 1,
        "return_token_ids": true, "logprobs": 0,
    });
    let answer = server.ask("/v1/completions", &request);
    let choice = &answer["choices"][0];
    let (ids, told) = (choice["token_ids"].as_array().unwrap(), numbers(&choice["logprobs"]["token_logprobs"]));
    assert_eq!(ids.len(), told.len());
    assert!(told.iter().all(|log_prob| *log_prob < 0.0));
    assert_eq!(choice["prompt_token_ids"], json!([0, 262, 40]));
    let usage = json!({"prompt_tokens": 3, "completion_tokens": ids.len(), "total_tokens": 3 + ids.len()});
    assert_eq!(answer["usage"], usage);
    // Tokens that are given back as a prompt continue it.
    let greedy = |prompt: Value, max_tokens: usize| {
        let request = json!({"prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "return_token_ids": true});
        server.ask("/v1/completions", &request)["choices"][0]["token_ids"].as_array().unwrap().clone()
    };
    let whole = greedy(json!([0, 262]), 9);
    let longer = [json!([0, 262]).as_array().unwrap(), &whole[..4]].concat();
    assert_eq!(greedy(json!([longer]), 5), whole[4..]);

    let request = json!({"prompt": "hello", "max_tokens": 6, "temperature": 0, "logprobs": 3});
    let told = &server.ask("/v1/completions", &request)["choices"][0]["logprobs"];
    let (tokens, top) = (told["tokens"].as_array().unwrap(), told["top_logprobs"].as_array().unwrap());
    for ((token, top), sampled) in tokens.iter().zip(top).zip(numbers(&told["token_logprobs"])) {
        let best = top.as_object().unwrap().values().map(|value| value.as_f64().unwrap()).fold(f64::MIN, f64::max);
        assert_eq!((&top[token.as_str().unwrap()], best), (&json!(sampled), sampled), "the most likely one");
    }
    let messages = json!([{"role": "user", "content": "hello"}]);
    let request = json!({"messages": messages, "max_tokens": 5, "temperature": 0, "logprobs": true, "top_logprobs": 2});
    let answer = server.ask("/v1/chat/completions", &request);
    let content = answer["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!(content.len(), answer["usage"]["completion_tokens"].as_u64().unwrap() as usize);
    for token in content {
        assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 2);
        assert_eq!(token["top_logprobs"][0]["logprob"], token["logprob"]);
    }
}

#[test]
fn a_prompt_is_echoed() {
    let server = server();
    let request = json!({"prompt": ["hello", "he"], "max_tokens": 4, "seed": 1});
    let plain = texts_of(&server.ask("/v1/completions", &request));
    let mut echoing = request.clone();
    echoing["echo"] = true.into();
    let echoed = texts_of(&server.ask("/v1/completions", &echoing));
    assert_eq!(echoed, [format!("<s>hello{}", plain[0]), format!("<s>he{}", plain[1])]);
}

/// The events of a stream, without the `[DONE]` that must end it.
fn streamed(server: &Server, path: &str, request: &Value) -> Vec<Value> {
    let mut request = request.clone();
    request["stream"] = true.into();
    let mut events = server.client().events(path, &request);
    assert_eq!(events.pop().unwrap(), "[DONE]");
    events.iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

#[test]
fn pieces_of_a_stream_make_the_whole() {
    let server = server();
    let request = json!({
        "prompt": ["hello", "hell"], "max_tokens": 40, "n": 2, "seed": 3, "logprobs": 1, "return_token_ids": true,
    });
    let whole = server.ask("/v1/completions", &request);
    let mut streaming = request.clone();
    streaming["stream_options"] = json!({"include_usage": true});
    let events = streamed(&server, "/v1/completions", &streaming);
    let (last, events) = events.split_last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &whole["usage"]));
    for (index, expected) in whole["choices"].as_array().unwrap().iter().enumerate() {
        let pieces: Vec<&Value> =
            events.iter().map(|event| &event["choices"][0]).filter(|choice| choice["index"] == index).collect();
        let text: String = pieces.iter().map(|piece| piece["text"].as_str().unwrap()).collect();
        assert_eq!(expected["text"], text);
        for list in ["/token_ids", "/logprobs/tokens", "/logprobs/token_logprobs", "/logprobs/text_offset"] {
            let parts = pieces.iter().flat_map(|piece| piece.pointer(list).unwrap().as_array().unwrap().clone());
            assert_eq!(expected.pointer(list).unwrap(), &parts.collect::<Value>(), "{list}");
        }
        assert!(pieces.len() > 2 && pieces.iter().rev().skip(1).all(|piece| piece["finish_reason"].is_null()));
        assert_eq!(pieces.last().unwrap()["finish_reason"], expected["finish_reason"]);
    }
    let request = json!({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 30, "seed": 3});
    let whole = server.ask("/v1/chat/completions", &request);
    let events = streamed(&server, "/v1/chat/completions", &request);
    assert_eq!(events[0]["object"], "chat.completion.chunk");
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let text: String = events.iter().map(|event| event["choices"][0]["delta"]["content"].as_str().unwrap()).collect();
    assert_eq!(whole["choices"][0]["message"]["content"], text);
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], whole["choices"][0]["finish_reason"]);
}

#[test]
fn conversations_go_through_the_chat_template() {
    let place = Place::new();
    let copy = place.path("model");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(model()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}{{ tail }}{{ tools | length }}";
    let config = json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": template});
    std::fs::write(copy.join("tokenizer_config.json"), config.to_string()).unwrap();
    let server = Server::start_at(&["--generate", copy.to_str().unwrap()], &[]);
    let conversation = json!({
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        ],
        "chat_template_kwargs": {"tail": "!"}, "tools": [{}, {}], "tool_choice": "none",
        "max_tokens": 8, "temperature": 0, "return_token_ids": true,
    });
    let chat = server.ask("/v1/chat/completions", &conversation);
    let rendered = json!({
        "prompt": "[system] s[user] hello!2", "add_special_tokens": false,
        "max_tokens": 8, "temperature": 0, "return_token_ids": true,
    });
    let text = server.ask("/v1/completions", &rendered);
    assert_eq!(chat["prompt_token_ids"], text["choices"][0]["prompt_token_ids"]);
    assert_eq!(chat["choices"][0]["token_ids"], text["choices"][0]["token_ids"]);
}

#[test]
fn bad_requests_are_refused_by_name() {
    let server = server();
    let user = json!([{"role": "user", "content": "x"}]);
    for (path, body, field) in [
        ("/v1/completions", json!({}), "prompt"),
        ("/v1/completions", json!({"prompt": []}), "prompt"),
        ("/v1/completions", json!({"prompt": ["a", 1]}), "prompt"),
        ("/v1/completions", json!({"prompt": [[1], []]}), "prompt[1]"),
        ("/v1/completions", json!({"prompt": [[1], [9999]]}), "prompt[1]"),
        ("/v1/completions", json!({"prompt": [-1]}), "prompt"),
        ("/v1/completions", json!({"prompt": "a", "max_tokens": 256}), "prompt"),
        ("/v1/completions", json!({"prompt": "a", "temperature": "hot"}), "temperature"),
        ("/v1/completions", json!({"prompt": "a", "logprobs": 21}), "logprobs"),
        ("/v1/completions", json!({"prompt": "a", "logprobs": 1, "echo": true}), "logprobs"),
        ("/v1/completions", json!({"prompt": "a", "n": 100_000}), "n"),
        ("/v1/completions", json!({"prompt": "a", "suffix": "b"}), "suffix"),
        ("/v1/completions", json!({"prompt": "a", "messages": user}), "messages"),
        ("/v1/chat/completions", json!({}), "messages"),
        ("/v1/chat/completions", json!({"messages": [{"role": "assistant", "content": "x"}]}), "messages"),
        ("/v1/chat/completions", json!({"messages": user, "top_logprobs": 2}), "top_logprobs"),
        ("/v1/chat/completions", json!({"messages": user, "tools": [{}]}), "tool_choice"),
        ("/v1/chat/completions", json!({"messages": user, "logit_bias": {"1": 5}}), "logit_bias"),
        (
            "/v1/chat/completions",
            json!({"messages": user, "max_tokens": 1, "max_completion_tokens": 2}),
            "max_completion_tokens",
        ),
    ] {
        let reply = server.client().post(path, &body);
        assert_eq!((reply.status, &reply.body["error"]["param"]), (422, &json!(field)), "{body}: {}", reply.body);
        assert!(reply.body["error"]["message"].as_str().unwrap().contains(field), "{}", reply.body);
    }
    // As a stream, too.
    let reply = server.client().post("/v1/completions", &json!({"prompt": "a", "max_tokens": 256, "stream": true}));
    assert_eq!(reply.status, 422, "{}", reply.body);
}

#[test]
fn a_client_that_goes_in_the_middle_of_a_stream_frees_its_places() {
    let server = server();
    let waiting = || {
        let metrics = server.client().get("/metrics").body;
        let line = metrics.as_str().unwrap().lines().find(|line| line.starts_with("wgr_queue_completions "));
        line.unwrap().rsplit(' ').next().unwrap().parse::<usize>().unwrap()
    };
    // Far more than are drawn at once, so that they take longer than what follows.
    let request = json!({"prompt": "hello", "max_tokens": 240, "n": 2000, "stream": true});
    let mut client = server.client();
    client.begin_stream("/v1/completions", &request);
    assert!(waiting() > 1000);
    drop(client);
    // Those that wait go together, long before they could have been drawn.
    let mut asked = 0;
    while waiting() > 1000 {
        let request = json!({"prompt": "he", "max_tokens": 1});
        server.ask("/v1/completions", &request);
        asked += 1;
        assert!(asked < 50, "the client is still waited for");
    }
}
