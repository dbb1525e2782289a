//! `cargo xtask demo`: the main job on made-up chats. Trains a small reward model from scratch, scores chats it has not
//! seen, and writes a page about it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use wgr::data::synthetic;
use wgr::evaluate::metrics::{is_positive, roc_auc};
use wgr::gpu::AdapterSummary;
use wgr::report;
use wgr::report::chart::loss_chart;
use wgr::report::html::Page;

use crate::{cargo, root};

// Everything about the demo that could be otherwise. Rows, sizes and rates suit each other: see `synthetic`.
const TRAIN_ROWS: usize = 2500;
const HELD_OUT_ROWS: usize = 300;
const SEED: u64 = 1;
const TRAIN_FLAGS: &[&str] = &["--batch-size", "8", "--lr", "2e-3", "--max-length", "256"];
/// A prompt with nothing but the conversation, as the small vocabulary knows no other words.
const TEMPLATE: &str = "{% for message in history %}{{ message.role }} {{ message.content }} {% endfor %}\
                        user {{ query }} assistant {{ response }}";
/// Chance is 0.5; below this the demo has failed.
const LEAST_ROC_AUC: f64 = 0.8;

/// The architecture of the model, small enough to train in a minute on a software adapter.
fn model_config(vocabulary: usize) -> Value {
    json!({
        "architectures": ["Qwen3ForSequenceClassification"],
        "model_type": "qwen3",
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "hidden_act": "silu",
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": true,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "initializer_range": 0.1,
    })
}

/// A held-out chat with what the model made of it.
struct Scored {
    chat: Value,
    label: u32,
    score: f64,
}

/// Runs the demo in `output`, whatever an earlier run left there being replaced.
pub fn run(adapter: &AdapterSummary, output: &Path) -> Result<()> {
    let output = &root().join(output);
    let file = |name: &str| output.join(name);
    let (model, trained, template) = (file("new-model"), file("trained"), file("prompt.jinja"));
    let (train, held_out, scores) = (file("train.jsonl"), file("held-out.jsonl"), file("scores.jsonl"));
    let page = file("report.html");

    let mut chats = synthetic::chats(TRAIN_ROWS + HELD_OUT_ROWS, SEED);
    let unseen = chats.split_off(TRAIN_ROWS.min(chats.len()));
    std::fs::create_dir_all(&model).with_context(|| format!("{} cannot be made", model.display()))?;
    write(&train, &lines(&chats))?;
    write(&held_out, &lines(&unseen))?;
    write(&template, TEMPLATE)?;
    write_model(&model, &chats)?;

    let flags = ["--levels", &synthetic::LEVELS.to_string(), "--force"];
    let flags = [&flags[..], TRAIN_FLAGS].concat();
    let paths: [(&str, &Path); 4] =
        [("--model", &model), ("--data", &train), ("--template", &template), ("--output", &trained)];
    wgr("train", &paths, &flags)?;
    wgr("score", &[("--model", &trained), ("--input", &held_out), ("--output", &scores)], &["--force"])?;

    let mut scored = join(unseen, &read_rows(&scores)?)?;
    scored.sort_by(|a, b| a.score.total_cmp(&b.score));
    let values: Vec<f64> = scored.iter().map(|row| row.score).collect();
    let positives: Vec<bool> = scored.iter().map(|row| is_positive(row.label, synthetic::LEVELS)).collect();
    let auc = roc_auc(&values, &positives).context("the held-out chats have one class only, or no finite score")?;

    let shown = lowest_and_highest(&scored);
    println!("\nheld-out chats with the lowest and the highest scores:");
    for row in &shown {
        println!("  score {:.2}, label {}: {}", row.score, row.label, last_message(&row.chat));
    }
    write_page(&page, adapter, &trained, &shown, auc)?;
    println!("\nheld-out ROC-AUC {auc:.3} (chance: 0.5); report: {}", page.display());
    if auc < LEAST_ROC_AUC {
        bail!("a ROC-AUC of {auc:.3} is below {LEAST_ROC_AUC}: the model did not learn");
    }
    Ok(())
}

