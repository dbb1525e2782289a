//! Matrix products with f32 accumulation: `y = x Wᵀ (+ bias) (+ residual)`, its two backward products, and sharded
//! weights. Weights may be f32, bf16, f16 or, if they are only read, quantised; activations f32, bf16 or f16.

use wgr_shaders::params::product::Params;

use super::guard::check_columns;
use crate::gpu::{Cost, Dtype, Gpu, Kernel, LOOP_ROUNDS, Operation, Preset, Recorder, Shard, Tensor, Tiling};
use crate::{Error, Result};

/// What a forward product does with its result before it stores it.
#[derive(Clone, Copy)]
pub struct Epilogue<'a> {
    /// What the product alone is multiplied by.
    pub scale: f32,
    /// One value a column, added.
    pub bias: Option<&'a Tensor>,
    /// A tensor of the result's shape, other than the result, added.
    pub residual: Option<&'a Tensor>,
    /// Whether to add to what the result held.
    pub accumulate: bool,
}

impl Default for Epilogue<'_> {
    fn default() -> Self {
        Self { scale: 1.0, bias: None, residual: None, accumulate: false }
    }
}

fn operand(prefix: char, dtype: Dtype) -> Result<&'static str> {
    Ok(match (prefix, dtype) {
        ('a', Dtype::F32) => "a_f32",
        ('a', Dtype::Bf16) => "a_bf16",
        ('a', Dtype::F16) => "a_f16",
        ('b', Dtype::F32) => "b_f32",
        ('b', Dtype::Bf16) => "b_bf16",
        ('b', Dtype::F16) => "b_f16",
        ('b', Dtype::Quantized(_)) => "b_quantized",
        ('c', Dtype::F32) => "c_f32",
        ('c', Dtype::Bf16) => "c_bf16",
        ('c', Dtype::F16) => "c_f16",
        _ => return Err(Error::kernel("product", format!("operand {prefix} cannot be {dtype}"))),
    })
}

/// The feature of shaders on cooperative matrices of a side that [`Gpu::cooperative_side`](crate::gpu::Gpu) gives.
pub(super) fn cooperative_feature(side: u32) -> &'static str {
    if side == 8 { "tile_8" } else { "tile_16" }
}

/// Which operands of a product are transposed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Nt,
    Nn,
    /// Of a small or a large result.
    Tn {
        small: bool,
    },
}

impl Form {
    /// The feature of shaders.
    fn feature(self) -> &'static str {
        match self {
            Self::Nt => "nt",
            Self::Nn => "nn",
            Self::Tn { .. } => "tn",
        }
    }
}

/// Tiles of 64 × 64 from which a result is large enough to occupy a GPU.
const LARGE_RESULT: usize = 128;

/// Whether products `tn` on GPUs are split along the tokens that they sum over. That changes bits, so it must not depend on
/// how the result is sharded, nor on the adapter.
fn is_small(result: &Tensor) -> bool {
    result.rows().padded().div_ceil(64) * result.columns().padded().div_ceil(64) < LARGE_RESULT
}

/// Rows up to which products `nt` have kernels of their own: steps of decoding.
fn few_rows(preset: Preset) -> u32 {
    match preset {
        Preset::Software => 16,
        Preset::Gpu => 64,
    }
}

/// `SUMS` and `PANEL` of `product_panel`.
const PANEL_SUMS: u32 = 1024;
const PANEL: u32 = 64;

/// Rows of weights that a product `nn` takes at a time: few enough that panels stay below [`LOOP_ROUNDS`], whatever the
/// subgroups.
const NN_ROWS: usize = 15_360;

/// Rounds of the loops of `product_panel`, of tiles of this many rows.
fn panel_rounds(form: Form, params: &Params, rows: u32) -> u32 {
    let rows = rows.min(params.m);
    let rounds = if matches!(form, Form::Tn { .. }) { rows.div_ceil(4) } else { rows };
    params.k.div_ceil(PANEL) * (rounds + 1) + 2 * rows
}

/// Bytes of workgroup memory that large tiles of cooperative matrices take. All other tiles need what every adapter has.
const LARGE_COOPERATIVE_BYTES: u32 = 24 << 10;

/// The rows of a tile on a GPU, and as many columns: a side, or twice that where enough of those occupy the adapter.
fn tile(gpu: &Gpu, params: &Params, side: u32) -> u32 {
    let tiles = params.m.div_ceil(2 * side) * (4 * params.n4).div_ceil(2 * side);
    if tiles < gpu.large_tiles() { side } else { 2 * side }
}

