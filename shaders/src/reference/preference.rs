//! Twins of the losses over pairs of completions: the loss of one pair, and its gradient by the log-probabilities of the
//! chosen and of the rejected completion.

use super::Real;
use super::objective::{sigmoid as logistic, softplus};

/// What a loss is a function of; arrays hold the value of the chosen and of the rejected completion.
#[derive(Debug, Clone, Copy)]
pub struct Pair<T> {
    /// Summed log-probabilities under the policy.
    pub log_probs: [T; 2],
    /// Summed log-probabilities under the reference.
    pub references: [T; 2],
    /// Numbers of tokens.
    pub lengths: [T; 2],
}

/// The numbers that losses are given.
#[derive(Debug, Clone, Copy)]
pub struct Weights<T> {
    /// What log-probability ratios are multiplied by.
    pub beta: T,
    /// Share of pairs that are thought to be the wrong way round.
    pub label_smoothing: T,
    /// The margin of `simpo`.
    pub gamma: T,
    /// Weight of the negative log-likelihood of the chosen completion.
    pub sft_weight: T,
}

/// A loss and its two derivatives.
pub type Term<T> = (T, [T; 2]);

impl<T: Real> Pair<T> {
    fn ratios(&self) -> [T; 2] {
        [self.log_probs[0] - self.references[0], self.log_probs[1] - self.references[1]]
    }

    fn means(&self) -> [T; 2] {
        [self.log_probs[0] / self.lengths[0], self.log_probs[1] / self.lengths[1]]
    }
}

/// A function of βδ with its derivative by βδ.
fn of_difference<T: Real>(beta: T, (loss, slope): (T, T)) -> Term<T> {
    (loss, [slope * beta, -(slope * beta)])
}

fn beta_delta<T: Real>(pair: &Pair<T>, weights: &Weights<T>) -> T {
    let [c, r] = pair.ratios();
    weights.beta * (c - r)
}

/// `−log σ(βδ)`.
pub fn sigmoid<T: Real>(pair: &Pair<T>, weights: &Weights<T>) -> Term<T> {
    let x = beta_delta(pair, weights);
    of_difference(weights.beta, (softplus(-x), -logistic(-x)))
}

/// `−(1−ε) log σ(βδ) − ε log σ(−βδ)`.
pub fn cdpo<T: Real>(pair: &Pair<T>, weights: &Weights<T>) -> Term<T> {
    let (x, wrong) = (beta_delta(pair, weights), weights.label_smoothing);
    let right = T::of(1.0) - wrong;
    let loss = right * softplus(-x) + wrong * softplus(x);
    of_difference(weights.beta, (loss, wrong * logistic(x) - right * logistic(-x)))
}

/// `[−(1−ε) log σ(βδ) + ε log σ(−βδ)] / (1−2ε)`.
pub fn robust<T: Real>(pair: &Pair<T>, weights: &Weights<T>) -> Term<T> {
    let (x, wrong) = (beta_delta(pair, weights), weights.label_smoothing);
    let (right, share) = (T::of(1.0) - wrong, T::of(1.0) - T::of(2.0) * wrong);
    let loss = (right * softplus(-x) - wrong * softplus(x)) / share;
    of_difference(weights.beta, (loss, -(right * logistic(-x) + wrong * logistic(x)) / share))
}

/// `max(0, 1 − βδ)`.
pub fn hinge<T: Real>(pair: &Pair<T>, weights: &Weights<T>) -> Term<T> {
    let (x, one) = (beta_delta(pair, weights), T::of(1.0));
    of_difference(weights.beta, if x < one { (one - x, -one) } else { (T::default(), T::default()) })
}

/// `(c/n_w − r/n_l − 1/(2β))²`.
pub fn ipo<T: Real>(pair: &Pair<T>, weights: &Weights<T>) -> Term<T> {
    let ([c, r], [n_w, n_l]) = (pair.ratios(), pair.lengths);
    let error = c / n_w - r / n_l - T::of(0.5) / weights.beta;
    let slope = T::of(2.0) * error;
    (error * error, [slope / n_w, -(slope / n_l)])
}

