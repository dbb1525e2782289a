//! The end of every optimizer step: sum over ranks, norm of all gradients, clipping, AdamW.

use std::path::Path;

use crate::Result;
use crate::gpu::{Gpu, Recording, Tensor};
use crate::model::TensorSpec;
use crate::model::parameter::Parameter;
use crate::model::parameter::gradient;
use crate::optimizer::{self, AdamW, AdamWConfig, GradNorm, Moments, Nesterov};
use crate::ranks::Ranks;

use super::diloco::{Diloco, norm_of_ranks};
use super::gradients::sum_gradients;
use super::sharing::Shares;
use super::tensor_file::{NewTensorFile, TensorFile, listed, write_tensor};

const MOMENTS_FILE: &str = "optimizer.safetensors";
/// What there is of each parameter in it.
const MOMENTS: [&str; 2] = ["first", "second"];

/// The moment that [`MOMENTS`] has at a place.
fn moment(pair: &Moments, kind: usize) -> &Tensor {
    [&pair.first, &pair.second][kind]
}

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
        let mut recording = Recording::new();
        if sharing != Sharing::Sharded || ranks.size() == 1 {
            let optimizer = AdamW::new(gpu, parameters, settings)?;
            optimizer.record(&mut recording.recorder(gpu))?;
            let is_apart = sharing == Sharing::Apart;
            let shared = if is_apart { Shared::Apart(Diloco::new(Nesterov::default())) } else { Shared::Whole };
            return Ok(Self { optimizer, ranks, recording, shared, specs });
        }
        let mut shares = Shares::new(&parameters, ranks.size())?;
        let optimizer = AdamW::for_some(gpu, parameters, |place| shares.owner(place) == ranks.rank(), settings)?;
        optimizer.record_squares(&mut shares.squares.recorder(gpu))?;
        optimizer.record_update(&mut recording.recorder(gpu))?;
        Ok(Self { optimizer, ranks, recording, shared: Shared::Sharded(shares), specs })
    }

    /// Replays `last`, the last micro-batch of a step, adds up the gradients of all ranks, as far as they are complete while it
    /// goes on, and updates the parameters with them, as step number `step` (counted from 0). Where gradients are not
    /// finite nothing changes. They are of a loss that was multiplied by `scale`. Waits for the step.
    ///
    /// # Errors
    /// The device or another rank fails.
    pub(crate) async fn apply_after(
        &mut self,
        gpu: &Gpu,
        last: &mut Recording,
        step: u64,
        learning_rate: f64,
        scale: f64,
    ) -> Result<GradNorm> {
        let Self { optimizer, ranks, recording, shared, .. } = self;
        let mut last = last.begin_replay(gpu);
        let is_finite = match shared {
            Shared::Whole if ranks.size() > 1 => sum_gradients(gpu, optimizer, ranks, last).await?,
            Shared::Sharded(shares) => shares.sum_gradients(gpu, optimizer, ranks, last).await?,
            Shared::Whole | Shared::Apart(_) => {
                last.finish()?;
                true
            }
        };
        if let Shared::Apart(diloco) = shared {
            diloco.begin(gpu, optimizer.parameters()).await?;
        }
        optimizer.begin_scaled_step(gpu, step as usize, learning_rate, scale);
        let mut update = recording.begin_replay(gpu);
        match shared {
            Shared::Sharded(shares) => shares.gather_weights(gpu, ranks, update).await?,
            Shared::Whole | Shared::Apart(_) => update.finish()?,
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
        let listed = listed(&self.specs, &MOMENTS);
        let create = || NewTensorFile::create(directory.join(MOMENTS_FILE), &listed);
        let mut file = self.ranks.is_first().then(create).transpose()?;
        for tensor in &listed {
            let place = tensor.parameter;
            let owner = if let Shared::Sharded(shares) = &self.shared { shares.owner(place) } else { 0 };
            let own = self.optimizer.moments()[place].as_ref().map(|pair| moment(pair, tensor.kind));
            let like = &self.optimizer.parameters()[place].weight;
            write_tensor(gpu, &self.ranks, (owner, own), like, &mut file).await?;
        }
        file.map_or(Ok(()), NewTensorFile::finish)
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
        let file = TensorFile::open(directory.join(MOMENTS_FILE))?;
        for tensor in listed(specs, &MOMENTS) {
            if let Some(pair) = &optimizer.moments()[tensor.parameter] {
                file.restore(gpu, &tensor, moment(pair, tensor.kind))?;
            }
        }
        Ok(())
    }

    /// Device time of an update, by kernel.
    ///
    /// # Errors
    /// As [`Recording::profile`].
    pub async fn profile(&mut self, gpu: &Gpu) -> Result<crate::gpu::Profile> {
        self.recording.profile(gpu).await
    }
}
