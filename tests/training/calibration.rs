use serde_json::json;
use wgr::objective::Objective;
use wgr::statistics::platt::{PointwiseCalibration, logit};
use wgr::train::{CALIBRATION, ModelCalibration, ScoreConfig};

use crate::harness::*;

#[test]
fn a_calibration_is_fitted_on_the_held_out_rows_and_applied() {
    let place = Place::new();
    let mut config = place.run(Objective::Ordinal, 8);
    let held_out = labelled(12);
    config.trainer.eval_data = vec![place.write("held-out.jsonl", &held_out)];
    config.lr = 1e-2;
    train(&config, &mut Watch::default()).unwrap();
    let scoring = place.scoring(&config.trainer.output, &held_out);
    let (plain, calibrated) = (scores(&scoring), scores(&ScoreConfig { calibrated: true, ..scoring }));
    let probs = |row: &serde_json::Value| serde_json::from_value::<Vec<f64>>(row["probs"].clone()).unwrap();
    let logits: Vec<Vec<f64>> = plain.iter().map(|row| probs(row).iter().map(|&p| logit(p)).collect()).collect();
    let labels: Vec<u32> = held_out.iter().map(|row| row["label"].as_u64().unwrap() as u32).collect();
    let expected = PointwiseCalibration::fit(&logits, &labels).unwrap();
    let saved: ModelCalibration =
        serde_json::from_slice(&std::fs::read(config.trainer.output.join(CALIBRATION)).unwrap()).unwrap();
    assert_eq!((saved.rows, saved.fit.thresholds.len()), (12, 3));
    for ((row, plain), logits) in calibrated.iter().zip(&plain).zip(&logits) {
        let (found, expected) = (probs(row), expected.probabilities(logits));
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?} instead of {expected:?}");
        assert!((row["score"].as_f64().unwrap() - 1.0 - found.iter().sum::<f64>()).abs() < 1e-12);
        assert_eq!(row["logits"], plain["logits"], "logits are the model's own");
        assert_ne!(row["probs"], plain["probs"]);
    }
}

#[test]
fn there_is_no_calibration_without_held_out_ratings() {
    let place = Place::new();
    let mut config = place.run(Objective::Ordinal, 4);
    config.trainer.eval_data = vec![place.write("held-out.jsonl", &labelled(4))];
    train(&config, &mut Watch::default()).unwrap();
    assert!(config.trainer.output.join(CALIBRATION).exists());
    // The next run has nothing to fit on, and must not leave what the last one fitted.
    config.trainer.eval_data = vec![];
    config.trainer.force = true;
    train(&config, &mut Watch::default()).unwrap();
    let scoring = ScoreConfig { calibrated: true, ..place.scoring(&config.trainer.output, &labelled(1)) };
    let error = score(&scoring).unwrap_err();
    assert!(error.to_string().contains("calibration.json") && error.exit_code() == 2, "{error}");
    std::fs::write(config.trainer.output.join(CALIBRATION), json!({"rows": 1, "thresholds": []}).to_string()).unwrap();
    assert!(score(&scoring).unwrap_err().to_string().contains("another model"));
}

#[test]
fn objectives_without_thresholds_have_no_calibration() {
    let place = Place::new();
    let mut config = place.run(Objective::Regression, 4);
    config.trainer.eval_data = vec![place.write("held-out.jsonl", &labelled(4))];
    train(&config, &mut Watch::default()).unwrap();
    assert!(!config.trainer.output.join(CALIBRATION).exists());
    let scoring = ScoreConfig { calibrated: true, ..place.scoring(&config.trainer.output, &labelled(1)) };
    assert!(score(&scoring).unwrap_err().to_string().contains("no thresholds"));
}
