//! Attention of new tokens to keys and values in a paged cache: what decoding runs instead of [`super::attention`].
//! Forward only.

use wgr_shaders::params::cached_attention::Params;

use super::attention::{Attention, MAX_HEAD_DIM};
use super::loops::Walk;
use crate::gpu::{Cost, Dtype, Gpu, Kernel, Layout, Preset, Recorder, Tensor, grid};
use crate::{Error, Result};

/// Tokens of a page. A cache has a whole number of pages; key `i` of a sequence is in row `i % PAGE` of its page `i / PAGE`.
pub const PAGE: usize = 16;

const WORKGROUP: u32 = 64;
/// Query heads that a workgroup serves at once.
const HEADS: usize = 4;

/// Keys and values of one layer, `[pages · PAGE, key/value heads]` each, in f32 or f16.
#[derive(Debug, Clone, Copy)]
pub struct Cache<'a> {
    /// Keys, rotated.
    pub keys: &'a Tensor,
    /// Values.
    pub values: &'a Tensor,
}

/// Where the new tokens are; lists of u32.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Of each token: the row of the cache it goes to.
    pub rows: &'a Tensor,
    /// Of each token, two values: where the pages of its sequence begin in `table`, and how many keys it sees, itself
    /// included.
    pub seen: &'a Tensor,
    /// Pages of every sequence, in the order of its tokens.
    pub table: &'a Tensor,
}

fn guard(name: &str, shape: &Attention, cache: Cache, others: &[(&Tensor, Layout)]) -> Result<()> {
    let dividing = shape.key_value_heads > 0 && shape.heads.is_multiple_of(shape.key_value_heads);
    if !shape.causal || shape.head_dim > MAX_HEAD_DIM || !shape.head_dim.is_multiple_of(2) || !dividing {
        return Err(Error::kernel(name, format!("{shape:?} is not supported")));
    }
    let both = [(cache.keys, shape.key_value_layout()), (cache.values, shape.key_value_layout())];
    if let Some((tensor, _)) = both.iter().chain(others).find(|(tensor, layout)| tensor.columns() != *layout) {
        return Err(Error::kernel(name, format!("{} does not fit {shape:?}", tensor.label())));
    }
    let rows = cache.keys.rows().len();
    if rows != cache.values.rows().len() || rows == 0 || !rows.is_multiple_of(PAGE) {
        return Err(Error::kernel(name, format!("a cache of {rows} rows has no whole pages")));
    }
    Ok(())
}

fn params(shape: &Attention, cache: Cache, tokens: usize, table: usize) -> Params {
    Params {
        tokens: tokens as u32,
        heads: shape.heads as u32,
        key_value_heads: shape.key_value_heads as u32,
        rows: cache.keys.rows().len() as u32,
        table: table as u32,
        scale: (1.0 / (shape.head_dim as f64).sqrt()) as f32,
        window: shape.window.unwrap_or(0) as u32,
    }
}

fn head4(shape: &Attention) -> u32 {
    Layout::heads(1, shape.head_dim).padded() as u32 / 4
}

/// Longest sequence whose keys [`forward`] can walk over on an adapter.
pub fn longest(gpu: &Gpu, shape: &Attention) -> usize {
    let (block, rounds) = match gpu.preset() {
        // Two loops over the lanes.
        Preset::Software => (gpu.subgroup_size() as usize, 2 * gpu.subgroup_size() as usize + 2),
        // Another one over their shares of the keys.
        Preset::Gpu => (WORKGROUP as usize, 2 * WORKGROUP as usize + 2),
    };
    Walk { block, rounds, window: shape.window }.longest(gpu)
}

/// Puts the keys and values of new tokens, both f32, into their rows of the cache.
///
/// # Errors
/// If the shape is not supported, a tensor does not have it, the cache does not consist of whole pages, a tensor is not
/// what the shader declares, or the driver fails.
pub fn write(
    recorder: &mut Recorder,
    shape: &Attention,
    tokens: usize,
    places: Places,
    [key, value]: [&Tensor; 2],
    cache: Cache,
) -> Result<()> {
    const NAME: &str = "cached_attention/write";
    let layout = shape.key_value_layout();
    guard(NAME, shape, cache, &[(key, layout), (value, layout)])?;
    let kernel =
        Kernel::new(NAME).feature_if(cache.keys.dtype() == Dtype::F16, "cache_f16").constant("HEAD4", head4(shape));
    let workgroups = grid((tokens as u32 * key.columns4()).div_ceil(WORKGROUP));
    let bindings = [places.rows, key, value, cache.keys, cache.values].map(Tensor::whole);
    let values = 2.0 * (tokens * layout.len()) as f64;
    let cost = Cost { flops: values, bytes: values * (4 + cache.keys.dtype().bytes()) as f64, ..Cost::default() };
    recorder.dispatch(&kernel, &params(shape, cache, tokens, 0), &bindings, workgroups, cost)
}

/// `o = softmax(q kᵀ / √head_dim) v` over the keys that each token sees; q and o are f32. The tokens' own keys and values
/// must have been written before. No token may see more keys than [`longest`], which is not checked here.
///
/// # Errors
/// As [`write()`].
pub fn forward(
    recorder: &mut Recorder,
    shape: &Attention,
    tokens: usize,
    places: Places,
    q: &Tensor,
    cache: Cache,
    o: &Tensor,
) -> Result<()> {
    const NAME: &str = "cached_attention/forward";
    guard(NAME, shape, cache, &[(q, shape.query_layout()), (o, shape.query_layout())])?;
    let subgroup = recorder.gpu.preset() == Preset::Software;
    let lanes = if subgroup { recorder.gpu.subgroup_size() } else { WORKGROUP };
    let kernel = Kernel::new(NAME)
        .feature(match head4(shape) {
            0..=8 => "head_32",
            9..=16 => "head_64",
            _ => "head_128",
        })
        .feature_if(subgroup, "subgroup")
        .feature_if(recorder.gpu.loads_wide(), "wide")
        .feature_if(cache.keys.dtype() == Dtype::F16, "cache_f16")
        .constant("LANES", lanes)
        .constant("HEAD4", head4(shape));
    let chunks = (shape.heads / shape.key_value_heads).div_ceil(HEADS);
    let workgroups = [tokens as u32, (shape.key_value_heads * chunks) as u32, 1];
    let bindings = [places.seen, places.table, q, cache.keys, cache.values, o].map(Tensor::whole);
    let params = params(shape, cache, tokens, places.table.columns().len());
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost(shape, tokens, cache))
}

/// How many keys a token sees is not known here; 256 at most only steers where submits are cut.
fn cost(shape: &Attention, tokens: usize, cache: Cache) -> Cost {
    let keys = cache.keys.rows().len().min(512) as f64 / 2.0;
    let values = tokens as f64 * keys * shape.head_dim as f64;
    let bytes = 2.0 * values * (shape.key_value_heads as u64 * cache.keys.dtype().bytes()) as f64;
    Cost { flops: 4.0 * values * shape.heads as f64, bytes, ..Cost::default() }
}
