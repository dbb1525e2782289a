//! The global gradient norm, for clipping and for finding gradients that are not finite.

use crate::Result;
use crate::gpu::{Dtype, Gpu, Recorder, Tensor};
use crate::kernels::global_norm;

/// Norm over all gradients of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct GradNorm {
    /// Before clipping.
    pub norm: f32,
    /// Whether it is a number; where it is not, the step changed nothing.
    pub finite: bool,
    /// If the norm is not finite, what is responsible.
    pub worst: Option<Worst>,
}

/// The gradient to blame for a norm that is not finite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worst {
    /// Of this parameter.
    pub parameter: String,
    /// Of this rank, if it is one of several.
    pub rank: Option<usize>,
}

/// Partial sums of the global norm, and the coefficient that comes out.
pub struct Clipping {
    first_slots: Vec<u32>,
    slots: Tensor,
    offsets: Tensor,
    squares: Tensor,
    clip: Tensor,
}

impl Clipping {
    /// Room for the sums of these gradients, in this order.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new<'a>(gpu: &Gpu, gradients: impl Iterator<Item = &'a Tensor>) -> Result<Self> {
        let mut first_slots = vec![0];
        let mut total = 0;
        for gradient in gradients {
            total += global_norm::slots_for(gradient);
            first_slots.push(total as u32);
        }
        let offsets = Tensor::workspace(gpu, "first slots of gradients", first_slots.len(), Dtype::U32)?;
        offsets.write_u32(gpu, &first_slots);
        Ok(Self {
            slots: Tensor::workspace(gpu, "partial sums of squared gradients", total, Dtype::F32)?,
            squares: Tensor::workspace(gpu, "squared gradient norms", first_slots.len(), Dtype::F32)?,
            clip: Tensor::workspace(gpu, "gradient clipping", global_norm::CLIP, Dtype::F32)?,
            offsets,
            first_slots,
        })
    }

    /// Records the squared norms of gradients, given with their places among those given to [`Clipping::new`].
    ///
    /// # Errors
    /// The gradients are other ones than those given to [`Clipping::new`].
    pub fn record_squares<'a>(
        &self,
        recorder: &mut Recorder,
        gradients: impl Iterator<Item = (usize, &'a Tensor)>,
    ) -> Result<()> {
        for (place, gradient) in gradients {
            global_norm::partial_sums(recorder, gradient, &self.slots, self.first_slots[place] as usize)?;
        }
        global_norm::tensors(recorder, self.count(), &self.slots, &self.offsets, &self.squares)
    }

    /// Records the norm over all gradients, clipped as the step tensor says.
    ///
    /// # Errors
    /// The driver fails.
    pub fn record_norm(&self, recorder: &mut Recorder, step: &Tensor) -> Result<()> {
        global_norm::finish(recorder, self.count(), &self.squares, step, &self.clip)
    }

    /// The squared norm of each gradient.
    ///
    /// # Errors
    /// The device fails.
    pub(crate) async fn squares(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        let mut squares = self.squares.read(gpu).await?;
        squares.truncate(self.count());
        Ok(squares)
    }

    /// Puts others in their place, before the norm is taken.
    pub(crate) fn write_squares(&self, gpu: &Gpu, squares: &[f32]) {
        self.squares.write_f32(gpu, squares);
    }

    /// The number of gradients.
    fn count(&self) -> usize {
        self.first_slots.len() - 1
    }

    /// Coefficient, finite flag and norm, for the optimizer's kernels.
    pub fn clip(&self) -> &Tensor {
        &self.clip
    }

    /// Reads the norm of the last step back; `name` gives the name of a gradient by its place.
    ///
    /// # Errors
    /// The device fails.
    pub async fn read(&self, gpu: &Gpu, name: impl Fn(usize) -> String) -> Result<GradNorm> {
        let clip = self.clip.read(gpu).await?;
        let (finite, norm) = (clip[1] == 1.0, clip[2]);
        let worst = if finite {
            None
        } else {
            self.worst(gpu).await?.map(|place| Worst { parameter: name(place), rank: None })
        };
        Ok(GradNorm { norm, finite, worst })
    }

    /// The first gradient whose norm is not a number, or else the largest.
    async fn worst(&self, gpu: &Gpu) -> Result<Option<usize>> {
        let squares = self.squares(gpu).await?;
        let broken = squares.iter().position(|square| !square.is_finite());
        Ok(broken.or_else(|| (0..squares.len()).max_by(|i, j| squares[*i].total_cmp(&squares[*j]))))
    }
}
