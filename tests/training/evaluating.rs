use std::path::Path;

use serde_json::{Value, json};
use wgr::evaluate::{EvalConfig, Evaluation, evaluate};
use wgr::objective::Objective;
use wgr::{Event, Observer};

use crate::harness::*;

/// Counts what is scored, and may stop after some rows.
#[derive(Default)]
struct Counter {
    scored: usize,
    total: usize,
    stop_after: Option<usize>,
}

impl Observer for Counter {
    fn on(&mut self, event: Event<'_>) {
        if let Event::Scored { done, total, .. } = event {
            (self.scored, self.total) = (done, total);
        }
    }

    fn stop_requested(&self) -> bool {
        self.stop_after.is_some_and(|rows| self.scored >= rows)
    }
}

fn run(config: &EvalConfig, counter: &mut Counter) -> wgr::Result<Evaluation> {
    pollster::block_on(evaluate(Some(&GPU), &wgr::Ranks::alone(), config, counter))
}

/// Scores of a tiny model on rated rows and on pairs, the first of which are of texts that are rated too.
fn config(place: &Place) -> EvalConfig {
    let model = place.model("llama");
    let rated = place.write("rated.jsonl", &labelled(12));
    let pairs = place.write("pairs.jsonl", &pairs(12)[5..]);
    EvalConfig {
        model: vec![model.display().to_string()],
        suite: vec![format!("wildfb={}", rated.display()), format!("pairs={}", pairs.display())]
            .into_iter()
            .map(|suite| suite.parse().unwrap())
            .collect(),
        output: place.path("evaluation"),
        batch_size: 4,
        bootstrap: 20,
        ..EvalConfig::default()
    }
}

fn report(output: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(output.join("report.json")).unwrap()).unwrap()
}

#[test]
fn a_model_is_measured_by_the_scores_it_gives() {
    let place = Place::new();
    let config = config(&place);
    let mut counter = Counter::default();
    let found = run(&config, &mut counter).unwrap();
    assert!(found.failure.is_none() && !found.report.partial);
    assert_eq!(counter.total, 12 + 14 - 2, "no response is scored twice");

    let scored = scores(&place.scoring(Path::new(&config.model[0]), &labelled(12)));
    let ratings = report(&config.output)["suites"][0]["results"][0]["ratings"].clone();
    let error: f64 = scored
        .iter()
        .zip(labelled(12))
        .map(|(row, rated)| (row["score"].as_f64().unwrap() - rated["label"].as_f64().unwrap()).abs())
        .sum();
    assert!((ratings["metrics"]["mae"]["value"].as_f64().unwrap() - error / 12.0).abs() < 1e-5);
    assert_eq!((&ratings["levels"], ratings["calibration"].as_array().unwrap().len()), (&json!(4), 3));
    let confusion: u64 =
        serde_json::from_value::<Vec<Vec<u64>>>(ratings["confusion"].clone()).unwrap().concat().iter().sum();
    assert_eq!(confusion, 12);
}

