use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::*;

/// A server with a probe: a text with its score.
struct Probed {
    server: Server,
    expected: Vec<f64>,
    _place: Place,
}

impl Probed {
    fn new() -> Self {
        let place = Place::new();
        let model = place.model("llama", "model");
        let expected = place.scores(&model, &texts(3), &[]);
        Self { server: Server::start(&model, &[]), expected, _place: place }
    }

    /// The answer to a bad body; after it the next request is answered rightly.
    #[track_caller]
    fn refused(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let mut client = self.server.client();
        let reply = client.request("POST", path, body).unwrap();
        assert_eq!(self.server.rewards(&texts(3)), self.expected);
        (reply.status, reply.body)
    }
}

#[test]
fn bad_input_is_refused_with_its_field() {
    let probed = Probed::new();
    for (path, body, field) in [
        ("/get_reward", json!({}), "query"),
        ("/get_reward", json!({"query": 7}), "query"),
        ("/get_reward", json!({"query": ["a", ""]}), "query[1]"),
        ("/classify", json!({}), "input"),
        ("/classify", json!({"input": ["w5", ""]}), "input[1]"),
        ("/classify", json!({"input": [4, 999]}), "input"),
        ("/classify", json!({"input": "w5", "truncate_prompt_tokens": -2}), "truncate_prompt_tokens"),
        ("/v1/embeddings", json!({"input": "w5", "encoding_format": "int8"}), "encoding_format"),
        ("/v1/rewards", json!({"rows": [{"text": "w5"}, {"label": 1}]}), "rows[1]"),
        ("/v1/rewards", json!({"rows": [{"messages": [{"role": "user", "content": "w5"}]}]}), "rows[0]"),
        ("/predict", json!({"inputs": [["a", "b"]]}), "inputs[0]"),
        ("/v1/score/evaluation", json!({"messages": "a"}), "messages"),
    ] {
        let (status, answer) = probed.refused(path, body.to_string().as_bytes());
        assert_eq!(status, 422, "{path} {body}: {answer}");
        let message = match path {
            "/get_reward" | "/predict" => &answer["error"],
            "/v1/score/evaluation" => &answer["detail"],
            _ => &answer["error"]["message"],
        };
        assert!(message.as_str().unwrap().contains(field), "{path} {body}: {answer}");
        if path == "/predict" {
            assert_eq!(answer["error_type"], "Validation");
        }
    }
}

#[test]
fn bodies_that_are_not_json_are_refused() {
    let probed = Probed::new();
    let deep = format!("{{\"query\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        b"".as_slice(),
        b"{\"query\": [\"a\"",
        b"{\"query\": NaN}",
        b"{\"query\": \"\xff\xfe\"}",
        b"{\"query\": \"a\"} {}",
        deep.as_bytes(),
    ] {
        let (status, answer) = probed.refused("/get_reward", body);
        assert_eq!(status, 422, "{answer}");
        assert!(answer["error"].is_string(), "{answer}");
    }
}

#[test]
fn too_much_is_refused() {
    let probed = Probed::new();
    let (status, answer) = probed.refused("/get_reward", json!({"query": vec!["w5"; 10_000]}).to_string().as_bytes());
    assert!(status == 422 && answer["error"].as_str().unwrap().contains("10000 rows"), "{status} {answer}");
    // Only the length is sent, as the answer comes before the body.
    let mut client = probed.server.client();
    client.send(b"POST /get_reward HTTP/1.1\r\nhost: wgr\r\ncontent-length: 99999999999\r\n\r\n").unwrap();
    assert_eq!(client.reply().unwrap().status, 413);
    let mut head = "GET /health HTTP/1.1\r\n".to_owned();
    (0..200).for_each(|number| write!(head, "x-{number}: {}\r\n", "y".repeat(100)).unwrap());
    let mut client = probed.server.client();
    client.send(format!("{head}\r\n").as_bytes()).unwrap();
    assert_eq!(client.reply().unwrap().status, 431);
    assert_eq!(probed.server.rewards(&texts(3)), probed.expected);
}

#[test]
fn clients_that_hang_or_break_off_disturb_nobody() {
    let probed = Probed::new();
    let mut hanging = vec![];
    for start in ["", "POST /get_rew", "POST /get_reward HTTP/1.1\r\ncontent-length: 500\r\n\r\n{\"query\""] {
        let mut client = probed.server.client();
        client.send(start.as_bytes()).unwrap();
        hanging.push(client);
        let mut gone = probed.server.client();
        gone.send(start.as_bytes()).unwrap();
    }
    // Clients that leave without waiting for their scores.
    for number in 0..50 {
        let body = json!({ "query": vec![text(number); 20] }).to_string();
        let request = format!("POST /get_reward HTTP/1.1\r\nhost: wgr\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        probed.server.client().send(request.as_bytes()).unwrap();
    }
    assert_eq!(probed.server.rewards(&texts(3)), probed.expected);
    let metrics = probed.server.client().get("/metrics").body;
    assert!(metrics.as_str().unwrap().contains("wgr_queue_rows"), "{metrics}");
}

#[test]
fn unknown_routes_and_methods_are_told() {
    let probed = Probed::new();
    let mut client = probed.server.client();
    assert_eq!(client.get("/nowhere").status, 404);
    let reply = client.get("/classify");
    assert_eq!((reply.status, &reply.body["error"]["type"]), (405, &json!("wrong_method")));
}
