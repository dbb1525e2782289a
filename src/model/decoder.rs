//! The decoder: Llama, Mistral, Qwen2 and Qwen3, forward and backward, written out as the kernels run.
//!
//! Backward passes are written by hand beside the forward passes they mirror. Activations are looked up by name in the
//! one table of [`super::activations`]; with checkpointing, blocks share buffers and the backward pass repeats a
//! block's forward pass before it needs them.

use crate::Result;
use crate::gpu::{Dtype, Gpu, Layout, Recorder, Tensor};
use crate::kernels::attention::Attention;
use crate::kernels::cached_attention::{self, Places};
use crate::kernels::{embedding, rms_norm, rope, swiglu};

use super::activations::{Activations, Checkpointing};
use super::batch::Batch;
use super::cache::KeyValueCache;
use super::config::ModelConfig;
use super::linear::Linear;
use super::lora::{DropoutKey, LoraConfig};
use super::parameter::{Holding, Parameter, gradient};

/// One transformer layer.
#[derive(Debug, Clone)]
struct Layer {
    shape: Attention,
    attention_norm: Parameter,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    query_norm: Option<Parameter>,
    key_norm: Option<Parameter>,
    mlp_norm: Parameter,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// A decoder without a head: token ids in, the residual stream after the last layer out.
#[derive(Debug, Clone)]
pub struct Decoder {
    eps: f32,
    embedding: Parameter,
    layers: Vec<Layer>,
    norm: Parameter,
}

/// The inputs of every pass.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// The packed batch.
    pub batch: &'a Batch,
    /// Buffers of the activation table.
    pub activations: &'a Activations,
    /// Scratch for sums over rows.
    pub chunks: &'a Tensor,
}

/// The attention of a layer.
fn attention(config: &ModelConfig, layer: usize) -> Attention {
    Attention {
        heads: config.num_attention_heads,
        key_value_heads: config.num_key_value_heads,
        head_dim: config.head_dim,
        causal: true,
        window: config.window(layer),
    }
}

/// Longest sequence that an adapter can give to a forward pass, or to both passes.
pub fn longest(gpu: &Gpu, config: &ModelConfig, backward: bool) -> usize {
    let layers = (0..config.num_hidden_layers).map(|layer| attention(config, layer).longest(gpu, backward));
    layers.min().unwrap_or(usize::MAX)
}

/// The same of a pass that continues sequences whose earlier tokens are in a cache.
pub fn longest_cached(gpu: &Gpu, config: &ModelConfig) -> usize {
    let layers = (0..config.num_hidden_layers).map(|layer| cached_attention::longest(gpu, &attention(config, layer)));
    layers.min().unwrap_or(usize::MAX)
}

