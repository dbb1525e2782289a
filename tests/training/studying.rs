use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wgr::evaluate::study::{GridConfig, StudyConfig, StudyName, StudyRun, study};
use wgr::objective::Objective;
use wgr::train::TrainConfig;
use wgr::{Event, Observer};

use crate::harness::*;

/// Counts optimizer steps over all runs, and may stop after some.
#[derive(Default)]
struct Counter {
    steps: usize,
    stop_after: Option<usize>,
}

impl Observer for Counter {
    fn on(&mut self, event: Event<'_>) {
        self.steps += usize::from(matches!(event, Event::Step { .. }));
    }

    fn stop_requested(&self) -> bool {
        self.stop_after.is_some_and(|steps| self.steps >= steps)
    }
}

/// Rows of four users, a fourth of them mined, and as many refusals that were found justified.
fn rows() -> Vec<Value> {
    let mut rows = labelled(16);
    for (i, row) in rows.iter_mut().enumerate() {
        row["user"] = json!(format!("u{}", i % 4));
        row["evidence"] = match i % 8 {
            1 | 5 => json!({"level": "neutral", "mined_from": 3}),
            2 | 6 => json!({"level": "rejection", "refusal_verdict": "justified"}),
            _ => json!({"level": "correction"}),
        };
    }
    rows
}

/// Two steps a run of eight rows, two seeds.
fn config(place: &Place, studies: &[StudyName]) -> StudyConfig {
    let rated = place.write("rated.jsonl", &labelled(12));
    let pairs = place.write("pairs.jsonl", &pairs(6));
    StudyConfig {
        grid: GridConfig {
            study: studies.to_vec(),
            users: vec![2, 4],
            size: Some(8),
            seeds: 2,
            suite: vec![format!("wildfb={}", rated.display()), format!("pairs={}", pairs.display())]
                .into_iter()
                .map(|suite| suite.parse().unwrap())
                .collect(),
            bootstrap: 10,
            ..GridConfig::default()
        },
        train: TrainConfig { data: vec![place.write("train.jsonl", &rows())], ..place.run(Objective::Ordinal, 1) },
    }
}

fn run(config: &StudyConfig, counter: &mut Counter) -> wgr::Result<StudyRun> {
    pollster::block_on(study(&GPU, config, counter))
}

fn report(output: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(output.join("study.json")).unwrap()).unwrap()
}

fn cell(config: &StudyConfig, name: &str) -> PathBuf {
    config.train.trainer.output.join("cells").join(name)
}

#[test]
fn a_stopped_study_goes_on_to_the_same_bits_and_repeats_nothing() {
    let place = Place::new();
    let mut config = config(&place, &[StudyName::Refusals]);
    let whole = {
        let mut config = config.clone();
        config.train.trainer.output = place.path("whole");
        let mut counter = Counter::default();
        let found = run(&config, &mut counter).unwrap();
        assert!(found.failure.is_none() && !found.report.partial);
        assert_eq!(counter.steps, 8, "two cells, two seeds, two steps");
        report(&config.train.trainer.output)
    };

    // In the middle of the second run.
    let stopped = run(&config, &mut Counter { stop_after: Some(3), ..Counter::default() }).unwrap();
    assert!(matches!(stopped.failure, Some(wgr::Error::Interrupted(_))));
    let partial = report(&config.train.trainer.output);
    assert_eq!(partial["partial"], true);
    assert_eq!(json_lines(&config.train.trainer.output.join("results.jsonl")).len(), 1);
    let page = std::fs::read_to_string(config.train.trainer.output.join("study.html")).unwrap();
    assert!(page.contains("Partial") && page.contains("<svg "));

    let error = run(&config, &mut Counter::default()).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("`.resume`"), "{error}");
    config.train.trainer.resume = true;
    let mut counter = Counter::default();
    run(&config, &mut counter).unwrap();
    assert_eq!(counter.steps, 5, "the second run goes on from its checkpoint, the first is left alone");
    let mut found = report(&config.train.trainer.output);
    assert_eq!(found, whole);

    let mut counter = Counter::default();
    run(&config, &mut counter).unwrap();
    assert_eq!((counter.steps, report(&config.train.trainer.output)), (0, whole));

    // One more seed costs one run per cell, other settings cost all runs.
    config.grid.seeds = 3;
    run(&config, &mut counter).unwrap();
    assert_eq!(counter.steps, 4);
    config.train.lr *= 2.0;
    run(&config, &mut counter).unwrap();
    assert_eq!(counter.steps, 4 + 12);
    found = report(&config.train.trainer.output);
    assert_eq!(found["studies"][0]["cells"][0]["runs"].as_array().unwrap().len(), 3);
}

