use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::*;

#[test]
fn online_dpo_gets_from_a_server_the_rewards_of_the_model_itself() {
    let place = Place::new();
    let model = place.model("llama", "model");
    let server = Server::start(&model, &[]);
    let prompts: String = (0..3).map(|number| format!("{}\n", json!({ "prompt": text(number) }))).collect();
    std::fs::write(place.path("prompts.jsonl"), prompts).unwrap();
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/tiny-llama");
    let rewards = |reward: &str, output: &str| -> Vec<Value> {
        let output = place.path(output);
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgr"));
        command.args(["dpo", "--online", "--quiet", "--reward", reward, "--policy"]).arg(&policy);
        command.args(["--rollouts", "2", "--max-new-tokens", "8", "--batch-size", "3", "--max-steps", "1"]);
        command.arg("--prompts").arg(place.path("prompts.jsonl")).arg("--output").arg(&output);
        let ended = command.env_remove("WGR_API_KEY").output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let rollouts = std::fs::read_to_string(output.join("rollouts.jsonl")).unwrap();
        rollouts.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["reward"].clone()).collect()
    };
    let of_server = rewards(&format!("http://{}/get_reward", server.address), "by-server");
    assert_eq!(of_server, rewards(&model, "by-model"));
    assert_eq!(of_server.len(), 6);
}
