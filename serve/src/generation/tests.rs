//! Fields of requests; and the thread that draws: what it does when the device fails, clients go, or another model comes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use wgr::Silent;
use wgr::generate::Finish;
use wgr::gpu::AdapterChoice;

use super::*;
use crate::failure::Failure;

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/tiny-llama")
}

fn served(model: &Path) -> Served {
    Served::open(model.to_str().unwrap(), None, 256, &mut Silent).unwrap()
}

fn started() -> Generation {
    Generation::start(AdapterChoice::default(), served(&model()), 8, &mut Silent).unwrap()
}

fn fields(body: Value) -> Map<String, Value> {
    body.as_object().cloned().unwrap()
}

/// Has one prompt completed `n` times, with a seed, by at most this many tokens.
async fn start(generation: &Generation, text: &'static str, n: usize, max_tokens: usize) -> Result<Drawn, Failure> {
    let draw = parse::<Fields>(&fields(json!({"n": n, "seed": 5})))?.draw()?;
    Drawn::start(generation, &draw, Some(max_tokens), None, move |served| {
        Ok(vec![Prompt { field: "prompt".into(), tokens: served.text("prompt", text, true)? }])
    })
    .await
}

async fn completed(generation: &Generation, text: &'static str, n: usize) -> Result<Vec<Completion>, Failure> {
    let drawn = start(generation, text, n, 10).await?;
    Completion::all(drawn.count(), drawn.answers).await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn a_lost_device_is_an_error_for_its_completions_and_is_opened_anew_for_the_next() {
    let generation = started();
    runtime().block_on(async {
        let texts = |completions: Vec<Completion>| completions.into_iter().map(|each| each.text).collect::<Vec<_>>();
        let before = texts(completed(&generation, "hello", 3).await.unwrap());
        assert_ne!(before[0], before[1]);
        generation.lose();
        let failure = completed(&generation, "hello", 3).await.unwrap_err();
        assert!(matches!(&failure, Failure::Device(problem) if problem.contains("lost")), "{failure:?}");
        generation.check().await.unwrap();
        assert_eq!(texts(completed(&generation, "hello", 3).await.unwrap()), before);
    });
}

#[test]
fn completions_whose_client_has_gone_leave() {
    let generation = started();
    runtime().block_on(async {
        drop(start(&generation, "one", 5, 240).await.unwrap());
        let drawn = start(&generation, "two", 3, 3).await.unwrap();
        let full = start(&generation, "three", 8, 3).await;
        assert!(matches!(full, Err(Failure::Full)));
        let three = Completion::all(3, drawn.answers).await.unwrap();
        assert!(three.iter().all(|each| each.tokens.len() == 3 || each.finish == Some(Finish::Stop)));
        // The last places of these are given back as their clients are told.
        assert!(generation.queue() <= 3, "{}", generation.queue());
        let never = start(&generation, "four", 9, 3).await;
        assert!(matches!(never, Err(Failure::Input { field, .. }) if field == "n"));
    });
}

#[test]
fn another_model_is_served_once_the_completions_of_the_one_before_have_ended() {
    let generation = started();
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(model()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    runtime().block_on(async {
        let before = generation.served();
        let drawn = start(&generation, "one", 4, 50).await.unwrap();
        generation.switch(served(folder.path()), &mut Silent).unwrap();
        let now = generation.served();
        assert_eq!(now.name, folder.path().to_str().unwrap());
        // Tokens of the model before are not given to this one.
        let stale = queue::Wanted { prompts: vec![], n: 1, settings: vec![], seed: 0, log_probs: None };
        assert!(generation.draw(&before, stale).unwrap().is_none());
        let after = completed(&generation, "one", 1).await.unwrap();
        let of_before = Completion::all(4, drawn.answers).await.unwrap();
        assert!(of_before[0].text.starts_with(&after[0].text), "the same weights and seed");
        assert!(Arc::ptr_eq(&generation.served(), &now));
    });
}

#[test]
fn fields_that_would_change_what_is_drawn_are_refused_by_name() {
    let check = |body: Value| check_others::<Fields, Fields>(&fields(body));
    for body in [
        json!({"n": 2, "user": "me", "metadata": {"a": 1}, "logit_bias": null, "no_such_field": null}),
        json!({"frequency_penalty": 0, "presence_penalty": 0.0, "best_of": 1, "ignore_eos": false, "min_tokens": 0}),
        json!({"logit_bias": {}, "stop_token_ids": [], "response_format": {"type": "text"}}),
    ] {
        check(body).unwrap();
    }
    for (field, value) in [
        ("frequency_penalty", json!(0.5)),
        ("logit_bias", json!({"5": 1})),
        ("response_format", json!({"type": "json_object"})),
        ("ignore_eos", json!(true)),
        ("prompt_logprobs", json!(1)),
        ("no_such_field", json!(1)),
    ] {
        let refused = check(json!({ field: value }));
        assert!(matches!(&refused, Err(Failure::Input { field: named, .. }) if named == field), "{field}: {refused:?}");
    }
}

#[test]
fn values_that_mean_nothing_are_refused_by_name() {
    for (field, value) in [
        ("n", json!(0)),
        ("n", json!(-1)),
        ("max_tokens", json!(0)),
        ("max_tokens", json!("ten")),
        ("temperature", json!(-1)),
        ("top_p", json!(0)),
        ("top_k", json!(-2)),
        ("min_p", json!(1.5)),
        ("repetition_penalty", json!(0)),
        ("seed", json!(0.5)),
        ("stop", json!("")),
        ("stop", json!([1])),
        ("stream_options", json!({"include_usage": true})),
        ("stream_options.no_such_option", json!(null)),
    ] {
        let body = match field.split_once('.') {
            None => json!({ field: value }),
            Some((field, option)) => json!({"stream": true, field: {option: 1}}),
        };
        let refused = parse::<Fields>(&fields(body)).and_then(|fields| fields.draw()).map(|_| ());
        let named = matches!(&refused, Err(Failure::Input { field: named, .. }) if field.starts_with(named.as_str()));
        assert!(named, "{field}: {refused:?}");
    }
    let all = json!({"temperature": 0, "top_k": -1, "top_p": 1, "seed": -1, "stop": ["a", "b"], "n": null});
    let draw = parse::<Fields>(&fields(all)).unwrap().draw().unwrap();
    assert_eq!((draw.n, draw.seed), (1, u64::MAX));
}
