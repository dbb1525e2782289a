//! The start-up test: the kernels that differ between presets are compared once with their CPU twins on the adapter
//! that a run will use. Drivers miscompile; a run must not learn from wrong numbers.

use super::attention::Attention;
use super::cached_attention::{self, Cache, PAGE, Places};
use super::product::{self, Epilogue};
use super::sample;
use crate::gpu::{Dtype, Gpu, Layout, Memory, Operation, Preset, Recorder, Recording, Tensor};
use crate::{Error, Result, reference};

/// Normalized mean squared error that f32 kernels stay below. Rounding gives 1e-14, fast exponentials of drivers
/// 1e-11; a wrong lane or a wrong row gives 1e-3 or more.
const TOLERANCE: f64 = 1e-9;

/// The passes that a run needs. Kernels that it does not use are not compiled for the test: on a driver that has not
/// seen them before, compiling takes longer than testing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    /// Scoring.
    Forward,
    /// Decoding with a cache.
    Generation,
    /// Training.
    ForwardAndBackward,
}

/// Compares the products and attention of the adapter's preset with their twins, on odd sizes.
///
/// # Errors
/// If a kernel disagrees or the driver fails; the error names the kernel.
pub async fn run(gpu: &Gpu, passes: Passes) -> Result<()> {
    for operation in passes.operations() {
        agrees(gpu, *operation).await?;
    }
    if passes == Passes::Generation { cached(gpu).await } else { Ok(()) }
}

impl Passes {
    /// The operations that differ between presets or have variants, from the one that a run needs most.
    pub(super) fn operations(self) -> &'static [Operation] {
        use Operation::{Attention, AttentionBackward, ProductFew, ProductNn, ProductNt, ProductTn};
        match self {
            Self::Forward => &[ProductNt, Attention, ProductFew],
            Self::Generation => &[ProductFew, ProductNt],
            Self::ForwardAndBackward => &[ProductNt, ProductNn, ProductTn, Attention, AttentionBackward, ProductFew],
        }
    }
}

/// Outputs and inputs of a layer whose products have more than one tile of every preset and variant.
const SMALL: [usize; 2] = [70, 69];
/// The same where products `tn` are not split.
const LARGE: [usize; 2] = [1030, 522];

/// Compares one operation, in the variant that the adapter runs, with its twin.
///
/// # Errors
/// If it disagrees or the driver fails; the error names the kernel.
pub(super) async fn agrees(gpu: &Gpu, operation: Operation) -> Result<()> {
    match operation {
        Operation::Attention => attention(gpu, false).await,
        Operation::AttentionBackward => attention(gpu, true).await,
        Operation::ProductTn if gpu.preset() == Preset::Gpu => {
            product(gpu, operation, Dtype::F32, SMALL).await?;
            product(gpu, operation, Dtype::F32, LARGE).await
        }
        _ => product(gpu, operation, Dtype::F32, SMALL).await,
    }
}

/// Compares the products that run in tiles with their twins.
///
/// # Errors
/// As [`run`].
pub(super) async fn tiles(gpu: &Gpu, passes: Passes) -> Result<()> {
    use Operation::{ProductNn, ProductNt, ProductTn};
    for operation in
        passes.operations().iter().filter(|operation| [ProductNt, ProductNn, ProductTn].contains(operation))
    {
        agrees(gpu, *operation).await?;
    }
    Ok(())
}

/// Compares the products on cooperative matrices with their twins, over several steps of the inner dimension: on some
/// drivers what is summed up across steps was wrong.
///
/// # Errors
/// As [`run`].
pub(super) async fn cooperative(gpu: &Gpu) -> Result<()> {
    for operation in [Operation::ProductNt, Operation::ProductNn, Operation::ProductTn] {
        product(gpu, operation, Dtype::F16, SMALL).await?;
    }
    Ok(())
}

