//! Twins of the objectives: the scaled loss of every sequence, and the gradient of their sum.
//!
//! Labels are levels 1, 2, …; `scale` is one over the denominator of the optimizer step.

use super::Real;

/// `ln(1 + e^u) = −ln σ(−u)`, without overflow.
pub fn softplus<T: Real>(u: T) -> T {
    let (positive, magnitude) = if u > T::of(0.0) { (u, u) } else { (T::of(0.0), -u) };
    positive + (T::of(1.0) + (-magnitude).exp()).ln()
}

/// `1 / (1 + e^−u)`, without overflow.
pub fn sigmoid<T: Real>(u: T) -> T {
    let one = T::of(1.0);
    if u < T::of(0.0) { u.exp() / (one + u.exp()) } else { one / (one + (-u).exp()) }
}

/// Binary cross-entropy of the logit `z` with the target `label > k`, and its derivative.
fn cross_entropy<T: Real>(z: T, k: usize, label: T) -> (T, T) {
    if label > T::of(k as f64) { (softplus(-z), -sigmoid(-z)) } else { (softplus(z), sigmoid(z)) }
}

/// Losses `[sequences]` and gradients of the logits, of the same shape as the logits.
pub type LossAndGradient<T> = (Vec<T>, Vec<T>);

fn independent<T: Real>(
    thresholds: usize,
    logits: &[T],
    labels: &[T],
    scale: T,
    conditional: bool,
) -> LossAndGradient<T> {
    let mut losses = vec![T::default(); labels.len()];
    let mut d_logits = vec![T::default(); logits.len()];
    for (row, label) in labels.iter().enumerate() {
        for k in 1..=thresholds {
            if conditional && *label < T::of(k as f64) {
                continue;
            }
            let at = row * thresholds + k - 1;
            let (loss, slope) = cross_entropy(logits[at], k, *label);
            losses[row] += scale * loss;
            d_logits[at] = scale * slope;
        }
    }
    (losses, d_logits)
}

/// Independent thresholds: every threshold learns from every row.
pub fn ordinal<T: Real>(thresholds: usize, logits: &[T], labels: &[T], scale: T) -> LossAndGradient<T> {
    independent(thresholds, logits, labels, scale, false)
}

/// CORN: threshold k learns from the rows with `label > k − 1`.
pub fn corn<T: Real>(thresholds: usize, logits: &[T], labels: &[T], scale: T) -> LossAndGradient<T> {
    independent(thresholds, logits, labels, scale, true)
}

/// CORAL, `z_k = s + bias_k`: losses, `∂/∂s` and `∂/∂bias`.
pub fn coral<T: Real>(logits: &[T], biases: &[T], labels: &[T], scale: T) -> (Vec<T>, Vec<T>, Vec<T>) {
    let z: Vec<T> = logits.iter().flat_map(|s| biases.iter().map(|bias| *s + *bias)).collect();
    let (losses, d_z) = ordinal(biases.len(), &z, labels, scale);
    let d_logits = d_z.chunks_exact(biases.len()).map(|row| row.iter().copied().sum()).collect();
    (losses, d_logits, super::column_sum::forward(labels.len(), biases.len(), &d_z))
}

/// Bradley–Terry over rows chosen, rejected, …; the label of the chosen row is the margin.
pub fn pairwise<T: Real>(logits: &[T], labels: &[T], scale: T) -> LossAndGradient<T> {
    let pairs = logits.chunks_exact(2).zip(labels.chunks_exact(2));
    pairs
        .flat_map(|(logit, margin)| {
            let u = logit[1] - logit[0] + margin[0];
            let slope = scale * sigmoid(u);
            [(scale * softplus(u), -slope), (T::default(), slope)]
        })
        .unzip()
}

