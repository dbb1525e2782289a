use serde_json::{Value, json};

use crate::harness::*;

#[test]
fn verl_reads_the_score_at_the_end_of_the_list() {
    let place = Place::new();
    let model = place.model("llama", "model");
    let expected = place.scores(&model, &texts(1), &[]);
    let server = Server::start(&model, &[]);
    // verl/experimental/reward_loop sends these to vLLM and SGLang.
    let vllm = json!({"model": "/models/any", "input": text(0), "use_activation": false});
    assert_eq!(server.ask("/classify", &vllm)["data"][0]["probs"], json!(expected));
    let older = json!({"model": "/models/any", "input": text(0), "activation": false});
    assert_eq!(server.ask("/v1/classify", &older)["data"][0]["probs"], json!(expected));
    let sglang = json!({"model": "/models/any", "input": text(0)});
    assert_eq!(server.ask("/v1/embeddings", &sglang)["data"][0]["embedding"], json!(expected));
    // OpenAI's Python client asks for base64 unless it is told otherwise: four bytes are six digits and padding.
    let openai = json!({"model": "any", "input": [text(0)], "encoding_format": "base64"});
    let answer = server.ask("/v1/embeddings", &openai);
    let digits = answer["data"][0]["embedding"].as_str().unwrap();
    let value = |digit: u8| ALPHABET.iter().position(|known| *known == digit).unwrap() as u64;
    let bits = digits.trim_end_matches("==").bytes().fold(0, |bits, digit| bits << 6 | value(digit));
    let bytes = ((bits >> 4) as u32).to_be_bytes();
    assert_eq!((digits.len(), f32::from_le_bytes(bytes)), (8, expected[0] as f32));
}

/// The digits of base64 (RFC 4648).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[test]
fn classification_has_the_fields_of_vllm() {
    let place = Place::new();
    let model = place.model("llama", "model");
    let server = Server::start(&model, &[]);
    let ids: Vec<u32> = vec![5, 6, 7, 8];
    let as_text = "w5 w6 w7 w8";
    let expected = place.scores(&model, &[as_text.into(), "w7 w8".into(), "w5 w6".into()], &[]);
    let score = |body: Value| server.ask("/classify", &body)["data"][0]["probs"][0].as_f64().unwrap();
    assert_eq!(score(json!({ "input": as_text })), expected[0]);
    assert_eq!(score(json!({ "input": ids })), expected[0]);
    assert_eq!(score(json!({ "input": [ids] })), expected[0]);
    assert_eq!(score(json!({"input": as_text, "add_special_tokens": false})), expected[0]);
    assert_eq!(score(json!({"input": as_text, "truncate_prompt_tokens": 2})), expected[1]);
    assert_eq!(score(json!({"input": ids, "truncate_prompt_tokens": 2, "truncation_side": "right"})), expected[2]);
    assert_eq!(score(json!({"input": ids, "truncate_prompt_tokens": -1})), expected[0]);
    let answer = server.ask("/classify", &json!({"input": [as_text, "w5"]}));
    assert!(answer["id"].as_str().unwrap().starts_with("classify-"), "{answer}");
    assert_eq!((&answer["object"], &answer["model"]), (&json!("list"), &json!(model)));
    assert_eq!(answer["data"][1]["index"], 1);
    assert_eq!(answer["data"][1]["num_classes"], 1);
    assert_eq!(answer["usage"], json!({"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}));
}

#[test]
fn thresholds_are_answered_where_they_are_asked_for() {
    let place = Place::new();
    let model = place.model("llama", "model");
    let row = &place.score(&model, &[json!({ "text": text(0) })], &[])[0];
    let server = Server::start(&model, &["--classify", "thresholds"]);
    let answer = &server.ask("/classify", &json!({ "input": text(0) }))["data"][0];
    assert_eq!((&answer["probs"], &answer["num_classes"]), (&row["probs"], &json!(3)));
    let logits = &server.ask("/classify", &json!({"input": text(0), "use_activation": false}))["data"][0]["probs"];
    assert_eq!(numbers(logits).iter().map(|logit| *logit as f32).collect::<Vec<_>>(), floats(&row["logits"]));
}

fn floats(list: &Value) -> Vec<f32> {
    numbers(list).iter().map(|number| *number as f32).collect()
}

#[test]
fn a_text_is_as_good_as_a_list_of_one() {
    let place = Place::new();
    let model = place.model("llama", "model");
    let server = Server::start(&model, &[]);
    let rewards = server.rewards(&texts(1));
    let openrlhf = json!({"query": text(0), "prompts": ["p"], "labels": ["l"]});
    let answer = server.ask("/get_reward", &openrlhf);
    assert_eq!((numbers(&answer["rewards"]), numbers(&answer["scores"])), (rewards.clone(), rewards.clone()));
    assert_eq!(answer["extra_logs"], json!({}));
    let flat = server.ask("/predict", &json!({"inputs": text(0), "raw_scores": true}));
    assert_eq!(flat[0]["score"].as_f64(), Some(rewards[0]));
    let nested = server.ask("/predict", &json!({"inputs": [[text(0)]]}));
    assert_eq!(nested[0][0]["score"].as_f64(), Some(rewards[0]));
    assert_eq!(server.ask("/get_reward", &json!({"query": []}))["rewards"], json!([]));
}

#[test]
fn operators_see_health_models_metrics_and_a_description() {
    let place = Place::new();
    let model = place.model("llama", "model");
    let server = Server::start(&model, &[]);
    server.rewards(&texts(3));
    let mut client = server.client();
    assert_eq!(client.get("/health").body, json!({"status": "ok"}));
    let models = client.get("/v1/models").body;
    assert_eq!(models["data"][0]["id"], json!(model));
    assert_eq!(models["data"][0]["max_model_len"], 256);
    client.post("/get_reward", &json!({ "texts": 1 }));
    let metrics = client.get("/metrics").body;
    for line in [
        r#"wgr_requests_total{route="/get_reward",status="200"} 1"#,
        r#"wgr_requests_total{route="/get_reward",status="422"} 1"#,
        r#"wgr_failures_total{kind="invalid_request"} 1"#,
        "wgr_queue_rows 0",
        "wgr_queue_seconds_count 3",
        "wgr_batch_tokens_count 1",
    ] {
        assert!(metrics.as_str().unwrap().lines().any(|each| each == line), "{line} in {metrics}");
    }
    let described = client.get("/openapi.json").body;
    for (path, _) in described["paths"].as_object().unwrap() {
        assert_ne!(client.request("DELETE", path, b"").unwrap().status, 404, "{path}");
    }
    assert!(described["paths"].as_object().unwrap().len() >= 12);
}