impl Decoder {
    /// Parameters for a configuration, zeroed; `storage` says how a matrix is stored, by its name.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(gpu: &Gpu, config: &ModelConfig, holding: Holding, storage: &dyn Fn(&str) -> Dtype) -> Result<Self> {
        let hidden = Layout::plain(config.hidden_size);
        let inner = Layout::plain(config.intermediate_size);
        let head = Layout::heads(1, config.head_dim);
        let linear = |name: String, out: Layout, inner: Layout, bias: bool| {
            let dtype = storage(&format!("{name}.weight"));
            Linear::new(gpu, &name, out, inner, bias, holding, dtype)
        };
        let norm = |name: String, columns: Layout| Parameter::vector(gpu, name, columns, holding);
        let layer = |index: usize| -> Result<Layer> {
            let at = |rest: &str| format!("model.layers.{index}.{rest}");
            let shape = attention(config, index);
            let (queries, keys) = (shape.query_layout(), shape.key_value_layout());
            let head_norm = |name: &str| config.qk_norm.then(|| norm(at(name), head)).transpose();
            Ok(Layer {
                shape,
                attention_norm: norm(at("input_layernorm.weight"), hidden)?,
                query: linear(at("self_attn.q_proj"), queries, hidden, config.qkv_bias)?,
                key: linear(at("self_attn.k_proj"), keys, hidden, config.qkv_bias)?,
                value: linear(at("self_attn.v_proj"), keys, hidden, config.qkv_bias)?,
                output: linear(at("self_attn.o_proj"), hidden, queries, config.output_bias)?,
                query_norm: head_norm("self_attn.q_norm.weight")?,
                key_norm: head_norm("self_attn.k_norm.weight")?,
                mlp_norm: norm(at("post_attention_layernorm.weight"), hidden)?,
                gate: linear(at("mlp.gate_proj"), inner, hidden, config.mlp_bias)?,
                up: linear(at("mlp.up_proj"), inner, hidden, config.mlp_bias)?,
                down: linear(at("mlp.down_proj"), hidden, inner, config.mlp_bias)?,
            })
        };
        let name = "model.embed_tokens.weight".to_owned();
        let dtype = storage(&name);
        let vocabulary = Layout::plain(config.vocab_size);
        Ok(Self {
            eps: config.rms_norm_eps,
            embedding: Parameter::matrix(gpu, name, vocabulary, hidden, holding, dtype)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?,
            norm: norm("model.norm.weight".into(), hidden)?,
        })
    }

    /// Gives the linear layers that `config` names an adapter each.
    ///
    /// # Errors
    /// The device has no room.
    pub fn adapt(&mut self, gpu: &Gpu, config: &LoraConfig, holding: Holding) -> Result<()> {
        self.layers.iter_mut().flat_map(Layer::linears_mut).try_for_each(|linear| linear.adapt(gpu, config, holding))
    }

    /// The same weights without adapters; the tensors are shared.
    pub fn without_adapters(&self) -> Self {
        self.with_linears(Linear::without_adapter)
    }

    /// The same weights in passes that drop a share of the adapters' inputs; the tensors are shared.
    pub fn with_dropout(&self, probability: f32, key: &DropoutKey) -> Self {
        self.with_linears(|linear| linear.with_dropout(probability, key))
    }

    fn with_linears(&self, change: impl Fn(&Linear) -> Linear) -> Self {
        let mut changed = self.clone();
        for linear in changed.layers.iter_mut().flat_map(Layer::linears_mut) {
            *linear = change(linear);
        }
        changed
    }

    /// Every parameter, in the order of computation, adapters beside the weights they add to.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let layers = self.layers.iter().flat_map(Layer::parameters);
        std::iter::once(&self.embedding).chain(layers).chain(std::iter::once(&self.norm))
    }

    /// The norm after the last layer, which the head applies to what it pools.
    pub fn norm(&self) -> (&Parameter, f32) {
        (&self.norm, self.eps)
    }

    /// The token embedding, also the output matrix of models that tie them.
    pub fn embedding(&self) -> &Parameter {
        &self.embedding
    }

    /// Residual stream after the last layer.
    pub fn output<'a>(&self, activations: &'a Activations) -> &'a Tensor {
        activations.of("inputs", self.layers.len())
    }

    /// Token ids to the residual stream after the last layer.
    ///
    /// # Errors
    /// The batch exceeds the buffers of the pass.
    pub fn forward(&self, recorder: &mut Recorder, pass: Pass) -> Result<()> {
        self.forward_with(recorder, pass, |recorder, layer, index| {
            layer.attention_forward(recorder, pass, index, self.eps)
        })
    }

    /// As [`Self::forward`], for tokens that continue sequences: their keys and values are added to the cache, and they
    /// see those of all earlier tokens of their sequences there. There is no backward pass.
    ///
    /// # Errors
    /// As [`Self::forward`]; the cache or the places in it do not fit the batch.
    pub fn forward_cached(
        &self,
        recorder: &mut Recorder,
        pass: Pass,
        cache: &KeyValueCache,
        places: Places,
    ) -> Result<()> {
        self.forward_with(recorder, pass, |recorder, layer, index| {
            layer.attention_inputs(recorder, pass, index, self.eps)?;
            let of = |name| pass.activations.of(name, index);
            let (rows, cache) = (pass.batch.tokens, cache.layer(index));
            cached_attention::write(recorder, &layer.shape, rows, places, [of("key"), of("value")], cache)?;
            cached_attention::forward(recorder, &layer.shape, rows, places, of("query"), cache, of("attention"))
        })
    }

    /// Every layer, with attention as `attend` records it.
    fn forward_with(
        &self,
        recorder: &mut Recorder,
        pass: Pass,
        attend: impl Fn(&mut Recorder, &Layer, usize) -> Result<()>,
    ) -> Result<()> {
        let Pass { batch, activations, .. } = pass;
        embedding::forward(recorder, batch.tokens, &batch.ids, self.embedding.used(), activations.get("inputs"))?;
        for (index, layer) in self.layers.iter().enumerate() {
            attend(recorder, layer, index)?;
            layer.attention_output(recorder, pass, index)?;
            layer.mlp_forward(recorder, pass, index, self.eps)?;
            let residual = Some(activations.of("middles", index));
            layer.down.forward(
                recorder,
                batch.tokens,
                activations.of("product", index),
                activations.of("inputs", index + 1),
                residual,
                activations,
            )?;
        }
        Ok(())
    }

    /// From the gradient of the residual stream after the last layer, in `d_residual`, to the gradients of all
    /// parameters.
    ///
    /// # Errors
    /// As [`Self::forward`]; a parameter that is trained was loaded without room for a gradient.
    pub fn backward(&self, recorder: &mut Recorder, pass: Pass, checkpointing: Checkpointing) -> Result<()> {
        let Pass { batch, activations, .. } = pass;
        for (index, layer) in self.layers.iter().enumerate().rev() {
            if checkpointing != Checkpointing::None {
                layer.attention_forward(recorder, pass, index, self.eps)?;
            }
            if checkpointing == Checkpointing::Layer {
                layer.attention_output(recorder, pass, index)?;
                layer.mlp_forward(recorder, pass, index, self.eps)?;
            }
            layer.mlp_backward(recorder, pass, index)?;
            layer.attention_backward(recorder, pass, index)?;
        }
        if self.embedding.frozen {
            return Ok(());
        }
        let d_residual = activations.get("d_residual");
        embedding::backward(
            recorder,
            batch.tokens,
            batch.tokens,
            batch.token_groups(),
            d_residual,
            gradient(&self.embedding)?,
        )
    }
}

