//! How many rounds the loops of a kernel take, beside what the driver runs.
//!
//! Mesa's software drivers count the rounds of all loops of an invocation together, and after [`LOOP_ROUNDS`] they end every
//! loop after its first round, without a word: `LP_MAX_TGSI_LOOP_ITERATIONS` in their sources. Version 22.3.6 does so, 25.0.7
//! does not. Products stay below that wherever they run; what cannot is refused where the limit was found.

use super::ceiling::{self, Arithmetic, SUMS};
use crate::gpu::{Dtype, Gpu, LOOP_HINT, LOOP_ROUNDS, Recording, Tensor};
use crate::{Error, Result};

/// Finds out whether the driver ends long loops, and has the adapter refuse kernels that need more rounds if it does. Only
/// software is asked: a GPU takes a while, and none is known to.
///
/// # Errors
/// If the driver fails.
pub(super) async fn find_limit(gpu: &mut Gpu) -> Result<()> {
    if !gpu.is_software() {
        return Ok(());
    }
    // Chains of the first invocation begin at 0, 1 and 2 and grow by one, in whole numbers that f32 has.
    const PASSES: usize = LOOP_ROUNDS as usize + 1;
    const SUM: f32 = (3 * ceiling::UNROLLED * PASSES + 3) as f32;
    let sums = Tensor::workspace(gpu, "sums", SUMS, Dtype::F32)?;
    let mut recording = Recording::new();
    let arithmetic = Arithmetic { fma: false, f16: false };
    ceiling::multiply_add(&mut recording.recorder(gpu), arithmetic, 1, PASSES, [1.0, 1.0], &sums)?;
    recording.replay(gpu)?;
    if sums.read(gpu).await?[0] != SUM {
        gpu.limit_loops();
    }
    Ok(())
}

/// How a kernel walks over the tokens of a sequence.
pub(super) struct Walk {
    /// Tokens of a block.
    pub block: usize,
    /// Rounds of loops for a block.
    pub rounds: usize,
    /// Tokens that the rows of a tile see together within a sliding window.
    pub window: Option<usize>,
}

impl Walk {
    /// Longest sequence that a kernel can walk over on an adapter. One block more than fits may be touched, as tiles and
    /// sequences need not begin together, and a few rounds go to what stands before and after.
    pub(super) fn longest(&self, gpu: &Gpu) -> usize {
        const OTHER: usize = 256;
        let Some(rounds) = gpu.loop_rounds() else { return usize::MAX };
        let blocks = (rounds as usize - OTHER) / self.rounds;
        let longest = blocks.saturating_sub(1) * self.block;
        if self.window.is_some_and(|window| window <= longest) { usize::MAX } else { longest }
    }
}

/// Refuses sequences that are longer than a kernel can walk over; `remedy` says how to keep them to a number of tokens.
///
/// # Errors
/// If `length` is above `longest`.
pub(crate) fn check_length(gpu: &Gpu, length: usize, longest: usize, remedy: &str) -> Result<()> {
    if length <= longest {
        return Ok(());
    }
    let problem = format!(
        "attention over {length} tokens takes more rounds of loops than {} runs before it ends them: values would be wrong",
        gpu.driver()
    );
    Err(Error::run(problem, format!("keep sequences to {longest} tokens with {remedy}, or {LOOP_HINT}")))
}
