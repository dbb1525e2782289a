//! Online DPO on the device: a new model with a small vocabulary, and a known reward.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::config::OnlineConfig;
use super::pairing::{Pairing, by_position};
use super::rewards::{ModelRewards, Response, Rewards};
use super::rollouts::{ROLLOUTS, Rollout, read};
use super::summary::OnlineSummary;
use super::toy::worth;
use super::trainer::{open, train_with};
use crate::dpo::PolicyConfig;
use crate::gpu::Gpu;
use crate::model::Family;
use crate::model::tiny::Tiny;
use crate::optimizer::Schedule;
use crate::report::metrics;
use crate::train::{HeadReading, RewardModel, RewardOptions, TrainerConfig};
use crate::{Error, Event, Observer, Ranks, Result, Silent};

static GPU: LazyLock<Gpu> =
    LazyLock::new(|| pollster::block_on(Gpu::open(&Default::default())).expect("the tests need an adapter"));

const SPECIAL: [&str; 4] = ["<pad>", "<s>", "</s>", "<unk>"];
const WORDS: [&str; 8] = ["tea", "milk", "bread", "rice", "salt", "plum", "corn", "leek"];
/// The word that the reward is after.
const WANTED: &str = "tea";
/// Longest completion.
const LENGTH: usize = 8;
const SAMPLES: usize = 4;

/// Reads the words and nothing else.
fn tokenizer() -> Value {
    let vocabulary: Map<String, Value> =
        SPECIAL.iter().chain(&WORDS).enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
    let added = |id: usize| {
        json!({"id": id, "content": SPECIAL[id], "special": true, "normalized": false, "single_word": false,
               "lstrip": false, "rstrip": false})
    };
    json!({
        "version": "1.0", "added_tokens": [added(0), added(1), added(2), added(3)], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": SPECIAL[3]},
    })
}

/// A folder with a policy that knows the words, and prompts of two of them.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let model = place.path("policy");
        std::fs::create_dir(&model).unwrap();
        let config = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": SPECIAL.len() + WORDS.len(),
            "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 32, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2,
        });
        let special = json!({"bos_token": "<s>", "eos_token": "</s>"});
        for (name, value) in
            [("config.json", config), ("tokenizer.json", tokenizer()), ("tokenizer_config.json", special)]
        {
            std::fs::write(model.join(name), value.to_string()).unwrap();
        }
        let prompt = |n: usize| format!("{} {}", WORDS[n % 8], WORDS[n / 8]);
        let row = |n: usize| json!({"id": format!("p{n}"), "prompt": prompt(n)}).to_string() + "\n";
        // Every fourth prompt is held out.
        let rows = |held_out| (0..64).filter(|n| (n % 4 == 3) == held_out).map(row).collect::<String>();
        std::fs::write(place.path("prompts.jsonl"), rows(false)).unwrap();
        std::fs::write(place.path("held-out.jsonl"), rows(true)).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self, seed: u64, steps: u64) -> OnlineConfig {
        OnlineConfig {
            policy: PolicyConfig {
                model: self.path("policy").display().to_string(),
                lr: 1e-2,
                ..PolicyConfig::default()
            },
            prompts: vec![self.path("prompts.jsonl")],
            reward: "share of a word".into(),
            rollouts: SAMPLES,
            max_new_tokens: LENGTH,
            trainer: TrainerConfig {
                output: self.path("out"),
                eval_data: vec![self.path("held-out.jsonl")],
                batch_size: 16,
                epochs: 100,
                max_steps: Some(steps),
                schedule: Schedule::Constant,
                warmup_ratio: 0.0,
                weight_decay: 0.0,
                seed,
                ..TrainerConfig::default()
            },
            ..OnlineConfig::default()
        }
    }
}

/// How much of a completion is the wanted word, plus what the prompt is worth by itself.
struct Share;

