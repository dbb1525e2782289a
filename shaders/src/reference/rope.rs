//! Twin of the rotary position embedding.

use super::Real;

/// Rotates `x[tokens, heads · head_dim]`, where `head_dim` is twice the number of `frequencies`: in each head, value
/// `i` and value `i + head_dim / 2` turn by `position · frequency[i]` and are multiplied by `factor`.
pub fn forward<T: Real>(positions: &[usize], frequencies: &[f64], factor: f64, x: &[T]) -> Vec<T> {
    rotate(positions, frequencies, factor, 1.0, x)
}

/// The gradient of the input: turned back, multiplied by the same factor.
pub fn backward<T: Real>(positions: &[usize], frequencies: &[f64], factor: f64, d_y: &[T]) -> Vec<T> {
    rotate(positions, frequencies, factor, -1.0, d_y)
}

fn rotate<T: Real>(positions: &[usize], frequencies: &[f64], factor: f64, sign: f64, x: &[T]) -> Vec<T> {
    let half = frequencies.len();
    let mut y = vec![T::default(); x.len()];
    let columns = x.len() / positions.len();
    for (t, position) in positions.iter().enumerate() {
        for head in (t * columns..(t + 1) * columns).step_by(2 * half) {
            for (i, frequency) in frequencies.iter().enumerate() {
                let (sin, cos) = T::of(sign * *position as f64 * frequency).sin_cos();
                let (a, b) = (x[head + i], x[head + half + i]);
                y[head + i] = T::of(factor) * (a * cos - b * sin);
                y[head + half + i] = T::of(factor) * (b * cos + a * sin);
            }
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::super::gradient::{assert_gradient, values};
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_function() {
        let (positions, frequencies) = ([0, 5, 1], [1.0, 0.3, 0.01]);
        let (x, d_y) = (values(36, 1), values(36, 2));
        let gradient = backward(&positions, &frequencies, 1.2, &d_y);
        assert_gradient(|x| forward(&positions, &frequencies, 1.2, x), &x, &d_y, &gradient);
    }

    #[test]
    fn products_of_rotated_heads_depend_on_their_distance_alone() {
        let frequencies = [1.0, 0.1];
        let product = |p: usize, q: usize| -> f64 {
            let (query, key) = (values(4, 1), values(4, 2));
            let (query, key) = (forward(&[p], &frequencies, 1.0, &query), forward(&[q], &frequencies, 1.0, &key));
            query.iter().zip(&key).map(|(a, b)| a * b).sum()
        };
        assert!((product(7, 4) - product(103, 100)).abs() < 1e-12);
        assert!((product(7, 4) - product(4, 7)).abs() > 1e-3);
    }
}