#[test]
fn cells_have_as_many_rows_and_differ_in_what_is_studied() {
    let place = Place::new();
    let mut config = config(&place, &[StudyName::Users, StudyName::Mining, StudyName::Refusals]);
    (config.grid.seeds, config.train.trainer.seed) = (1, 7);
    config.grid.keep_models = true;
    let mut counter = Counter::default();
    let report = run(&config, &mut counter).unwrap().report;
    assert_eq!(counter.steps, 10, "six cells, of which two are the same");
    for section in &report.studies {
        for cell in &section.cells {
            assert_eq!((section.size, cell.runs[0].rows, cell.runs[0].steps), (8, 8, 2), "{}", cell.cell);
            assert_eq!(cell.runs[0].labels.iter().sum::<usize>(), 8);
        }
    }
    let of = |study: usize, cell: usize| &report.studies[study].cells[cell];
    assert_eq!((of(0, 0).runs[0].users, of(0, 1).runs[0].users), (2, 4));
    // The difference is that of the two cells, measure by measure.
    let measure = |cell: usize, name: &str| of(2, cell).measures.iter().find(|m| m.name == name).unwrap().clone();
    let (without, with) = (measure(0, "roc_auc"), measure(1, "roc_auc"));
    let gain = with.difference.unwrap().mean.unwrap();
    assert!((gain - (with.spread.mean.unwrap() - without.spread.mean.unwrap())).abs() < 1e-12);
    assert!(without.difference.is_none() && with.baseline == Some(0.5));

    let rows = |name: &str| json_lines(&cell(&config, name).join("rows.jsonl"));
    let (without, with) = (rows("refusals/without-validation/seed-7"), rows("mining/with-mining/seed-7"));
    let given = self::rows();
    for (with, without) in with.iter().zip(&without) {
        assert_eq!((with["id"].as_str(), &with["text"]), (without["id"].as_str(), &without["text"]));
        let place: usize = with["id"].as_str().unwrap()[1..].parse().unwrap();
        assert_eq!(with["label"], given[place]["label"]);
        assert_eq!(without["label"], if [2, 6].contains(&(place % 8)) { json!(1) } else { with["label"].clone() });
    }
    let mined = |row: &Value| [1, 5].contains(&(row["id"].as_str().unwrap()[1..].parse::<usize>().unwrap() % 8));
    assert!(with.iter().any(mined) && !rows("mining/without-mining/seed-7").iter().any(mined));
    let kept = cell(&config, "users/2-users/seed-7/model");
    assert!(kept.join("model.safetensors").exists());
    (config.train.model, config.train.trainer.force) = (kept.display().to_string(), true);
    let error = run(&config, &mut counter).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("holds "), "{error}");
    assert!(kept.exists());
}

#[test]
fn every_head_is_trained_on_the_same_rows() {
    let place = Place::new();
    let mut config = config(&place, &[StudyName::Heads]);
    config.grid.seeds = 1;
    let report = run(&config, &mut Counter::default()).unwrap().report;
    let cells = &report.studies[0].cells;
    let objectives: Vec<Objective> = cells.iter().map(|cell| cell.objective).collect();
    assert_eq!(objectives, Objective::ALL);
    for cell in cells {
        let run = &cell.runs[0];
        let is_pairwise = cell.objective == Objective::Pairwise;
        assert_eq!(run.pairs.is_some(), is_pairwise);
        // Each step sees as many sequences, and each response is seen once.
        assert_eq!((run.rows, run.steps), (8, 2), "{}", cell.cell);
        assert_eq!(run.labels, cells[0].runs[0].labels);
        let names: Vec<&str> = cell.measures.iter().map(|measure| measure.name.as_str()).collect();
        assert_eq!(names.contains(&"mae"), cell.objective.has_thresholds(), "{}: {names:?}", cell.cell);
        assert!(names.contains(&"roc_auc") && names.contains(&"accuracy"));
    }
    // Models go, what they learned by stays.
    let folder = cell(&config, "heads/pairwise/seed-42");
    assert!(!folder.join("model").exists() && !folder.join("rows.jsonl").exists());
    assert!(folder.join("metrics.jsonl").exists() && folder.join("evaluation/report.json").exists());
}

#[test]
fn a_run_that_fails_leaves_the_others() {
    let place = Place::new();
    let mut config = config(&place, &[StudyName::Heads]);
    (config.grid.seeds, config.grid.heads) = (1, vec![Objective::Ordinal, Objective::Pairwise]);
    // All rows have one level, so there are no pairs.
    let rows: Vec<Value> = (0..8).map(|i| json!({"id": i, "text": text(i), "label": 2})).collect();
    config.train.data = vec![place.write("alike.jsonl", &rows)];
    let found = run(&config, &mut Counter::default()).unwrap();
    let failure = found.failure.unwrap();
    assert!(failure.exit_code() == 2 && failure.to_string().contains("same level"), "{failure}");
    let report = report(&config.train.trainer.output);
    assert_eq!((&report["partial"], &report["failures"][0]["cell"]), (&json!(true), &json!("pairwise")));
    assert_eq!(report["studies"][0]["cells"][0]["runs"][0]["rows"], 8);
}

#[test]
fn what_is_wrong_is_said_before_anything_is_written() {
    type Spoil<'a> = &'a dyn Fn(&mut StudyConfig);
    let place = Place::new();
    let whole = config(&place, &[StudyName::Mining]);
    let plain = place.write("plain.jsonl", &labelled(8));
    let broken = place.path("broken.jinja");
    std::fs::write(&broken, "{{ query }}").unwrap();
    let cases: [(&str, Spoil); 7] = [
        ("`.study`", &|c| c.grid.study.clear()),
        ("no/such/model", &|c| c.train.model = "no/such/model".into()),
        ("no-such-rows.jsonl", &|c| c.train.data = vec!["no-such-rows.jsonl".into()]),
        ("no-such-suite.jsonl", &|c| c.grid.suite = vec!["pairs=no-such-suite.jsonl".parse().unwrap()]),
        ("was mined", &|c| c.train.data = vec![plain.clone()]),
        ("`.size`: 13 rows are more than the 12", &|c| c.grid.size = Some(13)),
        ("never uses `response`", &|c| c.train.template = Some(broken.clone())),
    ];
    for (problem, spoil) in cases {
        let mut config = whole.clone();
        spoil(&mut config);
        let error = run(&config, &mut Counter::default()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(problem), "{problem}: {error}");
        assert!(!config.train.trainer.output.exists());
    }
}