impl Layer {
    fn linears_mut(&mut self) -> [&mut Linear; 7] {
        let Self { query, key, value, output, gate, up, down, .. } = self;
        [query, key, value, output, gate, up, down]
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let attention = [&self.query, &self.key, &self.value, &self.output].into_iter().flat_map(Linear::parameters);
        let mlp = [&self.gate, &self.up, &self.down].into_iter().flat_map(Linear::parameters);
        std::iter::once(&self.attention_norm)
            .chain(attention)
            .chain(&self.query_norm)
            .chain(&self.key_norm)
            .chain(std::iter::once(&self.mlp_norm))
            .chain(mlp)
    }

    /// Norm, projections, rotary embedding, attention: everything the backward pass needs of the block.
    fn attention_forward(&self, recorder: &mut Recorder, pass: Pass, index: usize, eps: f32) -> Result<()> {
        self.attention_inputs(recorder, pass, index, eps)?;
        let of = |name| pass.activations.of(name, index);
        let (rows, spans) = (pass.batch.tokens, pass.batch.spans());
        let (q, k, v) = (of("query"), of("key"), of("value"));
        self.shape.forward(recorder, rows, spans, q, k, v, of("attention"), of("attention_stats"))
    }

    /// Norm, projections, rotary embedding: queries, keys and values.
    fn attention_inputs(&self, recorder: &mut Recorder, pass: Pass, index: usize, eps: f32) -> Result<()> {
        let Pass { batch, activations, .. } = pass;
        let of = |name| activations.of(name, index);
        let rows = batch.tokens;
        rms_norm::forward(
            recorder,
            rows,
            of("inputs"),
            self.attention_norm.used(),
            of("attention_norm"),
            of("attention_rstd"),
            eps,
        )?;
        match (&self.query_norm, &self.key_norm) {
            (Some(query_norm), Some(key_norm)) => {
                self.query.forward(recorder, rows, of("attention_norm"), of("raw_query"), None, pass.activations)?;
                self.key.forward(recorder, rows, of("attention_norm"), of("raw_key"), None, pass.activations)?;
                rms_norm::forward(
                    recorder,
                    rows,
                    of("raw_query"),
                    query_norm.used(),
                    of("query"),
                    of("query_rstd"),
                    eps,
                )?;
                rms_norm::forward(recorder, rows, of("raw_key"), key_norm.used(), of("key"), of("key_rstd"), eps)?;
            }
            _ => {
                self.query.forward(recorder, rows, of("attention_norm"), of("query"), None, pass.activations)?;
                self.key.forward(recorder, rows, of("attention_norm"), of("key"), None, pass.activations)?;
            }
        }
        self.value.forward(recorder, rows, of("attention_norm"), of("value"), None, pass.activations)?;
        rope::forward(recorder, rows, of("query"), &batch.angles, batch.origins())?;
        rope::forward(recorder, rows, of("key"), &batch.angles, batch.origins())
    }

    /// The block's result: the residual stream in the middle of the layer.
    fn attention_output(&self, recorder: &mut Recorder, pass: Pass, index: usize) -> Result<()> {
        let of = |name| pass.activations.of(name, index);
        self.output.forward(
            recorder,
            pass.batch.tokens,
            of("attention"),
            of("middles"),
            Some(of("inputs")),
            pass.activations,
        )
    }

