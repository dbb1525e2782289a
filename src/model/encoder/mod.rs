//! BERT-family encoders: BERT, RoBERTa and XLM-RoBERTa, forward only. Their parameters have no gradients, so nothing
//! can silently stay zero.
//!
//! `config` and `checkpoint` read a directory, `sentence` turns it into a sentence embedder; `activations` is
//! the one table of buffers, `batch` a packed batch.

mod activations;
mod batch;
mod checkpoint;
mod config;
mod sentence;

use crate::Result;
use crate::gpu::{Gpu, Layout, Recorder, Tensor};
use crate::kernels::attention::Attention;
use crate::kernels::gelu::{self, Gelu};
use crate::kernels::pooling::{self, Pooling};
use crate::kernels::{add, embedding, l2_norm, layer_norm, loops};

use super::activations::Activations;
use super::linear::Linear;
use super::parameter::{Holding, Parameter};
use crate::model::batch::Capacity;

pub use activations::plan;
pub use batch::Batch;
pub use checkpoint::EncoderCheckpoint;
pub use config::{EncoderConfig, Family};
pub use sentence::SentenceModel;

/// An encoder on the device, with room for its batches: packed token ids in, one row per token or per sequence out.
pub struct Encoder {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    activations: Activations,
    /// The batch that the next replay works on.
    pub batch: Batch,
}

/// The three tables whose rows add up to the embedding of a token, and the norm after them.
struct Embeddings {
    words: Parameter,
    positions: Parameter,
    types: Parameter,
    norm: Norm,
}

/// One transformer layer; each half normalises the sum of its input and its result.
struct Layer {
    shape: Attention,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: Norm,
    up: Linear,
    gelu: Gelu,
    down: Linear,
    mlp_norm: Norm,
}

/// A LayerNorm.
struct Norm {
    weight: Parameter,
    bias: Parameter,
    eps: f32,
}

impl Encoder {
    /// Loads the weights, with room for batches of `capacity`.
    ///
    /// # Errors
    /// A weight is not finite, or the device fails.
    pub fn load(gpu: &Gpu, checkpoint: &EncoderCheckpoint, capacity: Capacity) -> Result<Self> {
        let config = checkpoint.config();
        let longest = activations::attention(config).longest(gpu, false);
        loops::check_length(gpu, capacity.length, longest, "a smaller embedder")?;
        let loader = Loader { gpu, checkpoint };
        let layers = (0..config.num_hidden_layers).map(|index| Layer::load(&loader, index));
        Ok(Self {
            embeddings: Embeddings::load(&loader)?,
            layers: layers.collect::<Result<_>>()?,
            activations: Activations::allocate(gpu, &activations::table(config), capacity.rows())?,
            batch: Batch::new(gpu, config, capacity)?,
        })
    }

    /// Token ids to `[tokens, hidden]`, which is [`Self::hidden`].
    ///
    /// # Errors
    /// The device fails.
    pub fn forward(&self, recorder: &mut Recorder) -> Result<()> {
        self.embeddings.forward(recorder, &self.batch, &self.activations)?;
        self.layers.iter().try_for_each(|layer| layer.forward(recorder, &self.batch, &self.activations))
    }

    /// One row a token after a forward pass, `[tokens, hidden]`.
    pub fn hidden(&self) -> &Tensor {
        self.activations.get("hidden")
    }

    /// One row a sequence after a forward pass, `[sequences, hidden]`, of unit length if `normalise` is set. Returns
    /// the tensor that will hold them.
    ///
    /// # Errors
    /// The device fails.
    pub fn pool(&self, recorder: &mut Recorder, pooling: Pooling, normalise: bool) -> Result<&Tensor> {
        let Batch { tokens, sequences, offsets, .. } = &self.batch;
        let (pooled, normalised) = (self.activations.get("pooled"), self.activations.get("normalised"));
        pooling::forward(recorder, *tokens, *sequences, pooling, offsets, self.hidden(), pooled)?;
        if !normalise {
            return Ok(pooled);
        }
        l2_norm::forward(recorder, *sequences, pooled, normalised)?;
        Ok(normalised)
    }
}

/// The context for loading parameters.
struct Loader<'a> {
    gpu: &'a Gpu,
    checkpoint: &'a EncoderCheckpoint,
}

