//! `wgr bench`.

use std::path::PathBuf;

use serde::Serialize;
use wgr::Result;
use wgr::gpu::{Bound, Raised};
use wgr::kernels::bench::{self, BenchRow, Compared, Comparison, Report};
use wgr::kernels::{self, Passes};

use crate::print;
use crate::settings::DeviceArgs;

/// Flags of `wgr bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measure only kernels whose name contains this text, such as "product"
    filter: Option<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print adapter, ceilings and rows as JSON
    #[arg(long)]
    json: bool,
    /// Compare with an earlier report, which --json printed
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

/// What `--json` prints: the report, and what it was compared with.
#[derive(Serialize)]
struct Output {
    #[serde(flatten)]
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<Comparison>,
}

/// Measures kernels and prints one row per kernel.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let filter = args.filter.as_deref();
    let old = args.compare.as_deref().map(Report::read).transpose()?;
    let gpu = kernels::open(&args.device.choice(), Passes::ForwardAndBackward).await?;
    let report = bench::run(&gpu, filter).await?;
    let comparison = old.map(|old| report.compare(&old, filter));
    if args.json {
        return print::json(&Output { report, comparison });
    }
    print::line(&format!("{}, driver {}", report.adapter, report.driver))?;
    print::line(&format!("ceilings: {}", print::ceilings(&report.ceilings)))?;
    report.raised.iter().try_for_each(|raised| print::line(&describe_raised(raised)))?;
    report.rows.iter().try_for_each(|row| print::line(&describe(row)))?;
    comparison.map_or(Ok(()), |comparison| print_comparison(&comparison))
}

fn describe(row: &BenchRow) -> String {
    let BenchRow { name, seconds, flops_per_second, bytes_per_second, bound, share } = row;
    format!(
        "{name:<56} {:>9.2} ms {:>9.1} GFLOP/s {:>8.2} GB/s {:>6.1} % of the {} bound",
        seconds * 1e3,
        flops_per_second / 1e9,
        bytes_per_second / 1e9,
        share * 1e2,
        bound.name()
    )
}

fn describe_raised(raised: &Raised) -> String {
    let Raised { bound, from, to, by } = raised;
    let unit = match bound {
        Bound::Compute => "GFLOP/s",
        Bound::Memory => "GB/s",
    };
    format!(
        "the {} ceiling was measured as {:.2} {unit}, and {by} reached {:.2}, which now counts",
        bound.name(),
        from / 1e9,
        to / 1e9
    )
}

fn print_comparison(comparison: &Comparison) -> Result<()> {
    print::line("")?;
    if let Some([old, new]) = &comparison.adapters {
        print::line(&format!("the adapters differ: {old} then, {new} now"))?;
    }
    comparison.rows.iter().try_for_each(|row| print::line(&describe_compared(row)))
}

fn describe_compared(row: &Compared) -> String {
    let milliseconds = |seconds: Option<f64>| match seconds {
        Some(seconds) => format!("{:>9.2} ms", seconds * 1e3),
        None => format!("{:>12}", "-"),
    };
    let ratio = match (row.ratio, row.old) {
        (Some(ratio), _) => format!("{ratio:>6.2} of the time"),
        (None, None) => "only measured now".into(),
        (None, Some(_)) => "only measured then".into(),
    };
    format!("{:<56} {} then {} now  {ratio}", row.name, milliseconds(row.old), milliseconds(row.new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_report_are_marked() {
        let row = |old, new, ratio| describe_compared(&Compared { name: "rope".into(), old, new, ratio });
        let tail = |text: String| text.split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
        assert_eq!(tail(row(Some(0.002), Some(0.001), Some(0.5))), "2.00 ms then 1.00 ms now 0.50 of the time");
        assert_eq!(tail(row(None, Some(0.001), None)), "- then 1.00 ms now only measured now");
        assert_eq!(tail(row(Some(0.002), None, None)), "2.00 ms then - now only measured then");
    }
}
