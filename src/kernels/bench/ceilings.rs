//! The ceilings of an adapter: each the best of many short runs, and of the forms that suit different drivers.

use crate::Result;
use crate::gpu::{Bandwidth, Ceilings, Dtype, Gpu, Recording, Tensor};

use super::super::ceiling::{self, Arithmetic, Order, SUMS, VALUES};
use super::timing::{estimate, fastest};

/// The shortest run that counts: what submitting and waiting add to it is little.
const SHORTEST: f64 = 2e-3;
/// Bytes that are accessed again and again: within the caches of cores or multiprocessors, within those of the whole
/// chip, and beyond most. The last is all that adapters bind for certain.
const WORKING_SETS: [u64; 3] = [2 << 20, 16 << 20, 128 << 20];

/// Measures all ceilings.
///
/// # Errors
/// If the adapter has no memory for the operands, or the driver fails.
pub async fn ceilings(gpu: &Gpu) -> Result<Ceilings> {
    Ok(Ceilings {
        f32_flops_per_second: f32_ceiling(gpu).await?,
        f16_flops_per_second: match gpu.computes_f16() {
            true => Some(arithmetic(gpu, true).await?),
            false => None,
        },
        cooperative_flops_per_second: match gpu.cooperative_side() {
            Some(side) => Some(cooperative(gpu, side).await?),
            None => None,
        },
        bandwidths: bandwidths(gpu).await?,
    })
}

/// Measures the ceiling of f32 arithmetic in FLOP/s, with which a training step is compared.
///
/// # Errors
/// As [`ceilings`].
pub async fn f32_ceiling(gpu: &Gpu) -> Result<f64> {
    arithmetic(gpu, false).await
}

async fn arithmetic(gpu: &Gpu, f16: bool) -> Result<f64> {
    // Enough that the loop outweighs what stands around it.
    const PASSES: usize = 128;
    let mut best = 0.0f64;
    for fma in [false, true] {
        // A few workgroups occupy a CPU, and thousands a GPU.
        let mut workgroups = 8;
        let mut recording = loop {
            let sums = Tensor::workspace(gpu, "sums", workgroups * SUMS, Dtype::F32)?;
            let mut recording = Recording::new();
            let recorder = &mut recording.recorder(gpu);
            // The chains converge to 2.
            ceiling::multiply_add(recorder, Arithmetic { fma, f16 }, workgroups, PASSES, [0.75, 0.5], &sums)?;
            if workgroups == 1 << 15 || estimate(gpu, &mut recording).await? >= SHORTEST {
                break recording;
            }
            workgroups *= 2;
        };
        best = best.max(recording.cost().flops / fastest(gpu, &mut recording).await?);
    }
    Ok(best)
}

async fn cooperative(gpu: &Gpu, side: u32) -> Result<f64> {
    const PASSES: usize = 512;
    let mut workgroups = 8;
    let mut recording = loop {
        let sums = Tensor::workspace(gpu, "sums", workgroups * ceiling::cooperative_sums(side), Dtype::F32)?;
        let mut recording = Recording::new();
        // 512 · 16 · 0.25² is far from the end of f32, and no sum is rounded.
        ceiling::multiply_add_matrices(&mut recording.recorder(gpu), workgroups, PASSES, [0.25, 0.25], &sums)?;
        if workgroups == 1 << 14 || estimate(gpu, &mut recording).await? >= SHORTEST {
            break recording;
        }
        workgroups *= 2;
    };
    Ok(recording.cost().flops / fastest(gpu, &mut recording).await?)
}

#[derive(Clone, Copy)]
enum Access {
    Copy,
    Read,
}

/// All forms compete on the smallest working set, and the fastest is measured on the others, which take longer.
async fn bandwidths(gpu: &Gpu) -> Result<Vec<Bandwidth>> {
    let largest = WORKING_SETS[WORKING_SETS.len() - 1].min(gpu.limits().binding_bytes);
    let x = Tensor::workspace(gpu, "what is read", largest as usize / 4, Dtype::F32)?;
    let y = Tensor::workspace(gpu, "what is written", largest as usize / 8, Dtype::F32)?;
    let mut forms = vec![];
    for access in [Access::Copy, Access::Read] {
        for order in [Order::Interleaved, Order::Ranges] {
            let rate = bandwidth(gpu, access, order, WORKING_SETS[0], &x, &y).await?;
            forms.push((rate, access, order));
        }
    }
    let (best, access, order) =
        forms.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).expect("there are four forms to choose from");
    let mut bandwidths = vec![Bandwidth { working_set: WORKING_SETS[0], bytes_per_second: best }];
    for working_set in WORKING_SETS.into_iter().skip(1).map(|bytes| bytes.min(largest)) {
        let bytes_per_second = bandwidth(gpu, access, order, working_set, &x, &y).await?;
        bandwidths.push(Bandwidth { working_set, bytes_per_second });
    }
    // A bandwidth that a larger set has reached, a smaller one has, too.
    for i in (1..bandwidths.len()).rev() {
        bandwidths[i - 1].bytes_per_second = bandwidths[i - 1].bytes_per_second.max(bandwidths[i].bytes_per_second);
    }
    Ok(bandwidths)
}

async fn bandwidth(gpu: &Gpu, access: Access, order: Order, working_set: u64, x: &Tensor, y: &Tensor) -> Result<f64> {
    let bytes = 4 * VALUES * if matches!(access, Access::Copy) { 2 } else { 1 };
    let workgroups = working_set as usize / bytes;
    let mut repeats = 1;
    let mut recording = loop {
        let mut recording = Recording::new();
        let recorder = &mut recording.recorder(gpu);
        for _ in 0..repeats {
            match access {
                Access::Copy => ceiling::copy(recorder, order, workgroups, x, y)?,
                Access::Read => ceiling::total(recorder, order, workgroups, x, y)?,
            }
        }
        if repeats == 1 << 12 || estimate(gpu, &mut recording).await? >= SHORTEST {
            break recording;
        }
        repeats *= 2;
    };
    Ok(recording.cost().bytes / fastest(gpu, &mut recording).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ceiling_is_measured() {
        let gpu = pollster::block_on(Gpu::open(&Default::default())).unwrap();
        let ceilings = pollster::block_on(ceilings(&gpu)).unwrap();
        assert!(ceilings.f32_flops_per_second > 0.0);
        assert_eq!(ceilings.f16_flops_per_second.is_some(), gpu.computes_f16());
        assert!(ceilings.f16_flops_per_second.is_none_or(|rate| rate > 0.0));
        assert_eq!(ceilings.cooperative_flops_per_second.is_some(), gpu.cooperative_side().is_some());
        assert!(ceilings.cooperative_flops_per_second.is_none_or(|rate| rate > 0.0));
        assert_eq!(ceilings.bandwidths.iter().map(|of| of.working_set).collect::<Vec<_>>(), WORKING_SETS);
        // From caches to memory, never faster.
        assert!(ceilings.bandwidths.windows(2).all(|of| of[0].bytes_per_second >= of[1].bytes_per_second));
        assert!(ceilings.bandwidths[2].bytes_per_second > 0.0);
    }
}
