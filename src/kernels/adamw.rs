//! AdamW on f32 master weights, with a low-precision copy written in the same pass.

use wgr_shaders::params::adamw::Params;

use crate::gpu::{Cost, Dtype, Kernel, Recorder, Shard, Tensor, grid};
use crate::{Error, Result};

pub use wgr_shaders::{STEP, Step};

/// Groups of four values that a workgroup updates: 64 lanes, four each.
const WORKGROUP_GROUPS: u32 = 256;

/// One parameter with its gradient and moments, all f32 and of one shape.
pub struct State<'a> {
    /// The gradient.
    pub gradient: &'a Tensor,
    /// The master weight, updated.
    pub weight: &'a Tensor,
    /// First moment, updated.
    pub first: &'a Tensor,
    /// Second moment, updated.
    pub second: &'a Tensor,
    /// The bf16 or f16 copy of the weight, overwritten.
    pub copy: Option<&'a Tensor>,
    /// Whether the weight decays.
    pub decays: bool,
}

/// Updates one parameter in place, shard by shard. `step` holds [`Step::values`], `clip` the result of
/// [`global_norm::finish`](super::global_norm::finish); if that is not finite, nothing changes.
///
/// # Errors
/// If gradient, moments or copy do not have the shape of the weight, the copy is neither bf16 nor f16, a tensor is not
/// what the shader declares, or the driver fails.
pub fn update(recorder: &mut Recorder, step: &Tensor, clip: &Tensor, state: &State) -> Result<()> {
    let kernel = Kernel::new("adamw/update").feature_if(recorder.gpu.loads_wide(), "wide");
    let kernel = match state.copy.map(Tensor::dtype) {
        None => kernel,
        Some(Dtype::Bf16) => kernel.feature("copy_bf16"),
        Some(Dtype::F16) => kernel.feature("copy_f16"),
        Some(other) => {
            return Err(Error::kernel("adamw/update", format!("{} has no copy in {other}", state.weight.label())));
        }
    };
    guard(state)?;
    let columns4 = state.weight.columns4();
    let masters = [state.gradient, state.weight, state.first, state.second];
    for i in 0..state.weight.shards().len() {
        let shards = masters.map(|tensor| &tensor.shards()[i]);
        // A single row may be padded to four in some of them and not in others; padding is zero and stays so.
        let first_row = shards[0].first_row;
        let rows = first_row..first_row + shards.iter().map(|shard| shard.rows).min().unwrap_or(0);
        // A copy has half the bytes, so its shards are cut at other rows.
        let pieces: Vec<Option<&Shard>> = match state.copy {
            None => vec![None],
            Some(copy) => copy.shards().iter().map(Some).collect(),
        };
        for piece in pieces {
            let copied = piece.map_or(rows.clone(), |piece| piece.first_row..piece.first_row + piece.rows);
            let (first, last) = (rows.start.max(copied.start), rows.end.min(copied.end));
            if first >= last {
                continue;
            }
            let params = Params {
                groups: (last - first) as u32 * columns4,
                first: (first - rows.start) as u32 * columns4,
                copy_first: (first - copied.start) as u32 * columns4,
                decays: if state.decays { 1.0 } else { 0.0 },
            };
            let mut bindings = vec![step.whole(), clip.whole()];
            bindings.extend(shards);
            bindings.extend(piece);
            recorder.dispatch(
                &kernel,
                &params,
                &bindings,
                grid(params.groups.div_ceil(WORKGROUP_GROUPS)),
                cost(params.groups),
            )?;
        }
    }
    Ok(())
}

/// Gradient, moments and copy are addressed by places in the weight.
fn guard(state: &State) -> Result<()> {
    let weight = state.weight;
    let same_shape = |tensor: &Tensor| tensor.rows() == weight.rows() && tensor.columns() == weight.columns();
    let same_cuts = |tensor: &Tensor| {
        let cuts = |tensor: &Tensor| tensor.shards().iter().map(|shard| shard.first_row).collect::<Vec<_>>();
        cuts(tensor) == cuts(weight)
    };
    let masters = [state.gradient, weight, state.first, state.second];
    let fits = masters.iter().all(|tensor| same_shape(tensor) && same_cuts(tensor));
    if !fits || state.copy.is_some_and(|copy| !same_shape(copy)) {
        return Err(Error::kernel("adamw/update", format!("gradient, moments or copy do not fit {}", weight.label())));
    }
    Ok(())
}

fn cost(groups: u32) -> Cost {
    let values = 4.0 * f64::from(groups);
    Cost { flops: 15.0 * values, bytes: 28.0 * values, ..Cost::default() }
}