/// `−log σ(β(l_w − l_l) − γ)` of token means.
pub fn simpo<T: Real>(pair: &Pair<T>, weights: &Weights<T>) -> Term<T> {
    let ([l_w, l_l], [n_w, n_l]) = (pair.means(), pair.lengths);
    let x = weights.beta * (l_w - l_l) - weights.gamma;
    let slope = -(weights.beta * logistic(-x));
    (softplus(-x), [slope / n_w, -(slope / n_l)])
}

/// `1 − e^l` for l ≤ 0, without cancellation near zero, and never less than a rounding of one: a completion that is as
/// good as certain has infinite odds.
fn complement<T: Real>(l: T) -> T {
    let series = || {
        let inner = T::of(1.0 / 6.0) + l * (T::of(1.0 / 24.0) + l / T::of(120.0));
        -l * (T::of(1.0) + l * (T::of(0.5) + l * inner))
    };
    let (rest, least) = (if l > T::of(-0.1) { series() } else { T::of(1.0) - l.exp() }, T::of(2f64.powi(-24)));
    if rest > least { rest } else { least }
}

/// `−l_w − β log σ(log-odds)` of token means, log-odds = (l_w − l_l) − (log(1 − e^l_w) − log(1 − e^l_l)).
pub fn orpo<T: Real>(pair: &Pair<T>, weights: &Weights<T>) -> Term<T> {
    let ([l_w, l_l], [n_w, n_l]) = (pair.means(), pair.lengths);
    let (rest_w, rest_l) = (complement(l_w), complement(l_l));
    let odds = l_w - l_l - rest_w.ln() + rest_l.ln();
    let slope = -(weights.beta * logistic(-odds));
    (weights.beta * softplus(-odds) - l_w, [(slope / rest_w - T::of(1.0)) / n_w, -(slope / rest_l / n_l)])
}

/// `1 − σ(βc) + σ(βr)`.
pub fn apo_zero<T: Real>(pair: &Pair<T>, weights: &Weights<T>) -> Term<T> {
    let beta = weights.beta;
    let [c, r] = pair.ratios().map(|ratio| beta * ratio);
    let slope = |u: T| beta * logistic(u) * logistic(-u);
    (logistic(-c) + logistic(r), [-slope(c), slope(r)])
}

/// `−log σ(βc) − ½ log σ(−βc) − ½ log σ(−βr)`.
pub fn nca_pair<T: Real>(pair: &Pair<T>, weights: &Weights<T>) -> Term<T> {
    let (beta, half) = (weights.beta, T::of(0.5));
    let [c, r] = pair.ratios().map(|ratio| beta * ratio);
    let loss = softplus(-c) + half * softplus(c) + half * softplus(r);
    (loss, [beta * (half * logistic(c) - logistic(-c)), beta * half * logistic(r)])
}

/// A loss by its name.
///
/// # Panics
/// If there is none of that name.
pub fn term<T: Real>(loss: &str, pair: &Pair<T>, weights: &Weights<T>) -> Term<T> {
    let of = match loss {
        "sigmoid" => sigmoid,
        "cdpo" => cdpo,
        "robust" => robust,
        "hinge" => hinge,
        "ipo" => ipo,
        "simpo" => simpo,
        "orpo" => orpo,
        "apo_zero" => apo_zero,
        "nca_pair" => nca_pair,
        other => panic!("there is no preference loss {other}"),
    };
    of(pair, weights)
}

