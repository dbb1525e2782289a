//! A linear layer: weight, optional bias, optional adapter, and both passes.

use crate::Result;
use crate::gpu::{Dtype, Gpu, Layout, Recorder, Tensor};
use crate::kernels::product::{self, Epilogue};
use crate::kernels::{column_sum, narrow};

use super::activations::Activations;
use super::lora::{Adapter, DropoutKey, LoraConfig};
use super::parameter::{Holding, Parameter, gradient};

/// `y = x Wᵀ + b`, and what its adapter adds.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    /// `[out, in]`.
    pub weight: Parameter,
    /// `[out]`.
    pub bias: Option<Parameter>,
    adapter: Option<Adapter>,
}

impl Linear {
    /// The layer called `name`, with or without bias.
    ///
    /// # Errors
    /// The device has no room.
    pub(super) fn new(
        gpu: &Gpu,
        name: &str,
        out: Layout,
        inner: Layout,
        with_bias: bool,
        holding: Holding,
        storage: Dtype,
    ) -> Result<Self> {
        let weight = Parameter::matrix(gpu, format!("{name}.weight"), out, inner, holding, storage)?;
        let bias = with_bias.then(|| Parameter::vector(gpu, format!("{name}.bias"), out, holding)).transpose()?;
        Ok(Self { weight, bias, adapter: None })
    }

    /// Weight, then bias, then those of the adapter.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let adapter = self.adapter.iter().flat_map(Adapter::parameters);
        std::iter::once(&self.weight).chain(&self.bias).chain(adapter)
    }

    /// Gives the layer an adapter if `config` has one for it.
    ///
    /// # Errors
    /// The device has no room.
    pub(super) fn adapt(&mut self, gpu: &Gpu, config: &LoraConfig, holding: Holding) -> Result<()> {
        let name = self.weight.name.trim_end_matches(".weight");
        if config.adapts(name) {
            let (out, inner) = (self.weight.weight.rows(), self.weight.weight.columns());
            self.adapter = Some(Adapter::new(gpu, name, out, inner, config, holding)?);
        }
        Ok(())
    }

    /// The same layer without its adapter.
    pub(super) fn without_adapter(&self) -> Self {
        Self { adapter: None, ..self.clone() }
    }

    /// The same layer, its adapter dropping a share of the inputs.
    pub(super) fn with_dropout(&self, probability: f32, key: &DropoutKey) -> Self {
        let adapter = self.adapter.as_ref().map(|adapter| adapter.with_dropout(probability, key));
        Self { adapter, ..self.clone() }
    }

    /// `y = x Wᵀ + b`, plus a residual where one is given, plus what the adapter adds. `activations` has the room that
    /// adapters share.
    ///
    /// # Errors
    /// A tensor does not fit the layer.
    pub(super) fn forward(
        &self,
        recorder: &mut Recorder,
        rows: usize,
        x: &Tensor,
        y: &Tensor,
        residual: Option<&Tensor>,
        activations: &Activations,
    ) -> Result<()> {
        let epilogue = Epilogue { bias: self.bias.as_ref().map(Parameter::used), residual, ..Epilogue::default() };
        product::nt(recorder, rows, x, self.weight.used(), y, epilogue)?;
        match &self.adapter {
            Some(adapter) => adapter.forward(recorder, rows, x, y, activations),
            None => Ok(()),
        }
    }

    /// Gradients: of the input into `d_x`, of weight, bias and adapter onto their own, except for frozen ones. `chunks`
    /// is scratch for the bias, `activations` has the room that adapters share.
    ///
    /// # Errors
    /// A tensor does not fit the layer, or a parameter that is trained was loaded without room for a gradient.
    #[allow(clippy::too_many_arguments, reason = "operands of one operation, in the order of its formula")]
    pub(super) fn backward(
        &self,
        recorder: &mut Recorder,
        rows: usize,
        d_y: &Tensor,
        x: &Tensor,
        d_x: &Tensor,
        accumulate: bool,
        chunks: &Tensor,
        activations: &Activations,
    ) -> Result<()> {
        // In f16 the gradient is rounded once, so that neither product converts anything as it sums.
        let half = match x.dtype() {
            Dtype::F16 => Some(activations.get("d_half").reshaped(rows, d_y.columns())?),
            _ => None,
        };
        if let Some(half) = &half {
            narrow::forward(recorder, rows, d_y, half)?;
        }
        let factor = half.as_ref().unwrap_or(d_y);
        product::nn(recorder, rows, factor, self.weight.used(), d_x, accumulate)?;
        if !self.weight.frozen {
            product::tn(recorder, rows, factor, x, gradient(&self.weight)?)?;
        }
        if let Some(bias) = self.bias.as_ref().filter(|bias| !bias.frozen) {
            column_sum::forward(recorder, rows, d_y, gradient(bias)?, chunks)?;
        }
        match &self.adapter {
            Some(adapter) => adapter.backward(recorder, rows, d_y, x, d_x, activations),
            None => Ok(()),
        }
    }
}
