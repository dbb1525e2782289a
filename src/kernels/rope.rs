//! Rotary position embedding of queries and keys, in place, over packed sequences (arXiv 2104.09864).

use wgr_shaders::params::rope::Params;

use super::{for_x, loads_wide};
use crate::gpu::{Cost, Dtype, Gpu, Kernel, Layout, Recorder, Tensor, grid};
use crate::{Error, Result};

const WORKGROUP: u32 = 64;

/// The table of angles that the kernel reads: row `p` holds `factor · cos(p · f)` for each inverse frequency `f`, then
/// `factor · sin(p · f)`. Angles are computed in f64: at position 32,000 an f32 angle is off by a thousandth.
///
/// # Errors
/// If `positions` × head dimension exceeds the binding limit.
pub fn table(gpu: &Gpu, positions: usize, inverse_frequencies: &[f64], factor: f64) -> Result<Tensor> {
    let columns = Layout::heads(1, 2 * inverse_frequencies.len());
    let table = Tensor::activation(gpu, "rotary angles", positions, columns, Dtype::F32)?;
    let values: Vec<f32> = (0..positions)
        .flat_map(|position| {
            let angle = move |frequency: &f64| position as f64 * frequency;
            let cosines = inverse_frequencies.iter().map(move |f| (factor * angle(f).cos()) as f32);
            cosines.chain(inverse_frequencies.iter().map(move |f| (factor * angle(f).sin()) as f32))
        })
        .collect();
    table.write(gpu, &values)?;
    Ok(table)
}

/// Rotates the heads of `x` (f32, bf16 or f16, [`Layout::heads`]) by the angles of [`table`], in place.
///
/// `spans` holds, for each token, the first token and the end of its sequence (u32); the position of a token counts
/// from the first. The table must reach as far as the longest sequence.
///
/// # Errors
/// If `x` does not consist of heads as wide as the table, a tensor is not what the shader declares, or the driver
/// fails.
pub fn forward(recorder: &mut Recorder, rows: usize, x: &Tensor, table: &Tensor, spans: &Tensor) -> Result<()> {
    rotate(recorder, rows, x, table, spans, 1.0)
}

/// Turns the gradient of rotated heads into that of the heads before the rotation, in place, by rotating them back.
///
/// # Errors
/// As [`forward`].
pub fn backward(recorder: &mut Recorder, rows: usize, d_x: &Tensor, table: &Tensor, spans: &Tensor) -> Result<()> {
    rotate(recorder, rows, d_x, table, spans, -1.0)
}

fn rotate(recorder: &mut Recorder, rows: usize, x: &Tensor, table: &Tensor, spans: &Tensor, sign: f32) -> Result<()> {
    let head = table.columns();
    let heads = x.columns().len() / head.len().max(1);
    let fits = head == Layout::heads(1, head.len()) && x.columns() == Layout::heads(heads, head.len());
    if heads == 0 || !fits {
        return Err(Error::kernel("rope/main", format!("{} does not consist of heads of {}", x.label(), head.len())));
    }
    let kernel = Kernel::new("rope/main").feature_if(loads_wide(recorder.gpu, x.dtype()), "wide");
    let kernel = for_x(kernel, x.dtype());
    let params = Params {
        tokens: rows as u32,
        heads: heads as u32,
        half4: table.columns4() / 2,
        positions: table.rows().len() as u32,
        sign,
    };
    let workgroups = grid((rows as u32 * params.half4).div_ceil(WORKGROUP));
    let bindings = [table.whole(), spans.whole(), x.whole()];
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost(rows, x))
}

fn cost(rows: usize, x: &Tensor) -> Cost {
    let values = rows as f64 * x.columns().len() as f64;
    Cost { flops: 3.0 * values, bytes: 2.0 * x.dtype().bytes() as f64 * values, ..Cost::default() }
}
