//! The annotator with tiny random models and with a real one.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::model::tiny::{Tiny, smollm2};
use crate::model::{Dtype, Family};

static GPU: LazyLock<Gpu> =
    LazyLock::new(|| pollster::block_on(Gpu::open(&Default::default())).expect("the tests need an adapter"));

struct Watcher {
    done: usize,
    stops: bool,
}

impl Observer for Watcher {
    fn on(&mut self, event: Event<'_>) {
        if let Event::Annotated { done, .. } = event {
            self.done = done;
        }
    }

    fn stop_requested(&self) -> bool {
        self.stops
    }
}

/// A model of two layers that reads one token per byte.
fn tiny(changes: Value) -> Tiny {
    let mut fields = json!({"max_position_embeddings": 4096});
    fields.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    Tiny::new(Family::Llama, fields, Dtype::F32)
}

/// The annotator with a store of its own.
struct Opened {
    local: Local<'static>,
    folder: tempfile::TempDir,
}

fn open(model: &str) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    Opened { local: pollster::block_on(Local::open(&GPU, model, None, folder.path())).unwrap(), folder }
}

/// The logits of some prompts, in their order.
fn logits(engine: &mut Engine, prompts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let mut found = vec![vec![]; prompts.len()];
    let kept = |batch: &[usize], rows: &[Vec<f32>]| {
        batch.iter().zip(rows).for_each(|(place, row)| found[*place] = row.clone());
        Ok(())
    };
    pollster::block_on(engine.logits(prompts, kept)).unwrap();
    found
}

fn turn(feedback: &str) -> Turn {
    let text = |role, content: &str| Message::new(role, content);
    let messages = vec![
        text(Role::User, "Write a poem about the sea"),
        text(Role::Assistant, "The sea is blue, the sea is wide, it carries ships upon its tide."),
        text(Role::User, feedback),
    ];
    let (id, user, model, language, timestamp) = ("c".into(), None, None, None, None);
    Turn::of(&Arc::new(Conversation { id, user, model, language, timestamp, messages })).remove(0)
}

fn confidences(local: &mut Local, turns: &[&Turn]) -> Vec<(Feedback, f32)> {
    let mut watcher = Watcher { done: 0, stops: false };
    let verdicts = pollster::block_on(local.feedback(turns, &mut watcher)).unwrap();
    assert_eq!((watcher.done, verdicts.len()), (turns.len(), turns.len()));
    let given = |verdict| match verdict {
        Verdict::Given { value, confidence: Some(confidence), .. } => (value, confidence),
        other => panic!("{other:?}"),
    };
    verdicts.into_iter().map(given).collect()
}

#[test]
fn a_verdict_depends_on_its_turn_alone() {
    let model = tiny(json!({}));
    let mut opened = open(&model.source());
    let turns = ["Thanks!", "Wrong.", "", "A longer message that goes on for a while."].map(turn);
    let turns: Vec<&Turn> = turns.iter().collect();
    let together = confidences(&mut opened.local, &turns);
    assert_eq!(together, confidences(&mut open(&model.source()).local, &turns), "not repeatable");
    for (turn, expected) in turns.iter().zip(&together) {
        let alone = confidences(&mut open(&model.source()).local, &[turn])[0];
        assert_eq!(alone.0, expected.0);
        assert!((alone.1 - expected.1).abs() < 1e-5, "{} alone, {} beside others", alone.1, expected.1);
    }
    assert!(together.windows(2).any(|pair| pair[0].1 != pair[1].1), "the turn makes no difference: {together:?}");
    assert!(confidences(&mut opened.local, &[]).is_empty());
}

#[test]
fn without_content_no_verdict_is_likelier_than_its_share() {
    let model = tiny(json!({}));
    let Local { prompter, engine, feedback, refusal, .. } = &mut open(&model.source()).local;
    let prompt = prompter.prompt(Question::Feedback, &without_content(), &feedback.spelling).unwrap();
    let probabilities = feedback.probabilities(&logits(engine, &[prompt])[0]);
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    for (p, share) in probabilities.iter().zip(PAPER_SHARES) {
        assert!(p / probabilities[2] < share / PAPER_SHARES[2] + 1e-5, "{probabilities:?}");
    }
    let prompt = prompter.prompt(Question::Refusal, &without_content(), &refusal.spelling).unwrap();
    let probabilities = refusal.probabilities(&logits(engine, &[prompt])[0]);
    assert_eq!(probabilities.len(), 2);
    assert!(probabilities[0] < 0.5 + 1e-5, "{probabilities:?}");
}

