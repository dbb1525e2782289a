//! What the host writes before every optimizer step, and how long the tensors are that shaders share in it.

/// Length of the step tensor.
pub const STEP: usize = 9;

/// Length of the clip tensor: coefficient, whether the norm is finite (1 or 0), norm before clipping.
pub const CLIP: usize = 3;

/// What every parameter of an optimizer step shares; written to the step tensor by the host before the step is
/// replayed.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Decay rates of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the denominator; above zero, so that padding stays zero.
    pub eps: f64,
    /// Norm to clip all gradients to; 0 clips nothing.
    pub max_norm: f64,
    /// What the loss, and with it all gradients, was multiplied by.
    pub loss_scale: f64,
    /// Optimizer steps including this one, from 1, for the bias correction.
    pub count: u64,
}

impl Step {
    /// The step tensor: everything that can be computed once is, in f64. The order is that of the shader's `Step`.
    pub fn values(&self) -> [f32; STEP] {
        let [beta1, beta2] = self.betas;
        let correction = |beta: f64| 1.0 - beta.powf(self.count as f64);
        [
            self.learning_rate * self.weight_decay,
            self.learning_rate / correction(beta1),
            1.0 - beta1,
            beta2,
            1.0 - beta2,
            1.0 / correction(beta2).sqrt(),
            self.eps,
            self.max_norm,
            1.0 / self.loss_scale,
        ]
        .map(|value| value as f32)
    }
}
