//! A named tensor of a model: where it lives on the device, how it is initialized, how it is written back.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::gpu::{Dtype, Gpu, Layout, Memory, Tensor};
use crate::{Error, Result};

use super::base::{BaseDtype, plain};
use super::config::ModelConfig;
use super::weights::{self, Checkpoint};

/// A parameter on the device.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Hugging Face name.
    pub name: String,
    /// Shape in the checkpoint: `[rows, columns]` or `[columns]`.
    pub shape: Vec<usize>,
    /// The values: f32 while training, the stored type otherwise.
    pub weight: Tensor,
    /// The copy in bf16 or f16 that mixed precision computes with.
    pub compute: Option<Tensor>,
    /// f32 gradient, while training.
    pub gradient: Option<Tensor>,
    /// Whether training leaves it as it is on purpose, so that backward passes skip its gradient.
    pub frozen: bool,
}

/// How the parameters of a model are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// For scoring: matrices as stored, or as the checkpoint is to be held.
    Inference,
    /// Under adapters that are trained: matrices in the storage given or as for scoring, no gradients.
    Frozen(Option<BaseDtype>),
    /// f32 weights and gradients.
    Training,
    /// f32 weights and gradients, and copies of matrices in bf16 or f16.
    MixedTraining(Dtype),
}

impl Holding {
    /// Whether there are gradients.
    pub fn trains(self) -> bool {
        matches!(self, Self::Training | Self::MixedTraining(_))
    }

    /// How a matrix of a checkpoint is stored on the device; f32 if it is a new one.
    pub fn storage(self, checkpoint: &Checkpoint, name: &str) -> Dtype {
        let base = match self {
            Self::Training | Self::MixedTraining(_) => return Dtype::F32,
            Self::Frozen(Some(base)) => Some(base),
            Self::Frozen(None) | Self::Inference => checkpoint.base(),
        };
        let stored = checkpoint.info(name).map_or(weights::Dtype::F32, |info| info.dtype);
        base.map_or_else(|| plain(stored), |base| base.storage(name, stored))
    }

    /// The storage of copies of matrices, which are computed with, if there are any.
    pub fn copies(self) -> Option<Dtype> {
        match self {
            Self::MixedTraining(dtype) => Some(dtype),
            _ => None,
        }
    }
}

impl Parameter {
    /// A matrix `[rows, columns]`, stored as [`Holding::storage`] says.
    ///
    /// # Errors
    /// The device has no room.
    pub fn matrix(
        gpu: &Gpu,
        name: String,
        rows: Layout,
        columns: Layout,
        holding: Holding,
        storage: Dtype,
    ) -> Result<Self> {
        let tensor = |memory, dtype| Tensor::new(gpu, memory, &name, rows, columns, dtype);
        let weight = tensor(Memory::Weights, storage)?;
        Ok(Self {
            shape: vec![rows.len(), columns.len()],
            compute: holding.copies().map(|dtype| tensor(Memory::Weights, dtype)).transpose()?,
            gradient: holding.trains().then(|| tensor(Memory::Gradients, Dtype::F32)).transpose()?,
            frozen: matches!(holding, Holding::Frozen(_)),
            weight,
            name,
        })
    }

    /// A norm weight or a bias: one row, always f32.
    ///
    /// # Errors
    /// The device has no room.
    pub fn vector(gpu: &Gpu, name: String, columns: Layout, holding: Holding) -> Result<Self> {
        let tensor = |memory| Tensor::vector(gpu, memory, &name, columns);
        Ok(Self {
            shape: vec![columns.len()],
            weight: tensor(Memory::Weights)?,
            compute: None,
            gradient: holding.trains().then(|| tensor(Memory::Gradients)).transpose()?,
            frozen: matches!(holding, Holding::Frozen(_)),
            name,
        })
    }

    /// The tensor that kernels read.
    pub fn used(&self) -> &Tensor {
        self.compute.as_ref().unwrap_or(&self.weight)
    }

    /// Whether weight decay applies: matrices decay, norms and biases do not.
    pub fn decays(&self) -> bool {
        self.shape.len() > 1
    }

    /// Sets the values, copies included.
    ///
    /// # Errors
    /// There is not one value for each place of the parameter.
    pub fn write(&self, gpu: &Gpu, values: &[f32]) -> Result<()> {
        if let Some(compute) = &self.compute {
            compute.write(gpu, values)?;
        }
        self.weight.write(gpu, values)
    }

