//! Moments under weights: a weight is a number of copies of its row, as a bootstrap sample draws them.

/// Mean. `None` when nothing is counted or the mean is not finite.
pub fn mean(values: &[f64], weights: &[u32]) -> Option<f64> {
    assert_eq!(values.len(), weights.len());
    quotient(values.iter().zip(weights).map(|(&value, &weight)| (value, 1.0, weight)))
}

/// Sum of numerators over sum of denominators, one pair of them a row. `None` when that is not finite.
pub fn ratio(rows: &[(f64, f64)], weights: &[u32]) -> Option<f64> {
    assert_eq!(rows.len(), weights.len());
    quotient(rows.iter().zip(weights).map(|(&(numerator, denominator), &weight)| (numerator, denominator, weight)))
}

fn quotient(rows: impl Iterator<Item = (f64, f64, u32)>) -> Option<f64> {
    let (above, below) = rows.fold((0.0, 0.0), |(above, below), (numerator, denominator, weight)| {
        (above + numerator * f64::from(weight), below + denominator * f64::from(weight))
    });
    Some(above / below).filter(|quotient| quotient.is_finite())
}

/// Pearson's correlation. `None` when a side is constant, empty or not finite.
pub fn pearson(a: &[f64], b: &[f64], weights: &[u32]) -> Option<f64> {
    let (mean_a, mean_b) = (mean(a, weights)?, mean(b, weights)?);
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for ((x, y), &weight) in a.iter().zip(b).zip(weights) {
        let (dx, dy, weight) = (x - mean_a, y - mean_b, f64::from(weight));
        aa += weight * dx * dx;
        bb += weight * dy * dy;
        ab += weight * dx * dy;
    }
    let correlation = ab / aa.sqrt() / bb.sqrt();
    correlation.is_finite().then(|| correlation.clamp(-1.0, 1.0))
}

/// [`quadratic_weighted_kappa`](super::metrics::quadratic_weighted_kappa) under weights.
pub fn quadratic_weighted_kappa(a: &[u32], b: &[u32], levels: u32, weights: &[u32]) -> Option<f64> {
    assert!(a.len() == b.len() && a.len() == weights.len());
    if a.iter().chain(b).any(|level| !(1..=levels).contains(level)) {
        return None;
    }
    // Σ (i−j)² over observed pairs, and over all n² pairs of the two margins, which moments give without a table.
    let (mut n, mut observed, mut sum_a, mut sum_b, mut squares) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for ((&x, &y), &weight) in a.iter().zip(b).zip(weights) {
        let (x, y, weight) = (f64::from(x), f64::from(y), f64::from(weight));
        n += weight;
        observed += weight * (x - y).powi(2);
        sum_a += weight * x;
        sum_b += weight * y;
        squares += weight * (x * x + y * y);
    }
    let expected = squares - 2.0 * sum_a * sum_b / n;
    (expected > 0.0).then(|| 1.0 - observed / expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_number_of_copies() {
        let (a, b) = ([1.0, 2.0, 4.0], [3.0, 1.0, 0.5]);
        let (many_a, many_b) = ([1.0, 4.0, 4.0, 4.0], [3.0, 0.5, 0.5, 0.5]);
        assert_eq!(mean(&a, &[1, 0, 3]), mean(&many_a, &[1; 4]));
        assert_eq!(pearson(&a, &b, &[1, 0, 3]), pearson(&many_a, &many_b, &[1; 4]));
        let kappa = quadratic_weighted_kappa(&[1, 2, 4], &[3, 1, 4], 4, &[1, 0, 3]);
        assert_eq!(kappa, quadratic_weighted_kappa(&[1, 4, 4, 4], &[3, 4, 4, 4], 4, &[1; 4]));
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(mean(&[], &[]), None);
        assert_eq!(mean(&[1.0], &[0]), None);
        assert_eq!(mean(&[f64::NAN], &[1]), None);
        assert_eq!(ratio(&[(1.0, 0.0)], &[1]), None);
        assert_eq!(pearson(&[1.0, 1.0], &[1.0, 2.0], &[1, 1]), None);
        assert_eq!(pearson(&[1.0, 2.0], &[1.0, 2.0], &[2, 0]), None);
        assert_eq!(pearson(&[f64::INFINITY, 2.0], &[1.0, 2.0], &[1, 1]), None);
    }
}
