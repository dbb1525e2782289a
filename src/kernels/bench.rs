//! What an adapter can do: its measured peak, and the speed of kernels on it.

use std::time::Instant;

use serde::Serialize;

use crate::Result;
use crate::gpu::{Dtype, Gpu, Layout, Memory, Recording, Tensor};

use super::product::{self, Epilogue};

/// One measured kernel.
#[derive(Debug, Clone, Serialize)]
pub struct BenchRow {
    /// Kernel and shape.
    pub name: String,
    /// Median seconds of a run.
    pub seconds: f64,
    /// Floating-point operations a second.
    pub flops_per_second: f64,
    /// Bytes a second, each operand counted once.
    pub bytes_per_second: f64,
}

/// Best of a few f32 products of 512³, in FLOP/s: what a training step is compared with.
pub async fn peak_flops(gpu: &Gpu) -> Result<f64> {
    let row = square_product(gpu, 512, Dtype::F32, 4)?;
    Ok(row.flops_per_second)
}

/// The product of two square matrices, weights in a storage type.
pub fn square_product(gpu: &Gpu, size: usize, weights: Dtype, runs: usize) -> Result<BenchRow> {
    let layout = Layout::plain(size);
    let x = Tensor::activation(gpu, "bench x", size, layout, Dtype::F32)?;
    let w = Tensor::new(gpu, Memory::Weights, "bench w", layout, layout, weights)?;
    let y = Tensor::activation(gpu, "bench y", size, layout, Dtype::F32)?;
    // Zeros can run faster than data.
    let values: Vec<f32> = (0..size * size).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 504.0).collect();
    x.write(gpu, &values)?;
    w.write(gpu, &values)?;
    let mut recording = Recording::new();
    product::nt(&mut recording.recorder(gpu), size, &x, &w, &y, Epilogue::default())?;
    measure(gpu, &format!("product nt f32 x {weights:?} {size}³"), &mut recording, runs)
}

/// Median time of some replays after one that is not counted.
pub fn measure(gpu: &Gpu, name: &str, recording: &mut Recording, runs: usize) -> Result<BenchRow> {
    let mut seconds = vec![];
    for run in 0..=runs.max(1) {
        let started = Instant::now();
        recording.replay(gpu)?;
        gpu.wait("measuring")?;
        if run > 0 {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let seconds = seconds[seconds.len() / 2];
    let cost = recording.cost();
    Ok(BenchRow {
        name: name.to_owned(),
        seconds,
        flops_per_second: cost.flops / seconds,
        bytes_per_second: cost.bytes / seconds,
    })
}
