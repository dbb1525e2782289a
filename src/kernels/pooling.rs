//! One row per packed sequence: its last token, as sequence classifiers read it, or its first token or the mean of its
//! tokens, as sentence embedders do.

use wgr_shaders::params::pooling::Params;

use super::guard::check_columns;
use crate::Result;
use crate::gpu::{Cost, Kernel, Recorder, Tensor, grid};

const WORKGROUP: u32 = 64;

/// The row that a sequence is pooled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Its first token, which is `[CLS]` in BERT-like models.
    First,
    /// Its last token.
    Last,
    /// The mean of its tokens.
    Mean,
}

impl Pooling {
    fn feature(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::Mean => "mean",
        }
    }
}

fn params(rows: usize, sequences: usize, x: &Tensor) -> Params {
    Params { tokens: rows as u32, sequences: sequences as u32, columns4: x.columns4() }
}

/// `y[sequences, columns]` = the first or last row or the mean of the rows `offsets[s]..offsets[s + 1]` of `x[rows, columns]`,
/// both f32. No sequence may be empty.
///
/// # Errors
/// If the columns of `x` and `y` differ, a tensor is not what the shader declares, or the driver fails.
pub fn forward(
    recorder: &mut Recorder,
    rows: usize,
    sequences: usize,
    pooling: Pooling,
    offsets: &Tensor,
    x: &Tensor,
    y: &Tensor,
) -> Result<()> {
    let kernel = Kernel::new("pooling/forward").feature(pooling.feature());
    check_columns(kernel.name(), &[x, y])?;
    let params = params(rows, sequences, x);
    let workgroups = grid((params.sequences * params.columns4).div_ceil(WORKGROUP));
    let read = if pooling == Pooling::Mean { rows } else { sequences };
    let bindings = [offsets.whole(), x.whole(), y.whole()];
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost(read + sequences, x))
}

/// The backward pass of [`Pooling::Last`]: overwrites the rows of every sequence in `d_x[rows, columns]` with that of `d_y`
/// for its last token and zeros for the others. The other poolings have none: encoders are not trained.
///
/// # Errors
/// If the columns of `d_x` and `d_y` differ, a tensor is not what the shader declares, or the driver fails.
pub fn backward(
    recorder: &mut Recorder,
    rows: usize,
    sequences: usize,
    offsets: &Tensor,
    d_y: &Tensor,
    d_x: &Tensor,
) -> Result<()> {
    let kernel = Kernel::new("pooling/backward");
    check_columns(kernel.name(), &[d_x, d_y])?;
    let params = params(rows, sequences, d_x);
    let workgroups = grid((params.sequences * params.columns4).div_ceil(WORKGROUP));
    let bindings = [offsets.whole(), d_y.whole(), d_x.whole()];
    let cost = cost(rows + sequences, d_x);
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost)
}

fn cost(rows: usize, x: &Tensor) -> Cost {
    let values = rows as f64 * x.columns().len() as f64;
    Cost { flops: values, bytes: 4.0 * values, ..Cost::default() }
}
