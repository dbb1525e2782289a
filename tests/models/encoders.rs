//! Encoders against `transformers` (`tests/golden/encoders.py`), and a real embedder against sentence-transformers
//! (`tests/golden/minilm.py`).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use wgr::data::Feedback;
use wgr::data::{Conversation, Message, Role};
use wgr::extract::Turn;
use wgr::extract::embeddings::{Cache, Embed, Embedder, Embeddings};
use wgr::extract::mining::{JudgedTurn, MinedLevel, Miner};
use wgr::gpu::{Gpu, Memory, Mode, Options, Preset, Recording};
use wgr::kernels::pooling::Pooling;
use wgr::model::batch::Capacity;
use wgr::model::encoder::{self, Encoder, EncoderCheckpoint};

use crate::harness::*;

const ENCODERS: [&str; 3] = ["bert", "roberta", "xlm-roberta"];
/// f32 against float64, as a share of the largest value.
const TOLERANCE: f32 = 2e-6;

fn load(gpu: &Gpu, name: &str, golden: &Golden) -> Encoder {
    let checkpoint = EncoderCheckpoint::open(&folder(name)).unwrap();
    let mut encoder = Encoder::load(gpu, &checkpoint, golden.capacity()).unwrap();
    let [ids, types, offsets] = ["ids", "types", "offsets"].map(|list| golden.integers(list));
    encoder.batch.write(gpu, ids, types, offsets);
    encoder
}

#[test]
fn hidden_states_and_pooled_rows_agree_with_pytorch() {
    for (mode, preset) in [(Mode::Checked, None), (Mode::Trusted, None), (Mode::Trusted, Some(Preset::Gpu))] {
        let gpu = open_with(Options { mode, preset, ..Options::default() });
        for name in ENCODERS {
            let golden = Golden::read(name);
            let encoder = load(&gpu, name, &golden);
            for (pooling, normalise, expected) in [(Pooling::Mean, true, "mean"), (Pooling::First, false, "cls")] {
                let mut recording = Recording::new();
                encoder.forward(&mut recording.recorder(&gpu)).unwrap();
                let rows = encoder.pool(&mut recording.recorder(&gpu), pooling, normalise).unwrap();
                recording.replay(&gpu).unwrap();
                let rows = pollster::block_on(rows.read(&gpu)).unwrap();
                assert_close(&format!("{name} {expected}"), &rows, golden.floats(expected), TOLERANCE);
            }
            let hidden = pollster::block_on(encoder.hidden().read(&gpu)).unwrap();
            assert_close(&format!("{name} hidden"), &hidden, golden.floats("hidden"), TOLERANCE);
        }
    }
}

#[test]
fn the_plan_says_what_is_held() {
    for name in ENCODERS {
        let gpu = open(Mode::Trusted, None);
        let checkpoint = EncoderCheckpoint::open(&folder(name)).unwrap();
        let capacity = Capacity { tokens: 33, sequences: 5, length: 20 };
        let plan = encoder::plan(&checkpoint, capacity);
        let encoder = Encoder::load(&gpu, &checkpoint, capacity).unwrap();
        let ledger = gpu.ledger();
        for (memory, planned) in [(Memory::Weights, plan.weights), (Memory::Activations, plan.activations)] {
            assert_eq!(ledger.current(memory), planned, "{name} {memory:?}");
        }
        drop(encoder);
    }
}

/// A copy of the tiny BERT with another configuration.
fn copy(changes: &Value) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = |folder: &Path, file: &str| folder.join(file);
    let mut config: Value = serde_json::from_slice(&fs::read(folder("bert").join("config.json")).unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(path(directory.path(), "config.json"), config.to_string()).unwrap();
    let weights = "model.safetensors";
    fs::copy(path(&folder("bert"), weights), path(directory.path(), weights)).unwrap();
    directory
}

