//! The key of adapter dropout: two words that differ from micro-batch to micro-batch and repeat with the seed.

use twox_hash::XxHash3_64;

use crate::Result;
use crate::gpu::{Dtype, Gpu, Tensor};
use crate::kernels::dropout::KEY;

/// The key on the device.
#[derive(Debug, Clone)]
pub struct DropoutKey {
    key: Tensor,
    seed: u64,
}

impl DropoutKey {
    /// A key of a run with this seed.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(gpu: &Gpu, seed: u64) -> Result<Self> {
        Ok(Self { key: Tensor::workspace(gpu, "dropout key", KEY, Dtype::U32)?, seed })
    }

    /// Draws the masks of the next pass: those of a micro-batch of a step, whatever came before.
    pub fn draw(&self, gpu: &Gpu, step: u64, micro_batch: u64) {
        let drawn = XxHash3_64::oneshot_with_seed(self.seed, bytemuck::bytes_of(&[step.to_le(), micro_batch.to_le()]));
        self.key.write_u32(gpu, &[drawn as u32, (drawn >> 32) as u32]);
    }

    pub(super) fn tensor(&self) -> &Tensor {
        &self.key
    }
}