/// A product of a linear layer whose operands are stored as said.
async fn product(gpu: &Gpu, operation: Operation, stored: Dtype, [outputs, inputs]: [usize; 2]) -> Result<()> {
    const ROWS: usize = 67;
    const FEW: usize = 3;
    let (inner, out) = (Layout::plain(inputs), Layout::plain(outputs));
    let [x, w, d_y] = [(ROWS * inputs, 1), (outputs * inputs, 2), (ROWS * outputs, 3)].map(|(len, seed)| {
        let mut values = sample(len, seed);
        if stored == Dtype::F16 {
            values.iter_mut().for_each(|value| *value = half::f16::from_f32(*value).to_f32());
        }
        values
    });
    let twin = [&x, &w, &d_y].map(|values| wide(values));
    let operand = |rows, columns, values: &[f32]| stored_as(gpu, rows, columns, values, stored);
    let result = |rows, columns, values: &[f32]| filled(gpu, rows, columns, values);
    let parameter = |memory, dtype| Tensor::new(gpu, memory, "self-test", out, inner, dtype);
    let weight = || {
        let tensor = parameter(Memory::Weights, stored)?;
        tensor.write(gpu, &w)?;
        Ok::<_, Error>(tensor)
    };
    match operation {
        Operation::ProductNn => {
            let (d_y, w, d_x) = (operand(ROWS, out, &d_y)?, weight()?, result(ROWS, inner, &x)?);
            let nn = |recorder: &mut Recorder| product::nn(recorder, ROWS, &d_y, &w, &d_x, false);
            let expected = reference::product::nn(ROWS, outputs, inputs, &twin[2], &twin[1]);
            check(gpu, "product nn", nn, &[(&d_x, expected)]).await
        }
        Operation::ProductTn => {
            let (d_y, x) = (operand(ROWS, out, &d_y)?, operand(ROWS, inner, &x)?);
            let d_w = parameter(Memory::Gradients, Dtype::F32)?;
            let tn = |recorder: &mut Recorder| product::tn(recorder, ROWS, &d_y, &x, &d_w);
            let expected = reference::product::tn(ROWS, outputs, inputs, &twin[2], &twin[0]);
            check(gpu, "product tn", tn, &[(&d_w, expected)]).await
        }
        _ => {
            let few = operation == Operation::ProductFew;
            let (rows, name) = if few { (FEW, "product nt of few rows") } else { (ROWS, "product nt") };
            let (x, y) = (operand(rows, inner, &x[..rows * inputs])?, result(rows, out, &d_y[..rows * outputs])?);
            let w = weight()?;
            let nt = |recorder: &mut Recorder| product::nt(recorder, rows, &x, &w, &y, Epilogue::default());
            let expected = reference::product::nt(rows, inputs, outputs, &twin[0][..rows * inputs], &twin[1]);
            check(gpu, name, nt, &[(&y, expected)]).await
        }
    }
}

