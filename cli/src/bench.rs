//! `wgr bench`.

use wgr::Result;
use wgr::kernels::bench::{BenchRow, run as measure};
use wgr::kernels::self_test;

use crate::print;
use crate::settings::DeviceArgs;

/// Flags of `wgr bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Measure only what contains this text, such as "product"
    filter: Option<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print the rows as JSON
    #[arg(long)]
    json: bool,
}

/// Measures kernels and prints a row each.
pub async fn run(args: &Args) -> Result<()> {
    let gpu = self_test::open(&args.device.choice()).await?;
    let rows = measure(&gpu, args.filter.as_deref())?;
    if args.json {
        return print::json(&rows);
    }
    print::line(gpu.name())?;
    rows.iter().try_for_each(|row| print::line(&describe(row)))
}

fn describe(row: &BenchRow) -> String {
    let BenchRow { name, seconds, flops_per_second, bytes_per_second } = row;
    format!(
        "{name:<44} {:>9.2} ms {:>9.1} GFLOP/s {:>8.2} GB/s",
        seconds * 1e3,
        flops_per_second / 1e9,
        bytes_per_second / 1e9
    )
}
