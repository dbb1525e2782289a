//! A linear layer: weight, optional bias, and both passes.

use crate::Result;
use crate::gpu::{Gpu, Layout, Recorder, Tensor, refuse};
use crate::kernels::column_sum;
use crate::kernels::product::{self, Epilogue};

use super::parameter::{Holding, Parameter};

/// `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Parameter,
    /// `[out]`.
    pub bias: Option<Parameter>,
}

impl Linear {
    /// The layer called `name`, with or without bias.
    pub fn new(
        gpu: &Gpu,
        name: &str,
        out: Layout,
        inner: Layout,
        with_bias: bool,
        holding: Holding,
        stored: crate::gpu::Dtype,
    ) -> Result<Self> {
        let weight = Parameter::matrix(gpu, format!("{name}.weight"), out, inner, holding, stored)?;
        let bias = with_bias.then(|| Parameter::vector(gpu, format!("{name}.bias"), out, holding)).transpose()?;
        Ok(Self { weight, bias })
    }

    /// Weight, then bias.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        std::iter::once(&self.weight).chain(&self.bias)
    }

    /// `y = x Wᵀ + b`, plus a residual where one is given.
    pub fn forward(
        &self,
        recorder: &mut Recorder,
        rows: usize,
        x: &Tensor,
        y: &Tensor,
        residual: Option<&Tensor>,
    ) -> Result<()> {
        let epilogue = Epilogue { bias: self.bias.as_ref().map(Parameter::used), residual };
        product::nt(recorder, rows, x, self.weight.used(), y, epilogue)
    }

    /// Gradients: of the input into `dx`, of weight and bias onto their own. `chunks` is scratch for the bias.
    #[allow(clippy::too_many_arguments, reason = "operands of one operation, in the order of its formula")]
    pub fn backward(
        &self,
        recorder: &mut Recorder,
        rows: usize,
        dy: &Tensor,
        x: &Tensor,
        dx: &Tensor,
        accumulate: bool,
        chunks: &Tensor,
    ) -> Result<()> {
        product::nn(recorder, rows, dy, self.weight.used(), dx, accumulate)?;
        product::tn(recorder, rows, dy, x, gradient(&self.weight)?)?;
        match &self.bias {
            Some(bias) => column_sum::forward(recorder, rows, dy, gradient(bias)?, chunks),
            None => Ok(()),
        }
    }
}

/// The gradient of a parameter; asking for one that is not held is an error that names it.
pub fn gradient(parameter: &Parameter) -> Result<&Tensor> {
    parameter
        .gradient
        .as_ref()
        .ok_or_else(|| refuse("backward", format!("{} was loaded without room for a gradient", parameter.name)))
}