/// Attention over two packed sequences, the second of which starts within a block; its gradients as well if asked for.
async fn attention(gpu: &Gpu, backward: bool) -> Result<()> {
    const TOKENS: usize = 37;
    const SPLIT: usize = 21;
    // Small heads, because drivers take longest to compile this kernel for large ones.
    let shape = Attention { heads: 2, key_value_heads: 1, head_dim: 16, causal: true, window: None };
    let (query, key_value) = (shape.query_layout(), shape.key_value_layout());
    let layouts = [query, key_value, key_value, query];
    let inputs: Vec<Vec<f32>> =
        layouts.iter().zip(4..).map(|(layout, seed)| sample(TOKENS * layout.len(), seed)).collect();
    let tensors: Vec<Tensor> = layouts
        .iter()
        .zip(&inputs)
        .map(|(layout, values)| filled(gpu, TOKENS, *layout, values))
        .collect::<Result<_>>()?;
    let [q, k, v, d_o] = [0, 1, 2, 3].map(|i| &tensors[i]);
    let empty = |layout: Layout| Tensor::activation(gpu, "self-test", TOKENS, layout, Dtype::F32);
    let (o, d_q, d_k, d_v) = (empty(query)?, empty(query)?, empty(key_value)?, empty(key_value)?);
    let spans = Tensor::workspace(gpu, "self-test spans", TOKENS * 2, Dtype::U32)?;
    let span = |token| if token < SPLIT { [0, SPLIT as u32] } else { [SPLIT as u32, TOKENS as u32] };
    spans.write_u32(gpu, &(0..TOKENS).flat_map(span).collect::<Vec<_>>());
    let stats = Tensor::workspace(gpu, "self-test stats", TOKENS * shape.heads * 2, Dtype::F32)?;

    let Attention { heads, key_value_heads, head_dim, causal, window } = shape;
    let offsets = vec![0, SPLIT, TOKENS];
    let twin =
        reference::attention::Attention { heads, key_value_heads, head_dim, causal, window, offsets, gaps: vec![] };
    let inputs: Vec<Vec<f64>> = inputs.iter().map(|values| wide(values)).collect();
    let forward = |recorder: &mut Recorder| shape.forward(recorder, TOKENS, &spans, q, k, v, &o, &stats);
    let expected = twin.forward(&inputs[0], &inputs[1], &inputs[2]);
    check(gpu, "attention forward", forward, &[(&o, expected)]).await?;
    if !backward {
        return Ok(());
    }
    let backward = |recorder: &mut Recorder| {
        shape.backward(recorder, TOKENS, &spans, [q, k, v, &o], &stats, d_o, [&d_q, &d_k, &d_v])
    };
    let gradients = twin.backward(&inputs[0], &inputs[1], &inputs[2], &inputs[3]);
    let expected: Vec<(&Tensor, Vec<f64>)> = [&d_q, &d_k, &d_v].into_iter().zip(gradients).collect();
    check(gpu, "attention backward", backward, &expected).await
}

/// Attention over a cache whose pages are in no order, filled in two steps.
async fn cached(gpu: &Gpu) -> Result<()> {
    const TOKENS: usize = 37;
    const SPLIT: usize = 21;
    let shape = Attention { heads: 2, key_value_heads: 1, head_dim: 16, causal: true, window: None };
    let (query, key_value) = (shape.query_layout(), shape.key_value_layout());
    let inputs = [(query, 4), (key_value, 5), (key_value, 6)].map(|(layout, seed)| sample(TOKENS * layout.len(), seed));
    let pages = [2, 0, 1];
    let kept = || Tensor::activation(gpu, "self-test cache", pages.len() * PAGE, key_value, Dtype::F32);
    let (keys, values) = (kept()?, kept()?);
    let cache = Cache { keys: &keys, values: &values };
    let mut results = vec![];
    let mut recording = Recording::new();
    for tokens in [0..SPLIT, SPLIT..TOKENS] {
        let count = tokens.len();
        let part = |input: usize, layout: Layout| {
            let width = layout.len();
            filled(gpu, count, layout, &inputs[input][tokens.start * width..tokens.end * width])
        };
        let (q, k, v, o) = (part(0, query)?, part(1, key_value)?, part(2, key_value)?, part(0, query)?);
        let list = |values: Vec<usize>| {
            let list = Tensor::workspace(gpu, "self-test list", values.len(), Dtype::U32)?;
            list.write_u32(gpu, &values.iter().map(|value| *value as u32).collect::<Vec<_>>());
            Ok::<_, Error>(list)
        };
        let rows = list(tokens.clone().map(|token| pages[token / PAGE] * PAGE + token % PAGE).collect())?;
        let seen = list(tokens.flat_map(|token| [0, token + 1]).collect())?;
        let table = list(pages.to_vec())?;
        let places = Places { rows: &rows, seen: &seen, table: &table };
        let mut recorder = recording.recorder(gpu);
        cached_attention::write(&mut recorder, &shape, count, places, [&k, &v], cache)?;
        cached_attention::forward(&mut recorder, &shape, count, places, &q, cache, &o)?;
        results.push((o, [q, k, v, rows, seen, table]));
    }
    let Attention { heads, key_value_heads, head_dim, causal, window } = shape;
    let twin = reference::attention::Attention {
        heads,
        key_value_heads,
        head_dim,
        causal,
        window,
        offsets: vec![0, TOKENS],
        gaps: vec![],
    };
    let [q, k, v] = inputs.map(|values| wide(&values));
    let expected = twin.forward(&q, &k, &v);
    let (first, second) = expected.split_at(SPLIT * query.len());
    let expected = [(&results[0].0, first.to_vec()), (&results[1].0, second.to_vec())];
    compare(gpu, "attention over a cache", recording, &expected).await
}

