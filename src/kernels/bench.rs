//! What an adapter can do: its measured peak, and the speed of kernels on it.

use std::time::Instant;

use serde::Serialize;

use crate::Result;
use crate::gpu::{Dtype, Gpu, Layout, Memory, Recorder, Recording, Tensor};

use super::attention::Attention;
use super::product::{self, Epilogue};
use super::sample;

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
}

/// Replays of which the median is taken.
const RUNS: usize = 7;

/// f32 product of 512³ in FLOP/s: what a training step is compared with.
pub async fn peak_flops(gpu: &Gpu) -> Result<f64> {
    Ok(square_product(gpu, 512, Dtype::F32)?.flops_per_second)
}

/// Measures every benchmark whose name contains `filter`.
pub fn run(gpu: &Gpu, filter: Option<&str>) -> Result<Vec<BenchRow>> {
    type Benchmark = (&'static str, fn(&Gpu) -> Result<BenchRow>);
    let benchmarks: [Benchmark; 8] = [
        ("product nt 512 f32", |gpu| square_product(gpu, 512, Dtype::F32)),
        ("product nt 1024 f32", |gpu| square_product(gpu, 1024, Dtype::F32)),
        ("product nt 1024 bf16 weights", |gpu| square_product(gpu, 1024, Dtype::Bf16)),
        ("product nt 1024 f16 weights", |gpu| square_product(gpu, 1024, Dtype::F16)),
        ("product nn 1024 f32", |gpu| {
            backward_product(gpu, 1024, |recorder, rows, [a, b, c]| product::nn(recorder, rows, a, b, c, false))
        }),
        ("product tn 1024 f32", |gpu| {
            backward_product(gpu, 1024, |recorder, rows, [a, b, c]| product::tn(recorder, rows, a, b, c))
        }),
        ("attention forward 1024 tokens", |gpu| attention(gpu, 1024, false)),
        ("attention forward and backward 1024 tokens", |gpu| attention(gpu, 1024, true)),
    ];
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    benchmarks
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, measure)| Ok(BenchRow { name: (*name).to_owned(), ..measure(gpu)? }))
        .collect()
}

/// Values that are no zeros: those can run faster than data.
fn filled(gpu: &Gpu, rows: usize, columns: Layout) -> Result<Tensor> {
    let tensor = Tensor::activation(gpu, "bench", rows, columns, Dtype::F32)?;
    tensor.write(gpu, &sample(rows * columns.len(), 1))?;
    Ok(tensor)
}

/// `y = x wᵀ` of square matrices, weights in a storage type.
pub fn square_product(gpu: &Gpu, size: usize, weights: Dtype) -> Result<BenchRow> {
    let layout = Layout::plain(size);
    let (x, y) = (filled(gpu, size, layout)?, filled(gpu, size, layout)?);
    let w = Tensor::new(gpu, Memory::Workspace, "bench weight", layout, layout, weights)?;
    w.write(gpu, &sample(size * size, 2))?;
    let mut recording = Recording::new();
    product::nt(&mut recording.recorder(gpu), size, &x, &w, &y, Epilogue::default())?;
    measure(gpu, &mut recording)
}

/// One of the two products of the backward pass, of square matrices.
fn backward_product(
    gpu: &Gpu,
    size: usize,
    record: fn(&mut Recorder, usize, [&Tensor; 3]) -> Result<()>,
) -> Result<BenchRow> {
    let layout = Layout::plain(size);
    let (a, b, c) = (filled(gpu, size, layout)?, filled(gpu, size, layout)?, filled(gpu, size, layout)?);
    let mut recording = Recording::new();
    record(&mut recording.recorder(gpu), size, [&a, &b, &c])?;
    measure(gpu, &mut recording)
}

/// Causal attention over one sequence, 8 query and 4 key/value heads of 64 values.
fn attention(gpu: &Gpu, tokens: usize, backward: bool) -> Result<BenchRow> {
    let shape = Attention { heads: 8, key_value_heads: 4, head_dim: 64, causal: true, window: None };
    let (query, keys) = (shape.query_layout(), shape.key_value_layout());
    let spans = Tensor::workspace(gpu, "bench spans", 2 * tokens, Dtype::U32)?;
    spans.write_u32(gpu, &[0, tokens as u32].repeat(tokens));
    let stats = Tensor::workspace(gpu, "bench stats", 2 * tokens * shape.heads, Dtype::F32)?;
    let tensor = |layout| filled(gpu, tokens, layout);
    let (q, k, v, o) = (tensor(query)?, tensor(keys)?, tensor(keys)?, tensor(query)?);
    let mut recording = Recording::new();
    let mut recorder = recording.recorder(gpu);
    shape.forward(&mut recorder, tokens, &spans, &q, &k, &v, &o, &stats)?;
    if backward {
        let (d_o, dq, dk, dv) = (tensor(query)?, tensor(query)?, tensor(keys)?, tensor(keys)?);
        shape.backward(&mut recorder, tokens, &spans, [&q, &k, &v, &o], &stats, &d_o, [&dq, &dk, &dv])?;
    }
    measure(gpu, &mut recording)
}

/// Median time of some replays after one that is not counted.
fn measure(gpu: &Gpu, recording: &mut Recording) -> Result<BenchRow> {
    let mut seconds = vec![];
    for run in 0..=RUNS {
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
        name: String::new(),
        seconds,
        flops_per_second: cost.flops / seconds,
        bytes_per_second: cost.bytes / seconds,
    })
}
