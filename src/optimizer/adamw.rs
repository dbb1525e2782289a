//! AdamW over all parameters of a model, as dispatches that are recorded once and replayed in every step.

use super::clipping::{Clipping, GradNorm};
use crate::Result;
use crate::gpu::{Dtype, Gpu, Memory, Recorder, Tensor};
use crate::kernels::adamw::{self, State, Step};

/// A tensor that is trained.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Name in the checkpoint.
    pub name: String,
    /// Whether weight decay applies: to matrices, not to norms and biases.
    pub decay: bool,
    /// The f32 master weight.
    pub weight: Tensor,
    /// The bf16 or f16 copy that the model computes with, where it does not use the master itself.
    pub compute: Option<Tensor>,
    /// f32, accumulated over the micro-batches of a step; the trainer clears it.
    pub gradient: Tensor,
}

impl Parameter {
    /// Sets the values, copies included.
    ///
    /// # Errors
    /// There is not one value for each place of the parameter.
    pub(crate) fn write(&self, gpu: &Gpu, values: &[f32]) -> Result<()> {
        self.compute.iter().try_for_each(|copy| copy.write(gpu, values))?;
        self.weight.write(gpu, values)
    }
}

/// Hyper-parameters; the defaults are those of PyTorch except for the clipping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// Decay rates of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the denominator; must be above zero.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Norm that all gradients together are clipped to; 0 or infinity clips nothing.
    pub max_grad_norm: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01, max_grad_norm: 1.0 }
    }
}

/// Running means of a parameter's gradient and of its square.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Mean of the gradient.
    pub first: Tensor,
    /// Mean of its square.
    pub second: Tensor,
}

/// The optimizer: parameters, their moments, and what a step needs.
pub struct AdamW {
    parameters: Vec<Parameter>,
    /// `None` for parameters that another rank updates.
    moments: Vec<Option<Moments>>,
    config: AdamWConfig,
    clipping: Clipping,
    step: Tensor,
}

impl AdamW {
    /// Moments at zero.
    ///
    /// # Errors
    /// If the device has no memory for two more f32 values a weight.
    pub fn new(gpu: &Gpu, parameters: Vec<Parameter>, config: AdamWConfig) -> Result<Self> {
        Self::for_some(gpu, parameters, |_| true, config)
    }

    /// Moments at zero for the parameters at some places; the others are updated elsewhere.
    ///
    /// # Errors
    /// As [`AdamW::new`].
    pub(crate) fn for_some(
        gpu: &Gpu,
        parameters: Vec<Parameter>,
        is_own: impl Fn(usize) -> bool,
        config: AdamWConfig,
    ) -> Result<Self> {
        let moment = |parameter: &Parameter, which: &str| {
            let label = format!("{} {which} moment", parameter.name);
            Tensor::new(gpu, Memory::Optimizer, &label, parameter.weight.rows(), parameter.weight.columns(), Dtype::F32)
        };
        let moments = parameters
            .iter()
            .enumerate()
            .map(|(place, parameter)| {
                let both = || Ok(Moments { first: moment(parameter, "first")?, second: moment(parameter, "second")? });
                is_own(place).then(both).transpose()
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            moments,
            clipping: Clipping::new(gpu, parameters.iter().map(|parameter| &parameter.gradient))?,
            step: Tensor::workspace(gpu, "optimizer step", adamw::STEP, Dtype::F32)?,
            parameters,
            config,
        })
    }

    /// The parameters, in the order they were given.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The moments of each parameter, for checkpoints; `None` for those that are updated elsewhere.
    pub fn moments(&self) -> &[Option<Moments>] {
        &self.moments
    }

    /// Records norm, clipping and update. Replay it after [`AdamW::begin_step`] and the last backward pass of a step.
    ///
    /// # Errors
    /// A gradient, its moments or its copy has another shape than the parameter.
    pub fn record(&self, recorder: &mut Recorder) -> Result<()> {
        self.record_squares(recorder)?;
        self.record_update(recorder)
    }

    /// Records the first half of [`AdamW::record`]: the squared norms of the gradients of what has moments.
    ///
    /// # Errors
    /// As [`AdamW::record`].
    pub(crate) fn record_squares(&self, recorder: &mut Recorder) -> Result<()> {
        let gradients = self.parameters.iter().map(|parameter| &parameter.gradient).enumerate();
        self.clipping.record_squares(recorder, gradients.filter(|(place, _)| self.moments[*place].is_some()))
    }

    /// Records the second half of [`AdamW::record`]: the norm over all gradients, and the update of what has moments.
    ///
    /// # Errors
    /// As [`AdamW::record`].
    pub(crate) fn record_update(&self, recorder: &mut Recorder) -> Result<()> {
        self.clipping.record_norm(recorder, &self.step)?;
        for (parameter, moments) in self.parameters.iter().zip(&self.moments) {
            let Some(moments) = moments else { continue };
            let state = State {
                gradient: &parameter.gradient,
                weight: &parameter.weight,
                first: &moments.first,
                second: &moments.second,
                copy: parameter.compute.as_ref(),
                decays: parameter.decay,
            };
            adamw::update(recorder, &self.step, self.clipping.clip(), &state)?;
        }
        Ok(())
    }

    /// Squared norms of gradients, between the halves of [`AdamW::record`].
    pub(crate) fn clipping(&self) -> &Clipping {
        &self.clipping
    }

    /// Tells the recording which step comes next, counted from 0, and its learning rate.
    pub fn begin_step(&self, gpu: &Gpu, step: usize, learning_rate: f64) {
        self.begin_scaled_step(gpu, step, learning_rate, 1.0);
    }

    /// As [`Self::begin_step`], where the loss was multiplied by a factor.
    pub fn begin_scaled_step(&self, gpu: &Gpu, step: usize, learning_rate: f64, loss_scale: f64) {
        let AdamWConfig { betas, eps, weight_decay, max_grad_norm } = self.config;
        let max_norm = if max_grad_norm.is_finite() { max_grad_norm } else { 0.0 };
        let step = Step { learning_rate, weight_decay, betas, eps, max_norm, loss_scale, count: step as u64 + 1 };
        self.step.write_f32(gpu, &step.values());
    }

    /// The gradient norm of the last step, before clipping. Waits for the step.
    ///
    /// # Errors
    /// The device fails.
    pub async fn grad_norm(&self, gpu: &Gpu) -> Result<GradNorm> {
        self.clipping.read(gpu, |place| self.parameters[place].name.clone()).await
    }
}
