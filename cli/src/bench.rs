//! `wgr bench`.

use wgr::Result;
use wgr::kernels::bench::{BenchRow, run as measure};
use wgr::kernels::{self, Passes};

use crate::print;
use crate::settings::DeviceArgs;

/// Flags of `wgr bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Measure only kernels whose name contains this text, such as "product"
    filter: Option<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print the rows as JSON
    #[arg(long)]
    json: bool,
}

/// Measures kernels and prints one row per kernel.
pub async fn run(args: &Args) -> Result<()> {
    let gpu = kernels::open(&args.device.choice(), Passes::ForwardAndBackward).await?;
    let rows = measure(&gpu, args.filter.as_deref()).await?;
    if args.json {
        return print::json(&rows);
    }
    print::line(gpu.name())?;
    rows.iter().try_for_each(|row| print::line(&describe(row)))
}

fn describe(row: &BenchRow) -> String {
    let BenchRow { name, seconds, flops_per_second, bytes_per_second, share_of_peak } = row;
    format!(
        "{name:<44} {:>9.2} ms {:>9.1} GFLOP/s {:>8.2} GB/s {:>6.1} % of the peak",
        seconds * 1e3,
        flops_per_second / 1e9,
        bytes_per_second / 1e9,
        share_of_peak * 1e2
    )
}
