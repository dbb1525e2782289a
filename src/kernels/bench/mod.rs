//! How fast kernels are on an adapter, and how fast they could be. `benchmarks.rs` lists the kernels to measure,
//! `ceilings.rs` measures the limits of the adapter, and `compare.rs` compares two reports.

mod benchmarks;
mod ceilings;
mod compare;
mod timing;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::gpu::{Bound, Ceilings, Gpu, Raised, Work};
use crate::{Error, Result};

use self::benchmarks::BENCHMARKS;

pub use self::benchmarks::{Prepared, attention, forward_product};
pub use self::ceilings::{ceilings, f32_ceiling};
pub use self::compare::{Compared, Comparison};
pub use self::timing::median;

/// What `wgr bench --json` prints.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The driver's name for the adapter.
    pub adapter: String,
    /// Name and version of its driver.
    pub driver: String,
    /// Version of this program.
    pub version: String,
    /// The limits of the adapter, as measured.
    pub ceilings: Ceilings,
    /// Those that a row exceeded, and that were raised to what it reached.
    pub raised: Vec<Raised>,
    /// One row per benchmark.
    pub rows: Vec<BenchRow>,
}

/// One measured kernel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BenchRow {
    /// The name of the benchmark.
    pub name: String,
    /// Median seconds of a run.
    pub seconds: f64,
    /// Floating-point operations per second.
    pub flops_per_second: f64,
    /// Bytes per second, each operand counted once.
    pub bytes_per_second: f64,
    /// The ceiling that applies: the one that demands more time.
    pub bound: Bound,
    /// The share of that ceiling, from 0 to 1.
    pub share: f64,
}

/// Measures every benchmark whose name contains `filter`.
///
/// # Errors
/// If the operands do not fit the adapter, or the driver fails.
pub async fn run(gpu: &Gpu, filter: Option<&str>) -> Result<Report> {
    let mut ceilings = ceilings(gpu).await?;
    let mut works: Vec<(&str, Work)> = vec![];
    for (name, prepare) in BENCHMARKS.iter().filter(|(name, _)| picks(filter, name)) {
        let Prepared { mut recording, cost } = prepare(gpu)?;
        let seconds = timing::median(gpu, &mut recording).await?;
        works.push((name, Work { cost, dispatches: recording.len(), seconds }));
    }
    // Most likely other programs were busy while the ceilings were measured.
    if works.iter().any(|(_, work)| ceilings.exceeded(work)) {
        ceilings = ceilings.or_higher(&self::ceilings(gpu).await?);
    }
    let (rooflines, raised) = ceilings.rooflines(&works);
    let row = |((name, work), roofline): (&(&str, Work), _)| {
        let crate::gpu::Roofline { bound, share } = roofline;
        BenchRow {
            name: (*name).to_owned(),
            seconds: work.seconds,
            flops_per_second: work.cost.flops / work.seconds,
            bytes_per_second: work.cost.bytes / work.seconds,
            bound,
            share,
        }
    };
    Ok(Report {
        adapter: gpu.name().to_owned(),
        driver: gpu.driver(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ceilings,
        raised,
        rows: works.iter().zip(rooflines).map(row).collect(),
    })
}

fn picks(filter: Option<&str>, name: &str) -> bool {
    filter.is_none_or(|filter| name.contains(filter))
}

impl Report {
    /// Reads what `wgr bench --json` printed.
    ///
    /// # Errors
    /// If the file cannot be read or is something else.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|error| Error::io(file, error))?;
        serde_json::from_str(&text).map_err(|error| {
            let problem = format!("is not a report of `wgr bench --json`: {error}");
            Error::input(file.display().to_string(), problem, "write one with `wgr bench --json > FILE`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_rows_that_the_filter_picks_and_shares_of_their_ceilings() {
        let gpu = pollster::block_on(Gpu::open(&Default::default())).unwrap();
        let report = pollster::block_on(run(&gpu, Some("1 row of 2048"))).unwrap();
        let names: Vec<_> = report.rows.iter().map(|row| row.name.trim_start_matches("product nt 1 row of ")).collect();
        assert_eq!(names, ["2048 f32", "2048 bf16 weights", "2048 q8 weights", "2048 q4 weights"]);
        let row = &report.rows[0];
        assert!((row.flops_per_second * row.seconds / (2.0 * 2048.0 * 2048.0) - 1.0).abs() < 1e-9);
        assert!(report.rows.iter().all(|row| row.share > 0.0 && row.share <= 1.0), "{report:?}");
        assert_eq!((&*report.adapter, report.driver), (gpu.name(), gpu.driver()));
        assert!(pollster::block_on(run(&gpu, Some("no such kernel"))).unwrap().rows.is_empty());
    }

    #[test]
    fn a_report_can_be_read_again_and_other_files_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bench.json");
        let report = compare::report("llvmpipe", &[("rope", 0.25)]);
        std::fs::write(&file, serde_json::to_string(&report).unwrap()).unwrap();
        let again = Report::read(&file).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&report).unwrap());
        for other in ["[]", "{\"rows\": []}", "no JSON"] {
            std::fs::write(&file, other).unwrap();
            let problem = Report::read(&file).unwrap_err();
            assert!(matches!(problem, Error::Input { .. }) && problem.to_string().contains("bench.json"), "{problem}");
        }
        assert!(Report::read(&folder.path().join("none.json")).unwrap_err().to_string().contains("none.json"));
    }
}
