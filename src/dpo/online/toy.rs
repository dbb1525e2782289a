//! A policy without a device, for tests: for every letter that can be asked for, a table with a logit for each letter
//! at each position. It is sampled, rated and trained like the engine's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::config::OnlineConfig;
use super::learner::{Draw, Learned, Learner, LogProbs, Request};
use super::rewards::{Response, Rewards};
use super::rollouts::seed;
use super::round::Task;
use super::state::Progress;
use crate::data::Completion;
use crate::data::prompts::{Ask, Prompt};
use crate::dpo::{LossConfig, PolicyConfig};
use crate::optimizer::{GradNorm, Schedule};
use crate::train::TrainerConfig;
use crate::train::course::Updated;
use crate::{Error, Observer, Result};

/// Letters; the last one ends a completion.
const LETTERS: usize = 4;
/// Longest completion.
pub(super) const LENGTH: usize = 6;

/// The logits of one prompt.
type Table = [[f64; LETTERS]; LENGTH];
/// The same, bit by bit, as JSON does not keep the last ones.
type Bits = [[u64; LETTERS]; LENGTH];

/// The policy. Its reference is the table of zeros.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Toy {
    pub tables: HashMap<u32, Table>,
    pub output: PathBuf,
    pub beta: f64,
    /// Updates it was given.
    pub updates: Vec<u64>,
}

/// The letter as people read it; the end has none.
fn letter(token: u32) -> &'static str {
    ["a", "b", "c", ""][token as usize]
}

fn softmax(logits: &[f64; LETTERS]) -> [f64; LETTERS] {
    let total: f64 = logits.iter().map(|z| z.exp()).sum();
    logits.map(|z| z.exp() / total)
}

impl Toy {
    fn table(&self, prompt: u32) -> Table {
        self.tables.get(&prompt).copied().unwrap_or_default()
    }

    fn log_prob(table: &Table, sampled: &[u32]) -> f64 {
        table.iter().zip(sampled).map(|(logits, token)| softmax(logits)[*token as usize].ln()).sum()
    }

    fn parts(completion: &Completion) -> (u32, &[u32]) {
        (completion.tokens[0], &completion.tokens[completion.prompt..])
    }

    /// The weights of a checkpoint.
    pub(super) fn load(output: &Path, step: u64) -> Self {
        let bytes = std::fs::read(output.join(format!("toy-{step}.json"))).unwrap();
        let (tables, beta, updates): (Vec<(u32, Bits)>, f64, Vec<u64>) = serde_json::from_slice(&bytes).unwrap();
        let table = |(letter, bits): (u32, Bits)| (letter, bits.map(|place| place.map(f64::from_bits)));
        Self { tables: tables.into_iter().map(table).collect(), output: output.to_owned(), beta, updates }
    }
}

