#![cfg(unix)]

use std::sync::Barrier;

use serde_json::json;

use crate::harness::*;

#[test]
fn signals_drain_under_load() {
    for signal in ["TERM", "INT"] {
        let place = Place::new();
        let model = place.model("llama", "model");
        let texts = texts(30);
        let expected = place.scores(&model, &texts, &[]);
        let server = Server::start(&model, &[]);
        let address = server.address.clone();
        let (texts, expected) = (&texts, &expected);
        let warm = &Barrier::new(9);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let mut client = Client::connect(&address);
                scope.spawn(move || {
                    let body = json!({ "query": texts }).to_string();
                    let mut answered = 0;
                    // Until the connection is closed.
                    while let Ok(reply) = client.request("POST", "/get_reward", body.as_bytes()) {
                        match reply.status {
                            200 => assert_eq!(&numbers(&reply.body["rewards"]), expected),
                            503 => assert!(reply.headers.contains_key("retry-after")),
                            other => panic!("{other}: {}", reply.body),
                        }
                        answered += 1;
                        if answered == 2 {
                            warm.wait();
                        }
                    }
                    assert!(answered >= 2);
                });
            }
            warm.wait();
            server.signal(signal);
        });
        assert_eq!(server.ended().code(), Some(0));
    }
}
