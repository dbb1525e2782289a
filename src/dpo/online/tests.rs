//! The loop on a policy without a device.

use std::cell::Cell;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::config::OnlineConfig;
use super::pairing::{Pairing, by_position};
use super::rewards::{Response, Rewards, ServerRewards};
use super::rollouts::{HELD_OUT, ROLLOUTS, Rollout, Side, read};
use super::run::Run;
use super::state::Progress;
use super::summary::OnlineSummary;
use super::toy::{Share, Toy, config, tasks};
use crate::report::metrics;
use crate::test_server::{Reply, Request, Server};
use crate::{Error, Event, Observer, Result, Silent};

fn toy(config: &OnlineConfig) -> Toy {
    Toy { output: config.trainer.output.clone(), beta: config.loss.beta, ..Toy::default() }
}

/// A run of twelve prompts to learn from and thirty to measure with.
fn run<'a, R: Rewards>(config: &'a OnlineConfig, rewards: R) -> Run<'a, Toy, R> {
    Run::new(config, toy(config), rewards, tasks(0..12), tasks(12..42), Progress::default())
}

fn train<R: Rewards>(run: &mut Run<'_, Toy, R>, observer: &mut dyn Observer) -> Result<OnlineSummary> {
    pollster::block_on(run.train(observer))
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The rows of the metrics file without what a clock decides.
fn rows(output: &Path) -> Vec<Value> {
    let mut rows = metrics::read(&output.join(metrics::FILE_NAME)).unwrap();
    rows.iter_mut().for_each(|row| drop(row.remove("tokens_per_second")));
    rows.into_iter().map(Value::Object).collect()
}

/// Stops after some looks at whether it should.
struct Stops {
    looks: Cell<usize>,
}

impl Observer for Stops {
    fn on(&mut self, _: Event<'_>) {}

    fn stop_requested(&self) -> bool {
        self.looks.set(self.looks.get().saturating_sub(1));
        self.looks.get() == 0
    }
}

#[test]
fn the_reward_rises_and_everything_is_on_record() {
    let folder = folder();
    let config = OnlineConfig { max_kl: Some(50.0), ..config(folder.path(), 40) };
    let mut run = run(&config, Share::default());
    let summary = train(&mut run, &mut Silent).unwrap();
    let (before, after) = (summary.held_out_before.unwrap(), summary.held_out_after.unwrap());
    assert!(after > before + 0.3, "{before} to {after}");
    assert_eq!((summary.steps, summary.updates, summary.interrupted), (40, 40, false));
    assert_eq!(run.learner.updates, (0..40).collect::<Vec<_>>());

    let rollouts = read(folder.path(), ROLLOUTS).unwrap();
    assert_eq!(rollouts.len(), 40 * 6 * 4);
    let of = |side| rollouts.iter().filter(move |rollout| rollout.pair == Some(side));
    assert_eq!(of(Side::Chosen).count() as u64, summary.pairs);
    for (chosen, rejected) in of(Side::Chosen).zip(of(Side::Rejected)).take(50) {
        assert!(chosen.text != rejected.text || chosen.prompt_id != rejected.prompt_id);
    }
    assert_eq!(read(folder.path(), HELD_OUT).unwrap().len(), 2 * 30);

    let rows = rows(folder.path());
    assert_eq!(rows.len(), 42, "a row a step, and held-out prompts before and after");
    for name in [
        "step",
        "epoch",
        "loss",
        "grad_norm",
        "learning_rate",
        "tokens",
        "objective/kl",
        "objective/scores",
        "objective/scores_std",
        "objective/scores_margin",
        "val/contain_eos_token",
        "completions/mean_length",
        "completions/repetition",
        "pairs",
        "skipped/ties",
        "rewards/chosen",
        "rewards/rejected",
        "rewards/accuracies",
        "rewards/margins",
        "logps/chosen",
        "logps/rejected",
        "entropy",
    ] {
        assert!(rows[1][name].is_number(), "{name}: {}", rows[1]);
    }
    assert_eq!(rows[1]["objective/kl"], 0.0, "policy and reference begin alike");
    assert!((rows[1]["loss"].as_f64().unwrap() - 2f64.ln()).abs() < 1e-9);
    assert!(rows[40]["objective/kl"].as_f64().unwrap() > 0.1);
}

/// The effect of the public code: the same run learns little when pairs are made by position. `proof` shows how little
/// on a model.
#[test]
fn pairs_by_position_teach_little() {
    fn mixed(rollouts: &[Rollout], _: f64) -> Pairing {
        by_position(rollouts, 4)
    }
    let gain = |pairing: Option<fn(&[Rollout], f64) -> Pairing>, seed| {
        let folder = folder();
        let mut config = config(folder.path(), 40);
        config.trainer.seed = seed;
        let mut run = run(&config, Share::default());
        run.pairing = pairing.unwrap_or(run.pairing);
        let summary = train(&mut run, &mut Silent).unwrap();
        summary.held_out_after.unwrap() - summary.held_out_before.unwrap()
    };
    for seed in [1, 2, 3] {
        let (right, wrong) = (gain(None, seed), gain(Some(mixed), seed));
        assert!(right > 0.3 && wrong < right / 2.0, "seed {seed}: {right} with pairs by prompt, {wrong} by position");
    }
}

#[test]
fn a_resumed_run_comes_to_the_same_bits() {
    let whole = folder();
    let whole_config = config(whole.path(), 12);
    let mut uninterrupted = run(&whole_config, Share::default());
    train(&mut uninterrupted, &mut Silent).unwrap();

    // Wherever it is stopped, also within a step, whose rollouts are then drawn again.
    for looks in [2, 5, 9, 20, 33] {
        let folder = folder();
        let config = config(folder.path(), 12);
        let mut first = run(&config, Share::default());
        let summary = train(&mut first, &mut Stops { looks: Cell::new(looks) }).unwrap();
        assert!(summary.interrupted, "{looks}");
        let state = std::fs::read(folder.path().join("toy-progress.json")).unwrap();
        let progress: Progress = serde_json::from_slice(&state).unwrap();
        assert_eq!(progress, first.progress);
        let learner = Toy::load(folder.path(), progress.step);
        let mut second = Run::new(&config, learner, Share::default(), tasks(0..12), tasks(12..42), progress);
        let summary = train(&mut second, &mut Silent).unwrap();
        assert!(!summary.interrupted);
        assert_eq!(second.learner.tables, uninterrupted.learner.tables, "{looks}");
        assert_eq!(second.progress, uninterrupted.progress);
        assert_eq!(rows(folder.path()), rows(whole.path()), "{looks}");
        for name in [ROLLOUTS, HELD_OUT] {
            assert_eq!(read(folder.path(), name).unwrap(), read(whole.path(), name).unwrap(), "{looks}: {name}");
        }
    }
}

#[test]
fn seeds_decide() {
    let text = |seed| {
        let folder = folder();
        let mut config = config(folder.path(), 2);
        config.trainer.seed = seed;
        train(&mut run(&config, Share::default()), &mut Silent).unwrap();
        std::fs::read_to_string(folder.path().join(ROLLOUTS)).unwrap()
    };
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}

/// Rewards that are what it says.
struct Constant(f64);

impl Rewards for Constant {
    async fn rewards(&mut self, responses: &[Response<'_>], _: &dyn Fn() -> Result<()>) -> Result<Vec<f64>> {
        Ok(vec![self.0; responses.len()])
    }
}

#[test]
fn a_step_without_a_pair_teaches_nothing_and_is_counted() {
    let folder = folder();
    let config = config(folder.path(), 3);
    let mut run = run(&config, Constant(2.0));
    let summary = train(&mut run, &mut Silent).unwrap();
    assert_eq!((summary.steps, summary.updates, summary.pairs, summary.skipped.ties), (3, 0, 0, 18));
    assert_eq!(run.learner.tables.len(), 0);
    let rows = rows(folder.path());
    assert_eq!((&rows[1]["loss"], &rows[1]["skipped/ties"]), (&Value::Null, &6.0.into()));
}

#[test]
fn a_policy_too_far_from_the_reference_stops_with_a_checkpoint() {
    let folder = folder();
    let config = OnlineConfig { max_kl: Some(0.5), ..config(folder.path(), 40) };
    let mut run = run(&config, Share::default());
    let error = train(&mut run, &mut Silent).unwrap_err();
    let step = run.progress.step;
    assert!((1..40).contains(&step) && error.exit_code() == 1, "{step}");
    let text = error.to_string();
    assert!(text.contains("above `.max_kl` 0.5") && text.contains(&format!("toy-{step}.json")), "{text}");
    assert_eq!(Toy::load(folder.path(), step).tables, run.learner.tables);
    let kl: Vec<f64> = rows(folder.path()).iter().filter_map(|row| row["objective/kl"].as_f64()).collect();
    assert!(kl.len() as u64 == step && kl.iter().all(|kl| *kl <= 0.5), "{kl:?}");
}

/// Right for some calls, then whatever it says.
struct Spoilt {
    good: usize,
    then: fn(usize) -> Result<Vec<f64>>,
}

impl Rewards for Spoilt {
    async fn rewards(&mut self, responses: &[Response<'_>], go_on: &dyn Fn() -> Result<()>) -> Result<Vec<f64>> {
        match self.good.checked_sub(1) {
            Some(left) => {
                self.good = left;
                Share::default().rewards(responses, go_on).await
            }
            None => (self.then)(responses.len()),
        }
    }
}

#[test]
fn a_reward_that_cannot_be_had_stops_the_step_and_nothing_is_invented() {
    type Then = fn(usize) -> Result<Vec<f64>>;
    let cases: [(&str, Then); 5] = [
        ("is NaN", |count| Ok(vec![f64::NAN; count])),
        ("23 rewards for 24 completions", |count| Ok(vec![1.0; count - 1])),
        ("25 rewards for 24 completions", |count| Ok(vec![1.0; count + 1])),
        ("the judge is asleep", |_| Err(Error::run("the judge is asleep", "wake it"))),
        ("too long to read", |_| Err(Error::input("row 7", "is too long to read", ""))),
    ];
    for (problem, then) in cases {
        let folder = folder();
        let config = config(folder.path(), 9);
        let mut run = run(&config, Spoilt { good: 4, then });
        let error = train(&mut run, &mut Silent).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(problem) && text.contains("the state after step 3 is in"), "{text}");
        assert_eq!(run.progress.step, 3);
        assert_eq!(Toy::load(folder.path(), 3).tables, run.learner.tables);
        assert_eq!(read(folder.path(), ROLLOUTS).unwrap().iter().map(|rollout| rollout.step).max(), Some(3));
        assert_eq!(rows(folder.path()).last().unwrap()["step"], 3);
    }
}

/// The share of `a` in each text that the server is sent, read from behind the last heading of the built-in template.
fn count_a(request: &Request) -> Reply {
    let texts = request.body["query"].as_array().unwrap();
    let response = |text: &Value| text.as_str().unwrap().split("## Reply to judge\n").nth(1).unwrap().to_owned();
    let answer = |text: &Value| response(text).lines().next().unwrap().matches('a').count() as f64;
    Reply::json(&serde_json::json!({"rewards": texts.iter().map(answer).collect::<Vec<_>>()}))
}

#[test]
fn a_server_can_be_the_judge() {
    let server = Server::start(|_, request| count_a(request));
    let folder = folder();
    let config = config(folder.path(), 30);
    let rewards = ServerRewards::open(&server.base().replace("/v1", "/get_reward"), None).unwrap();
    let summary = train(&mut run(&config, rewards), &mut Silent).unwrap();
    assert!(summary.held_out_after.unwrap() > summary.held_out_before.unwrap() + 0.5, "{summary:?}");
    assert!(server.log().iter().all(|request| request.path == "/get_reward"));
}

#[test]
fn a_server_that_fails_or_lies_ends_the_run() {
    for (body, problem) in [
        (r#"{"rewards": [1.0]}"#, "1 rewards for"),
        (r#"{"rewards": [NaN]}"#, "not JSON"),
        (r#"{"error": "out of memory"}"#, "out of memory"),
        (r#"{"detail": "no such model"}"#, "no such model"),
    ] {
        // Held-out prompts and the first two steps go well, with two requests each.
        let server = Server::start(move |n, request| match n {
            0..6 => count_a(request),
            _ => Reply::Answer(200, vec![], body.into()),
        });
        let folder = folder();
        let config = config(folder.path(), 9);
        let rewards = ServerRewards::open(&server.base().replace("/v1", "/get_reward"), None).unwrap();
        let mut run = run(&config, rewards);
        let error = train(&mut run, &mut Silent).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(problem) && text.contains("the state after step 2 is in"), "{text}");
        assert_eq!(Toy::load(folder.path(), 2).tables, run.learner.tables);
    }
}
