//! Losses of a reward head with their gradients, in one pass over the logits.
//!
//! Every loss is a sum of terms times one scale. The scale is a tensor, not a parameter: an optimizer step is the mean
//! over all its micro-batches, so the same recording is replayed with another denominator at every step.

use wgr_shaders::params::objective::Params;

use super::column_sum;
use super::guard::check_columns;
use crate::gpu::{Cost, Kernel, Recorder, Tensor, grid};
use crate::{Error, Result};

const WORKGROUP: u32 = 64;

/// The sequences of a micro-batch at the head; all tensors are f32.
pub struct Rows<'a> {
    /// Number of sequences.
    pub sequences: usize,
    /// `[sequences]`: the level of each, or the margin of a pair at its chosen sequence.
    pub labels: &'a Tensor,
    /// One value: one over the denominator of the optimizer step.
    pub scale: &'a Tensor,
    /// `[sequences, logits]`.
    pub logits: &'a Tensor,
    /// `[sequences]`, overwritten: the scaled loss of each; the sum over a step is the step's loss.
    pub losses: &'a Tensor,
    /// The shape of `logits`, overwritten: the gradient of the summed losses.
    pub d_logits: &'a Tensor,
}

/// What CORAL needs in addition to the rows.
pub struct Biases<'a> {
    /// `[K − 1]`, one row.
    pub biases: &'a Tensor,
    /// The gradient of the biases, added to.
    pub d_biases: &'a Tensor,
    /// `[sequences, K − 1]`: scratch for the gradient of every threshold.
    pub d_z: &'a Tensor,
    /// Scratch: `sequences / column_sum::CHUNK` rows of the biases, rounded up.
    pub chunks: &'a Tensor,
}

/// Independent thresholds: summed binary cross-entropy of the logit of each threshold.
///
/// # Errors
/// If the columns of `logits` and `d_logits` differ, a tensor is not what the shader declares, or the driver fails.
pub fn ordinal(recorder: &mut Recorder, rows: &Rows) -> Result<()> {
    record(recorder, "objective/ordinal", rows, rows.logits, None)
}

/// CORN: like [`ordinal`], but threshold k learns only from rows whose label is above k − 1 (Shi, Cao & Raschka 2021,
/// arXiv 2111.08851).
///
/// # Errors
/// As [`ordinal`].
pub fn corn(recorder: &mut Recorder, rows: &Rows) -> Result<()> {
    record(recorder, "objective/corn", rows, rows.logits, None)
}

/// CORAL: one logit and K − 1 biases (Cao, Mirjalili & Raschka 2020, arXiv 1901.07884).
///
/// # Errors
/// As [`ordinal`]; if there is more than one logit, or the columns of the biases and `d_z` differ.
pub fn coral(recorder: &mut Recorder, rows: &Rows, biases: &Biases) -> Result<()> {
    one_logit("objective/coral", rows)?;
    check_columns("objective/coral", &[biases.d_z, biases.biases])?;
    record(recorder, "objective/coral", rows, biases.biases, Some(biases))?;
    column_sum::forward(recorder, rows.sequences, biases.d_z, biases.d_biases, biases.chunks)
}

/// Bradley–Terry over sequences chosen, rejected, chosen, …: `−log σ(s_w − s_l − margin)`, written to the row of the
/// chosen sequence.
///
/// # Errors
/// As [`ordinal`]; if there is more than one logit, or the number of sequences is odd.
pub fn pairwise(recorder: &mut Recorder, rows: &Rows) -> Result<()> {
    one_logit("objective/pairwise", rows)?;
    if !rows.sequences.is_multiple_of(2) {
        return Err(Error::kernel("objective/pairwise", format!("{} sequences are not pairs", rows.sequences)));
    }
    record(recorder, "objective/pairwise", rows, rows.logits, None)
}

/// Squared error of one logit against the label.
///
/// # Errors
/// As [`ordinal`]; if there is more than one logit.
pub fn regression(recorder: &mut Recorder, rows: &Rows) -> Result<()> {
    one_logit("objective/regression", rows)?;
    record(recorder, "objective/regression", rows, rows.logits, None)
}

fn one_logit(name: &str, rows: &Rows) -> Result<()> {
    match rows.logits.columns().len() {
        1 => Ok(()),
        count => Err(Error::kernel(name, format!("{} has {count} logits instead of one", rows.logits.label()))),
    }
}

/// `thresholds` is the tensor whose columns are the terms of one row's loss.
fn record(
    recorder: &mut Recorder,
    name: &'static str,
    rows: &Rows,
    thresholds: &Tensor,
    biases: Option<&Biases>,
) -> Result<()> {
    let Rows { sequences, labels, scale, logits, losses, d_logits } = *rows;
    check_columns(name, &[logits, d_logits])?;
    let params = Params {
        sequences: sequences as u32,
        thresholds: thresholds.columns().len() as u32,
        thresholds4: thresholds.columns4(),
    };
    let mut bindings = vec![labels.whole(), scale.whole(), logits.whole(), losses.whole(), d_logits.whole()];
    bindings.extend(biases.iter().flat_map(|extra| [extra.biases.whole(), extra.d_z.whole()]));
    let workgroups = grid(params.sequences.div_ceil(WORKGROUP));
    let values = sequences as f64 * thresholds.columns().len() as f64;
    recorder.dispatch(
        &Kernel::new(name),
        &params,
        &bindings,
        workgroups,
        Cost { flops: 20.0 * values, bytes: 8.0 * values, ..Cost::default() },
    )
}
