use serde_json::{Value, json};

use crate::harness::*;

/// The verdicts that an annotator is asked for.
const VERDICTS: [&str; 7] = ["rejection", "correction", "neutral", "engagement", "satisfaction", "unsafe", "harmless"];

/// A chat model that knows the words of verdicts, and reads questions of the usual length.
fn annotator(place: &Place) -> String {
    let folder = place.model("dpo/llama");
    let change = |file: &str, change: &dyn Fn(&mut Value)| {
        let path = format!("{folder}/{file}");
        let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(&path, value.to_string()).unwrap();
    };
    change("config.json", &|config| config["max_position_embeddings"] = 4096.into());
    change("tokenizer.json", &|tokenizer| {
        let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
        let first = vocabulary.len();
        vocabulary
            .extend(VERDICTS.iter().enumerate().map(|(place, name)| ((*name).to_owned(), (first + place).into())));
    });
    let template = "{% for m in messages %}{{ m.content }} {% endfor %}";
    std::fs::write(format!("{folder}/tokenizer_config.json"), json!({"chat_template": template}).to_string()).unwrap();
    folder
}

fn conversation(number: usize) -> Value {
    let message = |role: &str, number: usize| {
        let words = format!("{} {} {}", text(number), text(number + 1000), text(number + 2000));
        json!({"role": role, "content": words})
    };
    let messages: Vec<Value> =
        (0..7).map(|place| message(["user", "assistant"][place % 2], 10 * number + place)).collect();
    json!({"conversation_hash": format!("c{number}"), "language": "English", "conversation": messages})
}

#[test]
fn ranks_annotate_and_embed_together_and_the_first_alone_has_the_log() {
    if !can_run() {
        return;
    }
    let place = Place::new();
    let (annotator, embedder) = (annotator(&place), place.model("bert"));
    place.write("log.jsonl", (0..40).map(conversation));
    let path = |name: &str| place.path(name).display().to_string();
    let flags = |output: &str| {
        let flags = ["extract", "--input", &path("log.jsonl"), "--output", &path(output), "--annotator", "local"];
        let models = ["--annotator-model", &annotator, "--embedder", &embedder, "--similarity", "-1", "--keep-neutral"];
        flags.into_iter().chain(models).map(str::to_owned).collect::<Vec<_>>()
    };
    let read = |output: &str, file: &str| std::fs::read_to_string(place.path(output).join(file)).unwrap();
    place.run(1, &flags("on-1"), &[]);
    assert!(read("on-1", "stages/mined.jsonl").lines().count() > 0, "nothing was mined");
    for ranks in [2, 3] {
        let output = format!("on-{ranks}");
        place.run(ranks, &flags(&output), &[]);
        for file in ["train.jsonl", "test.jsonl", "stages/verdicts.jsonl", "stages/mined.jsonl"] {
            assert_eq!(read(&output, file), read("on-1", file), "{ranks} ranks: {file}");
        }
    }
    // Stored answers are not asked for again, by whatever number of ranks.
    place.run(3, &flags("on-2"), &["--resume"]);
    let usage: Value = serde_json::from_str(&read("on-2", "report.json")).unwrap();
    assert_eq!(usage["usage"]["prompt_tokens"], 0, "{usage}");
}

#[test]
fn ranks_without_a_model_to_share_are_refused() {
    if !can_run() {
        return;
    }
    let place = Place::new();
    place.write("log.jsonl", (0..3).map(conversation));
    let mut command = mpirun();
    command.args(["-n", "2", wgr(), "extract", "--input"]).arg(place.path("log.jsonl"));
    let ended = command.arg("--output").arg(place.path("out")).output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{}", stderr(&ended));
    assert!(stderr(&ended).contains("--embedder: is missing, and without it no model runs here"), "{}", stderr(&ended));
    assert!(!place.path("out").exists());
}