/// Records one product over one shard of the weights, with the tiling that suits preset and rows.
fn record(
    recorder: &mut Recorder,
    form: Form,
    dtypes: [Dtype; 3],
    epilogue: Epilogue,
    params: Params,
    [a, b, c]: [&Shard; 3],
) -> Result<()> {
    let gpu = recorder.gpu;
    let cooperative = match dtypes {
        [Dtype::F16, Dtype::F16, _] => gpu.cooperative_side(),
        _ => None,
    };
    let software = gpu.preset() == Preset::Software;
    let few = form == Form::Nt && params.m <= few_rows(gpu.preset()) && [dtypes[0], dtypes[2]] == [Dtype::F32; 2];
    let variant = gpu.variant(match form {
        Form::Nt if few => Operation::ProductFew,
        Form::Nt => Operation::ProductNt,
        Form::Nn => Operation::ProductNn,
        Form::Tn { .. } => Operation::ProductTn,
    });
    let panel_rows = PANEL_SUMS / gpu.subgroup_size().max(1);
    let panel_rounds = panel_rounds(form, &params, panel_rows);
    let in_panels = variant.tiling == Tiling::Panel && dtypes[0] != Dtype::F16 && panel_rounds <= LOOP_ROUNDS;
    let (layout, k4) = (form.feature(), params.k.div_ceil(4));
    // The rounds of loops over k are counted with some to spare.
    let (kernel, rows, columns4, rounds) = match (cooperative, software, few) {
        (Some(side), ..) => {
            let has_room = gpu.workgroup_bytes() >= LARGE_COOPERATIVE_BYTES;
            let rows = if has_room { tile(gpu, &params, 4 * side) } else { 4 * side };
            let kernel = Kernel::new("product_cooperative/main").feature_if(rows > 4 * side, "large").feature(layout);
            let kernel = kernel.feature(cooperative_feature(side)).constant("LANES", gpu.subgroup_size());
            (kernel, rows, rows / 4, k4)
        }
        (None, true, true) => {
            let rows = [(1, "rows_1"), (4, "rows_4"), (16, "rows_16")].into_iter().find(|(rows, _)| params.m <= *rows);
            let (rows, feature) = rows.unwrap_or((16, "rows_16"));
            let lanes = gpu.subgroup_size();
            (Kernel::new("product_skinny/main").feature(feature), rows, lanes, k4.div_ceil(lanes) * (lanes + 4))
        }
        (None, true, false) if in_panels => {
            let kernel = Kernel::new("product_panel/main").feature(layout);
            (kernel, panel_rows, gpu.subgroup_size(), panel_rounds)
        }
        (None, true, false) => {
            let large = variant.tiling == Tiling::Rows(64) && dtypes == [Dtype::F32; 3];
            let kernel = Kernel::new("product_register/main").feature(layout).feature_if(large, "rows_64");
            (kernel, if large { 64 } else { 32 }, gpu.subgroup_size(), k4)
        }
        (None, false, true) => (Kernel::new("product_few/main").feature(layout), 16, 4, k4 + k4 / 4),
        (None, false, false) if form == (Form::Tn { small: true }) => {
            (Kernel::new("product_split/main").feature(layout), 32, 8, k4 + k4 / 4)
        }
        (None, false, false) => {
            let rows = tile(gpu, &params, 64);
            (
                Kernel::new("product_tiled/main").feature_if(rows > 64, "large").feature(layout),
                rows,
                rows / 4,
                4 * k4 + k4 / 2,
            )
        }
    };
    let mut kernel = kernel
        .feature(operand('a', dtypes[0])?)
        .feature(operand('b', dtypes[1])?)
        .feature(operand('c', dtypes[2])?)
        .feature_if(epilogue.bias.is_some(), "bias")
        .feature_if(epilogue.residual.is_some(), "residual");
    if software {
        let wide = variant.wide && dtypes[0] != Dtype::F16;
        kernel = kernel.feature_if(wide, "wide").constant("LANES", columns4);
    }
    if let Dtype::Quantized(layout) = dtypes[1] {
        kernel = kernel.quantized(layout);
    }
    let mut bindings = vec![a, b, c];
    bindings.extend(epilogue.bias.map(Tensor::whole));
    bindings.extend(epilogue.residual.map(Tensor::whole));
    let [across, down] = [params.n4.div_ceil(columns4), params.m.div_ceil(rows)];
    // Those of the same weights follow each other where there are few rows.
    let workgroups = if few && !software { [down, across, 1] } else { [across, down, 1] };
    let mut cost = cost(params.m, params.n4 * 4, params.k, dtypes);
    if cooperative.is_some() {
        cost.cooperative_flops = cost.flops;
    }
    cost.rounds = f64::from(rounds);
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost)
}

