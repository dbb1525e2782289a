//! Products and attention of growing sizes.

use wgr::gpu::{Dtype, Gpu, Work};
use wgr::kernels::bench::{self, Prepared};

use super::clock::Clock;
use super::report::Report;

/// Runs of a measurement that is slow, the first included, which is not counted.
const RUNS: f64 = 4.0;

/// Square products with weights in f32 and bf16, and with both operands in f16.
pub(super) async fn products(gpu: &Gpu, clock: &Clock, report: &mut Report) {
    for (dtypes, form) in [
        ([Dtype::F32, Dtype::F32], "f32"),
        ([Dtype::F32, Dtype::Bf16], "bf16 weights"),
        ([Dtype::F16, Dtype::F16], "f16"),
    ] {
        let mut rate = None;
        for size in [1024, 2048, 4096, 8192] {
            let flops = 2.0 * (size as f64).powi(3);
            let prepare = || bench::forward_product(gpu, size, dtypes);
            measure(gpu, clock, report, (&format!("product {size}"), form, flops), &mut rate, prepare).await;
        }
    }
}

/// Causal attention of 512 values a token, in heads of 64 and of 128.
pub(super) async fn attention(gpu: &Gpu, clock: &Clock, report: &mut Report) {
    for shape @ [heads, head_dim] in [[8, 64], [4, 128]] {
        for (backward, passes) in [(false, "forward"), (true, "forward and backward")] {
            let mut rate = None;
            for tokens in [2048, 8192] {
                let pairs = heads * tokens * (tokens + 1) / 2;
                let flops = (pairs * head_dim * if backward { 14 } else { 4 }) as f64;
                let task = format!("attention {passes}, {tokens} tokens, heads of {head_dim}");
                let prepare = || bench::attention(gpu, tokens, shape, backward);
                measure(gpu, clock, report, (&task, "f32", flops), &mut rate, prepare).await;
            }
        }
    }
}

/// Measures, or leaves out; `rate` is the operations per second of the size before, from which the time is foretold.
async fn measure(
    gpu: &Gpu,
    clock: &Clock,
    report: &mut Report,
    (task, form, flops): (&str, &'static str, f64),
    rate: &mut Option<f64>,
    prepare: impl FnOnce() -> wgr::Result<Prepared>,
) {
    let what = || format!("{task}, {form}");
    if let Some(why) = clock.refuses(rate.map_or(0.0, |rate| RUNS * flops / rate)) {
        return report.leave_out(what(), why);
    }
    match work(gpu, prepare).await {
        Ok(work) => {
            *rate = Some(work.cost.flops / work.seconds);
            report.add_kernel(task, form, work);
        }
        Err(problem) => report.leave_out(what(), problem.to_string()),
    }
}

async fn work(gpu: &Gpu, prepare: impl FnOnce() -> wgr::Result<Prepared>) -> wgr::Result<Work> {
    let Prepared { mut recording, cost } = prepare()?;
    let seconds = bench::median(gpu, &mut recording).await?;
    Ok(Work { cost, dispatches: recording.len(), seconds })
}
