//! Common to operations on single values: tensors of one shape, and one lane for every group of four values.

use wgr_shaders::params::swiglu::Params;

use super::guard::check_columns;
use crate::Result;
use crate::gpu::{Cost, Kernel, Recorder, Shard, Tensor, grid};

const WORKGROUP: u32 = 64;

/// Records a kernel over the first `rows` rows of its tensors, at `flops` operations per value.
pub(super) fn record(
    recorder: &mut Recorder,
    kernel: &Kernel,
    rows: usize,
    tensors: &[&Tensor],
    flops: f64,
) -> Result<()> {
    check_columns(kernel.name(), tensors)?;
    let params = Params { count: rows as u32 * tensors[0].columns4() };
    let bindings: Vec<&Shard> = tensors.iter().map(|tensor| tensor.whole()).collect();
    let values = rows as f64 * tensors[0].columns().len() as f64;
    let bytes = tensors.iter().map(|tensor| tensor.dtype().bytes() as f64).sum::<f64>() * values;
    let cost = Cost { flops: flops * values, bytes, ..Cost::default() };
    recorder.dispatch(kernel, &params, &bindings, grid(params.count.div_ceil(WORKGROUP)), cost)
}
