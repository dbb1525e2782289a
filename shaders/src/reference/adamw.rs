//! Twin of AdamW.

use super::Real;
use crate::Step;

/// Updates weight and moments in place from a gradient that is already clipped; the formula of PyTorch's `AdamW`.
pub fn update<T: Real>(step: &Step, decays: bool, gradient: &[T], weight: &mut [T], first: &mut [T], second: &mut [T]) {
    let [beta1, beta2] = step.betas;
    let correction = |beta: f64| 1.0 - beta.powf(step.count as f64);
    let decay = T::of(1.0 - if decays { step.learning_rate * step.weight_decay } else { 0.0 });
    let step_size = T::of(step.learning_rate / correction(beta1));
    let root = T::of(correction(beta2).sqrt());
    for (i, g) in gradient.iter().enumerate() {
        weight[i] = weight[i] * decay;
        first[i] = first[i] * T::of(beta1) + *g * T::of(1.0 - beta1);
        second[i] = second[i] * T::of(beta2) + *g * *g * T::of(1.0 - beta2);
        weight[i] = weight[i] - step_size * first[i] / (second[i].sqrt() / root + T::of(step.eps));
    }
}

#[cfg(test)]
mod tests {
    use super::super::global_norm;
    use super::*;

    /// Norms and weights are those of `clip_grad_norm_` and `torch.optim.AdamW` in f64.
    #[test]
    fn three_clipped_steps_are_those_of_pytorch() {
        let (mut weight, mut first, mut second) = ([0.5, -1.0, 2.0], [0.0; 3], [0.0; 3]);
        let expected: [([f64; 3], f64, [f64; 3]); 3] = [
            ([0.1, -0.2, 3.0], 3.008_321_791_298, [0.489_500_003_008, -0.989_000_001_504, 1.988_000_000_100]),
            ([0.3, 0.05, -1.0], 1.045_227_248_018, [0.480_847_999_905, -0.986_920_602_350, 1.986_330_956_080]),
            ([-0.2, 0.4, 0.5], 0.670_820_393_250, [0.478_817_013_528, -0.992_023_234_638, 1.982_401_601_871]),
        ];
        for (count, (gradient, norm, weights)) in (1..).zip(expected) {
            let (actual, coefficient) = global_norm::forward(&[&gradient], 1.0);
            assert!((actual - norm).abs() < 1e-11);
            let gradient = gradient.map(|g| g * coefficient);
            let step = Step {
                learning_rate: 1e-2,
                weight_decay: 0.1,
                betas: [0.9, 0.999],
                eps: 1e-8,
                max_norm: 1.0,
                loss_scale: 1.0,
                count,
            };
            update(&step, true, &gradient, &mut weight, &mut first, &mut second);
            assert!(weight.iter().zip(weights).all(|(a, e)| (a - e).abs() < 1e-11), "step {count}: {weight:?}");
        }
    }
}
