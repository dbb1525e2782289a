//! Twin of SwiGLU.

use super::Real;

fn sigmoid<T: Real>(x: T) -> T {
    T::of(1.0) / (T::of(1.0) + (-x).exp())
}

/// `gate · sigmoid(gate) · up`.
pub fn forward<T: Real>(gate: &[T], up: &[T]) -> Vec<T> {
    gate.iter().zip(up).map(|(g, u)| *g * sigmoid(*g) * *u).collect()
}

/// The gradients of gate and up.
pub fn backward<T: Real>(d_y: &[T], gate: &[T], up: &[T]) -> (Vec<T>, Vec<T>) {
    let slope = |g: T| sigmoid(g) * (T::of(1.0) + g * (T::of(1.0) - sigmoid(g)));
    let d_gate = (0..d_y.len()).map(|i| d_y[i] * up[i] * slope(gate[i])).collect();
    let d_up = (0..d_y.len()).map(|i| d_y[i] * gate[i] * sigmoid(gate[i])).collect();
    (d_gate, d_up)
}

#[cfg(test)]
mod tests {
    use super::super::gradient::{assert_gradient, values};
    use super::*;

    #[test]
    fn the_gradients_are_those_of_the_function() {
        let (gate, up, d_y) = (values(9, 1), values(9, 2), values(9, 3));
        let (d_gate, d_up) = backward(&d_y, &gate, &up);
        assert_gradient(|gate| forward(gate, &up), &gate, &d_y, &d_gate);
        assert_gradient(|up| forward(&gate, up), &up, &d_y, &d_up);
    }
}
