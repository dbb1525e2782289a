//! Which settings make a run fit into some memory.

use super::base::BaseDtype;
use super::plan::MemoryPlan;
use super::weights::{Checkpoint, Dtype};
use crate::Result;

/// Settings under which a run needs less memory.
#[derive(Debug, Clone)]
pub struct Smaller {
    /// Names and values of the settings to change.
    pub changes: Vec<(&'static str, String)>,
    /// The memory of the run then.
    pub plan: MemoryPlan,
}

/// A length below which texts are rather cut to pieces than shortened.
const SHORTEST: usize = 256;

/// The settings that have to change for a run that trains nothing to need no more than `memory` bytes. Those that change
/// its results least come first: quantised blocks that are kept and smaller batches change nothing, then come matrices in
/// fewer bits, and last the maximum length. `None` if all of them are not enough. `plan` says what a run with so many
/// sequences of so many tokens needs.
///
/// # Errors
/// Those of `plan`.
pub fn fitting(
    mut source: Checkpoint,
    batch_size: usize,
    max_length: usize,
    memory: u64,
    plan: impl Fn(&Checkpoint, usize, usize) -> Result<MemoryPlan>,
) -> Result<Option<Smaller>> {
    let given = source.base();
    let has_blocks = source.names().any(|name| matches!(source.info(name), Some(info) if is_quantised(info.dtype)));
    let mut bases = vec![given];
    bases.extend(has_blocks.then_some(Some(BaseDtype::Keep)));
    bases.extend([BaseDtype::Bf16, BaseDtype::Q8, BaseDtype::Q4].map(Some));
    if has_blocks && given.is_none() {
        bases.remove(0);
    }
    for length in halves(max_length, SHORTEST) {
        for base in &bases {
            source = source.held_in(*base);
            for batch in halves(batch_size, 1) {
                let plan = plan(&source, batch, length)?;
                if plan.total() <= memory {
                    let mut changes = vec![];
                    changes.extend((batch != batch_size).then(|| ("batch-size", batch.to_string())));
                    changes.extend(base.filter(|_| *base != given).map(|base| ("base-dtype", base.to_string())));
                    changes.extend((length != max_length).then(|| ("max-length", length.to_string())));
                    return Ok(Some(Smaller { changes, plan }));
                }
            }
        }
    }
    Ok(None)
}

fn is_quantised(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::Quantized(_))
}

/// A number, half of it and so on, while it is not below `least`.
fn halves(number: usize, least: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(number), move |number| Some(number / 2).filter(|half| *half >= least))
}
