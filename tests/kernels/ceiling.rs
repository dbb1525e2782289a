use wgr::gpu::{Dtype, Gpu, Mode, Recording, Tensor};
use wgr::kernels::ceiling::{self, Arithmetic, Order, SUMS, VALUES};
use wgr::reference;

use crate::harness::*;

/// More than one, so that a workgroup's place counts.
const WORKGROUPS: usize = 3;

fn filled(gpu: &Gpu, values: &[f32]) -> Tensor {
    let tensor = Tensor::workspace(gpu, "values", values.len(), Dtype::F32).unwrap();
    tensor.write_f32(gpu, values);
    tensor
}

#[test]
fn multiply_add_depends_on_every_step() {
    // Both are f16 values; after a few passes the chains have not met yet.
    let (passes, [factor, term]) = (2, [0.9375, 0.375]);
    let expected = reference::ceiling::multiply_add(WORKGROUPS, passes, f64::from(factor), f64::from(term));
    everywhere(|gpu| {
        for arithmetic in [false, true].into_iter().flat_map(|fma| [false, true].map(|f16| Arithmetic { fma, f16 })) {
            if arithmetic.f16 && !gpu.computes_f16() {
                println!("skipped: {} has no f16 arithmetic", gpu.name());
                continue;
            }
            let sums = filled(gpu, &[0.5; WORKGROUPS * SUMS]);
            run(gpu, |recorder| ceiling::multiply_add(recorder, arithmetic, WORKGROUPS, passes, [factor, term], &sums));
            // Sixteen roundings of 2⁻¹¹.
            let tolerance = if arithmetic.f16 { 1e-5 } else { F32 };
            assert_close(&format!("ceiling {arithmetic:?}"), &read(gpu, &sums), &expected, tolerance);
        }
    });
}

#[test]
fn copy_and_total_reach_every_value() {
    let x = random(WORKGROUPS * VALUES, 1);
    let case = |gpu: &Gpu| {
        for order in [Order::Interleaved, Order::Ranges] {
            let values = filled(gpu, &x);
            let (copy, sums) = (filled(gpu, &[0.5; WORKGROUPS * VALUES]), filled(gpu, &[0.5; WORKGROUPS * SUMS]));
            run(gpu, |recorder| {
                ceiling::copy(recorder, order, WORKGROUPS, &values, &copy)?;
                ceiling::total(recorder, order, WORKGROUPS, &values, &sums)
            });
            assert_eq!(read(gpu, &copy), x);
            let expected = reference::ceiling::total(&wide(&x), matches!(order, Order::Interleaved));
            assert_close("ceiling total", &read(gpu, &sums), &expected, F32);
        }
    };
    checked(|gpu| case(gpu));
    case(&open(Mode::Trusted, None));
}

#[test]
fn short_tensors_are_refused() {
    let gpu = open(Mode::Checked, None);
    let (x, short) = (filled(&gpu, &[0.5; VALUES]), filled(&gpu, &[0.5; SUMS / 2]));
    let mut recording = Recording::new();
    let recorder = &mut recording.recorder(&gpu);
    let arithmetic = Arithmetic { fma: false, f16: false };
    assert!(ceiling::multiply_add(recorder, arithmetic, 1, 1, [0.5, 0.5], &short).is_err());
    assert!(ceiling::copy(recorder, Order::Ranges, 1, &x, &short).is_err());
    assert!(ceiling::total(recorder, Order::Ranges, 1, &x, &short).is_err());
    assert!(ceiling::total(recorder, Order::Ranges, 2, &x, &x).is_err());
    assert!(recording.is_empty());
}
