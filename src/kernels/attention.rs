//! Attention over packed sequences, FlashAttention-2 style: causal or bidirectional, grouped-query, with an optional
//! sliding window. Query, key and value are head tensors that hold `head_dim` values a head.

use wgr_shaders::params::attention::Params;

use super::for_x;
use super::loops::Walk;
use crate::gpu::{Cost, Dtype, Gpu, Kernel, Layout, Operation, Preset, Recorder, Tensor, grid};
use crate::{Error, Result};

/// The shape of one attention layer.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; each serves `heads / key_value_heads` query heads.
    pub key_value_heads: usize,
    /// Values a head; even.
    pub head_dim: usize,
    /// Whether a token sees only itself and what came before it.
    pub causal: bool,
    /// Keys a query sees, itself included; all of its sequence when absent.
    pub window: Option<usize>,
}

/// Which tokens of a packed batch see each other.
#[derive(Debug, Clone, Copy)]
pub struct Spans<'a> {
    /// Two values a token (u32): the first token of its sequence, and one past the last that sees it. Where sequences
    /// branch, two more a token follow those of all tokens: the keys from the first to before the second are hidden from
    /// it, as they belong to completions of its prompt other than its own.
    pub list: &'a Tensor,
    /// Whether sequences branch.
    pub branching: bool,
}

impl<'a> From<&'a Tensor> for Spans<'a> {
    fn from(list: &'a Tensor) -> Self {
        Self { list, branching: false }
    }
}

/// Most values a head may hold: lanes of software adapters keep whole rows in registers, those of GPUs a part of four.
pub const MAX_HEAD_DIM: usize = 128;

/// What walks over blocks of the other side.
#[derive(Clone, Copy)]
enum Entry {
    Forward,
    BackwardQuery,
    BackwardKeyValue,
}

impl Attention {
    /// Layout of a query, output or output-gradient tensor.
    pub fn query_layout(&self) -> Layout {
        Layout::heads(self.heads, self.head_dim)
    }

    /// Layout of a key or value tensor.
    pub fn key_value_layout(&self) -> Layout {
        Layout::heads(self.key_value_heads, self.head_dim)
    }

    fn head4(&self) -> u32 {
        (Layout::heads(1, self.head_dim).padded() / 4) as u32
    }

    fn params(&self, tokens: usize) -> Params {
        Params {
            tokens: tokens as u32,
            heads: self.heads as u32,
            key_value_heads: self.key_value_heads as u32,
            scale: (1.0 / (self.head_dim as f64).sqrt()) as f32,
            causal: u32::from(self.causal),
            window: self.window.unwrap_or(0) as u32,
        }
    }

    /// The kernel of an entry point, and the rows of its tiles: of queries, or of keys in the gradient of those.
    fn kernel(&self, recorder: &Recorder, entry: Entry, dtype: Dtype, spans: Spans) -> (Kernel, u32) {
        let gpu = recorder.gpu;
        let (kernel, rows) = match gpu.preset() {
            Preset::Software => {
                let lanes = gpu.subgroup_size();
                let (name, operation) = match entry {
                    Entry::Forward => ("attention_register/forward", Operation::Attention),
                    Entry::BackwardQuery => ("attention_register/backward_query", Operation::AttentionBackward),
                    Entry::BackwardKeyValue => ("attention_register/backward_key_value", Operation::AttentionBackward),
                };
                let wide = gpu.variant(operation).wide && dtype != Dtype::F16;
                let kernel = Kernel::new(name).feature_if(wide, "wide").constant("LANES", lanes);
                let kernel = match self.head4().div_ceil(lanes) {
                    0..=1 => kernel,
                    2 => kernel.feature("columns_2"),
                    3..=4 => kernel.feature("columns_4"),
                    _ => kernel.feature("columns_8"),
                };
                (kernel, 16)
            }
            Preset::Gpu => {
                let kernel = Kernel::new(match entry {
                    Entry::Forward => "attention/forward",
                    Entry::BackwardQuery => "attention/backward_query",
                    Entry::BackwardKeyValue => "attention/backward_key_value",
                });
                let head = match self.head4() {
                    0..=8 => "head_32",
                    9..=16 => "head_64",
                    _ => "head_128",
                };
                (kernel.feature(head), 64)
            }
        };
        let mut kernel = for_x(kernel, dtype).constant("HEAD4", self.head4());
        // Keys have no gaps.
        if !matches!((gpu.preset(), entry), (Preset::Software, Entry::BackwardKeyValue)) {
            kernel = kernel.constant("BRANCHING", u32::from(spans.branching));
        }
        (kernel, rows)
    }

    /// Longest sequence over which the kernels of a forward pass, or of both, can walk on an adapter.
    pub fn longest(&self, gpu: &Gpu, backward: bool) -> usize {
        let head4 = self.head4() as usize;
        // Loops over the columns of a head and over the members of a block, some more of either on GPUs, and a few rounds.
        let (block, rounds, rows) = match gpu.preset() {
            Preset::Software => {
                let lanes = gpu.subgroup_size() as usize;
                (4 * lanes, head4 + lanes + 4, 16)
            }
            Preset::Gpu => (32, 9 * head4 + 96, 64),
        };
        // The gradient of a key sums over all query heads that share it.
        let heads = if backward { self.heads / self.key_value_heads } else { 1 };
        Walk { block, rounds: heads * rounds, window: self.window.map(|window| window + rows) }.longest(gpu)
    }

