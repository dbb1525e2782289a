use serde_json::{Value, json};
use wgr::objective::Objective;
use wgr::train::{Precision, ScoreConfig};

use crate::harness::*;

/// Attention walks over blocks of a batch that may begin in the middle of a row, which changes the order of sums.
const ROUNDING: f64 = 2e-6;

/// Asserts that rows scored differently have the same scores and logits as the row of the same id.
#[track_caller]
fn assert_same(rows: &[Value], expected: &[Value], what: &str) {
    for row in rows {
        let other = expected.iter().find(|other| other["id"] == row["id"]).unwrap();
        let numbers = |row: &Value| -> Vec<f64> {
            let logits = row["logits"].as_array().unwrap();
            logits.iter().chain([&row["score"]]).map(|value| value.as_f64().unwrap()).collect()
        };
        for (found, expected) in numbers(row).iter().zip(numbers(other)) {
            assert!((found - expected).abs() < ROUNDING, "{what}: {row}, not {other}");
        }
    }
}

#[test]
fn a_score_depends_on_nothing_but_its_row() {
    for name in ["llama", "qwen2", "qwen3", "mistral"] {
        let place = Place::new();
        let model = place.model(name);
        let rows = labelled(16);
        let one_by_one = scores(&ScoreConfig { batch_size: 1, ..place.scoring(&model, &rows) });
        let ids: Vec<&Value> = one_by_one.iter().map(|row| &row["id"]).collect();
        assert_eq!(ids, rows.iter().map(|row| &row["id"]).collect::<Vec<_>>(), "{name}: rows keep their order");
        let distinct: std::collections::HashSet<String> =
            one_by_one.iter().map(|row| row["score"].to_string()).collect();
        assert!(distinct.len() > 12, "{name}: texts differ, so do scores");
        for batch_size in [3, 16] {
            let batched = scores(&ScoreConfig { batch_size, ..place.scoring(&model, &rows) });
            assert_eq!(batched.len(), 16);
            assert_same(&batched, &one_by_one, &format!("{name}: batches of {batch_size}"));
        }
        let reversed: Vec<Value> = rows.iter().rev().cloned().collect();
        let batched = scores(&ScoreConfig { batch_size: 3, ..place.scoring(&model, &reversed) });
        assert_eq!(batched[0]["id"], "r15");
        assert_same(&batched, &one_by_one, &format!("{name}: another order"));
        let alone = scores(&place.scoring(&model, &rows[7..8]));
        assert_eq!(alone[0], one_by_one[7], "{name}: the same batch has the same bits");
    }
}

#[test]
fn scores_are_the_expected_level_of_their_probabilities() {
    let place = Place::new();
    let model = place.model("llama");
    for row in scores(&place.scoring(&model, &labelled(3))) {
        let probs: Vec<f64> = row["probs"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
        let logits: Vec<f64> = row["logits"].as_array().unwrap().iter().map(|z| z.as_f64().unwrap()).collect();
        assert_eq!((probs.len(), logits.len()), (3, 3));
        for (probability, logit) in probs.iter().zip(&logits) {
            assert!((probability - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-12);
        }
        assert!((row["score"].as_f64().unwrap() - 1.0 - probs.iter().sum::<f64>()).abs() < 1e-12);
    }
}

#[test]
fn a_saved_model_scores_as_the_trainer_evaluated_it() {
    for objective in Objective::ALL {
        let place = Place::new();
        let mut config = place.run(objective, 8);
        let held_out = if objective == Objective::Pairwise { pairs(5) } else { labelled(5) };
        config.trainer.eval_data = vec![place.write("held-out.jsonl", &held_out)];
        config.lr = 1e-2;
        let evaluation = train(&config, &mut Watch::default()).unwrap().evaluation;
        let texts = |column: &str| -> Vec<Value> {
            held_out.iter().map(|row| json!({"id": row["id"], "text": row[column]})).collect()
        };
        let score = |column: &str| -> Vec<f64> {
            let rows = scores(&place.scoring(&config.trainer.output, &texts(column)));
            rows.iter().map(|row| row["score"].as_f64().unwrap()).collect()
        };
        let (name, expected) = if objective == Objective::Pairwise {
            let (chosen, rejected) = (score("chosen"), score("rejected"));
            let won = chosen.iter().zip(&rejected).filter(|(chosen, rejected)| chosen > rejected).count();
            ("eval/pairwise_accuracy", won as f64 / 5.0)
        } else {
            ("eval/mean_score", score("text").iter().sum::<f64>() / 5.0)
        };
        let found = evaluation[name].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-12, "{objective}: evaluated {found}, scored {expected}");
    }
}

#[test]
fn a_model_trained_in_mixed_precision_scores_close_to_its_evaluation() {
    let place = Place::new();
    let mut config = place.run(Objective::Ordinal, 8);
    config.trainer.eval_data = vec![place.write("held-out.jsonl", &labelled(5))];
    config.trainer.precision = Precision::Mixed;
    let evaluation = train(&config, &mut Watch::default()).unwrap().evaluation;
    let rows = scores(&place.scoring(&config.trainer.output, &labelled(5)));
    let mean = rows.iter().map(|row| row["score"].as_f64().unwrap()).sum::<f64>() / 5.0;
    let found = evaluation["eval/mean_score"].as_f64().unwrap();
    // The saved weights are the f32 masters; the trainer computes with their bf16 copies.
    assert!((found - mean).abs() < 0.02 && found != mean, "evaluated {found}, scored {mean}");
}

#[test]
fn a_batch_size_beyond_the_rows_means_all_of_them() {
    let place = Place::new();
    let model = place.model("llama");
    let rows = labelled(4);
    let expected = scores(&place.scoring(&model, &rows));
    let found = scores(&ScoreConfig { batch_size: usize::MAX, ..place.scoring(&model, &rows) });
    assert_same(&found, &expected, "the largest batch size");
    let config = place.run(Objective::Pairwise, 4).with(|c| {
        c.trainer.batch_size = usize::MAX;
        c.trainer.grad_accum = usize::MAX;
    });
    assert_eq!(losses(&config).len(), 1);
}

#[cfg(unix)]
#[test]
fn results_may_be_read_by_whom_the_umask_allows() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let config = place.run(Objective::Ordinal, 4).with(|c| {
        c.trainer.save_every = Some(1);
        c.trainer.max_steps = Some(1);
    });
    train(&config, &mut Watch::default()).unwrap();
    scores(&place.scoring(&config.trainer.output, &labelled(1)));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // The rows of this test were written by the standard library, under the same umask.
    let usual = mode(&place.path("rows.jsonl"));
    let checkpoint = config.trainer.output.join("checkpoints/step-1");
    for path in [place.path("scores.jsonl"), checkpoint.join("trainer_state.json"), checkpoint.join("config.json")] {
        assert_eq!(mode(&path), usual, "{}", path.display());
    }
}
