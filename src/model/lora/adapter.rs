//! An adapter on the device: two thin matrices beside the weight of a linear layer, and both passes.

use crate::Result;
use crate::gpu::{Dtype, Gpu, Layout, Recorder, Tensor};
use crate::kernels::dropout::{self, Dropout};
use crate::kernels::product::{self, Epilogue};
use crate::model::activations::Activations;
use crate::model::parameter::{Holding, Parameter, gradient};

use super::config::LoraConfig;
use super::dropout::DropoutKey;

/// The contribution of an adapter to a linear layer: `s · dropout(x) Aᵀ Bᵀ`.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// `[rank, in]`.
    a: Parameter,
    /// `[out, rank]`.
    b: Parameter,
    scale: f32,
    dropout: Option<(Dropout, DropoutKey)>,
}

impl Adapter {
    /// The adapter of the linear layer called `name`, without dropout. It is held in f32 whatever the precision of the
    /// rest, as it is small.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(
        gpu: &Gpu,
        name: &str,
        out: Layout,
        inner: Layout,
        config: &LoraConfig,
        holding: Holding,
    ) -> Result<Self> {
        let rank = Layout::plain(config.rank);
        let holding = if holding.trains() { Holding::Training } else { Holding::Inference };
        let matrix = |which: &str, rows, columns| {
            Parameter::matrix(gpu, format!("{name}.{which}.weight"), rows, columns, holding, Dtype::F32)
        };
        Ok(Self {
            a: matrix("lora_A", rank, inner)?,
            b: matrix("lora_B", out, rank)?,
            scale: config.scale(),
            dropout: None,
        })
    }

    /// A, then B.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        [&self.a, &self.b].into_iter()
    }

    /// The same weights, in passes that drop a share of the inputs.
    pub fn with_dropout(&self, probability: f32, key: &DropoutKey) -> Self {
        let salt = crate::model::parameter::name_hash(&self.a.name) as u32;
        let dropout = (probability > 0.0).then(|| (Dropout { probability, salt }, key.clone()));
        Self { dropout, ..self.clone() }
    }

    /// `y += s · dropout(x) Aᵀ Bᵀ`. The rank-wide value between the two is computed again in the backward pass, so all
    /// adapters share the room for it.
    ///
    /// # Errors
    /// A tensor does not fit the layer.
    pub fn forward(
        &self,
        recorder: &mut Recorder,
        rows: usize,
        x: &Tensor,
        y: &Tensor,
        activations: &Activations,
    ) -> Result<()> {
        let u = activations.get("adapter");
        match self.dropped(recorder, rows, x, activations)? {
            Some(kept) => self.down(recorder, rows, &kept, u)?,
            None => self.down(recorder, rows, x, u)?,
        }
        product::nt(recorder, rows, u, self.b.used(), y, Epilogue { accumulate: true, ..Epilogue::default() })
    }

    /// Adds the gradients of A and B to their own, and that of the input to `d_x`.
    ///
    /// # Errors
    /// A tensor does not fit the layer, or the adapter was loaded for inference.
    pub fn backward(
        &self,
        recorder: &mut Recorder,
        rows: usize,
        d_y: &Tensor,
        x: &Tensor,
        d_x: &Tensor,
        activations: &Activations,
    ) -> Result<()> {
        let (u, d_u) = (activations.get("adapter"), activations.get("d_adapter"));
        let kept = self.dropped(recorder, rows, x, activations)?;
        let input = kept.as_ref().unwrap_or(x);
        self.down(recorder, rows, input, u)?;
        product::tn(recorder, rows, d_y, u, gradient(&self.b)?)?;
        product::nn_scaled(recorder, rows, d_y, self.b.used(), d_u, self.scale, false)?;
        product::tn(recorder, rows, d_u, input, gradient(&self.a)?)?;
        match (&kept, &self.dropout) {
            (Some(room), Some((dropout, key))) => {
                // The kept input is no longer needed; its buffer takes the gradient behind the mask.
                product::nn(recorder, rows, d_u, self.a.used(), room, false)?;
                dropout::backward(recorder, rows, *dropout, key.tensor(), room, d_x)
            }
            _ => product::nn(recorder, rows, d_u, self.a.used(), d_x, true),
        }
    }

    /// `u = s · x Aᵀ`.
    fn down(&self, recorder: &mut Recorder, rows: usize, x: &Tensor, u: &Tensor) -> Result<()> {
        product::nt(recorder, rows, x, self.a.used(), u, Epilogue { scale: self.scale, ..Epilogue::default() })
    }

    /// The input after dropout; `None` without dropout.
    fn dropped(
        &self,
        recorder: &mut Recorder,
        rows: usize,
        x: &Tensor,
        activations: &Activations,
    ) -> Result<Option<Tensor>> {
        let Some((dropout, key)) = &self.dropout else { return Ok(None) };
        let kept = activations.get("dropped").reshaped(rows, x.columns())?;
        dropout::forward(recorder, rows, *dropout, key.tensor(), x, &kept)?;
        Ok(Some(kept))
    }
}
