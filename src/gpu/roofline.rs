//! The roofline model (Williams, Waterman and Patterson 2009, doi 10.1145/1498765.1498785): how fast an adapter could have
//! done some work at most, and which share of that it reached.

use serde::{Deserialize, Serialize};

use super::kernel::Cost;

/// The limits of an adapter, as measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// f32 operations per second; kernels compute in f32, whatever they store, but for products on
    /// cooperative matrices.
    pub f32_flops_per_second: f64,
    /// f16 operations per second, where the adapter has f16 arithmetic. No kernel uses it yet.
    pub f16_flops_per_second: Option<f64>,
    /// Operations per second on cooperative matrices of f16 with f32 results, where products run on them.
    #[serde(default)]
    pub cooperative_flops_per_second: Option<f64>,
    /// Bandwidths by what is accessed again and again, from caches to memory: smallest first, and at least one.
    pub bandwidths: Vec<Bandwidth>,
}

/// A bandwidth: bytes per second, read and written together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// Bytes that are accessed again and again.
    pub working_set: u64,
    /// Bytes per second.
    pub bytes_per_second: f64,
}

/// Which ceiling some work meets first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Arithmetic.
    Compute,
    /// Bandwidth.
    Memory,
}

impl Bound {
    /// The name in messages and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Memory => "memory",
        }
    }
}

/// Work that was measured.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// All of it.
    pub cost: Cost,
    /// Dispatches among which it is divided.
    pub dispatches: usize,
    /// Seconds that it took.
    pub seconds: f64,
}

/// The share of its ceiling that some work reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Roofline {
    /// The ceiling.
    pub bound: Bound,
    /// From 0 to 1.
    pub share: f64,
}

/// A ceiling that had been measured too low.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Raised {
    /// Which one.
    pub bound: Bound,
    /// Operations or bytes per second, as measured before.
    pub from: f64,
    /// The rate that was reached.
    pub to: f64,
    /// The name of the work that reached it.
    pub by: String,
}

impl Ceilings {
    /// The share that each named work reached. Work that exceeds a ceiling shows that it was measured too low, so the ceiling
    /// is raised first; the second list says so.
    pub fn rooflines(&mut self, works: &[(&str, Work)]) -> (Vec<Roofline>, Vec<Raised>) {
        let raised = works.iter().filter_map(|(name, work)| self.raise(name, work)).collect();
        // The ceiling that some work has raised is met within a rounding.
        let met = |roofline: Roofline| Roofline { share: roofline.share.min(1.0), ..roofline };
        (works.iter().map(|(_, work)| met(self.roofline(work))).collect(), raised)
    }

    /// Whether some work was faster than the ceilings allow.
    pub fn exceeded(&self, work: &Work) -> bool {
        self.roofline(work).share > 1.0
    }

    /// The higher ones of two measurements of the same adapter.
    pub fn or_higher(mut self, other: &Self) -> Self {
        self.f32_flops_per_second = self.f32_flops_per_second.max(other.f32_flops_per_second);
        // An adapter without f16 has it in neither.
        self.f16_flops_per_second =
            self.f16_flops_per_second.zip(other.f16_flops_per_second).map(|(own, other)| own.max(other));
        self.cooperative_flops_per_second = self
            .cooperative_flops_per_second
            .zip(other.cooperative_flops_per_second)
            .map(|(own, other)| own.max(other));
        for (own, other) in self.bandwidths.iter_mut().zip(&other.bandwidths) {
            own.bytes_per_second = own.bytes_per_second.max(other.bytes_per_second);
        }
        self
    }

    fn roofline(&self, work: &Work) -> Roofline {
        let Cost { flops, cooperative_flops, .. } = work.cost;
        let cooperative = self.cooperative_flops_per_second.unwrap_or(self.f32_flops_per_second);
        let arithmetic = (flops - cooperative_flops) / self.f32_flops_per_second + cooperative_flops / cooperative;
        let transfer = work.cost.bytes / self.bandwidths[self.class(work)].bytes_per_second;
        let bound = if arithmetic > transfer { Bound::Compute } else { Bound::Memory };
        Roofline { bound, share: arithmetic.max(transfer) / work.seconds }
    }

    /// The bandwidth that counts for some work: that of the largest working set within its operands. They fit into a
    /// cache wherever that set did, so that no bandwidth it can have is higher.
    fn class(&self, work: &Work) -> usize {
        let operands = work.cost.bytes / work.dispatches.max(1) as f64;
        self.bandwidths.iter().rposition(|bandwidth| bandwidth.working_set as f64 <= operands).unwrap_or(0)
    }

