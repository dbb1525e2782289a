//! One optimizer step on preference pairs: micro-batches forward and backward, then norm, clipping and update.

use crate::data::PackedCompletions;
use crate::gpu::{Dtype, Gpu, Recording, Tensor};
use crate::kernels::preference::{Pairs, Weights};
use crate::model::ModelConfig;
use crate::model::causal::Causal;
use crate::model::policy::{LogProb, Policy, Settings, Shape, log_probs};
use crate::objective::PreferenceLoss;
use crate::optimizer::GradNorm;
use crate::train::{Optimizing, Update};
use crate::{Error, Result};

/// Some pairs that go through the policy together.
#[derive(Debug, Clone, PartialEq)]
pub struct MicroBatch {
    /// Chosen and rejected of each pair, in turn.
    pub completions: PackedCompletions,
    /// The log-probability of each under the reference; zeros for losses without one.
    pub references: Vec<f32>,
}

/// A completion after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rated {
    /// Its log-probabilities under the policy, before the update.
    pub policy: LogProb,
    /// β · (log-probability under the policy − that under the reference).
    pub reward: f64,
}

impl Rated {
    /// All of it, for other ranks.
    fn numbers(&self) -> [f64; 4] {
        let LogProb { log_prob, entropy, tokens } = self.policy;
        [f64::from(log_prob), f64::from(entropy), tokens as f64, self.reward]
    }

    fn of([log_prob, entropy, tokens, reward]: [f64; 4]) -> Self {
        let policy = LogProb { log_prob: log_prob as f32, entropy: entropy as f32, tokens: tokens as usize };
        Self { policy, reward }
    }
}

/// The result of a step.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Mean loss over the pairs of the step, on all ranks.
    pub loss: f64,
    /// Chosen and rejected of every pair, in the order of ranks and their micro-batches.
    pub pairs: Vec<[Rated; 2]>,
    /// Norm of all gradients before clipping.
    pub grad_norm: GradNorm,
    /// Estimated floating-point operations of the step.
    pub flops: f64,
}

/// A policy in training: everything that a step touches.
pub struct Stepper {
    /// The model.
    pub policy: Policy,
    /// Moments, and the update that ends a step.
    pub update: Update,
    loss: PreferenceLoss,
    weights: Weights,
    references: Tensor,
    scale: Tensor,
    coefficients: Tensor,
    /// The results of all micro-batches of a step, read together at its end.
    results: Vec<Results>,
    micro_batch: Recording,
    recorded: Option<(Shape, usize)>,
}

/// The results of a micro-batch.
struct Results {
    sums: Tensor,
    losses: Tensor,
}

impl Stepper {
    /// Makes room for training a model, whose parameters hold gradients, in steps of at most `micro_batches`.
    ///
    /// # Errors
    /// A parameter without a gradient; no room on the device.
    pub fn new(
        gpu: &Gpu,
        config: &ModelConfig,
        causal: Causal,
        settings: &Settings,
        (loss, weights): (PreferenceLoss, Weights),
        optimizing: impl Into<Optimizing>,
        micro_batches: usize,
    ) -> Result<Self> {
        let sequences = settings.capacity.sequences;
        let list = |label, len| Tensor::workspace(gpu, label, len, Dtype::F32);
        let update = Update::new(gpu, causal.trained(), optimizing)?;
        let results = || {
            Ok(Results {
                sums: list("log-probabilities", 2 * sequences)?,
                losses: list("losses", sequences.div_ceil(2))?,
            })
        };
        Ok(Self {
            policy: Policy::new(gpu, config, causal, settings)?,
            update,
            loss,
            weights,
            references: list("reference log-probabilities", sequences)?,
            scale: list("loss scale", 1)?,
            coefficients: list("loss by log-probabilities", sequences)?,
            results: (0..micro_batches).map(|_| results()).collect::<Result<_>>()?,
            micro_batch: Recording::new(),
            recorded: None,
        })
    }

