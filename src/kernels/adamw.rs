//! AdamW on f32 master weights, with a low-precision copy written in the same pass.

use bytemuck::NoUninit;

use crate::Result;
use crate::gpu::{Cost, Dtype, Kernel, Recorder, Shard, Tensor, grid, refuse};

#[repr(C)]
#[derive(Clone, Copy, NoUninit)]
struct Params {
    groups: u32,
    first: u32,
    copy_first: u32,
    decays: f32,
}

/// Groups of four values that a workgroup updates: 64 lanes, four each.
const WORKGROUP_GROUPS: u32 = 256;

/// Length of the step tensor.
pub const STEP: usize = 8;

/// What every parameter of an optimizer step shares; written to the step tensor by the host before the step is
/// replayed.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Decay rates of the first and the second moment.
    pub betas: [f64; 2],
    /// Added to the denominator; above zero, so that padding stays zero.
    pub eps: f64,
    /// Norm to clip all gradients to; 0 clips nothing.
    pub max_norm: f64,
    /// Optimizer steps including this one, from 1, for the bias correction.
    pub count: u64,
}

impl Step {
    /// The step tensor: everything that can be computed once is, in f64. The order is that of the shader's `Step`.
    pub fn values(&self) -> [f32; STEP] {
        let [beta1, beta2] = self.betas;
        let correction = |beta: f64| 1.0 - beta.powf(self.count as f64);
        [
            self.learning_rate * self.weight_decay,
            self.learning_rate / correction(beta1),
            1.0 - beta1,
            beta2,
            1.0 - beta2,
            1.0 / correction(beta2).sqrt(),
            self.eps,
            self.max_norm,
        ]
        .map(|value| value as f32)
    }
}

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

/// Updates one parameter in place, shard by shard. `step` holds [`Step::values`], `clip` what the global norm decided;
/// where that is not finite nothing changes.
pub fn update(recorder: &mut Recorder, step: &Tensor, clip: &Tensor, state: &State) -> Result<()> {
    let kernel = Kernel::new("adamw/update").feature_if(recorder.gpu.loads_wide(), "wide");
    let kernel = match state.copy.map(Tensor::dtype) {
        None => kernel,
        Some(Dtype::Bf16) => kernel.feature("copy_bf16"),
        Some(Dtype::F16) => kernel.feature("copy_f16"),
        Some(other) => return Err(refuse("adamw", format!("{} has no copy in {other:?}", state.weight.label()))),
    };
    guard(step, clip, state)?;
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

fn guard(step: &Tensor, clip: &Tensor, state: &State) -> Result<()> {
    let weight = state.weight;
    if step.columns().len() < STEP || clip.columns().len() < super::global_norm::CLIP {
        return Err(refuse("adamw", format!("{} or {} is too small", step.label(), clip.label())));
    }
    let same_shape = |tensor: &Tensor| tensor.rows() == weight.rows() && tensor.columns() == weight.columns();
    let same_cuts = |tensor: &Tensor| {
        let cuts = |tensor: &Tensor| tensor.shards().iter().map(|shard| shard.first_row).collect::<Vec<_>>();
        cuts(tensor) == cuts(weight)
    };
    let masters = [state.gradient, weight, state.first, state.second];
    let fits = masters.iter().all(|t| t.dtype() == Dtype::F32 && same_shape(t) && same_cuts(t));
    if !fits || state.copy.is_some_and(|copy| !same_shape(copy)) {
        return Err(refuse("adamw", format!("gradient, moments or copy do not fit {}", weight.label())));
    }
    Ok(())
}

fn cost(groups: u32) -> Cost {
    let values = 4.0 * f64::from(groups);
    Cost { flops: 15.0 * values, bytes: 28.0 * values }
}