#[test]
fn verdicts_are_spelled_by_the_first_token_that_tells_them_apart() {
    let prompter = Prompter::new(&tiny(json!({})).open(), 4096).unwrap();
    let spelling = prompter.spelling(Question::Feedback, &turn("Thanks!")).unwrap();
    // One token a byte: the space is common to all, and the first letters differ.
    let prompt = prompter.prompt(Question::Feedback, &turn("Thanks!"), &spelling).unwrap();
    assert_eq!(spelling.tokens.len(), 5);
    assert_eq!(spelling, prompter.spelling(Question::Feedback, &without_content()).unwrap(), "it depends on the turn");
    let colon_and_space = prompt[prompt.len() - 2..].to_vec();
    let refusals = prompter.spelling(Question::Refusal, &turn("Thanks!")).unwrap();
    assert!(prompter.prompt(Question::Refusal, &turn("Thanks!"), &refusals).unwrap().ends_with(&colon_and_space));
}

#[test]
fn what_does_not_fit_the_context_is_shortened() {
    let files = tiny(json!({}));
    let model = files.open();
    let whole = Prompter::new(&model, 1 << 20).unwrap();
    let spelling = whole.spelling(Question::Feedback, &turn("")).unwrap();
    let alone = whole.prompt(Question::Feedback, &turn(""), &spelling).unwrap().len();
    let long = turn(&"word ".repeat(300));
    assert!(whole.prompt(Question::Feedback, &long, &spelling).unwrap().len() > alone + 1400);
    let limit = alone + 200;
    let fitted = Prompter::new(&model, limit).unwrap().prompt(Question::Feedback, &long, &spelling).unwrap().len();
    assert!((limit - 3..=limit).contains(&fitted), "{fitted} of {limit}");
    let error =
        Prompter::new(&model, 64).unwrap().prompt(Question::Feedback, &long, &spelling).unwrap_err().to_string();
    assert!(error.contains("the question alone is longer than 64 tokens"), "{error}");
}

#[test]
fn models_that_cannot_answer_are_refused() {
    let model = tiny(json!({"num_labels": 3, "architectures": ["LlamaForSequenceClassification"]}));
    let refused = |model: &Tiny| {
        let opened = pollster::block_on(Local::open(&GPU, &model.source(), None, &std::env::temp_dir()));
        opened.err().unwrap().to_string()
    };
    let error = refused(&model);
    assert!(error.contains("is a reward model, which cannot answer"), "{error}");
    let model = tiny(json!({}));
    std::fs::remove_file(model.path("model").join("tokenizer_config.json")).unwrap();
    let error = refused(&model);
    assert!(error.contains("has no chat template"), "{error}");
}

#[test]
fn a_stopped_run_goes_on_where_it_was() {
    let model = tiny(json!({}));
    let Opened { mut local, folder } = open(&model.source());
    let turns: Vec<Turn> = (0..9).map(|index| turn(&format!("Thanks, {index}!"))).collect();
    let turns: Vec<&Turn> = turns.iter().collect();
    let mut watcher = Watcher { done: 0, stops: true };
    // A batch holds two of these prompts.
    let error = pollster::block_on(local.feedback(&turns, &mut watcher)).unwrap_err();
    assert!(matches!(error, Error::Interrupted(_)) && watcher.done < 9, "{error}, {} done", watcher.done);
    drop(local);
    let mut resumed = pollster::block_on(Local::open(&GPU, &model.source(), None, folder.path())).unwrap();
    assert_eq!(confidences(&mut resumed, &turns), confidences(&mut open(&model.source()).local, &turns));
    assert_eq!(resumed.usage().stored, watcher.done as u64);
}

#[test]
fn smollm2_hears_thanks_and_complaints() {
    let Some(model) = smollm2() else { return };
    let Local { prompter, engine, feedback, .. } = &mut open(&model).local;
    let turns = [turn("Thank you so much, that is perfect!"), turn("No, that is completely wrong")];
    let prompts = turns.each_ref().map(|turn| prompter.prompt(Question::Feedback, turn, &feedback.spelling).unwrap());
    let logits = logits(engine, &prompts);
    let odds = |logits: &[f32]| {
        let probabilities = feedback.probabilities(logits);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        probabilities[4] / probabilities[0]
    };
    let [thanks, complaint] = [odds(&logits[0]), odds(&logits[1])];
    assert!(thanks > complaint, "satisfaction over rejection: {thanks} after thanks, {complaint} after a complaint");
}
