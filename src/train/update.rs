//! The end of every optimizer step: sum over ranks, norm of all gradients, clipping, AdamW.

use std::path::Path;

use crate::Result;
use crate::files::replace_file;
use crate::gpu::{Gpu, Recording};
use crate::model::TensorSpec;
use crate::model::parameter::Parameter;
use crate::model::parameter::gradient;
use crate::optimizer::{self, AdamW, AdamWConfig, GradNorm, Nesterov};
use crate::ranks::Ranks;

use super::diloco::{Diloco, norm_of_ranks};
use super::gradients::sum_gradients;
use super::sharing::Shares;
use super::tensor_file::{TensorFile, bytes_of, named};

const MOMENTS_FILE: &str = "optimizer.safetensors";
/// What there is of each parameter in it.
const MOMENTS: [&str; 2] = ["first", "second"];

/// How ranks share the work of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Each takes the whole of every update.
    Whole,
    /// Each has the moments of its share of the parameters, and updates these for all (ZeRO-1).
    Sharded,
    /// Each takes steps of its own, and all meet every so often (DiLoCo).
    Apart,
}

/// Settings of the optimizer, and the ranks that share its work.
#[derive(Clone)]
pub struct Optimizing {
    /// Hyper-parameters.
    pub settings: AdamWConfig,
    /// Whose gradients are added up.
    pub ranks: Ranks,
    /// How they share it.
    pub sharing: Sharing,
}

impl From<AdamWConfig> for Optimizing {
    fn from(settings: AdamWConfig) -> Self {
        Self { settings, ranks: Ranks::alone(), sharing: Sharing::Whole }
    }
}

/// An optimizer with its recording.
pub struct Update {
    /// Moments and the update.
    pub optimizer: AdamW,
    /// Whose gradients are added up.
    pub(crate) ranks: Ranks,
    recording: Recording,
    shared: Shared,
    /// Names and shapes of the parameters in checkpoints.
    specs: Vec<TensorSpec>,
}

/// How a rank's sum of losses becomes a mean.
pub(crate) struct Mean {
    /// What it is divided by.
    pub terms: f64,
    /// The weight of the quotient in the mean over all ranks.
    pub weight: f64,
}

/// What [`Sharing`] needs.
enum Shared {
    Whole,
    Sharded(Shares),
    Apart(Diloco),
}

