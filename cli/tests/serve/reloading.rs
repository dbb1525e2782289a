use serde_json::json;

use crate::harness::*;

#[test]
fn another_model_is_served_from_then_on() {
    let place = Place::new();
    std::fs::create_dir(place.path("root")).unwrap();
    let (first, second) = (place.model("llama", "root/1"), place.model("qwen2", "root/2"));
    place.model("llama", "outside");
    std::fs::create_dir(place.path("root/empty")).unwrap();
    let texts = texts(20);
    let [old, new] = [&first, &second].map(|model| place.scores(model, &texts, &[]));
    assert_ne!(old, new);
    let server = Server::start(&first, &["--reload-root", place.path("root").to_str().unwrap()]);
    let reload = |model: &str| server.client().post("/v1/reload", &json!({ "model": model }));
    for (model, status) in [("empty", 422), ("none", 403), ("../outside", 403), ("/etc", 403), ("", 403)] {
        let reply = reload(model);
        assert_eq!(reply.status, status, "{model}: {}", reply.body);
        assert_eq!(server.rewards(&texts), old, "{model}");
    }
    // Under load every request has the scores of one of the two models.
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    for _ in 0..1000 {
                        let rewards = server.rewards(&texts);
                        assert!(rewards == old || rewards == new);
                        seen += usize::from(rewards == new);
                        if seen == 3 {
                            return;
                        }
                    }
                    panic!("the new model was never served");
                })
            })
            .collect();
        assert_eq!(reload("2").status, 200);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    assert_eq!(server.rewards(&texts), new);
    assert!(server.client().get("/v1/models").body["data"][0]["id"].as_str().unwrap().ends_with("root/2"));
    assert_eq!(reload(&first).status, 200);
    assert_eq!(server.rewards(&texts), old);
}

#[test]
fn nothing_is_reloaded_without_a_root() {
    let place = Place::new();
    let model = place.model("llama", "model");
    let server = Server::start(&model, &[]);
    let reply = server.client().post("/v1/reload", &json!({ "model": model }));
    assert_eq!(reply.status, 403);
    assert!(reply.body["error"]["message"].as_str().unwrap().contains("--reload-root"), "{}", reply.body);
}
