//! Dropout whose mask is a hash of key, layer and place: forward and backward draw the same without storing it.

use wgr_shaders::params::dropout::Params;

use super::guard::check_columns;
use crate::Result;
use crate::gpu::{Cost, Dtype, Kernel, Recorder, Tensor, grid};

const WORKGROUP: u32 = 64;

/// Words of a key.
pub const KEY: usize = 2;

/// What determines a mask, apart from the key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Share of the values that is dropped, below 1.
    pub probability: f32,
    /// Distinguishes the layers of one pass.
    pub salt: u32,
}

impl Dropout {
    fn params(self, rows: usize, columns4: u32) -> Params {
        Params {
            count: rows as u32 * columns4,
            salt: self.salt,
            threshold: threshold(self.probability),
            scale: 1.0 / (1.0 - self.probability),
        }
    }
}

/// A value is dropped where its hash is below this.
pub(crate) fn threshold(probability: f32) -> u32 {
    (f64::from(probability) * 4_294_967_296.0) as u32
}

/// `y = x · mask / (1 − probability)`; `x` is f32 or bf16, `y` f32.
///
/// # Errors
/// If the columns of `x` and `y` differ, a tensor is not what the shader declares, or the driver fails.
pub fn forward(
    recorder: &mut Recorder,
    rows: usize,
    dropout: Dropout,
    key: &Tensor,
    x: &Tensor,
    y: &Tensor,
) -> Result<()> {
    let kernel = Kernel::new("dropout/forward")
        .feature_if(recorder.gpu.loads_wide(), "wide")
        .feature_if(x.dtype() == Dtype::Bf16, "x_bf16");
    record(recorder, &kernel, rows, dropout, [key, x, y])
}

/// `d_x += d_y · mask / (1 − probability)`; both are f32.
///
/// # Errors
/// If the columns of `d_y` and `d_x` differ, a tensor is not what the shader declares, or the driver fails.
pub fn backward(
    recorder: &mut Recorder,
    rows: usize,
    dropout: Dropout,
    key: &Tensor,
    d_y: &Tensor,
    d_x: &Tensor,
) -> Result<()> {
    let kernel = Kernel::new("dropout/backward").feature_if(recorder.gpu.loads_wide(), "wide");
    record(recorder, &kernel, rows, dropout, [key, d_y, d_x])
}

fn record(
    recorder: &mut Recorder,
    kernel: &Kernel,
    rows: usize,
    dropout: Dropout,
    [key, from, to]: [&Tensor; 3],
) -> Result<()> {
    check_columns(kernel.name(), &[from, to])?;
    let params = dropout.params(rows, from.columns4());
    let bindings = [key.whole(), from.whole(), to.whole()];
    recorder.dispatch(kernel, &params, &bindings, grid(params.count.div_ceil(WORKGROUP)), cost(rows, from))
}

fn cost(rows: usize, x: &Tensor) -> Cost {
    let values = rows as f64 * x.columns().len() as f64;
    Cost { flops: 8.0 * values, bytes: (4.0 + x.dtype().bytes() as f64) * values, ..Cost::default() }
}
