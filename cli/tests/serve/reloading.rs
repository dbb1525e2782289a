use std::path::Path;

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
fn another_causal_model_completes_from_then_on() {
    let place = Place::new();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/tiny-llama");
    let [first, second] = ["root/1", "root/2"].map(|name| {
        std::fs::create_dir_all(place.path(name)).unwrap();
        for file in std::fs::read_dir(&tiny).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), place.path(name).join(file.file_name())).unwrap();
        }
        place.path(name)
    });
    // Its most likely tokens are the least likely ones of the first.
    let weights = second.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let norm = tensors::range(&bytes, "model.norm.weight");
    bytes[norm].as_chunks_mut().0.iter_mut().for_each(|value| *value = (-f32::from_le_bytes(*value)).to_le_bytes());
    std::fs::write(&weights, bytes).unwrap();
    let root = place.path("root");
    let start = |model: &Path| {
        Server::start_at(&["--generate", model.to_str().unwrap(), "--reload-root", root.to_str().unwrap()], &[])
    };
    let request = json!({"prompt": "hello there", "max_tokens": 30, "temperature": 0});
    let text = |server: &Server| server.ask("/v1/completions", &request)["choices"][0]["text"].clone();
    let new = text(&start(&second));
    let server = start(&first);
    let old = text(&server);
    assert_ne!(old, new);
    // Completions that began before are those of the first model, whatever comes after them.
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| text(&server))).collect();
        assert_eq!(server.client().post("/v1/reload", &json!({ "model": "2" })).status, 200);
        assert_eq!(text(&server), new);
        clients.into_iter().for_each(|client| {
            let found = client.join().unwrap();
            assert!(found == old || found == new, "{found}");
        });
    });
    assert_eq!(server.client().post("/v1/reload", &json!({ "model": "none" })).status, 403);
    assert_eq!(text(&server), new);
    assert!(server.client().get("/v1/models").body["data"][0]["id"].as_str().unwrap().ends_with("root/2"));
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
