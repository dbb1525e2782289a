//! Losses over pairs of completions with their gradients: functions of the log-probabilities that policy and reference
//! model give the chosen and the rejected completion.
//!
//! Every loss is a sum over pairs times one scale. The scale is a tensor, not a parameter: an optimizer step is the mean
//! over all its micro-batches, so the same recording is replayed with another denominator at every step.

use wgr_shaders::params::preference::Params;

use crate::Result;
use crate::gpu::{Cost, Kernel, Recorder, Tensor, grid};

const WORKGROUP: u32 = 64;

/// The hyperparameters of the losses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// The factor of the log-probability ratios.
    pub beta: f32,
    /// Share of pairs assumed to have swapped labels; below a half for [`robust`].
    pub label_smoothing: f32,
    /// The margin that [`simpo`] asks for.
    pub gamma: f32,
    /// Weight of the token-mean negative log-likelihood of the chosen completion, which is added to every loss.
    pub sft_weight: f32,
}

/// The pairs of a micro-batch. Sequences are chosen, rejected, chosen, …; all tensors but `offsets` are f32.
pub struct Pairs<'a> {
    /// Number of pairs.
    pub pairs: usize,
    /// Where the predicted tokens of each sequence start, and where those of the last one end (u32).
    pub offsets: &'a Tensor,
    /// `[sequences, 2]`: the summed log-probability under the policy, and another value.
    pub sums: &'a Tensor,
    /// `[sequences]`: the summed log-probability under the reference; ignored by [`simpo`] and [`orpo`].
    pub references: &'a Tensor,
    /// One value: one over the number of pairs of the optimizer step.
    pub scale: &'a Tensor,
    /// `[pairs]`, overwritten: the scaled loss of each; the sum over a step is the step's loss.
    pub losses: &'a Tensor,
    /// `[sequences]`, overwritten: the gradient of the summed losses with respect to each log-probability.
    pub coefficients: &'a Tensor,
}

/// DPO: `−log σ(βδ)` (Rafailov et al. 2023, arXiv 2305.18290).
///
/// # Errors
/// If a tensor is not what the shader declares, or the driver fails.
pub fn sigmoid(recorder: &mut Recorder, pairs: &Pairs, weights: Weights) -> Result<()> {
    record(recorder, "preference/sigmoid", pairs, weights)
}

/// Conservative DPO: `−(1−ε) log σ(βδ) − ε log σ(−βδ)` (Mitchell 2023, "A note on DPO with noisy preferences").
///
/// # Errors
/// As [`sigmoid`].
pub fn cdpo(recorder: &mut Recorder, pairs: &Pairs, weights: Weights) -> Result<()> {
    record(recorder, "preference/cdpo", pairs, weights)
}

/// Robust DPO: `[−(1−ε) log σ(βδ) + ε log σ(−βδ)] / (1−2ε)` (Chowdhury et al. 2024, arXiv 2403.00409).
///
/// # Errors
/// As [`sigmoid`].
pub fn robust(recorder: &mut Recorder, pairs: &Pairs, weights: Weights) -> Result<()> {
    record(recorder, "preference/robust", pairs, weights)
}

/// `max(0, 1 − βδ)` (Zhao et al. 2023, SLiC, arXiv 2305.10425; Liu et al. 2023, arXiv 2309.06657).
///
/// # Errors
/// As [`sigmoid`].
pub fn hinge(recorder: &mut Recorder, pairs: &Pairs, weights: Weights) -> Result<()> {
    record(recorder, "preference/hinge", pairs, weights)
}

/// IPO: the squared distance of the difference of token means from `1/(2β)` (Azar et al. 2023, arXiv 2310.12036).
///
/// # Errors
/// As [`sigmoid`].
pub fn ipo(recorder: &mut Recorder, pairs: &Pairs, weights: Weights) -> Result<()> {
    record(recorder, "preference/ipo", pairs, weights)
}

/// SimPO: `−log σ(β(l_w − l_l) − γ)` of token means, without a reference (Meng et al. 2024, arXiv 2405.14734).
///
/// # Errors
/// As [`sigmoid`].
pub fn simpo(recorder: &mut Recorder, pairs: &Pairs, weights: Weights) -> Result<()> {
    record(recorder, "preference/simpo", pairs, weights)
}

/// ORPO: `−l_w − β log σ(log-odds)` of token means, without a reference (Hong et al. 2024, arXiv 2403.07691).
///
/// # Errors
/// As [`sigmoid`].
pub fn orpo(recorder: &mut Recorder, pairs: &Pairs, weights: Weights) -> Result<()> {
    record(recorder, "preference/orpo", pairs, weights)
}

/// APO-zero: `1 − σ(βc) + σ(βr)` (D'Oosterlinck et al. 2024, arXiv 2408.06266).
///
/// # Errors
/// As [`sigmoid`].
pub fn apo_zero(recorder: &mut Recorder, pairs: &Pairs, weights: Weights) -> Result<()> {
    record(recorder, "preference/apo_zero", pairs, weights)
}

/// NCA for pairs: `−log σ(βc) − ½ log σ(−βc) − ½ log σ(−βr)` (Chen et al. 2024, arXiv 2402.05369).
///
/// # Errors
/// As [`sigmoid`].
pub fn nca_pair(recorder: &mut Recorder, pairs: &Pairs, weights: Weights) -> Result<()> {
    record(recorder, "preference/nca_pair", pairs, weights)
}

fn record(recorder: &mut Recorder, name: &'static str, pairs: &Pairs, weights: Weights) -> Result<()> {
    let Pairs { pairs, offsets, sums, references, scale, losses, coefficients } = *pairs;
    let Weights { beta, label_smoothing, gamma, sft_weight } = weights;
    let params = Params { pairs: pairs as u32, beta, label_smoothing, gamma, sft_weight };
    let bindings = [offsets, sums, references, scale, losses, coefficients].map(Tensor::whole);
    let cost = Cost { flops: 40.0 * pairs as f64, bytes: 48.0 * pairs as f64, ..Cost::default() };
    recorder.dispatch(&Kernel::new(name), &params, &bindings, grid(params.pairs.div_ceil(WORKGROUP)), cost)
}
