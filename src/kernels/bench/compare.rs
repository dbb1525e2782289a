//! The comparison of two reports.

use serde::Serialize;

use super::{Report, picks};

/// Two reports, row by row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Adapter and driver of both, the old ones first, where they differ: then so do the times.
    pub adapters: Option<[String; 2]>,
    /// Rows of the new report in their order, then those that only the old one has.
    pub rows: Vec<Compared>,
}

/// A row of two reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// The name of the benchmark.
    pub name: String,
    /// Seconds in the old report, if it has the row.
    pub old: Option<f64>,
    /// Seconds in the new one, if it has the row.
    pub new: Option<f64>,
    /// New over old: less than 1 is faster.
    pub ratio: Option<f64>,
}

impl Report {
    /// Compares with an earlier report, of which only rows whose name contains `filter` count.
    pub fn compare(&self, old: &Self, filter: Option<&str>) -> Comparison {
        let seconds =
            |report: &Self, name: &str| report.rows.iter().find(|row| row.name == name).map(|row| row.seconds);
        let only_old = old.rows.iter().filter(|row| picks(filter, &row.name) && seconds(self, &row.name).is_none());
        let compared = |name: &str| {
            let (old, new) = (seconds(old, name), seconds(self, name));
            Compared { name: name.to_owned(), old, new, ratio: old.zip(new).map(|(old, new)| new / old) }
        };
        let adapter = |report: &Self| format!("{}, driver {}", report.adapter, report.driver);
        let adapters = [adapter(old), adapter(self)];
        Comparison {
            adapters: (adapters[0] != adapters[1]).then_some(adapters),
            rows: self.rows.iter().chain(only_old).map(|row| compared(&row.name)).collect(),
        }
    }
}

/// A report whose rows took these seconds.
#[cfg(test)]
pub(super) fn report(adapter: &str, rows: &[(&str, f64)]) -> Report {
    use crate::gpu::{Bandwidth, Bound, Ceilings, Raised};
    let row = |(name, seconds): &(&str, f64)| super::BenchRow {
        name: (*name).to_owned(),
        seconds: *seconds,
        flops_per_second: 3.0 / seconds,
        bytes_per_second: 2.0 / seconds,
        bound: Bound::Memory,
        share: 0.5,
    };
    Report {
        adapter: adapter.into(),
        driver: "Mesa".into(),
        version: "0.1.0".into(),
        ceilings: Ceilings {
            f32_flops_per_second: 80.0,
            f16_flops_per_second: None,
            cooperative_flops_per_second: None,
            bandwidths: vec![Bandwidth { working_set: 1, bytes_per_second: 4.0 }],
        },
        raised: vec![Raised { bound: Bound::Memory, from: 3.0, to: 4.0, by: "rope".into() }],
        rows: rows.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_both_have_a_ratio_and_the_others_a_side() {
        let old = report("llvmpipe", &[("gone product", 1.0), ("product", 0.5), ("rope", 0.25)]);
        let new = report("llvmpipe", &[("rope", 0.125), ("new rope", 2.0), ("product", 1.0)]);
        let row = |name: &str, old, new, ratio| Compared { name: name.into(), old, new, ratio };
        let expected = [
            row("rope", Some(0.25), Some(0.125), Some(0.5)),
            row("new rope", None, Some(2.0), None),
            row("product", Some(0.5), Some(1.0), Some(2.0)),
            row("gone product", Some(1.0), None, None),
        ];
        assert_eq!(new.compare(&old, None), Comparison { adapters: None, rows: expected.to_vec() });
        // What the filter left out of the new report is not missing there.
        let new = report("llvmpipe", &[("rope", 0.125)]);
        assert_eq!(new.compare(&old, Some("rope")).rows, expected[..1]);
    }

    #[test]
    fn another_adapter_is_named() {
        let (old, new) = (report("llvmpipe", &[]), report("NVIDIA H200", &[]));
        let expected = ["llvmpipe, driver Mesa".to_owned(), "NVIDIA H200, driver Mesa".to_owned()];
        assert_eq!(new.compare(&old, None).adapters, Some(expected));
    }
}