    /// Values of a new parameter, the same for a seed and name whatever else the model holds: matrices normal with the
    /// given standard deviation, biases zero, norms one; for an adapter, A as in PyTorch's linear layers
    /// (Kaiming-uniform, a = √5), B zero.
    pub fn initial(&self, seed: u64, deviation: f32) -> Vec<f32> {
        let count = self.shape.iter().product();
        if !self.decays() {
            return vec![if self.name.ends_with("bias") { 0.0 } else { 1.0 }; count];
        }
        if self.name.ends_with(".lora_B.weight") {
            return vec![0.0; count];
        }
        if self.name.ends_with(".lora_A.weight") {
            return uniform(&self.name, seed, 1.0 / (self.shape[1] as f64).sqrt(), count);
        }
        normal(&self.name, seed, deviation, count)
    }
}

/// Writes the values of a checkpoint, and new ones where it has no tensor of that name and shape.
///
/// # Errors
/// The tensor at fault, where one cannot be read or holds a value that is not finite.
pub fn load_parameters<'a>(
    gpu: &Gpu,
    checkpoint: &Checkpoint,
    parameters: impl Iterator<Item = &'a Parameter>,
    seed: u64,
) -> Result<()> {
    for parameter in parameters {
        let keeps = checkpoint.info(&parameter.name).is_some_and(|info| info.shape == parameter.shape);
        let weight = &parameter.weight;
        match keeps.then(|| checkpoint.layout(&parameter.name)).flatten() {
            Some(layout) if weight.dtype() == Dtype::Quantized(layout) && weight.columns().is_whole() => {
                weight.write_rows(gpu, &checkpoint.read_rows(&parameter.name)?)?;
            }
            _ if keeps => parameter.write(gpu, &checkpoint.read_finite(&parameter.name)?)?,
            _ => parameter.write(gpu, &parameter.initial(seed, checkpoint.config().initializer_range))?,
        }
        gpu.flush("loading the weights")?;
    }
    Ok(())
}

/// Writes new values.
///
/// # Errors
/// The device fails.
pub fn draw_parameters<'a>(
    gpu: &Gpu,
    config: &ModelConfig,
    parameters: impl Iterator<Item = &'a Parameter>,
    seed: u64,
) -> Result<()> {
    for parameter in parameters {
        parameter.write(gpu, &parameter.initial(seed, config.initializer_range))?;
        gpu.flush("loading the weights")?;
    }
    Ok(())
}

/// Normal values by Box and Muller's transform, seeded by name.
fn normal(name: &str, seed: u64, deviation: f32, count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ name_hash(name));
    let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = (-2.0 * uniform().ln()).sqrt() * f64::from(deviation);
        let (sin, cos) = (std::f64::consts::TAU * uniform()).sin_cos();
        values.push((radius * cos) as f32);
        values.push((radius * sin) as f32);
    }
    values.truncate(count);
    values
}

/// The gradient of a parameter; asking for one that is not held is an error that names it.
///
/// # Errors
/// If the parameter was loaded without one; the error names it.
pub fn gradient(parameter: &Parameter) -> Result<&Tensor> {
    parameter
        .gradient
        .as_ref()
        .ok_or_else(|| Error::kernel("backward", format!("{} was loaded without room for a gradient", parameter.name)))
}

/// Uniform values from −bound to bound, seeded by name.
fn uniform(name: &str, seed: u64, bound: f64, count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ name_hash(name));
    let mut value = || ((f64::from(rng.next_u32()) + 0.5) / 2_147_483_648.0 - 1.0) * bound;
    (0..count).map(|_| value() as f32).collect()
}

/// FNV-1a: any fixed hash does, and the standard library's may change.
pub(super) fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_values_have_the_deviation_and_depend_on_seed_and_name_only() {
        let values = normal("model.embed_tokens.weight", 1, 0.02, 10_001);
        assert_eq!(values, normal("model.embed_tokens.weight", 1, 0.02, 10_001));
        assert_ne!(values, normal("model.embed_tokens.weight", 2, 0.02, 10_001));
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64;
        let deviation =
            (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
        assert!(mean.abs() < 1e-3 && (deviation - 0.02).abs() < 1e-3, "{mean} {deviation}");
    }
}
