use serde_json::{Value, json};

use crate::harness::*;

/// What a command writes to a file of its output, on one rank and on several.
fn written(place: &Place, ranks: usize, flags: &[&str], file: &str) -> [String; 2] {
    [1, ranks].map(|ranks| {
        let output = place.path(&format!("{}-on-{ranks}", flags[0]));
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        place.run(ranks, &flags, &["--output", &output.display().to_string()]);
        std::fs::read_to_string(output.join(file)).or_else(|_| std::fs::read_to_string(&output)).unwrap()
    })
}

#[test]
fn scores_and_evaluations_do_not_depend_on_the_ranks() {
    let Some(place) = Place::of_ranks() else { return };
    place.run(1, &place.training("reward-model"), &["--max-steps", "1"]);
    let path = |name: &str| place.path(name).display().to_string();
    let (model, rows) = (path("reward-model"), path("rows.jsonl"));
    // 48 rows in 12 batches: the last round has two for five ranks.
    let [alone, together] =
        written(&place, 5, &["score", "--model", &model, "--input", &rows, "--batch-size", "4"], "");
    assert_eq!(together, alone);
    let pair = |n: usize| json!({"id": format!("p{n}"), "chosen": text(2 * n), "rejected": text(2 * n + 1)});
    place.write("pairs.jsonl", (0..13).map(pair));
    let suite = format!("pairs={}", path("pairs.jsonl"));
    let reports =
        written(&place, 3, &["eval", "--model", &model, "--suite", &suite, "--batch-size", "2"], "report.json");
    let [alone, together] = reports.map(|report| serde_json::from_str::<Value>(&report).unwrap());
    assert_eq!(together, alone);
}

#[test]
fn completions_do_not_depend_on_the_ranks() {
    let Some(place) = Place::of_ranks() else { return };
    let model = place.model("dpo/llama");
    let tokens = json!({"bos_token": "<s>", "eos_token": "</s>"});
    std::fs::write(place.path("dpo/llama/tokenizer_config.json"), tokens.to_string()).unwrap();
    place.write("prompts.jsonl", (0..9).map(|n| json!({"id": format!("q{n}"), "prompt": text(n)})));
    let prompts = place.path("prompts.jsonl").display().to_string();
    // 18 completions for three ranks, of which each draws four in a round.
    let rest = "--raw --batch-size 1 --n 2 --max-new-tokens 6";
    let flags = ["generate", "--model", &model, "--input", &prompts];
    let flags: Vec<&str> = flags.into_iter().chain(rest.split(' ')).collect();
    let [alone, together] = written(&place, 3, &flags, "");
    assert_eq!(alone.lines().count(), 18);
    assert_eq!(together, alone);
}