impl Loader<'_> {
    fn fill(&self, parameter: &Parameter) -> Result<()> {
        parameter.write(self.gpu, &self.checkpoint.read(&parameter.name)?)?;
        self.gpu.flush("loading the weights")
    }

    fn table(&self, name: &str, rows: usize) -> Result<Parameter> {
        let name = format!("embeddings.{name}.weight");
        let (columns, dtype) = (Layout::plain(self.checkpoint.config().hidden_size), self.checkpoint.storage(&name));
        let table = Parameter::matrix(self.gpu, name, Layout::plain(rows), columns, Holding::Inference, dtype)?;
        self.fill(&table)?;
        Ok(table)
    }

    fn linear(&self, name: &str, out: Layout, inner: Layout) -> Result<Linear> {
        let dtype = self.checkpoint.storage(&format!("{name}.weight"));
        let linear = Linear::new(self.gpu, name, out, inner, true, Holding::Inference, dtype)?;
        linear.parameters().try_for_each(|parameter| self.fill(parameter))?;
        Ok(linear)
    }

    fn norm(&self, name: &str) -> Result<Norm> {
        let config = self.checkpoint.config();
        let vector = |end: &str| {
            let columns = Layout::plain(config.hidden_size);
            let vector = Parameter::vector(self.gpu, format!("{name}.{end}"), columns, Holding::Inference)?;
            self.fill(&vector)?;
            Ok(vector)
        };
        Ok(Norm { weight: vector("weight")?, bias: vector("bias")?, eps: config.layer_norm_eps })
    }
}

impl Norm {
    fn forward(&self, recorder: &mut Recorder, rows: usize, activations: &Activations, y: &Tensor) -> Result<()> {
        let (weight, bias) = (self.weight.used(), self.bias.used());
        layer_norm::forward(recorder, rows, activations.get("sum"), weight, bias, y, self.eps)
    }
}

impl Embeddings {
    fn load(loader: &Loader) -> Result<Self> {
        let config = loader.checkpoint.config();
        Ok(Self {
            words: loader.table("word_embeddings", config.vocab_size)?,
            positions: loader.table("position_embeddings", config.max_position_embeddings)?,
            types: loader.table("token_type_embeddings", config.type_vocab_size)?,
            norm: loader.norm("embeddings.LayerNorm")?,
        })
    }

    fn forward(&self, recorder: &mut Recorder, batch: &Batch, activations: &Activations) -> Result<()> {
        let (sum, row) = (activations.get("sum"), activations.get("middle"));
        embedding::forward(recorder, batch.tokens, &batch.ids, self.words.used(), sum)?;
        for (ids, table) in [(&batch.types, &self.types), (&batch.positions, &self.positions)] {
            embedding::forward(recorder, batch.tokens, ids, table.used(), row)?;
            add::forward(recorder, batch.tokens, row, sum)?;
        }
        self.norm.forward(recorder, batch.tokens, activations, activations.get("hidden"))
    }
}

impl Layer {
    fn load(loader: &Loader, index: usize) -> Result<Self> {
        let config = loader.checkpoint.config();
        let at = |rest: &str| format!("encoder.layer.{index}.{rest}");
        let shape = activations::attention(config);
        let (hidden, inner) = (Layout::plain(config.hidden_size), Layout::plain(config.intermediate_size));
        let heads = shape.query_layout();
        Ok(Self {
            shape,
            query: loader.linear(&at("attention.self.query"), heads, hidden)?,
            key: loader.linear(&at("attention.self.key"), heads, hidden)?,
            value: loader.linear(&at("attention.self.value"), heads, hidden)?,
            output: loader.linear(&at("attention.output.dense"), hidden, heads)?,
            attention_norm: loader.norm(&at("attention.output.LayerNorm"))?,
            up: loader.linear(&at("intermediate.dense"), inner, hidden)?,
            gelu: config.hidden_act,
            down: loader.linear(&at("output.dense"), hidden, inner)?,
            mlp_norm: loader.norm(&at("output.LayerNorm"))?,
        })
    }

    fn forward(&self, recorder: &mut Recorder, batch: &Batch, activations: &Activations) -> Result<()> {
        let get = |name| activations.get(name);
        let (rows, hidden, middle, sum) = (batch.tokens, get("hidden"), get("middle"), get("sum"));
        for (linear, name) in [(&self.query, "query"), (&self.key, "key"), (&self.value, "value")] {
            linear.forward(recorder, rows, hidden, get(name), None, activations)?;
        }
        let (q, k, v, o) = (get("query"), get("key"), get("value"), get("attention"));
        self.shape.forward(recorder, rows, &batch.spans, q, k, v, o, get("attention_stats"))?;
        self.output.forward(recorder, rows, o, sum, Some(hidden), activations)?;
        self.attention_norm.forward(recorder, rows, activations, middle)?;
        self.up.forward(recorder, rows, middle, get("inner"), None, activations)?;
        gelu::forward(recorder, rows, self.gelu, get("inner"), get("activated"))?;
        self.down.forward(recorder, rows, get("activated"), sum, Some(middle), activations)?;
        self.mlp_norm.forward(recorder, rows, activations, hidden)
    }
}
