//! Copies between storage types: low-precision copies of master weights, and back.

use bytemuck::NoUninit;

use super::guard::check_columns;
use crate::Result;
use crate::gpu::{Cost, Dtype, Kernel, Recorder, Tensor, grid, refuse};

#[repr(C)]
#[derive(Clone, Copy, NoUninit)]
struct Params {
    count: u32,
    x_first: u32,
    y_first: u32,
}

const WORKGROUP: u32 = 64;

/// `y = x`, rounded to nearest: from f32 to bf16 or f16, or from one of these to f32. Values beyond the range of f16
/// are undefined there.
///
/// Either tensor may be sharded; rows are matched by number, as a wider type reaches the binding limit in fewer rows.
pub fn forward(recorder: &mut Recorder, x: &Tensor, y: &Tensor) -> Result<()> {
    let (from, to) = match (x.dtype(), y.dtype()) {
        (Dtype::F32, Dtype::Bf16) => ("x_f32", "y_bf16"),
        (Dtype::F32, Dtype::F16) => ("x_f32", "y_f16"),
        (Dtype::Bf16, Dtype::F32) => ("x_bf16", "y_f32"),
        (Dtype::F16, Dtype::F32) => ("x_f16", "y_f32"),
        (from, to) => return Err(refuse("cast", format!("{} is {from:?} and {} is {to:?}", x.label(), y.label()))),
    };
    check_columns("cast", &[x, y])?;
    let rows = |tensor: &Tensor| tensor.shards().iter().map(|shard| shard.rows).sum::<usize>();
    if rows(x) != rows(y) {
        return Err(refuse("cast", format!("the rows of {} and {} differ", x.label(), y.label())));
    }
    let kernel = Kernel::new("cast/main").feature(from).feature(to);
    let columns4 = x.columns4();
    for source in x.shards() {
        for target in y.shards() {
            let first = source.first_row.max(target.first_row);
            let end = (source.first_row + source.rows).min(target.first_row + target.rows);
            let count = end.saturating_sub(first) as u32 * columns4;
            let params = Params {
                count,
                x_first: first.saturating_sub(source.first_row) as u32 * columns4,
                y_first: first.saturating_sub(target.first_row) as u32 * columns4,
            };
            let bytes = 4.0 * f64::from(count) * (x.dtype().bytes() + y.dtype().bytes()) as f64;
            let cost = Cost { flops: 0.0, bytes };
            recorder.dispatch(&kernel, &params, &[source, target], grid(count.div_ceil(WORKGROUP)), cost)?;
        }
    }
    Ok(())
}
