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

/// Three turns: nothing is said about the first response, and the user thanks for the second.
fn conversation(number: usize) -> Value {
    let message = |(place, role): (usize, &str)| {
        let words = |part: usize| text(100 * number + 10 * place + part);
        let thanks = if place == 4 { "Thank you, that is exactly what I needed! " } else { "" };
        json!({"role": role, "content": format!("{thanks}{} {} {}", words(0), words(1), words(2))})
    };
    let roles = ["user", "assistant", "user", "assistant", "user", "assistant", "user"];
    let messages: Vec<Value> = roles.into_iter().enumerate().map(message).collect();
    json!({"conversation_hash": format!("c{number}"), "language": "English", "conversation": messages})
}

#[test]
fn ranks_annotate_and_embed_together_and_the_first_alone_has_the_log() {
    let Some(place) = Place::of_ranks() else { return };
    let (annotator, embedder) = (annotator(&place), place.model("bert"));
    place.write("log.jsonl", (0..40).map(conversation));
    let flags = |output: &str| place.flags("extract", &[("--input", "log.jsonl"), ("--output", output)]);
    let read = |output: &str, file: &str| std::fs::read_to_string(place.path(output).join(file)).unwrap();
    let local = ["--keep-neutral", "--annotator", "local", "--annotator-model", &annotator];
    let embedded = ["--keep-neutral", "--annotator", "rules", "--embedder", &embedder, "--similarity", "0.1"];
    for (name, models, sheet) in [("local", &local[..], "verdicts"), ("embedded", &embedded[..], "mined")] {
        let output = |ranks: usize| format!("{name}-{ranks}");
        for ranks in [1, 2, 3] {
            place.run(ranks, &flags(&output(ranks)), models);
        }
        let sheet = format!("stages/{sheet}.jsonl");
        assert!(read(&output(1), &sheet).lines().count() > 30, "{sheet} has too little to compare");
        for (ranks, file) in [2, 3].into_iter().flat_map(|ranks| [(ranks, sheet.as_str()), (ranks, "train.jsonl")]) {
            assert_eq!(read(&output(ranks), file), read(&output(1), file), "{ranks} ranks: {file}");
        }
    }
    // Stored answers are not asked for again, by whatever number of ranks.
    place.run(3, &flags("local-2"), &[&local[..], &["--resume"]].concat());
    let report: Value = serde_json::from_str(&read("local-2", "report.json")).unwrap();
    assert_eq!(report["usage"]["prompt_tokens"], 0, "{report}");
}

#[test]
fn ranks_without_a_model_to_share_are_refused() {
    let Some(place) = Place::of_ranks() else { return };
    place.write("log.jsonl", (0..3).map(conversation));
    let mut command = mpirun();
    command.args(["-n", "2", wgr(), "extract", "--input"]).arg(place.path("log.jsonl"));
    let ended = command.arg("--output").arg(place.path("out")).output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{}", stderr(&ended));
    assert!(stderr(&ended).contains("--embedder: is missing, and without it no model runs here"), "{}", stderr(&ended));
    assert!(!place.path("out").exists());
}