#[test]
fn a_second_run_scores_nothing_and_finds_the_same() {
    let place = Place::new();
    let mut config = config(&place);
    run(&config, &mut Counter::default()).unwrap();
    let first = report(&config.output);
    assert!(run(&config, &mut Counter::default()).unwrap_err().to_string().contains("already holds a run"));
    config.force = true;
    let mut counter = Counter::default();
    run(&config, &mut counter).unwrap();
    assert_eq!((counter.scored, report(&config.output)), (0, first));

    // Another template, length or weights are another question.
    let template = place.path("template.jinja");
    std::fs::write(&template, "{{ response }} {{ query }}").unwrap();
    let with = |change: &dyn Fn(&mut EvalConfig)| {
        let mut config = config.clone();
        change(&mut config);
        let mut counter = Counter::default();
        run(&config, &mut counter).unwrap();
        counter.scored
    };
    assert!(with(&|config| config.template = Some(template.clone())) > 0);
    assert!(with(&|config| config.max_length = 5) > 0);
    let weights = place.path("llama/model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    assert!(with(&|_| ()) > 0);
}

#[test]
fn a_stopped_run_keeps_what_it_has_and_goes_on() {
    let place = Place::new();
    let mut config = config(&place);
    let whole = {
        let mut config = config.clone();
        config.output = place.path("whole");
        run(&config, &mut Counter::default()).unwrap();
        report(&config.output)
    };
    // The rated rows come first, in batches of four.
    let mut counter = Counter { stop_after: Some(13), ..Counter::default() };
    let stopped = run(&config, &mut counter).unwrap();
    assert!(matches!(stopped.failure, Some(wgr::Error::Interrupted(_))));
    let partial = report(&config.output);
    assert_eq!((&partial["partial"], &partial["suites"][0]), (&json!(true), &whole["suites"][0]));
    assert_eq!(partial["suites"][1]["results"], json!([]));
    assert!(partial["failures"][0]["problem"].as_str().unwrap().contains("`.resume`"));

    // A kill may tear the last line.
    let stored = config.output.join("scores/llama.jsonl");
    let text = std::fs::read_to_string(&stored).unwrap();
    std::fs::write(&stored, &text[..text.len() - 7]).unwrap();
    config.resume = true;
    let mut resumed = Counter::default();
    run(&config, &mut resumed).unwrap();
    assert_eq!(resumed.total, counter.total - counter.scored + 1);
    assert_eq!(report(&config.output), whole);
}

#[test]
fn models_and_given_scores_stand_side_by_side() {
    let place = Place::new();
    let mut config = config(&place);
    let mut trained = place.run(Objective::Pairwise, 4);
    trained.trainer.output = place.path("pairwise");
    train(&trained, &mut Watch::default()).unwrap();
    config.model.push(trained.trainer.output.display().to_string());
    let rated = scores(&place.scoring(Path::new(&config.model[0]), &labelled(12)));
    config.scores = vec![place.write("given.jsonl", &rated)];
    config.suite.truncate(1);
    let report = run(&config, &mut Counter::default()).unwrap().report;
    let names: Vec<&str> = report.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["llama", "pairwise", "given"]);
    let of = |place: usize| report.suites[0].results[place].ratings.as_ref().unwrap();
    let metric =
        |place: usize, name: &str| of(place).metrics.iter().find(|(n, _)| *n == name).and_then(|(_, e)| e.value);
    let gap = metric(0, "mae").unwrap() - metric(2, "mae").unwrap();
    assert!(gap.abs() < 1e-5, "rows of wgr score will do");
    // A score without levels can be ranked, and nothing else.
    assert_eq!((metric(1, "mae"), metric(1, "roc_auc").is_some(), of(1).confusion.is_none()), (None, true, true));

    config.scores.clear();
    config.model.truncate(1);
    std::fs::write(place.path("rated.jsonl"), format!("{}\n", json!({"id": "x", "text": "w3 w4", "label": 5})))
        .unwrap();
    config.force = true;
    let report = run(&config, &mut Counter::default()).unwrap().report;
    let ratings = report.suites[0].results[0].ratings.as_ref().unwrap();
    assert_eq!((ratings.levels, ratings.metrics.len(), ratings.calibration.len()), (5, 3, 0), "a model of four levels");
}

#[test]
fn a_bad_template_or_model_ends_the_run_before_it_begins() {
    let place = Place::new();
    let mut config = config(&place);
    let template = place.path("template.jinja");
    std::fs::write(&template, "{{ query }}").unwrap();
    config.template = Some(template);
    assert!(run(&config, &mut Counter::default()).unwrap_err().to_string().contains("never uses `response`"));
    // The model's own template is no better.
    config.template = None;
    let saved = place.path("llama/wgr_template.jinja");
    std::fs::write(&saved, "{{ response").unwrap();
    let error = run(&config, &mut Counter::default()).unwrap_err();
    assert!(error.to_string().contains("wgr_template.jinja:1: the template fails"), "{error}");
    std::fs::remove_file(saved).unwrap();
    config.model = vec!["no/such/model".into()];
    assert_eq!(run(&config, &mut Counter::default()).unwrap_err().exit_code(), 2);
    assert!(!config.output.exists());
}

#[test]
fn a_template_that_fails_on_a_row_costs_the_model_and_not_the_given_scores() {
    let place = Place::new();
    let mut config = config(&place);
    let messages = json!([{"role": "user", "content": "w3"}, {"role": "assistant", "content": "w4"}]);
    let rated = place.write("rated.jsonl", &[json!({"id": "x", "messages": messages, "label": 2})]);
    config.suite = vec![format!("wildfb={}", rated.display()).parse().unwrap()];
    let template = place.path("template.jinja");
    std::fs::write(&template, "{{ response }}\n{{ history[0].content }}").unwrap();
    config.template = Some(template);
    let error = run(&config, &mut Counter::default()).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("template.jinja:2: the template fails"), "{error}");
    assert!(!config.output.join("report.json").exists());

    config.scores = vec![place.write("given.jsonl", &[json!({"id": "x", "score": 2.0})])];
    config.force = true;
    let found = run(&config, &mut Counter::default()).unwrap();
    assert!(found.report.partial && found.failure.unwrap().to_string().contains("template.jinja:2"));
    let results = &found.report.suites[0].results;
    assert_eq!((results.len(), results[0].model.as_str()), (1, "given"));
}
