use serde_json::{Value, json};

use crate::harness::*;

/// Loss, norm, tokens and evaluations of a run, by their names.
fn numbers(metrics: &[Value]) -> Vec<(String, f64)> {
    let rows = metrics.iter().filter_map(Value::as_object).flatten();
    let compared = rows.filter(|(name, _)| *name != "tokens_per_second");
    compared.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
}

/// Loss and norm of each step, without evaluations, which every part of a run has.
fn of_steps(place: &Place, output: &str) -> Vec<(String, f64)> {
    let is_of_step = |(name, _): &(String, f64)| name == "loss" || name == "grad_norm";
    numbers(&place.metrics(output)).into_iter().filter(is_of_step).collect()
}

#[track_caller]
fn assert_agree(ranks: usize, together: &[(String, f64)], alone: &[(String, f64)]) {
    assert_eq!(together.len(), alone.len(), "{ranks} ranks: every row is written once");
    for ((name, value), (other, expected)) in together.iter().zip(alone) {
        assert_eq!(name, other);
        // Rewards of DPO are small differences of large numbers.
        let limit = if name.starts_with("rewards/") { 1e-4 } else { 5e-5 * expected.abs() };
        assert!((value - expected).abs() <= limit, "{ranks} ranks: {name} {value}, not {expected}");
    }
}

#[test]
fn ranks_agree_with_one_rank_and_the_first_alone_writes() {
    let Some(place) = Place::of_ranks() else { return };
    let run = |ranks: usize| {
        let output = format!("on-{ranks}");
        place.run(ranks, &place.training(&output), &["--eval-every", "3"]);
        numbers(&place.metrics(&output))
    };
    let alone = run(1);
    assert_eq!(alone.iter().filter(|(name, _)| name == "loss").count(), 6, "{alone:?}");
    for ranks in [2, 3, 4] {
        assert_agree(ranks, &run(ranks), &alone);
    }
}

#[test]
fn over_two_hundred_steps_two_ranks_stay_as_close_to_one_as_rounding_allows() {
    let Some(place) = Place::of_ranks() else { return };
    let losses = |ranks: usize, output: &str| -> Vec<f64> {
        let more = ["--batch-size", "4", "--grad-accum", "1", "--epochs", "17", "--max-steps", "200"];
        place.run(ranks, &place.training(output), &more);
        place.metrics(output).iter().filter_map(|row| row["loss"].as_f64()).collect()
    };
    let (alone, together) = (losses(1, "alone"), losses(2, "together"));
    assert!(alone.len() == 200 && together.len() == 200);
    assert!(alone[199] < 0.5 * alone[0], "it learns: {} to {}", alone[0], alone[199]);
    // Rounding alone made a difference of 2e-7; rows in another order, one of 0.5.
    let apart = alone.iter().zip(&together).map(|(one, two)| (one - two).abs()).fold(0.0, f64::max);
    assert!(apart <= 1e-4, "losses are {apart} apart");
}

#[test]
fn as_many_ranks_give_the_same_bits_also_after_resuming_and_other_numbers_may_go_on() {
    let Some(place) = Place::of_ranks() else { return };
    let run = |ranks, output: &str, more: &[&str]| place.run(ranks, &place.training(output), more);
    run(2, "whole", &[]);
    run(2, "parts", &["--max-steps", "3"]);
    run(2, "parts", &["--resume"]);
    assert_eq!(place.weights("parts"), place.weights("whole"));
    run(2, "moved", &["--max-steps", "3"]);
    run(3, "moved", &["--resume"]);
    assert_agree(3, &of_steps(&place, "moved"), &of_steps(&place, "whole"));
}

