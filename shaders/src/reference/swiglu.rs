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
pub fn backward<T: Real>(dy: &[T], gate: &[T], up: &[T]) -> (Vec<T>, Vec<T>) {
    let slope = |g: T| sigmoid(g) * (T::of(1.0) + g * (T::of(1.0) - sigmoid(g)));
    let dgate = (0..dy.len()).map(|i| dy[i] * up[i] * slope(gate[i])).collect();
    let dup = (0..dy.len()).map(|i| dy[i] * gate[i] * sigmoid(gate[i])).collect();
    (dgate, dup)
}

#[cfg(test)]
mod tests {
    use super::super::gradient::{assert_gradient, values};
    use super::*;

    #[test]
    fn the_gradients_are_those_of_the_function() {
        let (gate, up, dy) = (values(9, 1), values(9, 2), values(9, 3));
        let (dgate, dup) = backward(&dy, &gate, &up);
        assert_gradient(|gate| forward(gate, &up), &gate, &dy, &dgate);
        assert_gradient(|up| forward(&gate, up), &up, &dy, &dup);
    }
}