#[test]
fn weights_that_do_not_fit_the_configuration_are_named() {
    for (changes, problem) in [
        (
            json!({"intermediate_size": 40}),
            "\"bert.encoder.layer.0.intermediate.dense.weight\": has the shape [42, 30]",
        ),
        (json!({"num_hidden_layers": 3}), "\"encoder.layer.2.attention.self.query.weight\": is missing"),
        (json!({"num_hidden_layers": 1}), "\"bert.encoder.layer.1.attention.output.LayerNorm.beta\": is not part of"),
    ] {
        let directory = copy(&changes);
        let message = EncoderCheckpoint::open(directory.path()).unwrap_err().to_string();
        assert!(message.contains(problem), "{changes}: {message}");
    }
    let directory = copy(&json!({}));
    let gpu = open(Mode::Trusted, None);
    let opened = |gpu| Embedder::open(gpu, directory.path().to_str().unwrap()).err().unwrap().to_string();
    assert!(opened(&gpu).contains("tokenizer.json"), "{}", opened(&gpu));
    fs::remove_file(directory.path().join("model.safetensors")).unwrap();
    assert!(opened(&gpu).contains("has no weights"), "{}", opened(&gpu));
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn minilm_agrees_with_sentence_transformers() {
    let Some(path) = fetched("WGR_ASSETS", "minilm") else { return };
    let golden: Value = serde_json::from_str(&fs::read_to_string(folder("minilm.json")).unwrap()).unwrap();
    let texts: Vec<&str> = golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let expected = Golden::read_file(&folder("minilm.safetensors"));
    let gpu = open(Mode::Trusted, None);
    let mut embedder = Embedder::open(&gpu, path.to_str().unwrap()).unwrap();
    let vectors = pollster::block_on(embedder.embed(&texts)).unwrap();
    let worst = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    for ((text, vector), expected) in texts.iter().zip(&vectors).zip(expected.floats("embeddings").chunks(384)) {
        let error = worst(vector, expected);
        assert!(error < 1e-6, "{text:?}: off by {error:.1e}");
        let alone = pollster::block_on(embedder.embed(&[text])).unwrap();
        assert!(worst(vector, &alone[0]) < 1e-6, "{text:?} depends on the texts beside it");
    }
    let happy = cosine(&vectors[0], &vectors[1]);
    assert!((happy - 0.9429).abs() < 1e-4, "{happy}");
}

#[test]
fn another_model_or_another_way_to_run_it_has_another_identity() {
    let Some(path) = fetched("WGR_ASSETS", "minilm") else { return };
    let gpu = open(Mode::Trusted, None);
    let identity = |path: &Path| Embedder::open(&gpu, path.to_str().unwrap()).unwrap().identity();
    let directory = tempfile::tempdir().unwrap();
    // The same encoder without its modules: a plain directory, which is pooled alike but cut off later.
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(path.join(file), directory.path().join(file)).unwrap();
    }
    assert_eq!(identity(&path), identity(&path));
    assert_ne!(identity(&path), identity(directory.path()));
}

#[test]
fn minilm_mines_a_turn_on_the_same_topic_and_remembers_its_queries() {
    let Some(path) = fetched("WGR_ASSETS", "minilm") else { return };
    let queries = [
        "How do I sort a list of dictionaries by a key in Python?",
        "What is the capital of France?",
        "How can I sort a list of dictionaries by two keys in Python?",
        "Thank you!",
    ];
    let exchange =
        |query: &&str| [Message::new(Role::User, *query), Message::new(Role::Assistant, "Here is an answer.")];
    let messages = queries.iter().flat_map(exchange).collect();
    let conversation =
        Conversation { id: "c".into(), user: None, model: None, language: None, timestamp: None, messages };
    let turns = Turn::of(&Arc::new(conversation));
    let levels = [Feedback::Neutral, Feedback::Neutral, Feedback::Satisfaction];
    let judge = |(turn, feedback)| JudgedTurn { turn, feedback, kept: true, refusal: false };
    let judged: Vec<JudgedTurn> = turns.iter().zip(levels).map(judge).collect();

    let gpu = open(Mode::Trusted, None);
    let directory = tempfile::tempdir().unwrap();
    let mine = || {
        let embedder = Embedder::open(&gpu, path.to_str().unwrap()).unwrap();
        let cache = Cache::open(&directory.path().join("embeddings.cache")).unwrap();
        let mut miner = Miner::new(Embeddings::new(embedder, Some(cache)), 0.6, MinedLevel::Future);
        (pollster::block_on(miner.mine(&judged)).unwrap(), miner.counts())
    };
    let (mined, counts) = mine();
    let first = mined[0].unwrap();
    assert_eq!((first.from, first.level), (3, Feedback::Satisfaction));
    assert!(first.cosine > 0.8 && mined[1..] == [None, None], "{mined:?}");
    assert_eq!((counts.candidates, counts.mined, counts.embedded, counts.cached), (2, 1, 3, 0));
    // The same bits again, without the model's work.
    let (again, counts) = mine();
    assert_eq!(again, mined);
    assert_eq!((counts.embedded, counts.cached), (0, 3));
}