#[test]
fn ranks_that_share_the_optimizer_compute_the_same_bits_and_save_all_of_it() {
    let Some(place) = Place::of_ranks() else { return };
    let run = |output: &str, more: &[&str]| place.run(3, &place.training(output), more);
    run("whole", &["--precision", "mixed"]);
    run("shared", &["--precision", "mixed", "--shard-optimizer", "--max-steps", "3"]);
    run("shared", &["--precision", "mixed", "--resume"]);
    assert_eq!(place.weights("shared"), place.weights("whole"));
    run("moved", &["--precision", "mixed", "--shard-optimizer", "--max-steps", "3"]);
    place.run(2, &place.training("moved"), &["--precision", "mixed", "--shard-optimizer", "--resume"]);
    assert_agree(2, &of_steps(&place, "moved"), &of_steps(&place, "whole"));
}

#[test]
fn preference_pairs_are_shared_with_their_references() {
    let Some(place) = Place::of_ranks() else { return };
    place.model("dpo/llama");
    let pair = |n: usize| {
        json!({"id": format!("p{n}"), "prompt": text(n), "chosen": format!("w10 w11 w{}", 3 + n % 40),
               "rejected": format!("w20 w21 w{}", 3 + n * 7 % 40)})
    };
    place.write("pairs.jsonl", (0..24).map(pair));
    place.write("pairs-held-out.jsonl", (24..29).map(pair));
    let run = |ranks: usize| {
        let output = format!("on-{ranks}");
        let rest = "--batch-size 4 --lr 1e-3 --schedule constant --warmup-ratio 0";
        let data = [("--data", "pairs.jsonl"), ("--eval-data", "pairs-held-out.jsonl")];
        let flags = place.flags("dpo", &[&data[..], &[("--policy", "dpo/llama"), ("--output", &output)]].concat());
        place.run(ranks, &flags, &rest.split(' ').collect::<Vec<_>>());
        numbers(&place.metrics(&output))
    };
    assert_agree(3, &run(3), &run(1));
    let left = std::fs::read_dir(place.path("on-3")).unwrap().map(|file| file.unwrap().file_name());
    assert!(!left.map(|name| name.to_string_lossy().into_owned()).any(|name| name.contains("part")), "nothing is left");
}

#[test]
fn completions_are_drawn_rated_and_learned_from_on_all_ranks() {
    let Some(place) = Place::of_ranks() else { return };
    place.model("dpo/llama");
    place.run(1, &place.training("reward"), &["--max-steps", "3"]);
    let prompt = |n: usize| json!({"id": format!("p{n}"), "prompt": text(n)});
    place.write("prompts.jsonl", (0..9).map(prompt));
    place.write("prompts-held-out.jsonl", (20..25).map(prompt));
    let run = |ranks: usize, output: &str, more: &[&str]| {
        let rest = "--online --batch-size 2 --grad-accum 2 --rollouts 4 --max-new-tokens 8 --lr 1e-3 --schedule constant \
                    --warmup-ratio 0 --max-length 128";
        let data = [("--prompts", "prompts.jsonl"), ("--eval-data", "prompts-held-out.jsonl"), ("--reward", "reward")];
        let flags = place.flags("dpo", &[&data[..], &[("--policy", "dpo/llama"), ("--output", output)]].concat());
        place.run(ranks, &flags, &[&rest.split_whitespace().collect::<Vec<_>>(), more].concat());
        numbers(&place.metrics(output))
    };
    let drawn = |output: &str| -> Vec<(String, u64, String)> {
        let rows = std::fs::read_to_string(place.path(output).join("rollouts.jsonl")).unwrap();
        let row = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        rows.lines()
            .map(row)
            .map(|row| (text(&row, "prompt_id"), row["sample"].as_u64().unwrap(), text(&row, "text")))
            .collect()
    };
    let alone = run(1, "on-1", &[]);
    for ranks in [2, 3] {
        let output = format!("on-{ranks}");
        assert_agree(ranks, &run(ranks, &output, &[]), &alone);
        assert_eq!(drawn(&output), drawn("on-1"));
    }
    run(2, "parts", &["--max-steps", "1", "--shard-optimizer"]);
    run(2, "parts", &["--resume", "--shard-optimizer"]);
    assert_eq!(place.weights("parts"), place.weights("on-2"));
}
