//! The end of every optimizer step: sum over ranks, norm of all gradients, clipping, AdamW.

use std::collections::VecDeque;
use std::ops::Range;

use crate::Result;
use crate::gpu::{Gpu, Recording};
use crate::model::parameter::Parameter;
use crate::model::parameter::gradient;
use crate::optimizer::{self, AdamW, AdamWConfig, GradNorm};
use crate::ranks::{Pending, Ranks};

/// Gradients are added over ranks in buckets of at least so many values, so that small tensors do not each wait for a
/// message.
const BUCKET: usize = 1 << 20;

/// Buckets whose sums are under way while the next is read from the device.
const AHEAD: usize = 2;

/// An optimizer with its recording.
pub struct Update {
    /// Moments and the update.
    pub optimizer: AdamW,
    /// Whose gradients are added up.
    pub(crate) ranks: Ranks,
    recording: Recording,
}

impl Update {
    /// Moments at zero for the parameters of a model, which must hold gradients.
    ///
    /// # Errors
    /// A parameter without a gradient, by its name; no room on the device.
    pub fn new<'a>(gpu: &Gpu, parameters: impl Iterator<Item = &'a Parameter>, settings: AdamWConfig) -> Result<Self> {
        let parameters = parameters
            .map(|parameter| {
                Ok(optimizer::Parameter {
                    name: parameter.name.clone(),
                    decay: parameter.decays(),
                    weight: parameter.weight.clone(),
                    compute: parameter.compute.clone(),
                    gradient: gradient(parameter)?.clone(),
                })
            })
            .collect::<Result<_>>()?;
        let optimizer = AdamW::new(gpu, parameters, settings)?;
        let mut recording = Recording::new();
        optimizer.record(&mut recording.recorder(gpu))?;
        Ok(Self { optimizer, ranks: Ranks::alone(), recording })
    }

    /// Updates the parameters with the gradients of all ranks as they are, as step number `step` (counted from 0). Where they
    /// are not finite nothing changes. Waits for the step.
    ///
    /// # Errors
    /// The device or another rank fails.
    pub async fn apply(&mut self, gpu: &Gpu, step: u64, learning_rate: f64) -> Result<GradNorm> {
        self.apply_scaled(gpu, step, learning_rate, 1.0).await
    }

    /// As [`Self::apply`], with gradients of a loss that was multiplied by a factor.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn apply_scaled(&mut self, gpu: &Gpu, step: u64, learning_rate: f64, scale: f64) -> Result<GradNorm> {
        let is_finite = self.sum_gradients(gpu).await?;
        self.optimizer.begin_scaled_step(gpu, step as usize, learning_rate, scale);
        self.recording.replay(gpu)?;
        let mut norm = self.optimizer.grad_norm(gpu).await?;
        if !norm.finite && self.ranks.size() > 1 {
            let finite = self.ranks.gather(vec![u8::from(is_finite)]).await?;
            if let (Some(worst), Some(rank)) = (&mut norm.worst, finite.iter().position(|said| said == &[0])) {
                worst.push_str(&format!(" on rank {rank} on {}", self.ranks.host(rank)));
            }
        }
        Ok(norm)
    }

    /// Replaces the gradients by their sums over all ranks, and says whether those of this rank are finite. The device reads
    /// the next bucket while the ranks add one up.
    async fn sum_gradients(&self, gpu: &Gpu) -> Result<bool> {
        let mut is_finite = true;
        if self.ranks.size() == 1 {
            return Ok(is_finite);
        }
        let mut under_way: VecDeque<(Range<usize>, Pending<Vec<f32>>)> = VecDeque::new();
        for bucket in self.buckets() {
            let mut values = vec![];
            for parameter in &self.optimizer.parameters()[bucket.clone()] {
                values.extend(parameter.gradient.read_padded(gpu).await?);
            }
            is_finite &= values.iter().all(|value| value.is_finite());
            under_way.push_back((bucket, self.ranks.begin_sum(values)));
            if under_way.len() > AHEAD {
                self.write_next(gpu, &mut under_way).await?;
            }
        }
        while !under_way.is_empty() {
            self.write_next(gpu, &mut under_way).await?;
        }
        Ok(is_finite)
    }

    async fn write_next(&self, gpu: &Gpu, under_way: &mut VecDeque<(Range<usize>, Pending<Vec<f32>>)>) -> Result<()> {
        let Some((bucket, sum)) = under_way.pop_front() else { return Ok(()) };
        let sum = sum.wait().await?;
        let mut rest = &sum[..];
        for parameter in &self.optimizer.parameters()[bucket] {
            let (own, others) = rest.split_at(parameter.gradient.capacity());
            parameter.gradient.write_padded(gpu, own)?;
            rest = others;
        }
        Ok(())
    }

    /// The places of parameters whose gradients are added up together.
    fn buckets(&self) -> Vec<Range<usize>> {
        let (mut buckets, mut first, mut values) = (vec![], 0, 0);
        let parameters = self.optimizer.parameters();
        for (place, parameter) in parameters.iter().enumerate() {
            values += parameter.gradient.capacity();
            if values >= BUCKET || place + 1 == parameters.len() {
                buckets.push(first..place + 1);
                (first, values) = (place + 1, 0);
            }
        }
        buckets
    }

    /// Device time of an update, by kernel.
    ///
    /// # Errors
    /// As [`Recording::profile`].
    pub async fn profile(&mut self, gpu: &Gpu) -> Result<crate::gpu::Profile> {
        self.recording.profile(gpu).await
    }
}
