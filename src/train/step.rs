//! One optimizer step: micro-batches forward and backward, then norm, clipping and update.

use crate::Result;
use crate::data::Packed;
use crate::gpu::{Dtype, Gpu, Layout, Recording, Tensor};
use crate::kernels::{column_sum, objective::Biases, objective::Rows};
use crate::model::Checkpoint;
use crate::model::classifier::{Classifier, Loading, logits};
use crate::objective::{Objective, denominator};
use crate::optimizer::{GradNorm, LossScale};

use super::update::{Optimizing, Update};

/// The result of a step.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Mean loss over the rows of the step, on all ranks.
    pub loss: f64,
    /// Norm of all gradients before clipping.
    pub grad_norm: GradNorm,
    /// Whether gradients left the range of f16, so that nothing was updated; the loss scale is smaller now.
    pub skipped: bool,
    /// Estimated floating-point operations of the step.
    pub flops: f64,
}

/// Scratch of the CORAL loss.
struct CoralScratch {
    d_z: Tensor,
    chunks: Tensor,
}

/// A model in training: everything that a step touches.
pub struct Stepper {
    /// The model.
    pub classifier: Classifier,
    /// Moments, and the update that ends a step.
    pub update: Update,
    /// Present where gradients are rounded to f16.
    pub loss_scale: Option<LossScale>,
    /// Steps that updated nothing, as gradients left the range of f16.
    pub skipped_steps: u64,
    objective: Objective,
    levels: u32,
    labels: Tensor,
    scale: Tensor,
    /// One list of losses for each micro-batch of a step, read together at its end.
    losses: Vec<Tensor>,
    coral: Option<CoralScratch>,
    micro_batch: Recording,
    recorded: Option<[usize; 3]>,
    evaluation: Recording,
}

impl Stepper {
    /// Loads a model for training in steps of at most `micro_batches`.
    ///
    /// # Errors
    /// As [`Classifier::load`]; the device has no room for moments, labels or losses.
    pub fn new(
        gpu: &Gpu,
        checkpoint: &Checkpoint,
        loading: &Loading,
        objective: Objective,
        levels: u32,
        optimizing: impl Into<Optimizing>,
        micro_batches: usize,
    ) -> Result<Self> {
        let classifier = Classifier::load(gpu, checkpoint, loading)?;
        let update = Update::new(gpu, classifier.trained_parameters(), optimizing)?;
        let sequences = loading.capacity.sequences;
        let list = |label| Tensor::workspace(gpu, label, sequences, Dtype::F32);
        let coral = (objective == Objective::Coral).then(|| {
            let thresholds = Layout::plain(levels as usize - 1);
            let chunks = sequences.div_ceil(column_sum::CHUNK) * thresholds.padded();
            Ok::<_, crate::Error>(CoralScratch {
                d_z: Tensor::activation(gpu, "threshold gradients", sequences, thresholds, Dtype::F32)?,
                chunks: Tensor::workspace(gpu, "threshold sums", chunks, Dtype::F32)?,
            })
        });
        Ok(Self {
            classifier,
            update,
            loss_scale: (loading.holding.copies() == Some(Dtype::F16)).then(LossScale::default),
            skipped_steps: 0,
            objective,
            levels,
            labels: list("labels")?,
            scale: Tensor::workspace(gpu, "loss scale", 1, Dtype::F32)?,
            losses: (0..micro_batches).map(|_| list("losses")).collect::<Result<_>>()?,
            coral: coral.transpose()?,
            micro_batch: Recording::new(),
            recorded: None,
            evaluation: Recording::new(),
        })
    }

