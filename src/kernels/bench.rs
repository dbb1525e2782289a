//! What an adapter can do: its measured peak, and the speed of kernels on it.

use std::time::Instant;

use serde::Serialize;

use crate::Result;
use crate::gpu::{Dtype, Gpu, Layout, Memory, Recorder, Recording, Tensor};

use super::adamw::{State, Step};
use super::attention::Attention;
use super::product::{self, Epilogue};
use super::{adamw, global_norm, rms_norm, sample, swiglu};

/// One measured kernel.
#[derive(Debug, Clone, Serialize)]
pub struct BenchRow {
    /// What was measured.
    pub name: String,
    /// Median seconds of a run.
    pub seconds: f64,
    /// Floating-point operations a second.
    pub flops_per_second: f64,
    /// Bytes a second, each operand counted once.
    pub bytes_per_second: f64,
    /// Operations a second as a share of [`peak_flops`].
    pub share_of_peak: f64,
}

/// Replays of which the median is taken.
const RUNS: usize = 7;

/// f32 product of 512³ in FLOP/s: what a training step is compared with.
pub async fn peak_flops(gpu: &Gpu) -> Result<f64> {
    let mut recording = forward_product(gpu, 512, Dtype::F32)?;
    Ok(recording.cost().flops / measure(gpu, &mut recording).await?)
}

