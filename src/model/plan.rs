//! The memory plan: what a run will hold on the device, before it holds it.

use serde::Serialize;

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
}

impl MemoryPlan {
    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.weights + self.gradients + self.optimizer + self.activations + self.workspace
    }
}