    /// Takes step number `step` (counted from 0) on some micro-batches.
    ///
    /// # Errors
    /// A batch exceeds the capacity that the model was loaded for, or the device fails.
    pub async fn step(&mut self, gpu: &Gpu, batches: &[Packed], step: u64, learning_rate: f64) -> Result<Outcome> {
        let labels = batches.iter().flat_map(|batch| self.labels_of(batch));
        let ranks = self.update.ranks.clone();
        // A CORN step may hold no task row; its loss is zero then, not undefined.
        let mean = self.update.mean(denominator(self.objective, labels, self.levels as usize)).await?;
        let factor = self.loss_scale.map_or(1.0, |scale| scale.factor);
        self.scale.write_f32(gpu, &[(factor / mean.terms) as f32]);
        self.classifier.clear_gradients(gpu);
        let mut flops = 0.0;
        for (index, batch) in batches.iter().enumerate() {
            // No two ranks draw the same.
            self.classifier.draw_dropout(gpu, step, (index * ranks.size() + ranks.rank()) as u64);
            self.prepare_micro_batch(gpu, batch, index)?;
            flops += self.micro_batch.cost().flops;
            if index + 1 < batches.len() {
                self.micro_batch.replay(gpu)?;
            }
        }
        let last = if batches.is_empty() { &mut Recording::new() } else { &mut self.micro_batch };
        // The bias correction of AdamW counts updates.
        let updates = step - self.skipped_steps;
        let grad_norm = self.update.apply_after(gpu, last, updates, learning_rate, factor).await?;
        let mut loss = 0.0;
        for (batch, losses) in batches.iter().zip(&self.losses) {
            let values = losses.read(gpu).await?;
            loss += values[..batch.sequences()].iter().map(|value| f64::from(*value)).sum::<f64>();
        }
        let [loss] = ranks.total([loss / factor * mean.weight]).await?;
        let skipped = loss.is_finite() && self.loss_scale.as_mut().is_some_and(|scale| scale.skips(grad_norm.finite));
        self.skipped_steps += u64::from(skipped);
        Ok(Outcome { loss, grad_norm, skipped, flops })
    }

    /// One label a sequence; pairs have none and a margin of zero.
    fn labels_of(&self, batch: &Packed) -> Vec<f32> {
        if batch.labels.is_empty() { vec![0.0; batch.sequences()] } else { batch.labels.clone() }
    }

    /// Writes a micro-batch to the device and records it, if its shape is another than that of the one before.
    fn prepare_micro_batch(&mut self, gpu: &Gpu, batch: &Packed, index: usize) -> Result<()> {
        self.classifier.workspace.batch.write(gpu, &batch.tokens, &batch.offsets);
        self.labels.write_f32(gpu, &self.labels_of(batch));
        let held = &self.classifier.workspace.batch;
        let shape = [held.tokens, held.sequences, index];
        if self.recorded != Some(shape) {
            self.micro_batch.clear();
            self.recorded = None;
            let mut recorder = self.micro_batch.recorder(gpu);
            self.classifier.training_forward(&mut recorder)?;
            let rows = Rows {
                sequences: batch.sequences(),
                labels: &self.labels,
                scale: &self.scale,
                logits: self.classifier.logits(),
                losses: &self.losses[index],
                d_logits: self.classifier.d_logits(),
            };
            let biases = match (&self.coral, self.classifier.biases()) {
                (Some(scratch), Some(biases)) => Some(Biases {
                    biases: &biases.weight,
                    d_biases: crate::model::parameter::gradient(biases)?,
                    d_z: &scratch.d_z,
                    chunks: &scratch.chunks,
                }),
                _ => None,
            };
            self.objective.record(&mut recorder, &rows, biases.as_ref())?;
            self.classifier.backward(&mut recorder)?;
            self.recorded = Some(shape);
        }
        Ok(())
    }

    /// Logits of each sequence of a batch, with the weights as they are.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub async fn logits(&mut self, gpu: &Gpu, batch: &Packed) -> Result<Vec<Vec<f32>>> {
        self.recorded = None;
        logits(gpu, &mut self.classifier, &mut self.evaluation, batch).await
    }

    /// CORAL's biases as they are; empty for other objectives.
    ///
    /// # Errors
    /// The device fails.
    pub async fn biases(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        match self.classifier.biases() {
            Some(biases) => biases.weight.read(gpu).await,
            None => Ok(vec![]),
        }
    }

    /// The micro-batch recorded last.
    pub fn micro_batch(&self) -> &Recording {
        &self.micro_batch
    }

    /// Device time of the micro-batch recorded last, by kernel.
    ///
    /// # Errors
    /// As [`Recording::profile`].
    pub async fn profile(&mut self, gpu: &Gpu) -> Result<[crate::gpu::Profile; 2]> {
        Ok([self.micro_batch.profile(gpu).await?, self.update.profile(gpu).await?])
    }
}