    /// Takes step number `step` (counted from 0) on some micro-batches. The loss is the mean over all their pairs.
    ///
    /// # Errors
    /// A batch exceeds the capacity that the policy was loaded for, or the device fails.
    pub async fn step(&mut self, gpu: &Gpu, batches: &[MicroBatch], step: u64, learning_rate: f64) -> Result<Outcome> {
        let own: usize = batches.iter().map(|batch| batch.references.len() / 2).sum();
        let ranks = self.update.ranks.clone();
        let mean = self.update.mean(own as f64).await?;
        self.scale.write_f32(gpu, &[(1.0 / mean.terms) as f32]);
        self.policy.clear_gradients(gpu);
        let mut flops = 0.0;
        for (index, batch) in batches.iter().enumerate() {
            self.prepare_micro_batch(gpu, batch, index)?;
            flops += self.micro_batch.cost().flops;
            if index + 1 < batches.len() {
                self.micro_batch.replay(gpu)?;
            }
        }
        let last = if batches.is_empty() { &mut Recording::new() } else { &mut self.micro_batch };
        let grad_norm = self.update.apply_after(gpu, last, step, learning_rate, 1.0).await?;
        let mut outcome = Outcome { loss: 0.0, pairs: Vec::with_capacity(own), grad_norm, flops };
        for (batch, results) in batches.iter().zip(&self.results) {
            let losses = results.losses.read(gpu).await?;
            outcome.loss += losses[..batch.references.len() / 2].iter().map(|loss| f64::from(*loss)).sum::<f64>();
            let policies = log_probs(gpu, &results.sums, &batch.completions).await?;
            let rated: Vec<Rated> = policies
                .into_iter()
                .zip(&batch.references)
                .map(|(policy, reference)| self.rate(policy, *reference))
                .collect();
            outcome.pairs.extend(rated.chunks_exact(2).map(|pair| [pair[0], pair[1]]));
        }
        if ranks.size() > 1 {
            [outcome.loss] = ranks.total([outcome.loss * mean.weight]).await?;
            let numbers: Vec<[f64; 4]> = outcome.pairs.iter().flatten().map(Rated::numbers).collect();
            let rated: Vec<Rated> = ranks.gather_values(&numbers).await?.concat().into_iter().map(Rated::of).collect();
            outcome.pairs = rated.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
        }
        Ok(outcome)
    }

    /// Sets a completion against its reference.
    pub fn rate(&self, policy: LogProb, reference: f32) -> Rated {
        let ratio = f64::from(policy.log_prob) - f64::from(reference);
        Rated { policy, reward: f64::from(self.weights.beta) * ratio }
    }

    /// Writes a micro-batch to the device and records it, if its shape is another than that of the one before.
    fn prepare_micro_batch(&mut self, gpu: &Gpu, batch: &MicroBatch, index: usize) -> Result<()> {
        let (sequences, references) = (batch.completions.sequences.len(), batch.references.len());
        if sequences != references || !sequences.is_multiple_of(2) {
            return Err(Error::kernel(
                "a step",
                format!("{sequences} completions with {references} references are not pairs"),
            ));
        }
        let shape = (self.policy.write(gpu, &batch.completions), index);
        self.references.write_f32(gpu, &batch.references);
        if self.recorded != Some(shape) {
            self.micro_batch.clear();
            self.recorded = None;
            let mut recorder = self.micro_batch.recorder(gpu);
            let Results { sums, losses } = &self.results[index];
            self.policy.forward(&mut recorder, sums)?;
            let pairs = Pairs {
                pairs: batch.references.len() / 2,
                offsets: self.policy.offsets(),
                sums,
                references: &self.references,
                scale: &self.scale,
                losses,
                coefficients: &self.coefficients,
            };
            self.loss.record(&mut recorder, &pairs, self.weights)?;
            self.policy.backward(&mut recorder, &self.coefficients)?;
            self.recorded = Some(shape);
        }
        Ok(())
    }

    /// The micro-batch recorded last.
    pub fn micro_batch(&self) -> &Recording {
        &self.micro_batch
    }

    /// Device time of the micro-batch recorded last and of an update, by kernel.
    ///
    /// # Errors
    /// As [`Recording::profile`].
    pub async fn profile(&mut self, gpu: &Gpu) -> Result<[crate::gpu::Profile; 2]> {
        Ok([self.micro_batch.profile(gpu).await?, self.update.profile(gpu).await?])
    }
}
