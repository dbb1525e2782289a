//! One file per operation, each in the same order: parameters, guards, forward, backward, cost.
//!
//! A kernel records dispatches and computes nothing itself. Its shader has the same name, and so has its CPU twin in
//! [`crate::reference`]; the shader's comments list its permutations. An operation without a backward pass has no
//! `backward` function, so asking for its gradient does not compile.

pub mod adamw;
pub mod add;
pub mod attention;
pub mod bench;
pub mod cached_attention;
pub mod ceiling;
pub mod column_sum;
pub mod dropout;
mod elementwise;
pub mod embedding;
pub mod gather;
pub mod gelu;
pub mod global_norm;
mod guard;
pub mod l2_norm;
pub mod layer_norm;
pub mod log_prob;
pub(crate) mod loops;
pub mod narrow;
pub mod objective;
mod open;
pub mod pooling;
pub mod preference;
pub mod product;
pub mod rms_norm;
pub mod rope;
pub mod self_test;
pub mod shortlist;
pub mod swiglu;
pub mod tuner;

pub use open::open;
pub use self_test::Passes;

use crate::gpu::{Dtype, Gpu, Kernel, Preset};

/// Lanes that share a row in row-wise kernels: one on software adapters, where synchronizing costs more than it saves.
fn lanes(gpu: &Gpu, columns4: u32) -> u32 {
    match gpu.preset() {
        Preset::Software => 1,
        Preset::Gpu => columns4.next_power_of_two().clamp(1, 64),
    }
}

/// Whether kernels load a tensor of this storage type in words of 64 bits: there are none of f16.
fn loads_wide(gpu: &Gpu, dtype: Dtype) -> bool {
    gpu.loads_wide() && dtype != Dtype::F16
}

/// The permutation of a kernel for `x` (f32, bf16 or f16) in its storage type.
fn for_x(kernel: Kernel, dtype: Dtype) -> Kernel {
    kernel.feature_if(dtype == Dtype::Bf16, "x_bf16").feature_if(dtype == Dtype::F16, "x_f16")
}

/// Values from −1 to 1 that repeat every 1009 places: zeros can be right by accident, and can be faster than data.
fn sample(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| (((i + seed) * 7919 % 1009) as f32 - 504.0) / 504.0).collect()
}
