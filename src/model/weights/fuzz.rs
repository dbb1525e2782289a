//! Damaged files of every kind: opening gives a model or an error that names the file, whatever the bytes.

use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::gguf_split::cut::cut;
use super::quantized::GgmlType;
use super::{Checkpoint, Dtype};
use crate::model::Family;
use crate::model::convert::{Format, convert};
use crate::model::tiny::Tiny;

/// A change to the bytes of a file.
#[derive(Debug, Clone)]
enum Damage {
    Cut(usize),
    Byte(usize, u8),
    Word(usize, u64),
    Insert(usize, u8),
    Repeat(usize, usize),
}

/// Most damage goes to the header, of about this many bytes, since that is what is parsed.
fn damage(header: usize) -> impl Strategy<Value = Damage> {
    let words = prop_oneof![any::<u64>(), 0..=300_u64, Just(u64::MAX), Just(u64::MAX / 4), Just(1 << 40)];
    prop_oneof![
        (0..header).prop_map(Damage::Cut),
        (0..header, any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (0..header, words).prop_map(|(at, word)| Damage::Word(at, word)),
        (0..header, any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        (0..header, 1..64_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let size = bytes.len();
    match *damage {
        Damage::Cut(at) => bytes.truncate(at),
        Damage::Byte(at, byte) => bytes.iter_mut().skip(at).take(1).for_each(|b| *b = byte),
        Damage::Word(at, word) => bytes.iter_mut().skip(at).zip(word.to_le_bytes()).for_each(|(b, w)| *b = w),
        Damage::Insert(at, byte) => bytes.insert(at.min(size), byte),
        Damage::Repeat(at, length) => {
            let piece = bytes[at.min(size)..(at + length).min(size)].to_vec();
            bytes.splice(at.min(size)..at.min(size), piece);
        }
    }
}

/// Opens and reads everything there is; the only acceptable failure is an error about bad input or a missing file.
fn survive(source: &str) {
    survive_as(source, source);
}

/// As [`survive`], for a model whose files have names that begin alike.
fn survive_as(source: &str, named: &str) {
    let Err(error) = Checkpoint::open(source).and_then(|checkpoint| {
        for name in checkpoint.names() {
            checkpoint.read_f32(name)?;
            if checkpoint.layout(name).is_some() {
                checkpoint.read_rows(name)?;
            }
        }
        checkpoint.travelling_files()?;
        checkpoint.chat_template()?;
        checkpoint.tokenizer().map(drop)
    }) else {
        return;
    };
    assert!(error.to_string().starts_with(named), "{error} does not name {named}");
    assert_eq!(error.exit_code(), 2, "{error}");
}

fn run(cases: u32, header: usize, good: &[u8], mut case: impl FnMut(&[u8])) {
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let case = std::cell::RefCell::new(&mut case);
    let result = runner.run(&prop::collection::vec(damage(header), 1..4), |damages| {
        let mut bytes = good.to_vec();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        (case.borrow_mut())(&bytes);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn damaged_safetensors() {
    let tiny = Tiny::new(Family::Llama, json!({"num_hidden_layers": 1, "tie_word_embeddings": true}), Dtype::BF16);
    let path = tiny.path("model/model.safetensors");
    let good = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    run(3000, header, &good, |bytes| {
        fs::write(&path, bytes).unwrap();
        survive(&tiny.source());
    });
}

#[test]
fn damaged_gguf() {
    let tiny = Tiny::new(Family::Llama, json!({"num_hidden_layers": 1, "tie_word_embeddings": true}), Dtype::F16);
    let path = tiny.path("tiny.gguf");
    convert(&tiny.source(), &path, None, Format::Gguf).unwrap();
    let good = fs::read(&path).unwrap();
    let weights = good.len()
        - 2 * tiny.open().config().tensors().iter().map(|t| t.shape.iter().product::<usize>()).sum::<usize>();
    run(3000, weights, &good, |bytes| {
        fs::write(&path, bytes).unwrap();
        survive(&tiny.named("tiny.gguf"));
    });
}

#[test]
fn damaged_blocks() {
    let sizes = json!({"num_hidden_layers": 1, "tie_word_embeddings": true, "hidden_size": 32, "intermediate_size": 32,
                       "head_dim": 8});
    let tiny = Tiny::new(Family::Llama, sizes, Dtype::F16);
    let path = tiny.path("tiny.gguf");
    convert(&tiny.source(), &path, Some(Dtype::Quantized(GgmlType::Q8_0)), Format::Gguf).unwrap();
    let good = fs::read(&path).unwrap();
    // Scales lie everywhere, and dimensions and types in the header.
    for (cases, header) in [(1000, good.len()), (1000, 9000)] {
        run(cases, header, &good, |bytes| {
            fs::write(&path, bytes).unwrap();
            survive(&tiny.named("tiny.gguf"));
        });
    }
}

#[test]
fn damaged_parts_of_a_gguf() {
    let tiny = Tiny::new(Family::Llama, json!({"num_hidden_layers": 1, "tie_word_embeddings": true}), Dtype::F16);
    convert(&tiny.source(), &tiny.path("tiny.gguf"), None, Format::Gguf).unwrap();
    let whole = fs::read(tiny.path("tiny.gguf")).unwrap();
    let tensors = tiny.open().names().count();
    let parts = cut(&whole, &[1, 2, tensors - 3]);
    let path = |number| tiny.path(&format!("m-0000{number}-of-00003.gguf"));
    (1..).zip(&parts).for_each(|(number, part)| fs::write(path(number), part).unwrap());
    for (number, cases) in [(2, 1000), (3, 300)] {
        // Headers of parts without metadata are a few hundred bytes long.
        run(cases, 400, &parts[number - 1], |bytes| {
            fs::write(path(number), bytes).unwrap();
            survive_as(&tiny.named("m-00001-of-00003.gguf"), &tiny.named("m-0000"));
            survive_as(&tiny.named(&format!("m-0000{number}-of-00003.gguf")), &tiny.named("m-0000"));
        });
        fs::write(path(number), &parts[number - 1]).unwrap();
    }
}

#[test]
fn damaged_configurations_and_indices() {
    let tiny = Tiny::new(Family::Qwen2, json!({"num_hidden_layers": 1}), Dtype::F32);
    let config = tiny.path("model/config.json");
    let good = fs::read(&config).unwrap();
    run(1500, good.len(), &good, |bytes| {
        fs::write(&config, bytes).unwrap();
        survive(&tiny.source());
    });
    fs::write(&config, &good).unwrap();
    fs::rename(tiny.path("model/model.safetensors"), tiny.path("model/a")).unwrap();
    let index = tiny.path("model/model.safetensors.index.json");
    let good = br#"{"metadata": {}, "weight_map": {"model.norm.weight": "a", "model.embed_tokens.weight": "a"}}"#;
    run(1500, good.len(), good, |bytes| {
        fs::write(&index, bytes).unwrap();
        survive(&tiny.source());
    });
}