/// `y[rows, out] = scale · x[rows, in] · w[out, in]ᵀ` plus what the epilogue adds: the forward pass of a linear layer.
///
/// # Errors
/// If shapes or storages do not fit, a tensor is not what the shader declares, or the driver fails.
pub fn nt(recorder: &mut Recorder, rows: usize, x: &Tensor, w: &Tensor, y: &Tensor, epilogue: Epilogue) -> Result<()> {
    if x.columns().padded() != w.columns().padded() || w.rows().padded() != y.columns().padded() {
        return Err(Error::kernel("product nt", mismatch(x, w, y)));
    }
    let added: Vec<&Tensor> = [Some(y), epilogue.bias, epilogue.residual].into_iter().flatten().collect();
    check_columns("product nt", &added)?;
    for shard in w.shards() {
        let params = Params {
            m: rows as u32,
            n4: (shard.rows / 4) as u32,
            k: x.columns4() * 4,
            a_stride4: x.columns4(),
            a_offset4: 0,
            b_stride4: w.columns4(),
            c_stride4: y.columns4(),
            c_offset4: (shard.first_row / 4) as u32,
            accumulate: u32::from(epilogue.accumulate),
            scale: epilogue.scale,
        };
        record(recorder, Form::Nt, [x.dtype(), w.dtype(), y.dtype()], epilogue, params, [x.whole(), shard, y.whole()])?;
    }
    Ok(())
}

/// `d_x[rows, in] (+)= d_y[rows, out] · w[out, in]`: the gradient of the input of a linear layer.
///
/// # Errors
/// As [`nt`].
pub fn nn(
    recorder: &mut Recorder,
    rows: usize,
    d_y: &Tensor,
    w: &Tensor,
    d_x: &Tensor,
    accumulate: bool,
) -> Result<()> {
    nn_scaled(recorder, rows, d_y, w, d_x, 1.0, accumulate)
}

/// [`nn`] with the product, not what it is added to, multiplied by `scale`.
///
/// # Errors
/// As [`nt`].
pub fn nn_scaled(
    recorder: &mut Recorder,
    rows: usize,
    d_y: &Tensor,
    w: &Tensor,
    d_x: &Tensor,
    scale: f32,
    accumulate: bool,
) -> Result<()> {
    if d_y.columns().padded() != w.rows().padded() || w.columns().padded() != d_x.columns().padded() {
        return Err(Error::kernel("product nn", mismatch(d_y, w, d_x)));
    }
    for shard in &w.shards().iter().flat_map(|shard| shard.parts(NN_ROWS)).collect::<Vec<_>>() {
        let params = Params {
            m: rows as u32,
            n4: w.columns4(),
            k: shard.rows as u32,
            a_stride4: d_y.columns4(),
            a_offset4: (shard.first_row / 4) as u32,
            b_stride4: w.columns4(),
            c_stride4: d_x.columns4(),
            c_offset4: 0,
            accumulate: u32::from(accumulate || shard.first_row > 0),
            scale,
        };
        let dtypes = [d_y.dtype(), w.dtype(), d_x.dtype()];
        record(recorder, Form::Nn, dtypes, Epilogue::default(), params, [d_y.whole(), shard, d_x.whole()])?;
    }
    Ok(())
}

/// `d_w[out, in] += d_y[rows, out]ᵀ · x[rows, in]`: the gradient of the weight of a linear layer.
///
/// # Errors
/// As [`nt`].
pub fn tn(recorder: &mut Recorder, rows: usize, d_y: &Tensor, x: &Tensor, d_w: &Tensor) -> Result<()> {
    if d_y.columns().padded() != d_w.rows().padded() || x.columns().padded() != d_w.columns().padded() {
        return Err(Error::kernel("product tn", mismatch(d_y, x, d_w)));
    }
    if rows == 0 {
        return Ok(());
    }
    let form = Form::Tn { small: is_small(d_w) };
    for shard in d_w.shards() {
        let params = Params {
            m: shard.rows as u32,
            n4: d_w.columns4(),
            k: rows as u32,
            a_stride4: d_y.columns4(),
            a_offset4: (shard.first_row / 4) as u32,
            b_stride4: x.columns4(),
            c_stride4: d_w.columns4(),
            c_offset4: 0,
            accumulate: 1,
            scale: 1.0,
        };
        let dtypes = [d_y.dtype(), x.dtype(), d_w.dtype()];
        record(recorder, form, dtypes, Epilogue::default(), params, [d_y.whole(), x.whole(), shard])?;
    }
    Ok(())
}

fn mismatch(a: &Tensor, b: &Tensor, c: &Tensor) -> String {
    let shape = |t: &Tensor| format!("{} [{}, {}]", t.label(), t.rows().len(), t.columns().len());
    format!("shapes do not fit: {}, {}, {}", shape(a), shape(b), shape(c))
}

fn cost(m: u32, n: u32, k: u32, [a, b, c]: [Dtype; 3]) -> Cost {
    let bytes = |rows: u32, columns: u32, dtype: Dtype| dtype.row_bytes(rows as usize * columns as usize) as f64;
    let bytes = bytes(m, k, a) + bytes(n, k, b) + bytes(m, n, c);
    let [m, n, k] = [m, n, k].map(f64::from);
    Cost { flops: 2.0 * m * n * k, bytes, ..Cost::default() }
}
