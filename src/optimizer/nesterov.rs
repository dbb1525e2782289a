//! Stochastic gradient descent with Nesterov momentum, on the host: the outer optimizer of DiLoCo, which takes few steps.

/// Hyper-parameters; the defaults are those of DiLoCo (arXiv 2311.08105).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nesterov {
    /// The share of a step that is taken.
    pub learning_rate: f64,
    /// How much of the velocity stays.
    pub momentum: f64,
}

impl Default for Nesterov {
    fn default() -> Self {
        Self { learning_rate: 0.7, momentum: 0.9 }
    }
}

impl Nesterov {
    /// Takes a step against a gradient, as PyTorch's `SGD(nesterov=True)`. The velocity, zeros before the first step, takes the
    /// gradient up.
    pub fn step(&self, weights: &mut [f32], gradient: &[f32], velocity: &mut [f32]) {
        for ((weight, gradient), velocity) in weights.iter_mut().zip(gradient).zip(velocity) {
            let gradient = f64::from(*gradient);
            let speed = self.momentum * f64::from(*velocity) + gradient;
            *weight = (f64::from(*weight) - self.learning_rate * (gradient + self.momentum * speed)) as f32;
            *velocity = speed as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `torch.optim.SGD([w], lr=0.7, momentum=0.9, nesterov=True)` in float64.
    #[test]
    fn steps_are_those_of_pytorch() {
        let (mut weights, mut velocity) = ([1.0, -2.0, 0.5], [0.0; 3]);
        let steps = [
            ([0.5, -0.25, 0.125], [0.335, -1.6675, 0.33375], [0.5, -0.25, 0.125]),
            ([-1.0, 0.5, 0.375], [1.3815, -2.19075, -0.235875], [-0.55, 0.275, 0.4875]),
            ([0.25, 0.75, -0.5], [1.36085, -3.344175, 0.1527125], [-0.245, 0.9975, -0.06125]),
        ];
        for (gradient, expected, velocities) in steps {
            Nesterov::default().step(&mut weights, &gradient, &mut velocity);
            for (value, expected) in weights.iter().zip(expected).chain(velocity.iter().zip(velocities)) {
                assert!((f64::from(*value) - expected).abs() < 1e-6, "{weights:?} {velocity:?}");
            }
        }
    }

    #[test]
    fn a_whole_step_without_momentum_arrives_at_the_mean_of_the_ranks() {
        let ranks = [[1.5, -0.25], [0.5, 0.75], [-2.0, 1.0]];
        let mut weights = [0.25, 0.125];
        let difference = |place: usize| ranks.iter().map(|own| weights[place] - own[place]).sum::<f32>() / 3.0;
        let gradient = [difference(0), difference(1)];
        Nesterov { learning_rate: 1.0, momentum: 0.0 }.step(&mut weights, &gradient, &mut [0.0; 2]);
        assert!(weights[0].abs() < 1e-6 && (weights[1] - 0.5).abs() < 1e-6, "{weights:?}");
    }
}
