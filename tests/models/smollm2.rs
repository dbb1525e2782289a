//! SmolLM2-135M-Instruct, a real model with a real tokenizer, against an independent reference (`tests/golden/smollm2.py`).

use serde_json::Value;
use wgr::data::Packed;
use wgr::gpu::{Mode, Recording};
use wgr::model::Checkpoint;
use wgr::model::activations::Checkpointing;
use wgr::model::base::BaseDtype;
use wgr::model::batch::Capacity;
use wgr::model::classifier::{Classifier, HEAD, Loading, logits};
use wgr::model::parameter::Holding;

use crate::harness::*;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_near(what: &str, actual: f32, expected: f64, tolerance: f64) {
    assert!((f64::from(actual) - expected).abs() <= tolerance, "{what}: {actual} instead of {expected}");
}

/// The logits of all tokens after some prompts, and three scores below them.
fn outputs(checkpoint: &Checkpoint, ids: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let gpu = open(Mode::Trusted, None);
    let length = ids.iter().map(Vec::len).max().unwrap();
    let capacity = Capacity { tokens: ids.iter().map(Vec::len).sum(), sequences: ids.len(), length };
    // The head is the output matrix, which is the embedding, and below it the rows that the reference scores with.
    let (vocabulary, hidden) = (checkpoint.config().vocab_size, checkpoint.config().hidden_size);
    let loading = Loading { logits: vocabulary + 3, ..loading(capacity, Holding::Inference, Checkpointing::None) };
    let mut classifier = Classifier::load(&gpu, checkpoint, &loading).unwrap();
    let mut head = checkpoint.read_f32("model.embed_tokens.weight").unwrap();
    head.extend((0..3 * hidden).map(|i| ((0.37 * ((i / hidden + 1) * (i % hidden + 1)) as f64).sin() * 0.05) as f32));
    classifier.parameters().find(|p| p.name == HEAD).unwrap().write(&gpu, &head).unwrap();

    // Both prompts in one packed batch: neither may see the other.
    let offsets = vec![0, ids[0].len() as u32, capacity.tokens as u32];
    let batch = Packed { tokens: ids.concat(), offsets, ..Packed::default() };
    let mut recording = Recording::new();
    pollster::block_on(logits(&gpu, &mut classifier, &mut recording, &batch)).unwrap()
}

#[test]
fn smollm2_agrees_with_its_reference() {
    let Some(path) = fetched("WGR_ASSETS", "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf") else { return };
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(folder("smollm2.json")).unwrap()).unwrap();
    let prompts = golden["prompts"].as_array().unwrap();
    let ids: Vec<Vec<u32>> =
        prompts.iter().map(|p| numbers(&p["ids"]).into_iter().map(|id| id as u32).collect()).collect();

    let checkpoint = Checkpoint::open(&path.display().to_string()).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    for (prompt, ids) in prompts.iter().zip(&ids) {
        let encoded = tokenizer.encode(prompt["text"].as_str().unwrap(), false).unwrap();
        assert_eq!(encoded.get_ids(), ids, "tokens of {}", prompt["text"]);
    }

    let outputs = outputs(&checkpoint, &ids);
    let vocabulary = checkpoint.config().vocab_size;
    for (prompt, output) in prompts.iter().zip(&outputs) {
        let (row, scores) = output.split_at(vocabulary);
        for (score, expected) in scores.iter().zip(numbers(&prompt["scores"])) {
            assert_near("score", *score, expected, 5e-5);
        }
        for pair in prompt["top"].as_array().unwrap() {
            let (id, expected) = (pair[0].as_u64().unwrap() as usize, pair[1].as_f64().unwrap());
            assert_near(&format!("logit of token {id}"), row[id], expected, 5e-4);
        }
        for (place, expected) in numbers(&prompt["spaced"]).into_iter().enumerate() {
            assert_near(&format!("logit of token {}", place * 1536), row[place * 1536], expected, 5e-4);
        }
        let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        assert_eq!(best as u64, prompt["top"][0][0].as_u64().unwrap(), "most likely token");
    }
    let kept = self::outputs(&checkpoint.held_in(Some(BaseDtype::Keep)), &ids);
    assert!(kept == outputs, "blocks are computed with as the values that they stand for");
}
