//! Twin of LayerNorm.

use super::Real;

/// `y = (x − mean) · rstd · weight + bias` with `rstd = 1 / √(variance + eps)`; and `[mean, rstd]` of each row.
pub fn forward<T: Real>(x: &[T], weight: &[T], bias: &[T], eps: f64) -> (Vec<T>, Vec<[T; 2]>) {
    let columns = weight.len();
    let mean_of = |values: T| values / T::of(columns as f64);
    let statistics: Vec<[T; 2]> = x
        .chunks_exact(columns)
        .map(|row| {
            let mean = mean_of(row.iter().copied().sum());
            let variance = mean_of(row.iter().map(|v| (*v - mean) * (*v - mean)).sum());
            [mean, T::of(1.0) / (variance + T::of(eps)).sqrt()]
        })
        .collect();
    let y = x.iter().enumerate().map(|(i, v)| {
        let [mean, rstd] = statistics[i / columns];
        (*v - mean) * rstd * weight[i % columns] + bias[i % columns]
    });
    (y.collect(), statistics)
}

/// `∂y/∂x · dy`.
pub fn backward<T: Real>(dy: &[T], x: &[T], weight: &[T], statistics: &[[T; 2]]) -> Vec<T> {
    let columns = weight.len();
    let mean_of = |values: T| values / T::of(columns as f64);
    let mut dx = vec![T::default(); x.len()];
    for (r, [mean, rstd]) in statistics.iter().enumerate() {
        let at = r * columns;
        let g = |c: usize| dy[at + c] * weight[c];
        let n = |c: usize| (x[at + c] - *mean) * *rstd;
        let mean_g = mean_of((0..columns).map(g).sum());
        let mean_gn = mean_of((0..columns).map(|c| g(c) * n(c)).sum());
        for c in 0..columns {
            dx[at + c] = *rstd * (g(c) - mean_g - n(c) * mean_gn);
        }
    }
    dx
}

/// `Σ_rows dy · (x − mean) · rstd` and `Σ_rows dy`.
pub fn backward_weight<T: Real>(columns: usize, dy: &[T], x: &[T], statistics: &[[T; 2]]) -> (Vec<T>, Vec<T>) {
    let (mut dweight, mut dbias) = (vec![T::default(); columns], vec![T::default(); columns]);
    for (r, [mean, rstd]) in statistics.iter().enumerate() {
        for c in 0..columns {
            let i = r * columns + c;
            dweight[c] += dy[i] * (x[i] - *mean) * *rstd;
            dbias[c] += dy[i];
        }
    }
    (dweight, dbias)
}

#[cfg(test)]
mod tests {
    use super::super::gradient::{assert_gradient, values};
    use super::*;

    #[test]
    fn the_gradients_are_those_of_the_function() {
        const EPS: f64 = 1e-3;
        let (x, weight, bias, dy) = (values(15, 1), values(5, 2), values(5, 3), values(15, 4));
        let (_, statistics) = forward(&x, &weight, &bias, EPS);
        let (dweight, dbias) = backward_weight(5, &dy, &x, &statistics);
        assert_gradient(|x| forward(x, &weight, &bias, EPS).0, &x, &dy, &backward(&dy, &x, &weight, &statistics));
        assert_gradient(|weight| forward(&x, weight, &bias, EPS).0, &weight, &dy, &dweight);
        assert_gradient(|bias| forward(&x, &weight, bias, EPS).0, &bias, &dy, &dbias);
    }
}
