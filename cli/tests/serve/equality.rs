use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::*;

/// The scores of a list of texts by one route.
type Route = fn(&mut Client, &[String]) -> Vec<f64>;

const ROUTES: [(&str, Route); 6] = [
    ("/get_reward", |client, texts| numbers(&ask(client, "/get_reward", &json!({ "query": texts }))["rewards"])),
    ("/classify", |client, texts| last(&ask(client, "/classify", &json!({ "input": texts }))["data"], "probs")),
    ("/v1/embeddings", |client, texts| {
        last(&ask(client, "/v1/embeddings", &json!({ "input": texts }))["data"], "embedding")
    }),
    ("/predict", |client, texts| {
        let answer = ask(client, "/predict", &json!({ "inputs": texts }));
        answer.as_array().unwrap().iter().map(|of_text| of_text[0]["score"].as_f64().unwrap()).collect()
    }),
    ("/v1/score/evaluation", |client, texts| {
        numbers(&ask(client, "/v1/score/evaluation", &json!({"model": "m", "messages": texts}))["scores"])
    }),
    ("/v1/rewards", |client, texts| {
        let rows: Vec<Value> = texts.iter().map(|text| json!({ "text": text })).collect();
        let answer = ask(client, "/v1/rewards", &json!({ "rows": rows }));
        answer["results"].as_array().unwrap().iter().map(|row| row["score"].as_f64().unwrap()).collect()
    }),
];

#[track_caller]
fn ask(client: &mut Client, path: &str, body: &Value) -> Value {
    let reply = client.post(path, body);
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    reply.body
}

/// The last number of a list in each object.
fn last(data: &Value, list: &str) -> Vec<f64> {
    data.as_array()
        .unwrap()
        .iter()
        .map(|each| each[list].as_array().unwrap().last().unwrap().as_f64().unwrap())
        .collect()
}

#[test]
fn every_route_gives_every_client_the_bits_of_wgr_score() {
    const CLIENTS: usize = 64;
    let place = Place::new();
    let model = place.model("llama", "model");
    let all = texts(500);
    let expected = place.scores(&model, &all, &[]);
    let server = Server::start(&model, &["--max-batch-tokens", "300"]);
    // Each route scores each text once, in batches of 1 to 17 that clients take in turn.
    let mut work = vec![];
    for (name, route) in ROUTES {
        let mut start = 0;
        while start < all.len() {
            let end = all.len().min(start + 1 + (start * 7 + name.len()) % 17);
            work.push((name, route, start..end));
            start = end;
        }
    }
    let (next, scored) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = server.client();
                while let Some((name, route, rows)) = work.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let scores = route(&mut client, &all[rows.clone()]);
                    // Bits, not values.
                    let bits = |scores: &[f64]| scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&scores), bits(&expected[rows.clone()]), "{name} {rows:?}");
                    scored.fetch_add(scores.len(), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(scored.into_inner(), ROUTES.len() * all.len());
}

#[test]
fn conversations_have_the_rows_of_wgr_score() {
    let place = Place::new();
    let model = place.model("llama", "model");
    let chat = |number: usize| {
        let said = |role: &str, number| json!({"role": role, "content": text(number)});
        let history = [said("user", number), said("assistant", number + 1)];
        json!({"id": format!("r{number}"), "history": history,
               "messages": [said("user", number + 2), said("assistant", number + 3)]})
    };
    let rows: Vec<Value> = (0..9).map(chat).collect();
    let expected = place.score(&model, &rows, &[]);
    let server = Server::start(&model, &[]);
    let answer = server.ask("/v1/rewards", &json!({ "rows": rows }));
    for (row, expected) in answer["results"].as_array().unwrap().iter().zip(&expected) {
        for field in ["id", "score", "logits", "probs"] {
            assert_eq!(row[field], expected[field], "{field}");
        }
        assert!(row["tokens"].as_u64().unwrap() > 20 && row["truncated"] == false, "{row}");
    }
    let messages =
        [rows[0]["history"].as_array().unwrap(), rows[0]["messages"].as_array().unwrap().as_slice()].concat();
    let classified = server.ask("/classify", &json!({ "messages": messages }));
    assert_eq!(classified["data"][0]["probs"][0], expected[0]["score"]);
}

#[test]
fn long_rows_are_cut_as_by_wgr_score_and_say_so_or_are_refused() {
    let place = Place::new();
    let model = place.model("llama", "model");
    let texts = [text(1), [text(2), text(3), text(4)].join(" ")];
    let flags = ["--max-length", "24"];
    let expected = place.scores(&model, &texts, &flags);
    let server = Server::start(&model, &flags);
    let answer = server.ask("/get_reward", &json!({ "query": texts }));
    assert_eq!(numbers(&answer["rewards"]), expected);
    assert_eq!(answer["truncated"], json!([false, true]));
    let refusal = server.client().post("/predict", &json!({"inputs": texts, "truncate": false}));
    assert_eq!(refusal.status, 422, "{}", refusal.body);

    let server = Server::start(&model, &["--max-length", "24", "--truncate", "error"]);
    let refusal = server.client().post("/get_reward", &json!({ "query": texts }));
    let message = refusal.body["error"].as_str().unwrap();
    let length = texts[1].split(' ').count();
    assert_eq!(refusal.status, 422);
    assert!(message.contains("query[1]") && message.contains(&format!("{length} tokens")), "{message}");
    assert!(message.contains("24"), "{message}");
    assert_eq!(server.rewards(&texts[..1]), expected[..1]);
}

#[test]
fn token_ids_have_the_logits_of_pytorch() {
    let place = Place::new();
    for name in ["llama", "qwen2", "qwen3", "mistral"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name);
        let golden = std::fs::read(folder.join("golden.safetensors")).unwrap();
        let words = |tensor: &str| golden[tensors::range(&golden, tensor)].as_chunks().0.to_vec();
        let integers = |tensor: &str| words(tensor).into_iter().map(u32::from_le_bytes).collect::<Vec<_>>();
        let (ids, offsets) = (integers("ids"), integers("offsets"));
        let rows: Vec<&[u32]> = offsets.windows(2).map(|of| &ids[of[0] as usize..of[1] as usize]).collect();
        let server = Server::start(&place.model(name, name), &["--classify", "thresholds"]);
        let answer = server.ask("/classify", &json!({ "input": rows, "use_activation": false }));
        let found = answer["data"].as_array().unwrap().iter().flat_map(|row| row["probs"].as_array().unwrap());
        let expected = words("logits").into_iter().map(f32::from_le_bytes);
        assert_eq!(found.clone().count(), expected.len());
        for (found, expected) in found.zip(expected) {
            let (found, expected) = (found.as_f64().unwrap(), f64::from(expected));
            assert!((found - expected).abs() < 2e-5 * expected.abs().max(1.0), "{name}: {found} instead of {expected}");
        }
    }
}
