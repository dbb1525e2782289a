//! The memory plan: how much device memory a run will need, computed before it allocates.

use serde::Serialize;

use crate::gpu::{Dtype, Gpu, Layout};
use crate::ranks::deal;
use crate::{Error, Result};

use super::config::{ModelConfig, TensorSpec};
use super::held::Held;
use super::lora::LoraConfig;
use super::parameter::Holding;
use super::weights::Checkpoint;

/// Bytes of the two moments of a value.
const MOMENTS: u64 = 8;

/// Bytes by purpose.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MemoryPlan {
    /// Parameters and their low-precision copies.
    pub weights: u64,
    /// Gradients of parameters.
    pub gradients: u64,
    /// Optimizer moments.
    pub optimizer: u64,
    /// Activations of the largest micro-batch, and their gradients.
    pub activations: u64,
    /// Batches, dispatch parameters, partial sums.
    pub workspace: u64,
    /// Tokens of the largest micro-batch.
    pub tokens: usize,
    /// How the weights of the checkpoint are held.
    pub held: Held,
    /// Values of each trained parameter, padding included.
    #[serde(skip)]
    pub trained: Vec<usize>,
}

impl MemoryPlan {
    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.optimizer + self.activations + self.workspace
    }

    /// Adds what is held for one parameter.
    pub fn add_parameter(&mut self, checkpoint: &Checkpoint, spec: &TensorSpec, holding: Holding) {
        let (rows, columns) = padded_shape(checkpoint.config(), spec);
        let values = (rows * columns) as u64;
        let matrix = spec.shape.len() > 1;
        let dtype = if matrix { holding.storage(checkpoint, &spec.name) } else { Dtype::F32 };
        if let Some(stored) = checkpoint.info(&spec.name).filter(|info| info.shape == spec.shape) {
            self.held.add(&spec.name, stored.dtype, dtype);
        }
        match holding {
            Holding::Inference | Holding::Frozen(_) => {
                self.weights += rows as u64 * dtype.row_bytes(columns);
            }
            Holding::Training | Holding::MixedTraining(_) => {
                let copy = holding.copies().filter(|_| matrix).map_or(0, Dtype::bytes);
                self.weights += values * (4 + copy);
                self.gradients += values * 4;
                self.train(values as usize);
            }
        }
    }

    /// Adds the moments of a parameter.
    fn train(&mut self, values: usize) {
        self.optimizer += values as u64 * MOMENTS;
        self.trained.push(values);
    }

    /// The same for a rank of several that share the moments of the optimizer, with the largest share.
    #[must_use]
    pub fn on_ranks(mut self, ranks: usize) -> Self {
        let shares = deal(&self.trained, ranks);
        let values = |share: &Vec<usize>| share.iter().map(|place| self.trained[*place] as u64).sum::<u64>();
        self.optimizer = shares.iter().map(values).max().unwrap_or(0) * MOMENTS;
        self
    }

    /// Adds what is held for the adapters of a model.
    pub fn add_adapters(&mut self, config: &ModelConfig, lora: &LoraConfig, trains: bool) {
        let values = lora.padded_values(config);
        self.weights += values.iter().sum::<usize>() as u64 * 4;
        if trains {
            self.gradients += values.iter().sum::<usize>() as u64 * 4;
            values.into_iter().for_each(|values| self.train(values));
        }
    }

    /// Refuses a plan that exceeds the memory of the adapter, where that is known.
    ///
    /// # Errors
    /// The plan needs more memory than the adapter has.
    pub fn check(&self, gpu: &Gpu) -> Result<()> {
        let hint = if self.gradients == 0 {
            "use a smaller `.batch_size` or `.max_length`"
        } else {
            "use a smaller `.batch_size` with more `.grad_accum`, a smaller `.max_length`, `.checkpointing` layer or `.precision` mixed"
        };
        self.check_or(gpu, hint)
    }

    /// As [`Self::check`], with a hint of one's own.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_or(&self, gpu: &Gpu, hint: &str) -> Result<()> {
        let Some(available) = gpu.available_memory() else { return Ok(()) };
        if self.total() <= available {
            return Ok(());
        }
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        let problem =
            format!("the run needs {:.1} GiB and {} has {:.1} GiB", gib(self.total()), gpu.name(), gib(available));
        Err(Error::run(problem, hint))
    }
}

/// Rows and columns of a parameter with padding: attention heads are padded by halves, other dimensions to groups of
/// four. A vector is one row.
fn padded_shape(config: &ModelConfig, spec: &TensorSpec) -> (usize, usize) {
    let plain = |n: usize| Layout::plain(n).padded();
    let heads = |n: usize| Layout::heads(n / config.head_dim, config.head_dim).padded();
    let (attention, output) = (spec.name.contains(".self_attn."), spec.name.contains(".o_proj."));
    match spec.shape[..] {
        [rows, columns] if output => (plain(rows), heads(columns)),
        [rows, columns] if attention => (heads(rows), plain(columns)),
        [rows, columns] => (plain(rows), plain(columns)),
        [columns] if attention && !output => (1, heads(columns)),
        [columns] => (1, plain(columns)),
        _ => (1, spec.shape.iter().product()),
    }
}