impl Rewards for Share {
    async fn rewards(&mut self, responses: &[Response<'_>], _: &dyn Fn() -> Result<()>) -> Result<Vec<f64>> {
        let share = |response: &Response| response.text.matches(WANTED).count() as f64 / LENGTH as f64;
        Ok(responses.iter().map(|response| worth(&response.prompt.id) + share(response)).collect())
    }
}

/// By how much the mean reward of held-out prompts rises.
fn gain(seed: u64, pairing: Option<fn(&[Rollout], f64) -> Pairing>) -> f64 {
    let place = Place::new();
    let config = place.config(seed, 20);
    let (mut run, _) = pollster::block_on(open(&GPU, &Ranks::alone(), &config, Share, &mut Silent)).unwrap();
    run.pairing = pairing.unwrap_or(run.pairing);
    let OnlineSummary { held_out_before, held_out_after, .. } = pollster::block_on(run.train(&mut Silent)).unwrap();
    held_out_after.unwrap() - held_out_before.unwrap()
}

/// Over three seeds the share of the wanted word in completions grows a lot, also for held-out prompts. A reward of 1
/// is the maximum that a completion can add to the reward of its prompt.
#[test]
fn the_reward_of_held_out_prompts_rises() {
    for seed in [1, 2, 3] {
        let gain = gain(seed, None);
        println!("seed {seed}: {gain:+.3}");
        assert!(gain > 0.5, "seed {seed}: {gain}");
    }
}

/// The fault of public code: pairs by position compare answers to different prompts, whose worth drowns what a completion
/// adds, and the same run teaches nothing.
#[test]
fn with_pairs_by_position_it_does_not() {
    for seed in [1, 2, 3] {
        let gain = gain(seed, Some(|rollouts, _| by_position(rollouts, SAMPLES)));
        println!("seed {seed}: {gain:+.3}");
        assert!(gain < 0.1, "seed {seed}: {gain}");
    }
}

/// Stops after some looks at whether it should.
struct Stops(Cell<usize>);

impl Observer for Stops {
    fn on(&mut self, _: Event<'_>) {}

    fn stop_requested(&self) -> bool {
        self.0.set(self.0.get().saturating_sub(1));
        self.0.get() == 0
    }
}

fn records(output: &Path) -> (Vec<Value>, Vec<Rollout>, Vec<u8>) {
    let mut rows = metrics::read(&output.join(metrics::FILE_NAME)).unwrap();
    rows.iter_mut().for_each(|row| drop(row.remove("tokens_per_second")));
    let weights = std::fs::read(output.join("model.safetensors")).unwrap();
    (rows.into_iter().map(Value::Object).collect(), read(output, ROLLOUTS).unwrap(), weights)
}

#[test]
fn a_resumed_run_comes_to_the_same_bits() {
    let (whole, cut) = (Place::new(), Place::new());
    let train = |config: &OnlineConfig, observer: &mut dyn Observer| {
        pollster::block_on(train_with(&GPU, &Ranks::alone(), config, Share, observer)).unwrap()
    };
    train(&whole.config(5, 4), &mut Silent);
    let mut config = cut.config(5, 4);
    // Within the sampling of the third step: an evaluation and two steps take less, and a third more.
    let stopped = train(&config, &mut Stops(Cell::new(40)));
    assert!(stopped.interrupted && (1..4).contains(&stopped.steps), "{stopped:?}");
    assert!(!cut.path("out").join("model.safetensors").exists());
    config.trainer.resume = true;
    let resumed = train(&config, &mut Silent);
    assert_eq!((resumed.steps, resumed.interrupted), (4, false));
    let [whole, cut] = [whole, cut].map(|place| records(&place.path("out")));
    assert_eq!(whole.0, cut.0);
    assert_eq!(whole.1, cut.1);
    assert!(whole.2 == cut.2, "weights differ");
    let kl: Vec<f64> = whole.0.iter().filter_map(|row| row["objective/kl"].as_f64()).collect();
    assert!(kl[0].abs() < 1e-5 && kl[3] != 0.0, "policy and reference begin alike: {kl:?}");
}

/// The temperature of sampling touches the log-probabilities of neither, which are computed alike: before the first update
/// policy and reference agree to the last bit.
#[test]
fn policy_and_reference_are_rated_alike() {
    for temperature in [0.5, 1.0, 3.0] {
        let place = Place::new();
        let config = OnlineConfig { temperature, ..place.config(3, 1) };
        pollster::block_on(train_with(&GPU, &Ranks::alone(), &config, Share, &mut Silent)).unwrap();
        let rollouts = read(&config.trainer.output, ROLLOUTS).unwrap();
        assert!(rollouts.iter().all(|rollout| rollout.log_prob == rollout.reference_log_prob), "{temperature}");
        assert!(rollouts.iter().all(|rollout| rollout.log_prob < -1.0), "{temperature}");
    }
}

/// A reward model in process gives a completion the same score as the same exchange in a row.
#[test]
fn a_reward_model_can_be_the_judge() {
    let place = Place::new();
    let architectures = ["LlamaForSequenceClassification"];
    let fields = json!({"architectures": architectures, "num_labels": 3, "max_position_embeddings": 256});
    let judge = Tiny::new(Family::Llama, fields, crate::model::Dtype::F32);
    let template = place.path("template.jinja");
    std::fs::write(&template, "{{ query }}: {{ response }}").unwrap();
    let head = Some(HeadReading::Ordinal);
    let mut config = OnlineConfig { reward: judge.source(), template: Some(template), head, ..place.config(7, 2) };
    config.trainer.batch_size = 4;
    let summary = pollster::block_on(super::train(&GPU, &Ranks::alone(), &config, &mut Silent)).unwrap();
    assert_eq!(summary.steps, 2);
    let options = RewardOptions { template: config.template.as_deref(), head, ..RewardOptions::default() };
    let model = RewardModel::open_with(&judge.source(), options).unwrap();
    let mut rewards = ModelRewards::load(&GPU, &model, &mut Silent).unwrap();
    for rollout in read(&config.trainer.output, ROLLOUTS).unwrap().iter().step_by(7) {
        let ask = crate::data::prompts::Ask::Text(rollout.prompt.as_str().unwrap().into());
        let prompt = crate::data::prompts::Prompt { id: rollout.prompt_id.clone(), ask, inputs: Default::default() };
        let response = Response { prompt: &prompt, text: &rollout.text };
        let alone = pollster::block_on(rewards.rewards(&[response], &|| Ok(()))).unwrap()[0];
        assert!((alone - rollout.reward).abs() < 1e-4, "{alone} and {}", rollout.reward);
    }
}

#[test]
fn what_cannot_be_run_is_refused_before_anything_is_written() {
    let place = Place::new();
    let good = place.config(1, 1);
    let other = Tiny::new(Family::Llama, json!({}), crate::model::Dtype::F32);
    std::fs::write(place.path("long.jsonl"), json!({"prompt": "tea ".repeat(40)}).to_string()).unwrap();
    std::fs::write(place.path("chat.jsonl"), json!({"messages": [{"role": "user", "content": "tea"}]}).to_string())
        .unwrap();
    let with_reference = |reference: String| {
        let policy = PolicyConfig { reference: Some(reference), ..good.policy.clone() };
        OnlineConfig { policy, ..good.clone() }
    };
    let cases: [(OnlineConfig, &str); 5] = [
        (with_reference(other.source()), "a different vocabulary"),
        (with_reference(good.policy.model.clone()), "has no weights"),
        (OnlineConfig { prompts: vec![place.path("long.jsonl")], ..good.clone() }, "leaves no room for a completion"),
        (OnlineConfig { prompts: vec![place.path("chat.jsonl")], ..good.clone() }, "chat template"),
        (OnlineConfig { rollouts: 1, ..good.clone() }, "`.rollouts`"),
    ];
    for (config, problem) in cases {
        let error: Error = pollster::block_on(open(&GPU, &Ranks::alone(), &config, Share, &mut Silent)).err().unwrap();
        assert!(error.to_string().contains(problem) && error.exit_code() == 2, "{problem}: {error}");
        assert!(!place.path("out").exists(), "{problem}");
    }
    let config = OnlineConfig { reward: good.policy.model.clone(), ..good };
    let error = pollster::block_on(super::train(&GPU, &Ranks::alone(), &config, &mut Silent)).unwrap_err();
    assert!(error.to_string().contains("not a reward model"), "{error}");
}