/// A name, and what prepares the measurement.
type Benchmark = (&'static str, fn(&Gpu) -> Result<Recording>);

/// In the gradient of a weight (tn) it is the activation whose storage varies.
const BENCHMARKS: &[Benchmark] = &[
    ("product nt 1 row of 2048 f32", |gpu| decoding_product(gpu, 1, Dtype::F32)),
    ("product nt 1 row of 2048 bf16 weights", |gpu| decoding_product(gpu, 1, Dtype::Bf16)),
    ("product nt 1 row of 2048 q8 weights", |gpu| decoding_product(gpu, 1, Dtype::Q8)),
    ("product nt 16 rows of 2048 f32", |gpu| decoding_product(gpu, 16, Dtype::F32)),
    ("product nt 16 rows of 2048 bf16 weights", |gpu| decoding_product(gpu, 16, Dtype::Bf16)),
    ("product nt 16 rows of 2048 q8 weights", |gpu| decoding_product(gpu, 16, Dtype::Q8)),
    ("product nt 512 f32", |gpu| forward_product(gpu, 512, Dtype::F32)),
    ("product nt 512 bf16 weights", |gpu| forward_product(gpu, 512, Dtype::Bf16)),
    ("product nt 512 f16 weights", |gpu| forward_product(gpu, 512, Dtype::F16)),
    ("product nt 512 q8 weights", |gpu| forward_product(gpu, 512, Dtype::Q8)),
    ("product nn 512 f32", |gpu| input_gradient(gpu, 512, Dtype::F32)),
    ("product tn 512 f32", |gpu| weight_gradient(gpu, 512, Dtype::F32)),
    ("product nt 1024 f32", |gpu| forward_product(gpu, 1024, Dtype::F32)),
    ("product nt 1024 bf16 weights", |gpu| forward_product(gpu, 1024, Dtype::Bf16)),
    ("product nt 1024 f16 weights", |gpu| forward_product(gpu, 1024, Dtype::F16)),
    ("product nt 1024 q8 weights", |gpu| forward_product(gpu, 1024, Dtype::Q8)),
    ("product nn 1024 f32", |gpu| input_gradient(gpu, 1024, Dtype::F32)),
    ("product nn 1024 bf16 weights", |gpu| input_gradient(gpu, 1024, Dtype::Bf16)),
    ("product tn 1024 f32", |gpu| weight_gradient(gpu, 1024, Dtype::F32)),
    ("product tn 1024 bf16 activations", |gpu| weight_gradient(gpu, 1024, Dtype::Bf16)),
    ("attention forward 1024 tokens", |gpu| attention(gpu, 1024, false)),
    ("attention forward and backward 1024 tokens", |gpu| attention(gpu, 1024, true)),
    ("rms_norm forward 1024 x 1024", |gpu| norm(gpu, 1024, false)),
    ("rms_norm backward 1024 x 1024", |gpu| norm(gpu, 1024, true)),
    ("swiglu forward 1024 x 1024", |gpu| gate(gpu, 1024, false)),
    ("swiglu backward 1024 x 1024", |gpu| gate(gpu, 1024, true)),
    ("global_norm 1024 x 1024", |gpu| gradient_norm(gpu, 1024)),
    ("adamw 1024 x 1024", |gpu| update(gpu, 1024)),
];

/// Measures every benchmark whose name contains `filter`.
pub async fn run(gpu: &Gpu, filter: Option<&str>) -> Result<Vec<BenchRow>> {
    let peak = peak_flops(gpu).await?;
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    let mut rows = vec![];
    for (name, prepare) in BENCHMARKS.iter().filter(|(name, _)| wanted(name)) {
        let mut recording = prepare(gpu)?;
        let (seconds, cost) = (measure(gpu, &mut recording).await?, recording.cost());
        rows.push(BenchRow {
            name: (*name).to_owned(),
            seconds,
            flops_per_second: cost.flops / seconds,
            bytes_per_second: cost.bytes / seconds,
            share_of_peak: cost.flops / seconds / peak,
        });
    }
    Ok(rows)
}

/// Median seconds of some replays, after one that is not counted.
pub async fn measure(gpu: &Gpu, recording: &mut Recording) -> Result<f64> {
    let mut seconds = vec![];
    for run in 0..=RUNS {
        let started = Instant::now();
        recording.replay(gpu)?;
        gpu.wait("measuring").await?;
        if run > 0 {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[RUNS / 2])
}

/// Values that are no zeros: those can run faster than data.
fn filled(gpu: &Gpu, rows: usize, columns: Layout, dtype: Dtype) -> Result<Tensor> {
    let tensor = Tensor::activation(gpu, "bench", rows, columns, dtype)?;
    tensor.write(gpu, &sample(rows * columns.len(), 1))?;
    Ok(tensor)
}

fn weight(gpu: &Gpu, size: usize, dtype: Dtype) -> Result<Tensor> {
    let layout = Layout::plain(size);
    let tensor = Tensor::new(gpu, Memory::Weights, "bench weight", layout, layout, dtype)?;
    tensor.write(gpu, &sample(size * size, 2))?;
    Ok(tensor)
}

fn recorded(gpu: &Gpu, record: impl FnOnce(&mut Recorder) -> Result<()>) -> Result<Recording> {
    let mut recording = Recording::new();
    record(&mut recording.recorder(gpu))?;
    Ok(recording)
}

/// `y = x wᵀ` of square matrices, weights in a storage type.
pub fn forward_product(gpu: &Gpu, size: usize, weights: Dtype) -> Result<Recording> {
    let square = || filled(gpu, size, Layout::plain(size), Dtype::F32);
    let (x, w, y) = (square()?, weight(gpu, size, weights)?, square()?);
    recorded(gpu, |recorder| product::nt(recorder, size, &x, &w, &y, Epilogue::default()))
}

/// `y = x wᵀ` of few rows of 2048 values and a square weight, as a step of decoding has it.
fn decoding_product(gpu: &Gpu, rows: usize, weights: Dtype) -> Result<Recording> {
    const SIZE: usize = 2048;
    let few = || filled(gpu, rows, Layout::plain(SIZE), Dtype::F32);
    let (x, w, y) = (few()?, weight(gpu, SIZE, weights)?, few()?);
    recorded(gpu, |recorder| product::nt(recorder, rows, &x, &w, &y, Epilogue::default()))
}

/// `d_x = d_y w` of square matrices, weights in a storage type.
fn input_gradient(gpu: &Gpu, size: usize, weights: Dtype) -> Result<Recording> {
    let square = || filled(gpu, size, Layout::plain(size), Dtype::F32);
    let (d_y, w, d_x) = (square()?, weight(gpu, size, weights)?, square()?);
    recorded(gpu, |recorder| product::nn(recorder, size, &d_y, &w, &d_x, false))
}

/// `d_w += d_yᵀ x` of square matrices, activations in a storage type.
fn weight_gradient(gpu: &Gpu, size: usize, activations: Dtype) -> Result<Recording> {
    let square = |dtype| filled(gpu, size, Layout::plain(size), dtype);
    let (d_y, x, d_w) = (square(Dtype::F32)?, square(activations)?, weight(gpu, size, Dtype::F32)?);
    recorded(gpu, |recorder| product::tn(recorder, size, &d_y, &x, &d_w))
}

/// Causal attention over one sequence, 8 query and 4 key/value heads of 64 values.
fn attention(gpu: &Gpu, tokens: usize, backward: bool) -> Result<Recording> {
    let shape = Attention { heads: 8, key_value_heads: 4, head_dim: 64, causal: true, window: None };
    let (query, keys) = (shape.query_layout(), shape.key_value_layout());
    let spans = Tensor::workspace(gpu, "bench spans", 2 * tokens, Dtype::U32)?;
    spans.write_u32(gpu, &[0, tokens as u32].repeat(tokens));
    let stats = Tensor::workspace(gpu, "bench stats", 2 * tokens * shape.heads, Dtype::F32)?;
    let tensor = |layout| filled(gpu, tokens, layout, Dtype::F32);
    let (q, k, v, o) = (tensor(query)?, tensor(keys)?, tensor(keys)?, tensor(query)?);
    let (d_o, d_q, d_k, d_v) = (tensor(query)?, tensor(query)?, tensor(keys)?, tensor(keys)?);
    recorded(gpu, |recorder| {
        shape.forward(recorder, tokens, &spans, &q, &k, &v, &o, &stats)?;
        if backward {
            shape.backward(recorder, tokens, &spans, [&q, &k, &v, &o], &stats, &d_o, [&d_q, &d_k, &d_v])?;
        }
        Ok(())
    })
}

/// RMSNorm of a square matrix, or the gradients of its input and weight.
fn norm(gpu: &Gpu, size: usize, backward: bool) -> Result<Recording> {
    let layout = Layout::plain(size);
    let square = || filled(gpu, size, layout, Dtype::F32);
    let (x, y, d_x) = (square()?, square()?, square()?);
    let (weight, d_weight) = (filled(gpu, 1, layout, Dtype::F32)?, filled(gpu, 1, layout, Dtype::F32)?);
    let rstd = filled(gpu, 1, layout, Dtype::F32)?;
    let chunks = Tensor::workspace(gpu, "bench chunks", size.div_ceil(rms_norm::CHUNK) * size, Dtype::F32)?;
    recorded(gpu, |recorder| {
        if !backward {
            return rms_norm::forward(recorder, size, &x, &weight, &y, &rstd, 1e-5);
        }
        rms_norm::backward(recorder, size, &y, &x, &weight, &rstd, &d_x, false)?;
        rms_norm::backward_weight(recorder, size, &y, &x, &rstd, &d_weight, &chunks)
    })
}

/// SwiGLU of square matrices, or its gradients.
fn gate(gpu: &Gpu, size: usize, backward: bool) -> Result<Recording> {
    let square = || filled(gpu, size, Layout::plain(size), Dtype::F32);
    let (gate, up, y, d_gate, d_up) = (square()?, square()?, square()?, square()?, square()?);
    recorded(gpu, |recorder| {
        if backward {
            swiglu::backward(recorder, size, &y, &gate, &up, &d_gate, &d_up)
        } else {
            swiglu::forward(recorder, size, &gate, &up, &y)
        }
    })
}

/// What the norm over all gradients reads of one square matrix.
fn gradient_norm(gpu: &Gpu, size: usize) -> Result<Recording> {
    let gradient = weight(gpu, size, Dtype::F32)?;
    let slots = Tensor::workspace(gpu, "bench slots", global_norm::slots_for(&gradient), Dtype::F32)?;
    recorded(gpu, |recorder| global_norm::partial_sums(recorder, &gradient, &slots, 0))
}

/// The update of one square matrix.
fn update(gpu: &Gpu, size: usize) -> Result<Recording> {
    let square = || weight(gpu, size, Dtype::F32);
    let (gradient, weight, first, second) = (square()?, square()?, square()?, square()?);
    // Means of squares, which are not negative.
    second.write(gpu, &sample(size * size, 2).iter().map(|value| value * value).collect::<Vec<_>>())?;
    let settings =
        Step { learning_rate: 1e-5, weight_decay: 0.01, betas: [0.9, 0.999], eps: 1e-8, max_norm: 1.0, count: 1 };
    let step = Tensor::workspace(gpu, "bench step", adamw::STEP, Dtype::F32)?;
    step.write_f32(gpu, &settings.values());
    let clip = Tensor::workspace(gpu, "bench clip", global_norm::CLIP, Dtype::F32)?;
    clip.write_f32(gpu, &[1.0, 1.0, 1.0]);
    let state =
        State { gradient: &gradient, weight: &weight, first: &first, second: &second, copy: None, decays: true };
    recorded(gpu, |recorder| adamw::update(recorder, &step, &clip, &state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_can_be_prepared_and_counts_its_work() {
        let gpu = pollster::block_on(Gpu::open(&Default::default())).unwrap();
        for (name, prepare) in BENCHMARKS {
            let cost = prepare(&gpu).unwrap().cost();
            assert!(cost.flops > 0.0 && cost.bytes > 0.0, "{name}");
        }
    }

    #[test]
    fn the_filter_picks_by_part_of_the_name() {
        let gpu = pollster::block_on(Gpu::open(&Default::default())).unwrap();
        let rows = pollster::block_on(run(&gpu, Some("product nn 512"))).unwrap();
        assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["product nn 512 f32"]);
        let row = &rows[0];
        let products = 2.0 * 512f64.powi(3);
        assert!((row.flops_per_second * row.seconds / products - 1.0).abs() < 1e-9);
        assert!(row.share_of_peak > 0.0);
        assert!(pollster::block_on(run(&gpu, Some("no such kernel"))).unwrap().is_empty());
    }
}
