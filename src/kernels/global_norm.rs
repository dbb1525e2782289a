//! The norm over all gradients, summed in a fixed order, and the clipping coefficient it gives.

use wgr_shaders::params::global_norm::Params;

use crate::Result;
use crate::gpu::{Cost, Kernel, Preset, Recorder, Tensor, grid};

pub use wgr_shaders::CLIP;

const WORKGROUP: u32 = 64;

/// Groups of four values that are summed into one slot.
const RUN: usize = 2048;

fn slots_of_shard(rows: usize, columns4: u32) -> usize {
    (rows * columns4 as usize).div_ceil(RUN)
}

/// Slots that a gradient fills with partial sums.
pub fn slots_for(gradient: &Tensor) -> usize {
    gradient.shards().iter().map(|shard| slots_of_shard(shard.rows, gradient.columns4())).sum()
}

/// Sums squares of one f32 gradient into [`slots_for`] slots from `first_slot` on.
///
/// # Errors
/// If a tensor is not what the shader declares, or the driver fails.
pub fn partial_sums(recorder: &mut Recorder, gradient: &Tensor, slots: &Tensor, first_slot: usize) -> Result<()> {
    let lanes = match recorder.gpu.preset() {
        Preset::Software => 1,
        Preset::Gpu => WORKGROUP,
    };
    let kernel =
        Kernel::new("global_norm/slots").feature_if(recorder.gpu.loads_wide(), "wide").constant("LANES", lanes);
    let mut first_slot = first_slot as u32;
    for shard in gradient.shards() {
        let count = slots_of_shard(shard.rows, gradient.columns4()) as u32;
        let groups = shard.rows as u32 * gradient.columns4();
        let params = Params { groups, first_slot, ..Params::default() };
        let workgroups = grid(count.div_ceil(WORKGROUP / lanes));
        recorder.dispatch(&kernel, &params, &[shard, slots.whole()], workgroups, cost(4.0 * f64::from(groups)))?;
        first_slot += count;
    }
    Ok(())
}

/// Adds the slots of each tensor; tensor i owns those from `first_slots[i]` to `first_slots[i + 1]`, which the host
/// wrote.
///
/// # Errors
/// If a tensor is not what the shader declares, or the driver fails.
pub fn tensors(
    recorder: &mut Recorder,
    count: usize,
    slots: &Tensor,
    first_slots: &Tensor,
    squares: &Tensor,
) -> Result<()> {
    let kernel = Kernel::new("global_norm/tensors").constant("LANES", WORKGROUP);
    let params = Params { tensors: count as u32, ..Params::default() };
    let bindings = [slots.whole(), first_slots.whole(), squares.whole()];
    recorder.dispatch(&kernel, &params, &bindings, grid(params.tensors), cost(slots.columns().len() as f64))
}

/// Adds the tensors and writes `clip`: the coefficient is `min(1, max_norm / (norm + 1e-6))`, as in PyTorch's
/// `clip_grad_norm_`, with the `max_norm` of the step tensor.
///
/// # Errors
/// If a tensor is not what the shader declares, or the driver fails.
pub fn finish(recorder: &mut Recorder, count: usize, squares: &Tensor, step: &Tensor, clip: &Tensor) -> Result<()> {
    let kernel = Kernel::new("global_norm/finish").constant("LANES", WORKGROUP);
    let params = Params { tensors: count as u32, ..Params::default() };
    recorder.dispatch(&kernel, &params, &[squares.whole(), step.whole(), clip.whole()], [1, 1, 1], cost(count as f64))
}

fn cost(values: f64) -> Cost {
    Cost { flops: 2.0 * values, bytes: 4.0 * values, ..Cost::default() }
}
