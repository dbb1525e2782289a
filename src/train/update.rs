//! The end of every optimizer step: norm of all gradients, clipping, AdamW.

use crate::Result;
use crate::gpu::{Gpu, Recording};
use crate::model::parameter::Parameter;
use crate::model::parameter::gradient;
use crate::optimizer::{self, AdamW, AdamWConfig, GradNorm};

/// An optimizer with its recording.
pub struct Update {
    /// Moments and the update.
    pub optimizer: AdamW,
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
        Ok(Self { optimizer, recording })
    }

    /// Updates the parameters with the gradients as they are, as step number `step` (counted from 0). Where they are not
    /// finite nothing changes. Waits for the step.
    ///
    /// # Errors
    /// The device fails.
    pub async fn apply(&mut self, gpu: &Gpu, step: u64, learning_rate: f64) -> Result<GradNorm> {
        self.optimizer.begin_step(gpu, step as usize, learning_rate);
        self.recording.replay(gpu)?;
        self.optimizer.grad_norm(gpu).await
    }

    /// Device time of an update, by kernel.
    ///
    /// # Errors
    /// As [`Recording::profile`].
    pub async fn profile(&mut self, gpu: &Gpu) -> Result<crate::gpu::Profile> {
        self.recording.profile(gpu).await
    }
}
