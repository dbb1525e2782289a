use std::process::Command;

use serde_json::json;

use crate::harness::*;

#[test]
fn without_the_key_only_health_answers() {
    let place = Place::new();
    let model = place.model("llama", "model");
    let server = Server::start_with(&model, &["--api-key-env", "REWARD_KEY"], &[("REWARD_KEY", "open sesame")]);
    for key in ["", "open", "open sesame!", "OPEN SESAME"] {
        let mut client = server.client().with_key(key);
        let reply = client.post("/get_reward", &json!({ "query": texts(1) }));
        assert_eq!(reply.status, 401, "{key:?}");
        assert!(reply.body["error"].is_string(), "{}", reply.body);
        for path in ["/metrics", "/v1/models", "/openapi.json", "/nowhere"] {
            assert_eq!(client.get(path).status, 401, "{path}");
        }
        assert_eq!(client.get("/health").status, 200);
    }
    // The second is what browsers send, once they were told that they may: `wgr:open sesame` in base64.
    for line in ["Bearer open sesame", "basic d2dyOm9wZW4gc2VzYW1l"] {
        let mut client = server.client().with_header(&format!("authorization: {line}"));
        assert_eq!(client.post("/get_reward", &json!({ "query": texts(1) })).status, 200, "{line}");
    }
    for line in ["Basic b3Blbjp3cm9uZw==", "Basic b3BlbiBzZXNhbWU=", "Basic ???", "Basic", "open sesame"] {
        let reply = server.client().with_header(&format!("authorization: {line}")).get("/");
        assert_eq!(reply.status, 401, "{line}");
        assert!(reply.headers["www-authenticate"].starts_with("Basic"), "{line}: {:?}", reply.headers);
    }
    assert!(!server.log.lock().unwrap().contains("sesame"));
}

#[test]
fn pages_of_other_sites_may_not_ask() {
    let place = Place::new();
    let server = Server::start(&place.model("llama", "model"), &[]);
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
        let mut client = server.client().with_header(&format!("sec-fetch-site: {site}"));
        assert_eq!(client.post("/get_reward", &json!({ "query": texts(1) })).status, status, "{site}");
        assert_eq!(client.get("/").status, 200, "links from {site} may lead to the page");
    }
}

#[test]
fn a_host_that_others_reach_needs_a_key() {
    let place = Place::new();
    let model = place.model("llama", "model");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgr"));
    command.args(["serve", "--host", "0.0.0.0", "--port", "0", "--model", &model]).env_remove("WGR_API_KEY");
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("--host 0.0.0.0") && message.contains("--no-auth"), "{message}");
    for (flags, environment) in [(&["--no-auth"][..], &[][..]), (&[], &[("WGR_API_KEY", "k")])] {
        let flags = [&["--host", "0.0.0.0"], flags].concat();
        assert!(Server::start_with(&model, &flags, environment).address.starts_with("0.0.0.0:"));
    }
}
