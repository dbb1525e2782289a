// The settings of an optimizer step, which the host writes, and the clipping that follows from the global norm.

struct Step {
    /// Learning rate times weight decay.
    decay: f32,
    /// Learning rate / (1 - beta1^t).
    step_size: f32,
    /// 1 - beta1, rounded once: 1 - 0.999 in f32 would be off by 5e-5.
    rate1: f32,
    beta2: f32,
    /// 1 - beta2.
    rate2: f32,
    /// 1 / sqrt(1 - beta2^t).
    correction2: f32,
    eps: f32,
    /// Norm to clip to; 0 clips nothing.
    max_norm: f32,
    /// What gradients are multiplied by first: 1 / the loss scale.
    unscale: f32,
}

struct Clip {
    /// Every gradient is multiplied by this.
    coefficient: f32,
    /// 1, or 0 where a gradient is not finite and the step must not happen.
    finite: f32,
    /// Norm before clipping.
    norm: f32,
}