/// Adds the likelihood of the chosen completion and multiplies by `scale`, one over the pairs of an optimizer step.
pub fn finish<T: Real>(pair: &Pair<T>, weights: &Weights<T>, scale: T, (loss, [chosen, rejected]): Term<T>) -> Term<T> {
    let share = weights.sft_weight / pair.lengths[0];
    (scale * (loss - share * pair.log_probs[0]), [scale * (chosen - share), scale * rejected])
}

#[cfg(test)]
mod tests {
    use super::super::gradient::assert_gradient;
    use super::*;

    /// Those of the shader's entry points.
    const LOSSES: [&str; 9] = ["sigmoid", "cdpo", "robust", "hinge", "ipo", "simpo", "orpo", "apo_zero", "nca_pair"];
    const WEIGHTS: Weights<f64> = Weights { beta: 0.3, label_smoothing: 0.2, gamma: 0.5, sft_weight: 0.6 };

    #[test]
    fn gradients_are_the_slopes_of_the_losses() {
        for loss in LOSSES {
            for (log_probs, lengths) in
                [([-3.0, -9.0], [4.0, 7.0]), ([-12.0, -2.0], [3.0, 5.0]), ([-0.02, -0.2], [2.0, 3.0])]
            {
                let of = |log_probs: &[f64]| {
                    let pair = Pair { log_probs: [log_probs[0], log_probs[1]], references: [-4.0, -7.5], lengths };
                    finish(&pair, &WEIGHTS, 0.37, term(loss, &pair, &WEIGHTS))
                };
                assert_gradient(|x| vec![of(x).0], &log_probs, &[1.0], &of(&log_probs).1);
            }
        }
    }

    #[test]
    fn losses_and_gradients_are_those_of_pytorch() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/preference.json")).unwrap();
        let number = |of: &serde_json::Value, name: &str| of[name].as_f64().unwrap();
        let weights = {
            let of = |name| number(&golden["weights"], name);
            let (label_smoothing, sft_weight) = (of("label_smoothing"), of("sft_weight"));
            Weights { beta: of("beta"), label_smoothing, gamma: of("gamma"), sft_weight }
        };
        for loss in LOSSES {
            let expected = golden[loss].as_array().unwrap();
            for (case, expected) in golden["cases"].as_array().unwrap().iter().zip(expected) {
                let both = |name: &str| ["chosen", "rejected"].map(|side| number(case, &format!("{side}{name}")));
                let (log_probs, references, lengths) = (both(""), both("_reference"), both("_length"));
                let pair = Pair { log_probs, references, lengths };
                let (value, gradient) = finish(&pair, &weights, 1.0, term(loss, &pair, &weights));
                let wanted = [&expected["loss"], &expected["gradient"][0], &expected["gradient"][1]];
                for (actual, wanted) in [value, gradient[0], gradient[1]].into_iter().zip(wanted) {
                    let wanted = wanted.as_f64().unwrap();
                    assert!((actual - wanted).abs() < 1e-8 * (1.0 + wanted.abs()), "{loss} {case}: {actual}, {wanted}");
                }
            }
        }
    }

    #[test]
    fn a_policy_that_is_its_reference_has_the_known_losses() {
        let weights = Weights { sft_weight: 0.0, ..WEIGHTS };
        let pair = Pair { log_probs: [-4.0, -7.5], references: [-4.0, -7.5], lengths: [3.0, 5.0] };
        let ln2 = 2f64.ln();
        for (loss, expected) in [
            ("sigmoid", ln2),
            ("cdpo", ln2),
            ("robust", ln2),
            ("hinge", 1.0),
            ("ipo", 1.0 / (4.0 * 0.3 * 0.3)),
            ("apo_zero", 1.0),
            ("nca_pair", 2.0 * ln2),
        ] {
            let (value, gradient) = term(loss, &pair, &weights);
            assert!((value - expected).abs() < 1e-12, "{loss}: {value}");
            // The chosen rises, the rejected falls.
            assert!(gradient[0] < 0.0 && gradient[1] > 0.0, "{loss}: {gradient:?}");
        }
    }
}
