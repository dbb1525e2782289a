//! Histograms, as points to be drawn with [`Style::Bars`](super::Style::Bars).

/// The outline of a histogram over `low..high`: two points per bin, y the share of the values. Values outside are
/// counted in the end bins, NaN nowhere. Empty when there is nothing to count.
pub fn histogram(values: &[f64], low: f64, high: f64, bins: usize) -> Vec<(f64, f64)> {
    let mut counts = vec![0u64; bins];
    for value in values.iter().filter(|v| !v.is_nan()) {
        // `as` saturates, so far-off values land in the end bins.
        let bin = ((value - low) / (high - low) * bins as f64) as usize;
        if let Some(last) = bins.checked_sub(1) {
            counts[bin.min(last)] += 1;
        }
    }
    outline(low, high, &counts)
}

/// The outline of bins of equal width over `low..high` that are counted already: two points per bin, y its share. Empty
/// when all counts are zero.
pub fn outline(low: f64, high: f64, counts: &[u64]) -> Vec<(f64, f64)> {
    let total: f64 = counts.iter().map(|&count| count as f64).sum();
    if total == 0.0 {
        return Vec::new();
    }
    let edge = |bin: usize| low + (high - low) * bin as f64 / counts.len() as f64;
    counts
        .iter()
        .enumerate()
        .flat_map(|(bin, &count)| {
            let share = count as f64 / total;
            [(edge(bin), share), (edge(bin + 1), share)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_counts_every_value_once() {
        let outline = histogram(&[1.0, 1.4, 2.6, 4.0, 9.0, f64::NAN], 1.0, 4.0, 3);
        assert_eq!(outline, [(1.0, 0.4), (2.0, 0.4), (2.0, 0.2), (3.0, 0.2), (3.0, 0.4), (4.0, 0.4)]);
        assert!(histogram(&[], 1.0, 4.0, 3).is_empty());
        assert!(histogram(&[1.0], 1.0, 4.0, 0).is_empty());
    }

    #[test]
    fn enormous_counts_have_shares() {
        let outline = outline(0.0, 2.0, &[u64::MAX, u64::MAX]);
        assert_eq!(outline, [(0.0, 0.5), (1.0, 0.5), (1.0, 0.5), (2.0, 0.5)]);
    }
}
