//! The distribution of the margins of pairs.

use serde::Serialize;

/// A histogram of Δ = s(better) − s(worse). Its range is as wide below 0 as above, so that 0 is an edge: to its left are
/// the pairs that the model gets wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Margins {
    /// Edges of the bins, one more than bins; a bin holds its upper edge, so that ties are with the wrong ones, and the
    /// first one its lower edge too.
    pub edges: Vec<f64>,
    /// Pairs in each bin.
    pub counts: Vec<u64>,
}

/// The histogram with `bins` bins of equal width on each side of 0. Differences that are not finite are not counted;
/// `None` when there is no other or no bin.
pub fn margins(deltas: &[f64], bins: usize) -> Option<Margins> {
    let finite = || deltas.iter().copied().filter(|delta| delta.is_finite());
    let largest = finite().map(f64::abs).reduce(f64::max)?;
    // If all are ties, any range works.
    let largest = if largest > 0.0 { largest } else { 1.0 };
    if bins == 0 {
        return None;
    }
    let mut counts = vec![0; 2 * bins];
    for delta in finite() {
        // Counted from 0 outwards, so that rounding never moves a pair across it.
        let away = delta.abs() / largest * bins as f64;
        let bin = match delta > 0.0 {
            true => bins + (away.ceil() as usize).clamp(1, bins) - 1,
            false => bins - 1 - (away.floor() as usize).min(bins - 1),
        };
        counts[bin] += 1;
    }
    let edges = (0..=2 * bins).map(|edge| largest * (edge as f64 / bins as f64 - 1.0)).collect();
    Some(Margins { edges, counts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_an_edge_and_ties_are_wrong() {
        let found = margins(&[0.0, 4.0, -1.0, 1e-300, -4.0, 2.0, f64::NAN, f64::INFINITY], 2).unwrap();
        assert_eq!(found.edges, [-4.0, -2.0, 0.0, 2.0, 4.0]);
        assert_eq!(found.counts, [1, 2, 2, 1]);
        assert_eq!(margins(&[0.0, 0.0], 1).unwrap(), Margins { edges: vec![-1.0, 0.0, 1.0], counts: vec![2, 0] });
        assert!(margins(&[f64::NAN], 2).is_none() && margins(&[], 2).is_none() && margins(&[1.0], 0).is_none());
    }

    #[test]
    fn every_pair_is_counted_on_its_side() {
        let deltas: Vec<f64> = (-500..500).map(|i| f64::from(i) / 7.0).collect();
        let found = margins(&deltas, 10).unwrap();
        let (wrong, right) = found.counts.split_at(10);
        assert_eq!((wrong.iter().sum::<u64>(), right.iter().sum::<u64>()), (501, 499));
    }
}