/// Prints and runs a command of wgr, as a user would.
fn wgr(command: &str, paths: &[(&str, &Path)], flags: &[&str]) -> Result<()> {
    let mut cargo = cargo(&["run", "--quiet", "--bin", "wgr", "--", command]);
    let mut shown = format!("\n$ wgr {command}");
    for (flag, path) in paths {
        cargo.arg(flag).arg(path);
        shown.push_str(&format!(" {flag} {}", path.strip_prefix(root()).unwrap_or(path).display()));
    }
    println!("{shown} {}", flags.join(" "));
    let status = cargo.args(flags).status().context("cargo could not be started")?;
    if !status.success() {
        bail!("wgr {command} ended with {status}");
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

fn read_rows(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| path.display().to_string())).collect()
}

/// A model yet to be trained: its configuration, and a tokenizer made from the training chats.
fn write_model(directory: &Path, chats: &[Value]) -> Result<()> {
    let texts: Vec<&str> = chats.iter().flat_map(contents).chain(["user assistant"]).collect();
    let tokenizer = synthetic::tokenizer(texts.into_iter())?;
    tokenizer.save(directory.join("tokenizer.json"), false).map_err(anyhow::Error::from_boxed)?;
    let settings = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    });
    write(&directory.join("tokenizer_config.json"), &settings.to_string())?;
    write(&directory.join("config.json"), &model_config(tokenizer.get_vocab_size(true)).to_string())
}

/// What was said in a chat, message by message.
fn contents(chat: &Value) -> impl Iterator<Item = &str> {
    let messages = ["history", "messages"].into_iter().filter_map(|field| chat[field].as_array());
    messages.flatten().filter_map(|message| message["content"].as_str())
}

fn last_message(chat: &Value) -> &str {
    contents(chat).last().unwrap_or_default()
}

fn join(chats: Vec<Value>, scores: &[Value]) -> Result<Vec<Scored>> {
    if chats.len() != scores.len() {
        bail!("{} chats got {} scores", chats.len(), scores.len());
    }
    let pair = |(chat, row): (Value, &Value)| {
        let label =
            chat["label"].as_u64().and_then(|label| u32::try_from(label).ok()).context("a chat has no label")?;
        let score = row["score"].as_f64().filter(|_| row["id"] == chat["id"]).context("a score is not the chat's")?;
        Ok(Scored { chat, label, score })
    };
    chats.into_iter().zip(scores).map(pair).collect()
}

fn lowest_and_highest(sorted: &[Scored]) -> Vec<&Scored> {
    let count = 3.min(sorted.len() / 2);
    sorted[..count].iter().chain(&sorted[sorted.len() - count..]).collect()
}

fn write_page(path: &Path, adapter: &AdapterSummary, trained: &Path, shown: &[&Scored], auc: f64) -> Result<()> {
    let losses: Vec<(f64, f64)> = report::metrics::read(&trained.join("metrics.jsonl"))?
        .iter()
        .filter_map(|row: &Map<String, Value>| Some((row["step"].as_f64()?, row.get("loss")?.as_f64()?)))
        .collect();
    let mut page = Page::new("A reward model in a minute");
    page.paragraph(&format!(
        "Trained from scratch on {TRAIN_ROWS} made-up chats, on {}. On {HELD_OUT_ROWS} chats it has not seen its score \
         tells good from bad responses with a ROC-AUC of {auc:.3}; chance is 0.5.",
        adapter.name
    ));
    page.section("Loss").svg("Training loss, step by step", &loss_chart(&losses, &[])?);
    page.section("Held-out chats");
    for row in shown {
        let messages: Vec<(&str, &str)> = ["history", "messages"]
            .into_iter()
            .filter_map(|field| row.chat[field].as_array())
            .flatten()
            .filter_map(|message| Some((message["role"].as_str()?, message["content"].as_str()?)))
            .collect();
        page.conversation(&format!("score {:.2}, label {}", row.score, row.label), &messages);
    }
    Ok(page.write(path)?)
}
