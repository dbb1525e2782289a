//! What `wgr bench` measures: each kernel on operands of a size at which steps use it.

use crate::Result;
use crate::gpu::{Cost, Dtype, Gpu, Layout, Memory, Recorder, Recording, Tensor};

use super::super::adamw::{self, State, Step};
use super::super::attention::Attention;
use super::super::embedding::{self, Groups, TokenGroups};
use super::super::product::{self, Epilogue};
use super::super::{global_norm, rms_norm, rope, sample, swiglu};

/// A recording that is ready to be measured.
pub struct Prepared {
    /// The dispatches.
    pub recording: Recording,
    /// The cost of the operation that they perform.
    pub cost: Cost,
}

/// A name, and the function that prepares the measurement.
type Benchmark = (&'static str, fn(&Gpu) -> Result<Prepared>);

/// For the gradient of a weight (tn), it is the storage of the activation that varies.
pub(super) const BENCHMARKS: &[Benchmark] = &[
    ("product nt 1 row of 2048 f32", |gpu| decoding_product(gpu, 1, Dtype::F32)),
    ("product nt 1 row of 2048 bf16 weights", |gpu| decoding_product(gpu, 1, Dtype::Bf16)),
    ("product nt 1 row of 2048 q8 weights", |gpu| decoding_product(gpu, 1, Dtype::Q8)),
    ("product nt 1 row of 2048 q4 weights", |gpu| decoding_product(gpu, 1, Dtype::Q4)),
    ("product nt 16 rows of 2048 f32", |gpu| decoding_product(gpu, 16, Dtype::F32)),
    ("product nt 16 rows of 2048 bf16 weights", |gpu| decoding_product(gpu, 16, Dtype::Bf16)),
    ("product nt 16 rows of 2048 q8 weights", |gpu| decoding_product(gpu, 16, Dtype::Q8)),
    ("product nt 16 rows of 2048 q4 weights", |gpu| decoding_product(gpu, 16, Dtype::Q4)),
    ("product nt 512 f32", |gpu| forward_product(gpu, 512, [Dtype::F32, Dtype::F32])),
    ("product nt 512 bf16 weights", |gpu| forward_product(gpu, 512, [Dtype::F32, Dtype::Bf16])),
    ("product nt 512 f16 weights", |gpu| forward_product(gpu, 512, [Dtype::F32, Dtype::F16])),
    ("product nt 512 q8 weights", |gpu| forward_product(gpu, 512, [Dtype::F32, Dtype::Q8])),
    ("product nn 512 f32", |gpu| input_gradient(gpu, 512, Dtype::F32)),
    ("product tn 512 f32", |gpu| weight_gradient(gpu, 512, 512, Dtype::F32)),
    ("product nt 1024 f32", |gpu| forward_product(gpu, 1024, [Dtype::F32, Dtype::F32])),
    ("product nt 1024 bf16 weights", |gpu| forward_product(gpu, 1024, [Dtype::F32, Dtype::Bf16])),
    ("product nt 1024 f16 weights", |gpu| forward_product(gpu, 1024, [Dtype::F32, Dtype::F16])),
    ("product nt 1024 f16", |gpu| forward_product(gpu, 1024, [Dtype::F16; 2])),
    ("product nt 1024 q8 weights", |gpu| forward_product(gpu, 1024, [Dtype::F32, Dtype::Q8])),
    ("product nt 1024 q4 weights", |gpu| forward_product(gpu, 1024, [Dtype::F32, Dtype::Q4])),
    ("product nn 1024 f32", |gpu| input_gradient(gpu, 1024, Dtype::F32)),
    ("product nn 1024 bf16 weights", |gpu| input_gradient(gpu, 1024, Dtype::Bf16)),
    ("product nn 1024 q4 weights", |gpu| input_gradient(gpu, 1024, Dtype::Q4)),
    ("product tn 1024 f32", |gpu| weight_gradient(gpu, 1024, 1024, Dtype::F32)),
    ("product tn 1024 bf16 activations", |gpu| weight_gradient(gpu, 1024, 1024, Dtype::Bf16)),
    ("product tn 256 over 4096 tokens f32", |gpu| weight_gradient(gpu, 4096, 256, Dtype::F32)),
    ("attention forward 1024 tokens", |gpu| attention(gpu, 1024, [8, 64], false)),
    ("attention forward and backward 1024 tokens", |gpu| attention(gpu, 1024, [8, 64], true)),
    ("attention forward 1024 tokens heads of 128", |gpu| attention(gpu, 1024, [4, 128], false)),
    ("attention forward and backward 1024 tokens heads of 128", |gpu| attention(gpu, 1024, [4, 128], true)),
    ("attention forward 2048 tokens", |gpu| attention(gpu, 2048, [8, 64], false)),
    ("attention forward and backward 2048 tokens", |gpu| attention(gpu, 2048, [8, 64], true)),
    ("embedding forward 1024 x 1024", |gpu| lookup(gpu, 1024, false)),
    ("embedding backward 1024 x 1024", |gpu| lookup(gpu, 1024, true)),
    ("rope 1024 x 1024", |gpu| rotation(gpu, 1024)),
    ("rms_norm forward 1024 x 1024", |gpu| norm(gpu, 1024, false)),
    ("rms_norm backward 1024 x 1024", |gpu| norm(gpu, 1024, true)),
    ("swiglu forward 1024 x 1024", |gpu| gate(gpu, 1024, false)),
    ("swiglu backward 1024 x 1024", |gpu| gate(gpu, 1024, true)),
    ("global_norm 1024 x 1024", |gpu| gradient_norm(gpu, 1024)),
    ("adamw 1024 x 1024", |gpu| update(gpu, 1024)),
];

/// Values other than zeros, which can be faster than data.
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

fn recorded(gpu: &Gpu, record: impl FnOnce(&mut Recorder) -> Result<()>) -> Result<Prepared> {
    let mut recording = Recording::new();
    record(&mut recording.recorder(gpu))?;
    Ok(Prepared { cost: recording.cost(), recording })
}

/// `y = x wᵀ` of square matrices, `x` and `w` in storage types; `y` is stored as `x` is.
///
/// # Errors
/// If the operands do not fit the adapter, no shader reads these storage types, or the driver fails.
pub fn forward_product(gpu: &Gpu, size: usize, [activations, weights]: [Dtype; 2]) -> Result<Prepared> {
    let square = || filled(gpu, size, Layout::plain(size), activations);
    let (x, w, y) = (square()?, weight(gpu, size, weights)?, square()?);
    recorded(gpu, |recorder| product::nt(recorder, size, &x, &w, &y, Epilogue::default()))
}

/// `y = x wᵀ` of a few rows of 2048 values and a square weight, as in a step of decoding.
fn decoding_product(gpu: &Gpu, rows: usize, weights: Dtype) -> Result<Prepared> {
    const SIZE: usize = 2048;
    let few = || filled(gpu, rows, Layout::plain(SIZE), Dtype::F32);
    let (x, w, y) = (few()?, weight(gpu, SIZE, weights)?, few()?);
    recorded(gpu, |recorder| product::nt(recorder, rows, &x, &w, &y, Epilogue::default()))
}

/// `d_x = d_y w` of square matrices, weights in a storage type.
fn input_gradient(gpu: &Gpu, size: usize, weights: Dtype) -> Result<Prepared> {
    let square = || filled(gpu, size, Layout::plain(size), Dtype::F32);
    let (d_y, w, d_x) = (square()?, weight(gpu, size, weights)?, square()?);
    recorded(gpu, |recorder| product::nn(recorder, size, &d_y, &w, &d_x, false))
}

/// `d_w += d_yᵀ x` of a square weight, activations in a storage type.
fn weight_gradient(gpu: &Gpu, tokens: usize, size: usize, activations: Dtype) -> Result<Prepared> {
    let operand = |dtype| filled(gpu, tokens, Layout::plain(size), dtype);
    let (d_y, x, d_w) = (operand(Dtype::F32)?, operand(activations)?, weight(gpu, size, Dtype::F32)?);
    recorded(gpu, |recorder| product::tn(recorder, tokens, &d_y, &x, &d_w))
}

/// Causal attention over one sequence, `heads` query heads of `head_dim` values and half as many key/value heads; forward,
/// and with `backward` its gradients as well.
///
/// It counts the operations of the model: 4 a pair of tokens and value of a head forward (two products), and 10 backward
/// (five). The backward pass needs 14, since it computes the scores twice more; and the kernel's own cost, which only
/// steers where submits are cut, supposes shorter sequences.
///
/// # Errors
/// If the operands do not fit the adapter, or the driver fails.
pub fn attention(gpu: &Gpu, tokens: usize, [heads, head_dim]: [usize; 2], backward: bool) -> Result<Prepared> {
    let shape = Attention { heads, key_value_heads: heads / 2, head_dim, causal: true, window: None };
    let (query, keys) = (shape.query_layout(), shape.key_value_layout());
    let spans = spans(gpu, tokens)?;
    let stats = Tensor::workspace(gpu, "bench stats", 2 * tokens * shape.heads, Dtype::F32)?;
    let tensor = |layout| filled(gpu, tokens, layout, Dtype::F32);
    let (q, k, v, o) = (tensor(query)?, tensor(keys)?, tensor(keys)?, tensor(query)?);
    let (d_o, d_q, d_k, d_v) = (tensor(query)?, tensor(query)?, tensor(keys)?, tensor(keys)?);
    let mut prepared = recorded(gpu, |recorder| {
        shape.forward(recorder, tokens, &spans, &q, &k, &v, &o, &stats)?;
        if backward {
            shape.backward(recorder, tokens, &spans, [&q, &k, &v, &o], &stats, &d_o, [&d_q, &d_k, &d_v])?;
        }
        Ok(())
    })?;
    let pairs = heads * tokens * (tokens + 1) / 2;
    let flops_per_pair = head_dim * if backward { 4 + 10 } else { 4 };
    prepared.cost.flops = (pairs * flops_per_pair) as f64;
    Ok(prepared)
}

/// One sequence.
fn spans(gpu: &Gpu, tokens: usize) -> Result<Tensor> {
    let spans = Tensor::workspace(gpu, "bench spans", 2 * tokens, Dtype::U32)?;
    spans.write_u32(gpu, &[0, tokens as u32].repeat(tokens));
    Ok(spans)
}

/// Rotation of heads of 64 values, `size` values a token, in place.
fn rotation(gpu: &Gpu, size: usize) -> Result<Prepared> {
    const HEAD: usize = 64;
    let frequencies: Vec<f64> = (0..HEAD / 2).map(|i| 1e4f64.powf(-2.0 * i as f64 / HEAD as f64)).collect();
    let table = rope::table(gpu, size, &frequencies, 1.0)?;
    let x = filled(gpu, size, Layout::heads(size / HEAD, HEAD), Dtype::F32)?;
    let spans = spans(gpu, size)?;
    recorded(gpu, |recorder| rope::forward(recorder, size, &x, &table, &spans))
}

/// Rows of a table by different ids, or the sum of their gradients.
fn lookup(gpu: &Gpu, size: usize, backward: bool) -> Result<Prepared> {
    let list = |values: &[u32]| {
        let list = Tensor::workspace(gpu, "bench ids", values.len(), Dtype::U32)?;
        list.write_u32(gpu, values);
        Ok::<_, crate::Error>(list)
    };
    // A step of 5 reaches every row of a table whose number of rows is a power of two.
    let ids: Vec<u32> = (0..size as u32).map(|token| token * 5 % size as u32).collect();
    let groups = TokenGroups::of(&ids, None);
    let (ids, table, y) =
        (list(&ids)?, weight(gpu, size, Dtype::F32)?, filled(gpu, size, Layout::plain(size), Dtype::F32)?);
    let (unique, starts, rows) = (list(&groups.unique)?, list(&groups.starts)?, list(&groups.rows)?);
    recorded(gpu, |recorder| {
        if backward {
            let tokens = Groups { unique: &unique, starts: &starts, rows: &rows };
            embedding::backward(recorder, size, size, tokens, &y, &table)
        } else {
            embedding::forward(recorder, size, &ids, &table, &y)
        }
    })
}

/// RMSNorm of a square matrix, or the gradients of its input and weight.
fn norm(gpu: &Gpu, size: usize, backward: bool) -> Result<Prepared> {
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
fn gate(gpu: &Gpu, size: usize, backward: bool) -> Result<Prepared> {
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

/// The partial sums of the gradient norm over one square matrix.
fn gradient_norm(gpu: &Gpu, size: usize) -> Result<Prepared> {
    let gradient = weight(gpu, size, Dtype::F32)?;
    let slots = Tensor::workspace(gpu, "bench slots", global_norm::slots_for(&gradient), Dtype::F32)?;
    recorded(gpu, |recorder| global_norm::partial_sums(recorder, &gradient, &slots, 0))
}

/// The update of one square matrix.
fn update(gpu: &Gpu, size: usize) -> Result<Prepared> {
    let square = || weight(gpu, size, Dtype::F32);
    let (gradient, weight, first, second) = (square()?, square()?, square()?, square()?);
    // Means of squares, which are never negative.
    second.write(gpu, &sample(size * size, 2).iter().map(|value| value * value).collect::<Vec<_>>())?;
    let settings = Step {
        learning_rate: 1e-5,
        weight_decay: 0.01,
        betas: [0.9, 0.999],
        eps: 1e-8,
        max_norm: 1.0,
        loss_scale: 1.0,
        count: 1,
    };
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
            let cost = prepare(&gpu).unwrap().cost;
            assert!(cost.flops > 0.0 && cost.bytes > 0.0, "{name}");
        }
    }

    #[test]
    fn attention_counts_the_pairs_of_a_causal_sequence() {
        let gpu = pollster::block_on(Gpu::open(&Default::default())).unwrap();
        // Ten pairs of four tokens for each of two heads of 16 values.
        let flops = |backward| attention(&gpu, 4, [2, 16], backward).unwrap().cost.flops;
        assert_eq!([flops(false), flops(true)], [4.0 * 320.0, 14.0 * 320.0]);
    }
}
