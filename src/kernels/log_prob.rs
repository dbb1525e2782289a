//! Log-probabilities of given tokens, entropies, and the gradient of the logits, over a vocabulary that passes by in
//! chunks of columns: nothing of size tokens × vocabulary is ever stored.
//!
//! Forward, each chunk of logits is given to [`forward`], which keeps four values per row; [`sequences`] adds them up.
//! Backward, the logits of each chunk are computed again and [`backward`] turns them into their gradient, in place.

use wgr_shaders::params::log_prob::Params;

use super::lanes;
use crate::Result;
use crate::gpu::{Cost, Kernel, Recorder, Tensor, grid};

const WORKGROUP: u32 = 64;

/// The tokens whose log-probabilities are wanted: one row each, with consecutive rows for each sequence.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// Number of rows.
    pub rows: usize,
    /// Number of sequences.
    pub sequences: usize,
    /// Two values per row (u32): the token's id, and the sequence that it belongs to.
    pub targets: &'a Tensor,
    /// Where the rows of each sequence start, and where those of the last one end (u32).
    pub offsets: &'a Tensor,
    /// Four values per row (f32): statistics of the logits seen so far.
    pub stats: &'a Tensor,
    /// One over the temperature, which multiplies the logits.
    pub scale: f32,
}

impl Rows<'_> {
    fn params(&self) -> Params {
        let (rows, sequences) = (self.rows as u32, self.sequences as u32);
        Params { rows, sequences, scale: self.scale, ..Params::default() }
    }

    fn chunk(&self, first: usize, logits: &Tensor) -> Params {
        let (columns, columns4) = (logits.columns().len() as u32, logits.columns4());
        Params { first: first as u32, columns, columns4, ..self.params() }
    }
}

/// Most columns of a chunk: few enough that a loop over their groups of four stays below
/// [`LOOP_ROUNDS`](crate::gpu::LOOP_ROUNDS).
pub const MAX_COLUMNS: usize = 260_000;

/// Takes the chunk `logits[rows, columns]`, f32, whose first column is token `first`, into the statistics. The chunk that
/// starts at token 0 comes first; the others in any order.
///
/// # Errors
/// If a tensor is not what the shader declares, or the driver fails.
pub fn forward(recorder: &mut Recorder, rows: &Rows, first: usize, logits: &Tensor) -> Result<()> {
    let params = rows.chunk(first, logits);
    let lanes = lanes(recorder.gpu, params.columns4);
    let kernel = Kernel::new("log_prob/forward").feature_if(recorder.gpu.loads_wide(), "wide").constant("LANES", lanes);
    let bindings = [rows.targets.whole(), logits.whole(), rows.stats.whole()];
    let workgroups = grid(params.rows.div_ceil(WORKGROUP / lanes));
    let cost = Cost { rounds: f64::from(params.columns4.div_ceil(lanes)), ..cost(&params, 12.0, 1.0) };
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost)
}

/// `sums[sequences]`, two f32 values each, from the statistics over the whole vocabulary: the sum of the log-probabilities
/// of a sequence's tokens, and the sum of the entropies of the distributions that they were drawn from.
///
/// # Errors
/// If a tensor is not what the shader declares, or the driver fails.
pub fn sequences(recorder: &mut Recorder, rows: &Rows, sums: &Tensor) -> Result<()> {
    let params = rows.params();
    let lanes = lanes(recorder.gpu, 64);
    let kernel = Kernel::new("log_prob/sequences").constant("LANES", lanes);
    let bindings = [rows.offsets.whole(), rows.stats.whole(), sums.whole()];
    let workgroups = grid(params.sequences.div_ceil(WORKGROUP / lanes));
    let cost = Cost { flops: 8.0 * rows.rows as f64, bytes: 16.0 * rows.rows as f64, ..Cost::default() };
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost)
}

/// Turns the chunk of logits that starts at token `first` into the gradient of a loss by them, in place.
/// `coefficients[sequences]` holds the gradient of that loss by the summed log-probability of each sequence.
///
/// # Errors
/// If a tensor is not what the shader declares, or the driver fails.
pub fn backward(
    recorder: &mut Recorder,
    rows: &Rows,
    first: usize,
    coefficients: &Tensor,
    logits: &Tensor,
) -> Result<()> {
    let params = rows.chunk(first, logits);
    let bindings = [rows.targets.whole(), rows.stats.whole(), coefficients.whole(), logits.whole()];
    let workgroups = grid((params.rows * params.columns4).div_ceil(WORKGROUP));
    let kernel = Kernel::new("log_prob/backward").feature_if(recorder.gpu.loads_wide(), "wide");
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost(&params, 6.0, 2.0))
}

fn cost(params: &Params, flops: f64, passes: f64) -> Cost {
    let values = f64::from(params.rows) * f64::from(params.columns);
    Cost { flops: flops * values, bytes: 4.0 * passes * values, ..Cost::default() }
}