    /// Everything of the gated MLP but its last projection.
    fn mlp_forward(&self, recorder: &mut Recorder, pass: Pass, index: usize, eps: f32) -> Result<()> {
        let of = |name| pass.activations.of(name, index);
        let rows = pass.batch.tokens;
        rms_norm::forward(recorder, rows, of("middles"), self.mlp_norm.used(), of("mlp_norm"), of("mlp_rstd"), eps)?;
        self.gate.forward(recorder, rows, of("mlp_norm"), of("gate"), None, pass.activations)?;
        self.up.forward(recorder, rows, of("mlp_norm"), of("up"), None, pass.activations)?;
        swiglu::forward(recorder, rows, of("gate"), of("up"), of("product"))
    }

    fn mlp_backward(&self, recorder: &mut Recorder, pass: Pass, index: usize) -> Result<()> {
        let Pass { batch, activations, chunks } = pass;
        let of = |name| activations.of(name, index);
        let rows = batch.tokens;
        let (d_residual, d_norm) = (of("d_residual"), of("d_norm"));
        self.down.backward(recorder, rows, d_residual, of("product"), of("d_product"), false, chunks, activations)?;
        swiglu::backward(recorder, rows, of("d_product"), of("gate"), of("up"), of("d_gate"), of("d_up"))?;
        self.gate.backward(recorder, rows, of("d_gate"), of("mlp_norm"), d_norm, false, chunks, activations)?;
        self.up.backward(recorder, rows, of("d_up"), of("mlp_norm"), d_norm, true, chunks, activations)?;
        norm_backward(recorder, rows, d_norm, of("middles"), &self.mlp_norm, of("mlp_rstd"), d_residual, true, chunks)
    }

    fn attention_backward(&self, recorder: &mut Recorder, pass: Pass, index: usize) -> Result<()> {
        let Pass { batch, activations, chunks } = pass;
        let of = |name| activations.of(name, index);
        let rows = batch.tokens;
        let (d_residual, d_norm) = (of("d_residual"), of("d_norm"));
        let (d_query, d_key, d_value) = (of("d_query"), of("d_key"), of("d_value"));
        self.output.backward(
            recorder,
            rows,
            d_residual,
            of("attention"),
            of("d_attention"),
            false,
            chunks,
            activations,
        )?;
        let inputs = [of("query"), of("key"), of("value"), of("attention")];
        let d_inputs = [d_query, d_key, d_value];
        self.shape.backward(
            recorder,
            rows,
            batch.spans(),
            inputs,
            of("attention_stats"),
            of("d_attention"),
            d_inputs,
        )?;
        rope::backward(recorder, rows, d_query, &batch.angles, batch.origins())?;
        rope::backward(recorder, rows, d_key, &batch.angles, batch.origins())?;
        let (d_query, d_key) = match (&self.query_norm, &self.key_norm) {
            (Some(query_norm), Some(key_norm)) => {
                let (raw_query, raw_key) = (of("d_raw_query"), of("d_raw_key"));
                norm_backward(
                    recorder,
                    rows,
                    d_query,
                    of("raw_query"),
                    query_norm,
                    of("query_rstd"),
                    raw_query,
                    false,
                    chunks,
                )?;
                norm_backward(recorder, rows, d_key, of("raw_key"), key_norm, of("key_rstd"), raw_key, false, chunks)?;
                (raw_query, raw_key)
            }
            _ => (d_query, d_key),
        };
        self.query.backward(recorder, rows, d_query, of("attention_norm"), d_norm, false, chunks, activations)?;
        self.key.backward(recorder, rows, d_key, of("attention_norm"), d_norm, true, chunks, activations)?;
        self.value.backward(recorder, rows, d_value, of("attention_norm"), d_norm, true, chunks, activations)?;
        let rstd = of("attention_rstd");
        norm_backward(recorder, rows, d_norm, of("inputs"), &self.attention_norm, rstd, d_residual, true, chunks)
    }
}

/// Both gradients of a norm; that of the weight only if it is trained.
#[allow(clippy::too_many_arguments, reason = "operands of one operation, in the order of its formula")]
pub(super) fn norm_backward(
    recorder: &mut Recorder,
    rows: usize,
    d_y: &Tensor,
    x: &Tensor,
    norm: &Parameter,
    rstd: &Tensor,
    d_x: &Tensor,
    accumulate: bool,
    chunks: &Tensor,
) -> Result<()> {
    if !norm.frozen {
        rms_norm::backward_weight(recorder, rows, d_y, x, rstd, gradient(norm)?, chunks)?;
    }
    rms_norm::backward(recorder, rows, d_y, x, norm.used(), rstd, d_x, accumulate)
}