    fn raise(&mut self, name: &str, work: &Work) -> Option<Raised> {
        let (roofline, class) = (self.roofline(work), self.class(work));
        if roofline.share <= 1.0 {
            return None;
        }
        let (from, to) = match roofline.bound {
            Bound::Compute => {
                if work.cost.cooperative_flops < work.cost.flops {
                    self.f32_flops_per_second *= roofline.share;
                }
                if let (Some(rate), true) = (&mut self.cooperative_flops_per_second, work.cost.cooperative_flops > 0.0)
                {
                    *rate *= roofline.share;
                }
                let seen = work.cost.flops / work.seconds;
                (seen / roofline.share, seen)
            }
            Bound::Memory => {
                let seen = work.cost.bytes / work.seconds;
                let from = self.bandwidths[class].bytes_per_second;
                // What a larger working set can have, a smaller one can.
                for bandwidth in &mut self.bandwidths[..=class] {
                    bandwidth.bytes_per_second = bandwidth.bytes_per_second.max(seen);
                }
                (from, seen)
            }
        };
        Some(Raised { bound: roofline.bound, from, to, by: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceilings() -> Ceilings {
        let bandwidth = |working_set, bytes_per_second| Bandwidth { working_set, bytes_per_second };
        Ceilings {
            f32_flops_per_second: 100.0,
            f16_flops_per_second: None,
            cooperative_flops_per_second: None,
            bandwidths: vec![bandwidth(1000, 40.0), bandwidth(10_000, 10.0)],
        }
    }

    fn work(flops: f64, bytes: f64, dispatches: usize, seconds: f64) -> Work {
        Work { cost: Cost { flops, bytes, ..Cost::default() }, dispatches, seconds }
    }

    #[test]
    fn the_ceiling_that_takes_longer_counts() {
        let (shares, raised) = ceilings().rooflines(&[
            // One second of arithmetic, half a second of transfer.
            ("product", work(100.0, 20.0, 1, 2.0)),
            // 1000 seconds of transfer at the lower bandwidth, 20 of arithmetic.
            ("norm", work(2000.0, 10_000.0, 1, 2000.0)),
            // The operands of each of ten dispatches are those of the smaller working set.
            ("norms", work(0.0, 10_000.0, 10, 500.0)),
        ]);
        let roofline = |bound, share| Roofline { bound, share };
        assert_eq!(shares, [roofline(Bound::Compute, 0.5), roofline(Bound::Memory, 0.5), roofline(Bound::Memory, 0.5)]);
        assert!(raised.is_empty());
    }

    #[test]
    fn a_ceiling_that_is_exceeded_is_raised_for_all() {
        let mut ceilings = ceilings();
        let works = [
            ("slow product", work(100.0, 0.0, 1, 2.0)),
            ("fast product", work(100.0, 0.0, 1, 0.5)),
            ("fast copy", work(0.0, 20_000.0, 1, 400.0)),
        ];
        assert!(!ceilings.exceeded(&works[0].1) && ceilings.exceeded(&works[1].1) && ceilings.exceeded(&works[2].1));
        let (shares, raised) = ceilings.rooflines(&works);
        assert_eq!(shares.iter().map(|roofline| roofline.share).collect::<Vec<_>>(), [0.25, 1.0, 1.0]);
        let raise = |bound, from, to, by: &str| Raised { bound, from, to, by: by.into() };
        let expected =
            [raise(Bound::Compute, 100.0, 200.0, "fast product"), raise(Bound::Memory, 10.0, 50.0, "fast copy")];
        assert_eq!(raised, expected);
        // Also that of the smaller working set, which had been lower.
        assert!(ceilings.bandwidths.iter().all(|bandwidth| bandwidth.bytes_per_second == 50.0));
    }

    #[test]
    fn products_on_cooperative_matrices_have_their_own_ceiling() {
        let mut ceilings = Ceilings { cooperative_flops_per_second: Some(1000.0), ..ceilings() };
        let mut product = work(1000.0, 0.0, 1, 2.0);
        product.cost.cooperative_flops = 1000.0;
        let (shares, raised) = ceilings.rooflines(&[("product", product), ("norm", work(100.0, 0.0, 1, 4.0))]);
        assert_eq!(shares.iter().map(|roofline| roofline.share).collect::<Vec<_>>(), [0.5, 0.25]);
        assert!(raised.is_empty());
        // Twice as fast as the ceiling: that of f32 stays.
        let (_, raised) = ceilings.rooflines(&[("product", Work { seconds: 0.5, ..product })]);
        assert_eq!([raised[0].from, raised[0].to], [1000.0, 2000.0]);
        assert_eq!((ceilings.f32_flops_per_second, ceilings.cooperative_flops_per_second), (100.0, Some(2000.0)));
    }

    #[test]
    fn of_two_measurements_the_higher_counts() {
        let mut other = ceilings();
        (other.f32_flops_per_second, other.f16_flops_per_second) = (90.0, Some(1.0));
        other.bandwidths[1].bytes_per_second = 20.0;
        let higher = Ceilings { f16_flops_per_second: Some(2.0), ..ceilings() }.or_higher(&other);
        assert_eq!((higher.f32_flops_per_second, higher.f16_flops_per_second), (100.0, Some(2.0)));
        assert_eq!(higher.bandwidths[1].bytes_per_second, 20.0);
    }
}