impl Learner for Toy {
    async fn sample(&mut self, requests: &[Request<'_>], _: &dyn Observer) -> Result<Vec<Draw>> {
        let draw = |request: &Request| {
            let table = self.table(request.prompt[0]);
            let mut random = ChaCha8Rng::seed_from_u64(request.seed);
            let mut tokens = vec![];
            for logits in &table {
                let mut left = (f64::from(random.next_u32()) + 0.5) / 4_294_967_296.0;
                let probabilities = softmax(logits);
                let chosen = probabilities.iter().position(|p| {
                    left -= p;
                    left <= 0.0
                });
                tokens.push(chosen.unwrap_or(LETTERS - 1) as u32);
                if tokens.last() == Some(&(LETTERS as u32 - 1)) {
                    break;
                }
            }
            let text = tokens.iter().map(|token| letter(*token)).collect();
            Draw { ended: tokens.last() == Some(&(LETTERS as u32 - 1)), tokens, text }
        };
        Ok(requests.iter().map(draw).collect())
    }

    async fn log_probs(&mut self, completions: &[Completion]) -> Result<Vec<LogProbs>> {
        let rate = |completion: &Completion| {
            let (prompt, sampled) = Self::parts(completion);
            LogProbs {
                policy: Self::log_prob(&self.table(prompt), sampled),
                reference: Self::log_prob(&Table::default(), sampled),
                entropy: 1.0,
            }
        };
        Ok(completions.iter().map(rate).collect())
    }

    async fn update(&mut self, pairs: &[[Learned; 2]], updates: u64, learning_rate: f64) -> Result<Updated> {
        self.updates.push(updates);
        let mut gradient: HashMap<u32, Table> = HashMap::new();
        let mut loss = 0.0;
        for pair in pairs {
            let ratio = |learned: &Learned| {
                let (prompt, sampled) = Self::parts(&learned.completion);
                Self::log_prob(&self.table(prompt), sampled) - learned.reference
            };
            let weight = 1.0 / (1.0 + (self.beta * (ratio(&pair[0]) - ratio(&pair[1]))).exp());
            loss -= (1.0 - weight).ln() / pairs.len() as f64;
            for (learned, sign) in pair.iter().zip([-1.0, 1.0]) {
                let (prompt, sampled) = Self::parts(&learned.completion);
                let table = self.table(prompt);
                let of_prompt = gradient.entry(prompt).or_default();
                for ((logits, token), row) in table.iter().zip(sampled).zip(of_prompt) {
                    for (place, p) in softmax(logits).into_iter().enumerate() {
                        let chosen = f64::from(u8::from(place == *token as usize));
                        row[place] += sign * self.beta * weight * (chosen - p) / pairs.len() as f64;
                    }
                }
            }
        }
        let values = gradient.values().flatten().flatten();
        let norm = values.map(|g| g * g).sum::<f64>().sqrt() as f32;
        for (prompt, of_prompt) in gradient {
            let table = self.tables.entry(prompt).or_default();
            for (logit, slope) in table.iter_mut().flatten().zip(of_prompt.iter().flatten()) {
                *logit -= learning_rate * slope;
            }
        }
        Ok(Updated { loss, grad_norm: GradNorm { norm, finite: true, worst: None }, skipped: None })
    }

    async fn save_checkpoint(&self, progress: Progress) -> Result<PathBuf> {
        let bits = |table: &Table| table.map(|place| place.map(f64::to_bits));
        let mut tables: Vec<(u32, Bits)> = self.tables.iter().map(|(letter, table)| (*letter, bits(table))).collect();
        tables.sort_by_key(|(letter, _)| *letter);
        let path = self.output.join(format!("toy-{}.json", progress.step));
        let bytes = serde_json::to_vec(&(tables, self.beta, &self.updates)).unwrap();
        std::fs::write(&path, bytes).map_err(|e| Error::io(&path, e))?;
        let state = self.output.join("toy-progress.json");
        std::fs::write(&state, serde_json::to_vec(&progress).unwrap()).map_err(|e| Error::io(&state, e))?;
        Ok(path)
    }
}

/// The share of the letter that a prompt asks for, plus what the prompt is worth by itself: as with reward models, whose
/// scores differ more between prompts than between answers to one.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    /// Responses rated.
    pub rated: usize,
}

impl Rewards for Share {
    async fn rewards(&mut self, responses: &[Response<'_>], go_on: &dyn Fn() -> Result<()>) -> Result<Vec<f64>> {
        go_on()?;
        self.rated += responses.len();
        Ok(responses.iter().map(|response| worth(&response.prompt.id) + share(response)).collect())
    }
}

/// The reward of a prompt by itself.
pub(super) fn worth(id: &str) -> f64 {
    10.0 * seed(0, "worth", id, 0) as f64 / u64::MAX as f64
}

fn share(response: &Response) -> f64 {
    let Ask::Text(wanted) = &response.prompt.ask else { unreachable!() };
    response.text.matches(wanted.as_str()).count() as f64 / LENGTH as f64
}

/// Prompts of these numbers, each of which wants one of the letters; the policy sees the letter and not the number.
pub(super) fn tasks(numbers: std::ops::Range<u32>) -> Vec<Task> {
    let task = |number: u32| Task {
        prompt: Prompt {
            id: format!("prompt {number}"),
            ask: Ask::Text(letter(number % 3).into()),
            inputs: Default::default(),
        },
        tokens: vec![number % 3],
    };
    numbers.map(task).collect()
}

/// Settings of runs on the toy.
pub(super) fn config(output: &Path, max_steps: u64) -> OnlineConfig {
    OnlineConfig {
        policy: PolicyConfig { lr: 4.0, ..PolicyConfig::default() },
        loss: LossConfig { beta: 0.5, ..LossConfig::default() },
        rollouts: 4,
        trainer: TrainerConfig {
            output: output.to_owned(),
            batch_size: 3,
            grad_accum: 2,
            epochs: 100,
            max_steps: Some(max_steps),
            schedule: Schedule::Constant,
            warmup_ratio: 0.0,
            ..TrainerConfig::default()
        },
        ..OnlineConfig::default()
    }
}