fn filled(gpu: &Gpu, rows: usize, columns: Layout, values: &[f32]) -> Result<Tensor> {
    stored_as(gpu, rows, columns, values, Dtype::F32)
}

fn stored_as(gpu: &Gpu, rows: usize, columns: Layout, values: &[f32], dtype: Dtype) -> Result<Tensor> {
    let tensor = Tensor::activation(gpu, "self-test", rows, columns, dtype)?;
    tensor.write(gpu, values)?;
    Ok(tensor)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Runs a kernel and compares each of its results with what its twin computed.
async fn check(
    gpu: &Gpu,
    kernel: &str,
    record: impl FnOnce(&mut Recorder) -> Result<()>,
    results: &[(&Tensor, Vec<f64>)],
) -> Result<()> {
    let mut recording = Recording::new();
    record(&mut recording.recorder(gpu))?;
    compare(gpu, kernel, recording, results).await
}

async fn compare(gpu: &Gpu, kernel: &str, mut recording: Recording, results: &[(&Tensor, Vec<f64>)]) -> Result<()> {
    const HINT: &str = "update the driver, or name another adapter with `.adapter`; `wgr devices` lists them";
    let fault = |problem: String| Error::device(format!("testing {kernel}"), problem, HINT);
    let failed = |error: Error| match error {
        Error::Device { problem, .. } => fault(problem),
        other => other,
    };
    recording.replay(gpu).map_err(failed)?;
    for (tensor, expected) in results {
        let actual = tensor.read(gpu).await.map_err(failed)?;
        let error = normalised_error(&actual, expected);
        // Not the other way round: an error that is not a number must not count as agreement.
        if !matches!(error.partial_cmp(&TOLERANCE), Some(std::cmp::Ordering::Less)) {
            return Err(fault(format!("{} computes something else than the CPU, by {error:.1e}", gpu.name())));
        }
    }
    Ok(())
}

/// Σ(a − e)² / Σe².
fn normalised_error(actual: &[f32], expected: &[f64]) -> f64 {
    let energy: f64 = expected.iter().map(|e| e * e).sum();
    let error: f64 = actual.iter().zip(expected).map(|(a, e)| (f64::from(*a) - e).powi(2)).sum();
    error / energy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::AdapterChoice;

    #[test]
    fn a_wrong_value_a_nan_and_a_driver_fault_name_the_kernel() {
        let gpu = pollster::block_on(Gpu::open(&AdapterChoice::default())).unwrap();
        let values = sample(12, 1);
        let tensor = filled(&gpu, 3, Layout::plain(4), &values).unwrap();
        let problem = |expected: Vec<f64>| {
            let compared = pollster::block_on(check(&gpu, "a kernel", |_| Ok(()), &[(&tensor, expected)]));
            compared.err().map(|error| error.to_string())
        };
        assert_eq!(problem(wide(&values)), None);
        let mut swapped = wide(&values);
        swapped.swap(0, 1);
        assert!(problem(swapped).unwrap().contains("testing a kernel"));
        assert!(problem(vec![f64::NAN; 12]).unwrap().contains("testing a kernel"));
        gpu.lose();
        assert!(problem(wide(&values)).unwrap().contains("testing a kernel"));
    }
}