    fn guard(&self, queries: &[&Tensor], keys: &[&Tensor], spans: Spans) -> Result<()> {
        let columns = |tensors: &[&Tensor], layout: Layout| tensors.iter().all(|tensor| tensor.columns() == layout);
        let dividing = self.key_value_heads > 0 && self.heads.is_multiple_of(self.key_value_heads);
        if self.head_dim > MAX_HEAD_DIM || !self.head_dim.is_multiple_of(2) || !dividing {
            return Err(Error::kernel("attention", format!("{self:?} is not supported")));
        }
        if !columns(queries, self.query_layout()) || !columns(keys, self.key_value_layout()) {
            return Err(Error::kernel(
                "attention",
                format!("{} or {} does not fit {self:?}", queries[0].label(), keys[0].label()),
            ));
        }
        if spans.branching && (!self.causal || self.window.is_some()) {
            return Err(Error::kernel("attention", format!("sequences branch, which {self:?} has no rule for")));
        }
        Ok(())
    }

    /// `o = softmax(q kᵀ / √head_dim) v` within each sequence; `stats` receives log-sum-exps, two values a (token, head).
    /// No sequence may be longer than [`Self::longest`], which is not checked here.
    ///
    /// # Errors
    /// If the shape is not supported, a tensor does not have it, sequences branch where the shape has no rule for that,
    /// a tensor is not what the shader declares, or the driver fails.
    #[allow(clippy::too_many_arguments, reason = "operands of one operation, in the order of its formula")]
    pub fn forward<'a>(
        &self,
        recorder: &mut Recorder,
        tokens: usize,
        spans: impl Into<Spans<'a>>,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        o: &Tensor,
        stats: &Tensor,
    ) -> Result<()> {
        let spans = spans.into();
        self.guard(&[q, o], &[k, v], spans)?;
        let (kernel, rows) = self.kernel(recorder, Entry::Forward, q.dtype(), spans);
        let bindings = [spans.list.whole(), q.whole(), k.whole(), v.whole(), o.whole(), stats.whole()];
        let workgroups = [(tokens as u32).div_ceil(rows), self.heads as u32, 1];
        recorder.dispatch(&kernel, &self.params(tokens), &bindings, workgroups, self.cost(tokens, 4.0))
    }

    /// Gradients of q, k and v, overwriting them. `stats` comes from the forward pass and is completed here.
    ///
    /// # Errors
    /// As [`Self::forward`].
    #[allow(clippy::too_many_arguments, reason = "operands of one operation, in the order of its formula")]
    pub fn backward<'a>(
        &self,
        recorder: &mut Recorder,
        tokens: usize,
        spans: impl Into<Spans<'a>>,
        [q, k, v, o]: [&Tensor; 4],
        stats: &Tensor,
        d_o: &Tensor,
        [d_q, d_k, d_v]: [&Tensor; 3],
    ) -> Result<()> {
        let spans = spans.into();
        self.guard(&[q, o, d_o, d_q], &[k, v, d_k, d_v], spans)?;
        let params = self.params(tokens);
        let dot = for_x(Kernel::new("attention/backward_dot"), o.dtype()).constant("HEAD4", self.head4());
        let rows = (tokens * self.heads) as u32;
        let small = Cost { flops: 0.0, bytes: 8.0 * f64::from(rows) * self.head_dim as f64, ..Cost::default() };
        recorder.dispatch(&dot, &params, &[o.whole(), d_o.whole(), stats.whole()], grid(rows.div_ceil(64)), small)?;

        let (kernel, rows) = self.kernel(recorder, Entry::BackwardQuery, q.dtype(), spans);
        let workgroups = [(tokens as u32).div_ceil(rows), self.heads as u32, 1];
        let shared = [spans.list.whole(), q.whole(), k.whole(), v.whole(), stats.whole(), d_o.whole()];
        let bindings = [&shared[..], &[d_q.whole()]].concat();
        recorder.dispatch(&kernel, &params, &bindings, workgroups, self.cost(tokens, 6.0))?;

        let (kernel, rows) = self.kernel(recorder, Entry::BackwardKeyValue, q.dtype(), spans);
        let workgroups = [(tokens as u32).div_ceil(rows), self.key_value_heads as u32, 1];
        let bindings = [&shared[..], &[d_k.whole(), d_v.whole()]].concat();
        recorder.dispatch(&kernel, &params, &bindings, workgroups, self.cost(tokens, 8.0))
    }

    /// The sequences' lengths are not known here; a quarter of tokens² pairs is the causal case of two sequences. It
    /// only steers where submits are cut.
    fn cost(&self, tokens: usize, flops_per_pair: f64) -> Cost {
        let pairs = (tokens * tokens) as f64 / 4.0 * self.heads as f64;
        let values = (tokens * (self.heads + self.key_value_heads) * 2 * self.head_dim) as f64;
        Cost { flops: flops_per_pair * pairs * self.head_dim as f64, bytes: 4.0 * values, ..Cost::default() }
    }
}
