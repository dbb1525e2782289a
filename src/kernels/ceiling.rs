//! Kernels that reach the limits of an adapter: multiply-adds in registers, and values copied and read. `bench` measures
//! with them.

use wgr_shaders::params::{ceiling::Params, ceiling_cooperative};

use super::product::cooperative_feature;
use crate::gpu::{Cost, Gpu, Kernel, Recorder, Tensor, grid};
use crate::{Error, Result};

const WORKGROUP: usize = 64;
/// Groups of four values that an invocation copies or reads.
const CHUNK: usize = 32;
/// Values of the chains of an invocation, and multiply-adds of each in a pass.
const CHAINS: usize = 12;
pub(super) const UNROLLED: usize = 8;
/// Cooperative matrices that a subgroup adds to.
const COOPERATIVE_CHAINS: usize = 4;

/// How multiply-adds are computed.
#[derive(Debug, Clone, Copy)]
pub struct Arithmetic {
    /// By the builtin `fma` instead of `*` and `+`, which not every driver fuses.
    pub fma: bool,
    /// In f16 instead of f32.
    pub f16: bool,
}

/// How invocations share the values that are copied or read.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// Neighbours access neighbouring groups of four.
    Interleaved,
    /// Each accesses a range of its own.
    Ranges,
}

/// Values that a workgroup copies or reads.
pub const VALUES: usize = 4 * WORKGROUP * CHUNK;
/// Sums that a workgroup leaves of multiply-adds or of what it reads.
pub const SUMS: usize = 4 * WORKGROUP;

fn params(workgroups: usize, order: Order) -> Params {
    let interleaved = u32::from(matches!(order, Order::Interleaved));
    Params { workgroups: workgroups as u32, passes: 0, factor: 0.0, term: 0.0, interleaved }
}

/// `x ← factor · x + term` again and again for chains of values in registers; `sums` receives [`SUMS`] per
/// workgroup.
///
/// # Errors
/// If `sums` is too short, f16 is asked of an adapter that has none, or the driver fails.
pub fn multiply_add(
    recorder: &mut Recorder,
    arithmetic: Arithmetic,
    workgroups: usize,
    passes: usize,
    [factor, term]: [f32; 2],
    sums: &Tensor,
) -> Result<()> {
    let kernel =
        Kernel::new("ceiling/multiply_add").feature_if(arithmetic.fma, "fma").feature_if(arithmetic.f16, "f16");
    if arithmetic.f16 && !recorder.gpu.computes_f16() {
        return Err(Error::kernel(kernel.name(), format!("{} has no f16 arithmetic", recorder.gpu.name())));
    }
    let params = Params { passes: passes as u32, factor, term, ..params(workgroups, Order::Interleaved) };
    let multiply_adds = (workgroups * WORKGROUP * CHAINS * UNROLLED * passes) as f64;
    let cost = Cost { flops: 2.0 * multiply_adds, bytes: (4 * SUMS * workgroups) as f64, ..Cost::default() };
    recorder.dispatch(&kernel, &params, &[sums.whole()], grid(workgroups as u32), cost)
}

/// Values that a workgroup leaves of multiply-adds of cooperative matrices of this side.
pub fn cooperative_sums(side: u32) -> usize {
    COOPERATIVE_CHAINS * (side * side) as usize
}

/// `c ← a · b + c` for sums of each workgroup that begin at zero, where all values of `a` are `left` and all of `b` are
/// `right`; `sums` receives [`cooperative_sums`] per workgroup.
///
/// # Errors
/// If `sums` is too short, products do not run on cooperative matrices, or the driver fails.
pub fn multiply_add_matrices(
    recorder: &mut Recorder,
    workgroups: usize,
    passes: usize,
    [left, right]: [f32; 2],
    sums: &Tensor,
) -> Result<()> {
    const NAME: &str = "ceiling_cooperative/multiply_add";
    let gpu = recorder.gpu;
    let side = gpu
        .cooperative_side()
        .ok_or_else(|| Error::kernel(NAME, format!("{} has no cooperative matrices for it", gpu.name())))?;
    let kernel = Kernel::new(NAME).feature(cooperative_feature(side)).constant("LANES", gpu.subgroup_size());
    let params = ceiling_cooperative::Params { workgroups: workgroups as u32, passes: passes as u32, left, right };
    let flops = (2 * workgroups * passes * cooperative_sums(side) * side as usize) as f64;
    let bytes = (4 * cooperative_sums(side) * workgroups) as f64;
    let cost = Cost { flops, cooperative_flops: flops, bytes, ..Cost::default() };
    recorder.dispatch(&kernel, &params, &[sums.whole()], [workgroups as u32, 1, 1], cost)
}

/// `y = x`, [`VALUES`] per workgroup.
///
/// # Errors
/// If a tensor is too short, or the driver fails.
pub fn copy(recorder: &mut Recorder, order: Order, workgroups: usize, x: &Tensor, y: &Tensor) -> Result<()> {
    let kernel = loading(recorder.gpu, "ceiling/copy");
    let cost = Cost { flops: 0.0, bytes: (2 * 4 * VALUES * workgroups) as f64, ..Cost::default() };
    recorder.dispatch(&kernel, &params(workgroups, order), &[x.whole(), y.whole()], grid(workgroups as u32), cost)
}

/// Sums of the groups that each invocation reads of `x`, [`VALUES`] per workgroup; `sums` receives [`SUMS`] per
/// workgroup.
///
/// # Errors
/// If a tensor is too short, or the driver fails.
pub fn total(recorder: &mut Recorder, order: Order, workgroups: usize, x: &Tensor, sums: &Tensor) -> Result<()> {
    let kernel = loading(recorder.gpu, "ceiling/total");
    let [values, written] = [VALUES, SUMS].map(|values| values * workgroups);
    let cost = Cost { flops: values as f64, bytes: (4 * (values + written)) as f64, ..Cost::default() };
    recorder.dispatch(&kernel, &params(workgroups, order), &[x.whole(), sums.whole()], grid(workgroups as u32), cost)
}

fn loading(gpu: &Gpu, name: &'static str) -> Kernel {
    Kernel::new(name).feature_if(gpu.loads_wide(), "wide")
}