/// Squared error of one logit against the label.
pub fn regression<T: Real>(logits: &[T], labels: &[T], scale: T) -> LossAndGradient<T> {
    let errors = logits.iter().zip(labels).map(|(logit, label)| *logit - *label);
    errors.map(|error| (scale * error * error, T::of(2.0) * scale * error)).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Four thresholds, and levels that are [[1,1,0,0], [1,0,0,0], [1,1,1,1]] as targets.
    const LOGITS: [f64; 12] = [2.1, 1.8, -2.1, -1.8, 1.9, -1.0, -1.5, -1.3, 1.9, 1.8, 1.7, 1.6];
    const LABELS: [f64; 3] = [3.0, 2.0, 5.0];

    fn assert_near(actual: &[f64], expected: &[f64]) {
        assert_eq!(actual.len(), expected.len());
        for (a, e) in actual.iter().zip(expected) {
            assert!((a - e).abs() < 1e-9, "{actual:?} instead of {expected:?}");
        }
    }

    /// Central differences of the summed loss.
    fn numeric(x: &[f64], loss: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let total = |x: &[f64]| loss(x).iter().sum::<f64>();
        (0..x.len())
            .map(|i| {
                let mut moved = x.to_vec();
                moved[i] += 1e-5;
                let above = total(&moved);
                moved[i] -= 2e-5;
                (above - total(&moved)) / 2e-5
            })
            .collect()
    }

    // The numbers are PyTorch's, in f64: binary_cross_entropy_with_logits, the CORN and CORAL losses written with
    // logsigmoid, and mse_loss.
    #[test]
    fn losses_and_gradients_are_those_of_pytorch() {
        let (losses, gradient) = ordinal(4, &LOGITS, &LABELS, 1.0 / 12.0);
        assert_near(&[losses.iter().sum()], &[0.173_009_632_009]);
        assert_near(&gradient[..4], &[-0.009_091_401_766, -0.011_820_922_075, 0.009_091_401_766, 0.011_820_922_075]);
        let per_row: f64 = ordinal(4, &LOGITS, &LABELS, 1.0 / 3.0).0.iter().sum();
        assert!((per_row - 0.69204).abs() < 5e-6);

        let (losses, gradient) = corn(4, &LOGITS, &LABELS, 1.0 / 9.0);
        assert_near(&[losses.iter().sum()], &[0.164_524_026_863]);
        assert_near(&gradient[..4], &[-0.012_121_869_022, -0.015_761_229_433, 0.012_121_869_022, 0.0]);
        assert_near(&gradient[4..8], &[-0.014_456_497_151, 0.029_882_380_152, 0.0, 0.0]);

        let (losses, d_s, d_bias) = coral(&[0.3, -1.2, 2.5], &[1.0, 0.75, 0.5, 0.25], &LABELS, 1.0 / 3.0);
        assert_near(&[losses.iter().sum()], &[1.639_179_027_505]);
        assert_near(&d_s, &[0.283_573_318_121, 0.150_074_606_182, -0.058_050_547_149]);
        assert_near(&d_bias, &[-0.264_437_081_674, 0.030_936_259_296, 0.324_786_945_261, 0.284_311_254_271]);

        let (losses, gradient) = pairwise(&[0.3, -1.2, 2.5, 2.9], &[0.5, 0.0, 0.0, 0.0], 0.5);
        assert_near(&[losses.iter().sum()], &[0.613_138_469_959]);
        assert_near(&gradient, &[-0.134_470_710_685, 0.134_470_710_685, -0.299_343_830_056, 0.299_343_830_056]);

        let (losses, gradient) = regression(&[0.3, -1.2, 2.5], &[3.0, 2.0, 5.0], 1.0 / 3.0);
        assert_near(&[losses.iter().sum()], &[7.926_666_666_667]);
        assert_near(&gradient, &[-1.8, -2.133_333_333_333, -1.666_666_666_667]);
    }

    #[test]
    fn gradients_are_the_slopes_of_the_losses() {
        let scale = 0.37;
        assert_near(&ordinal(4, &LOGITS, &LABELS, scale).1, &numeric(&LOGITS, |z| ordinal(4, z, &LABELS, scale).0));
        assert_near(&corn(4, &LOGITS, &LABELS, scale).1, &numeric(&LOGITS, |z| corn(4, z, &LABELS, scale).0));
        let (s, b) = ([0.3, -1.2, 2.5], [0.9, 0.1, -0.4]);
        let (_, d_s, d_bias) = coral(&s, &b, &LABELS, scale);
        assert_near(&d_s, &numeric(&s, |s| coral(s, &b, &LABELS, scale).0));
        assert_near(&d_bias, &numeric(&b, |b| coral(&s, b, &LABELS, scale).0));
        let margins = [0.2, 0.0, -0.5, 0.0];
        assert_near(
            &pairwise(&LOGITS[..4], &margins, scale).1,
            &numeric(&LOGITS[..4], |z| pairwise(z, &margins, scale).0),
        );
        assert_near(&regression(&s, &LABELS, scale).1, &numeric(&s, |s| regression(s, &LABELS, scale).0));
    }
}
