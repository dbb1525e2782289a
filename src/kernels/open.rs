//! How a run opens its adapter: tested, and with the fastest variants of its kernels.

use super::self_test::{self, Passes};
use super::{loops, tuner};
use crate::Result;
use crate::gpu::{AdapterChoice, Gpu, Options, Preset};

/// Opens an adapter for a run and tests it. Where the kernels that suit it disagree with their twins, the run goes on
/// with those for ordinary GPUs, which need the least of a driver; where products in large tiles or on cooperative matrices
/// disagree, it goes on without them. Then the [`tuner`] picks the fastest variants.
///
/// # Errors
/// If there is no adapter, or those kernels are wrong as well; the error names the first that is.
pub async fn open(choice: &AdapterChoice, passes: Passes) -> Result<Gpu> {
    let mut gpu = open_tested(choice, async |gpu| self_test::run(gpu, passes).await).await?;
    if gpu.preset() == Preset::Gpu {
        gpu = in_large_tiles(gpu, choice, passes).await?;
    }
    if passes == Passes::ForwardAndBackward && gpu.cooperative_side().is_some() {
        gpu = cooperating(gpu, choice).await?;
    }
    tuner::tune(&mut gpu, passes).await?;
    Ok(gpu)
}

/// The adapter, with large tiles of products if they are right.
async fn in_large_tiles(mut gpu: Gpu, choice: &AdapterChoice, passes: Passes) -> Result<Gpu> {
    let usual = gpu.large_tiles();
    gpu.set_large_tiles(0);
    match self_test::tiles(&gpu, passes).await {
        Ok(()) => gpu.set_large_tiles(usual),
        Err(problem) => {
            tracing::warn!("{problem} in large tiles; going on without them, which is slower");
            gpu = anew(choice, gpu.preset()).await?;
            gpu.set_large_tiles(u32::MAX);
        }
    }
    Ok(gpu)
}

/// The adapter, with cooperative matrices if products on them are right, in tiles of both sizes.
async fn cooperating(mut gpu: Gpu, choice: &AdapterChoice) -> Result<Gpu> {
    let usual = gpu.large_tiles();
    for tiles in [u32::MAX, 0] {
        gpu.set_large_tiles(tiles);
        if let Err(problem) = self_test::cooperative(&gpu).await {
            tracing::warn!("{problem}; going on without cooperative matrices, which is slower");
            gpu = anew(choice, gpu.preset()).await?;
            gpu.without_cooperative_matrices();
            break;
        }
    }
    gpu.set_large_tiles(usual);
    Ok(gpu)
}

/// The adapter opened anew, because a fault may have cost the device.
async fn anew(choice: &AdapterChoice, preset: Preset) -> Result<Gpu> {
    let mut gpu = Gpu::open_with(choice, Options { preset: Some(preset), ..Options::default() }).await?;
    loops::find_limit(&mut gpu).await?;
    Ok(gpu)
}

async fn open_tested(choice: &AdapterChoice, test: impl AsyncFn(&Gpu) -> Result<()>) -> Result<Gpu> {
    let mut gpu = Gpu::open(choice).await?;
    loops::find_limit(&mut gpu).await?;
    tuner::recall(&mut gpu);
    match test(&gpu).await {
        Ok(()) => return Ok(gpu),
        Err(problem) if gpu.preset() == Preset::Gpu => return Err(problem),
        Err(problem) => tracing::warn!("{problem}; going on with the kernels for ordinary GPUs, which are slower here"),
    }
    let gpu = anew(choice, Preset::Gpu).await?;
    test(&gpu).await?;
    Ok(gpu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::gpu::LOOP_ROUNDS;

    async fn test(gpu: &Gpu) -> Result<()> {
        self_test::run(gpu, Passes::ForwardAndBackward).await?;
        self_test::run(gpu, Passes::Generation).await
    }

    fn opened(test: impl AsyncFn(&Gpu) -> Result<()>) -> Result<Gpu> {
        pollster::block_on(open_tested(&AdapterChoice::default(), test))
    }

    #[test]
    fn the_adapter_passes_with_every_preset() {
        let own = opened(test).unwrap();
        assert_eq!(own.preset(), pollster::block_on(Gpu::open(&AdapterChoice::default())).unwrap().preset());
        let mut gpu = pollster::block_on(anew(&AdapterChoice::default(), Preset::Gpu)).unwrap();
        pollster::block_on(test(&gpu)).unwrap();
        gpu.set_large_tiles(0);
        pollster::block_on(self_test::tiles(&gpu, Passes::ForwardAndBackward)).unwrap();
    }

    #[test]
    fn drivers_that_end_loops_are_found() {
        let gpu = opened(async |_| Ok(())).unwrap();
        println!("{}: {:?}", gpu.driver(), gpu.loop_rounds());
        for (version, rounds) in [("Mesa 22.", Some(LOOP_ROUNDS)), ("Mesa 25.", None), ("Mesa 26.", None)] {
            if gpu.driver().contains(version) {
                assert_eq!(gpu.loop_rounds(), rounds, "{}", gpu.driver());
            }
        }
    }

    #[test]
    fn products_on_cooperative_matrices_pass() {
        let gpu = pollster::block_on(anew(&AdapterChoice::default(), Preset::Gpu)).unwrap();
        if gpu.cooperative_side().is_none() {
            println!("skipped: {} lists no cooperative matrices that products use", gpu.name());
            return;
        }
        let gpu = pollster::block_on(cooperating(gpu, &AdapterChoice::default())).unwrap();
        assert!(gpu.cooperative_side().is_some(), "products on them disagree with their twins");
    }

    #[test]
    fn wrong_kernels_are_replaced_by_the_safe_ones_and_those_must_be_right() {
        let wrong = |preset| Error::device("testing a kernel", format!("{preset:?} is wrong"), "");
        // Adapters with only one preset have nothing to fall back to.
        let safe_is_right = opened(async |gpu| match gpu.preset() {
            Preset::Software => Err(wrong(gpu.preset())),
            Preset::Gpu => Ok(()),
        });
        assert_eq!(safe_is_right.unwrap().preset(), Preset::Gpu);
        let nothing_is_right = opened(async |gpu| Err(wrong(gpu.preset())));
        assert!(nothing_is_right.err().unwrap().to_string().contains("Gpu is wrong"));
    }
}
