//! Products on cooperative matrices, where the adapter lists them; elsewhere these tests are skipped.

use wgr::gpu::{Dtype, Gpu, Layout, Limits, Mode, Options, Preset, Recording, Tensor};
use wgr::kernels::ceiling;

use crate::harness::*;
use crate::product::{SHAPES, nn, nt, tn};

const F16: Dtype = Dtype::F16;

/// Runs a case with the kernels for GPUs on checked shaders, in small and in large tiles, and on trusted ones, in large tiles
/// and with sharded weights, if products run on cooperative matrices there.
fn cooperating(case: impl Fn(&Gpu)) {
    let small = Some(Limits { binding_bytes: 40 << 10 });
    for (mode, limits) in [(Mode::Checked, None), (Mode::Trusted, small)] {
        let mut gpu = open_with(Options { mode, limits, preset: Some(Preset::Gpu), narrow: false });
        let tiles = if mode == Mode::Checked { tile_sizes(&gpu) } else { &[0] };
        match gpu.cooperative_side() {
            Some(_) => {
                for tiles in tiles {
                    gpu.set_large_tiles(*tiles);
                    case(&gpu);
                }
            }
            None => println!("skipped: {} lists no cooperative matrices that products use", gpu.name()),
        }
    }
}

/// Beside the usual ones: several steps of the inner dimension, with a rest, and several tiles each way.
fn shapes() -> impl Iterator<Item = (usize, usize, usize)> {
    SHAPES.into_iter().chain([(100, 100, 76)])
}

fn nt_with_every_epilogue(gpu: &Gpu) {
    for shape in shapes() {
        for (bias, residual) in [(false, false), (true, false), (false, true), (true, true)] {
            nt(gpu, shape, [F16, F16, Dtype::F32], bias, residual);
        }
        for bias in [false, true] {
            nt(gpu, shape, [F16; 3], bias, false);
        }
    }
}

fn nn_and_tn(gpu: &Gpu) {
    for shape in shapes() {
        nn(gpu, shape, [F16; 2]);
        tn(gpu, shape, [F16; 2]);
    }
}

#[test]
fn nt_agrees_with_every_epilogue() {
    cooperating(nt_with_every_epilogue);
}

#[test]
fn nn_and_tn_agree_and_accumulate() {
    cooperating(nn_and_tn);
}

#[test]
fn the_same_products_agree_without_cooperative_matrices() {
    let mut gpu = open_with(Options { mode: Mode::Checked, preset: Some(Preset::Gpu), ..Options::default() });
    gpu.without_cooperative_matrices();
    nt_with_every_epilogue(&gpu);
    nn_and_tn(&gpu);
}

#[test]
fn the_ceiling_sums_every_product() {
    const WORKGROUPS: usize = 3;
    const PASSES: usize = 5;
    cooperating(|gpu| {
        let side = gpu.cooperative_side().unwrap();
        let sums = WORKGROUPS * ceiling::cooperative_sums(side);
        let tensor = Tensor::workspace(gpu, "sums", sums, Dtype::F32).unwrap();
        tensor.write_f32(gpu, &vec![0.5; sums]);
        run(gpu, |recorder| ceiling::multiply_add_matrices(recorder, WORKGROUPS, PASSES, [0.75, -0.5], &tensor));
        assert_eq!(read(gpu, &tensor), vec![-0.375 * (PASSES as u32 * side) as f32; sums]);
    });
}

#[test]
fn without_cooperative_matrices_nothing_asks_for_them() {
    let mut gpu = open_with(Options { preset: Some(Preset::Gpu), ..Options::default() });
    gpu.without_cooperative_matrices();
    let sums = activation(&gpu, Layout::plain(1024), &[0.5; 1024], Dtype::F32);
    let mut recording = Recording::new();
    assert!(ceiling::multiply_add_matrices(&mut recording.recorder(&gpu), 1, 1, [1.0; 2], &sums).is_err());
    assert!(recording.is_empty());
}
