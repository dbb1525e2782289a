//! Twin of the loops that measure ceilings; a copy needs none.

use super::Real;

/// Values that a group holds.
const GROUP: usize = 4;
/// Invocations of a workgroup.
const WORKGROUP: usize = 64;
/// Groups that an invocation reads.
pub const CHUNK: usize = 32;

/// The sums of the three chains of every invocation, a group of equal values each, after `passes` × 8 multiply-adds.
pub fn multiply_add<T: Real>(workgroups: usize, passes: usize, factor: T, term: T) -> Vec<T> {
    let chain = |first: f64| (0..8 * passes).fold(T::of(first), |x, _| x * factor + term);
    let sum = |local: usize| (0..3).map(|k| chain(local as f64 / WORKGROUP as f64 + f64::from(k))).sum::<T>();
    (0..workgroups * WORKGROUP).flat_map(|invocation| [sum(invocation % WORKGROUP); GROUP]).collect()
}

/// The sum of the groups that each invocation reads.
pub fn total<T: Real>(x: &[T], interleaved: bool) -> Vec<T> {
    let groups = |workgroup: &[T], local: usize| -> [T; GROUP] {
        let place = |i: usize| if interleaved { i * WORKGROUP + local } else { local * CHUNK + i };
        std::array::from_fn(|value| (0..CHUNK).map(|i| workgroup[GROUP * place(i) + value]).sum())
    };
    let workgroups = x.chunks_exact(GROUP * WORKGROUP * CHUNK);
    workgroups.flat_map(|workgroup| (0..WORKGROUP).flat_map(move |local| groups(workgroup, local))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_multiply_adds_a_pass() {
        // x/2 + 1 eight times is x/256 + 2 − 2/256; the chains begin at 0, 1 and 2.
        let sums = multiply_add(1, 1, 0.5, 1.0);
        assert_eq!(sums.len(), 4 * 64);
        assert_eq!(sums[0], 3.0 / 256.0 + 3.0 * (2.0 - 2.0 / 256.0));
    }

    #[test]
    fn both_orders_read_everything_once() {
        let x: Vec<f64> = (0..4 * 64 * 32).map(f64::from).collect();
        let sum = |values: &[f64]| values.iter().sum::<f64>();
        let [interleaved, ranges] = [true, false].map(|interleaved| total(&x, interleaved));
        assert_eq!([sum(&interleaved), sum(&ranges)], [sum(&x); 2]);
        // The first values of groups 0, 64, 128 … 1984, and of groups 0, 1, 2 … 31, which are four times their numbers.
        assert_eq!([interleaved[0], ranges[0]], [4.0 * 64.0 * 496.0, 4.0 * 496.0]);
    }
}