impl Update {
    /// Moments at zero for the parameters of a model, which must hold gradients.
    ///
    /// # Errors
    /// A parameter without a gradient, by its name; no room on the device.
    pub fn new<'a>(
        gpu: &Gpu,
        parameters: impl Iterator<Item = &'a Parameter>,
        optimizing: impl Into<Optimizing>,
    ) -> Result<Self> {
        let Optimizing { settings, ranks, sharing } = optimizing.into();
        let mut specs = vec![];
        let parameters: Vec<optimizer::Parameter> = parameters
            .map(|parameter| {
                specs.push(TensorSpec { name: parameter.name.clone(), shape: parameter.shape.clone() });
                Ok(optimizer::Parameter {
                    name: parameter.name.clone(),
                    decay: parameter.decays(),
                    weight: parameter.weight.clone(),
                    compute: parameter.compute.clone(),
                    gradient: gradient(parameter)?.clone(),
                })
            })
            .collect::<Result<_>>()?;
        let sizes: Vec<usize> = parameters.iter().map(|parameter| parameter.gradient.capacity()).collect();
        let mut recording = Recording::new();
        if sharing != Sharing::Sharded || ranks.size() == 1 {
            let optimizer = AdamW::new(gpu, parameters, settings)?;
            optimizer.record(&mut recording.recorder(gpu))?;
            let is_apart = sharing == Sharing::Apart;
            let shared = if is_apart { Shared::Apart(Diloco::new(Nesterov::default())) } else { Shared::Whole };
            return Ok(Self { optimizer, ranks, recording, shared, specs });
        }
        let mut shares = Shares::new(&sizes, ranks.size());
        let optimizer = AdamW::for_some(gpu, parameters, |place| shares.owner(place) == ranks.rank(), settings)?;
        optimizer.record_squares(&mut shares.squares.recorder(gpu))?;
        optimizer.record_update(&mut recording.recorder(gpu))?;
        Ok(Self { optimizer, ranks, recording, shared: Shared::Sharded(shares), specs })
    }

    /// Updates the parameters with the gradients of all ranks as they are, as step number `step` (counted from 0). Where they
    /// are not finite nothing changes. Waits for the step.
    ///
    /// # Errors
    /// The device or another rank fails.
    pub async fn apply(&mut self, gpu: &Gpu, step: u64, learning_rate: f64) -> Result<GradNorm> {
        self.apply_scaled(gpu, step, learning_rate, 1.0).await
    }

    /// As [`Self::apply`], with gradients of a loss that was multiplied by a factor.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn apply_scaled(&mut self, gpu: &Gpu, step: u64, learning_rate: f64, scale: f64) -> Result<GradNorm> {
        let Self { optimizer, ranks, recording, shared, .. } = self;
        let is_finite = match shared {
            Shared::Whole => sum_gradients(gpu, optimizer, ranks).await?,
            Shared::Sharded(shares) => shares.sum_gradients(gpu, optimizer, ranks).await?,
            Shared::Apart(diloco) => {
                diloco.begin(gpu, optimizer.parameters()).await?;
                true
            }
        };
        optimizer.begin_scaled_step(gpu, step as usize, learning_rate, scale);
        recording.replay(gpu)?;
        if let Shared::Sharded(shares) = shared {
            shares.gather_weights(gpu, optimizer, ranks).await?;
        }
        let mut norm = optimizer.grad_norm(gpu).await?;
        if let Shared::Apart(_) = shared {
            return norm_of_ranks(norm, ranks).await;
        }
        if !norm.finite && ranks.size() > 1 {
            let finite = ranks.gather(vec![u8::from(is_finite)]).await?;
            if let Some(worst) = &mut norm.worst {
                worst.rank = finite.iter().position(|said| said == &[0]);
            }
        }
        Ok(norm)
    }

    /// What the sum of a rank's losses is divided by to give the mean that its gradients are of, and the weight of that mean
    /// in the mean of all ranks; from the number of its own terms.
    ///
    /// # Errors
    /// Another rank fails.
    pub(crate) async fn mean(&self, own: f64) -> Result<Mean> {
        let [total] = self.ranks.total([own]).await?;
        let terms = if matches!(self.shared, Shared::Apart(_)) { own } else { total };
        Ok(Mean { terms: terms.max(1.0), weight: terms.max(1.0) / total.max(1.0) })
    }

    /// Where ranks take steps of their own, brings them to the same weights.
    ///
    /// # Errors
    /// A weight that is no number any more; the device or another rank fails.
    pub(crate) async fn sync(&mut self, gpu: &Gpu) -> Result<()> {
        match &mut self.shared {
            Shared::Apart(diloco) => diloco.sync(gpu, self.optimizer.parameters(), &self.ranks).await,
            Shared::Whole | Shared::Sharded(_) => Ok(()),
        }
    }

    /// Writes the state of the optimizer into a checkpoint. All ranks take part, and the first writes.
    ///
    /// # Errors
    /// The device, the disk or another rank fails.
    pub(super) async fn save(&self, gpu: &Gpu, directory: &Path) -> Result<()> {
        if let Shared::Apart(diloco) = &self.shared {
            return diloco.save(gpu, (&self.specs, &self.optimizer), &self.ranks, directory).await;
        }
        let moments = self.moments(gpu).await?;
        if !self.ranks.is_first() {
            return Ok(());
        }
        replace_file(&directory.join(MOMENTS_FILE), &bytes_of(named(&self.specs, MOMENTS), moments.iter().flatten())?)
    }

    /// Puts the state of the optimizer back. Weights were loaded with the model, if they are the same on all ranks.
    ///
    /// # Errors
    /// A file that is missing or of other tensors; the device fails.
    pub(super) fn restore(&mut self, gpu: &Gpu, directory: &Path) -> Result<()> {
        let Self { optimizer, ranks, shared, specs, .. } = self;
        if let Shared::Apart(diloco) = shared {
            return diloco.restore(gpu, (specs, optimizer), ranks, directory);
        }
        let is_own = |(spec, pair): (&TensorSpec, &Option<_>)| pair.is_some().then(|| spec.clone());
        let own: Vec<TensorSpec> = specs.iter().zip(optimizer.moments()).filter_map(is_own).collect();
        let file = TensorFile::read(directory.join(MOMENTS_FILE))?;
        let tensors = optimizer.moments().iter().flatten().flat_map(|pair| [&pair.first, &pair.second]);
        tensors.zip(file.values(named(&own, MOMENTS))?).try_for_each(|(tensor, values)| tensor.write(gpu, &values?))
    }

    /// The moments of all parameters, for the first rank to save; all ranks ask together.
    async fn moments(&self, gpu: &Gpu) -> Result<Vec<[Vec<f32>; 2]>> {
        if let Shared::Sharded(shares) = &self.shared {
            return shares.gather_moments(gpu, &self.optimizer, &self.ranks).await;
        }
        let mut moments = vec![];
        for pair in self.optimizer.moments().iter().flatten().filter(|_| self.ranks.is_first()) {
            moments.push([pair.first.read(gpu).await?, pair.second.read(gpu).await?]);
        }
        Ok(moments)
    }

    /// Device time of an update, by kernel.
    ///
    /// # Errors
    /// As [`Recording::profile`].
    pub async fn profile(&mut self, gpu: &Gpu) -> Result<crate::gpu::Profile> {
        self.recording.profile(gpu).await
    }
}
