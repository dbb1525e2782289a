//! What every kernel test needs: both shader modes, random inputs, upload, and a scale-free error.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgr::gpu::{
    AdapterChoice, Dtype, Gpu, Layout, Limits, Memory, Mode, Operation, Options, Preset, Recorder, Recording, Tensor,
    Tiling, Variant,
};
use wgr::reference;

/// Normalised mean squared error that f32 kernels stay under: Σ(a − e)² / Σe².
pub(crate) const F32: f64 = 1e-11;
/// The same where bf16 is stored: one rounding is 2⁻⁹ relative.
pub(crate) const BF16: f64 = 1e-5;
/// The same where f16 is stored: one rounding is 2⁻¹² relative.
pub(crate) const F16: f64 = 1e-7;

/// Runs a case with the adapter's own preset and with that of ordinary GPUs, each on checked and on trusted shaders and
/// with bindings of at most 40 KiB, so that weights are sharded; and with words of 32 bits where the adapter has larger
/// ones. Products of the GPU preset run in small and in large tiles where shaders are checked.
pub(crate) fn everywhere(case: impl Fn(&Gpu)) {
    let small = Some(Limits { binding_bytes: 40 << 10 });
    let variants = [
        (Mode::Trusted, None, None, false),
        (Mode::Trusted, small, None, false),
        (Mode::Checked, None, None, false),
        (Mode::Checked, None, None, true),
        (Mode::Checked, None, Some(Preset::Gpu), false),
        (Mode::Trusted, small, Some(Preset::Gpu), false),
    ];
    // A page has one preset and one size of words, and checks all shaders.
    let different = if cfg!(target_family = "wasm") { 2 } else { variants.len() };
    let variants = variants.into_iter().take(different).filter(|(_, _, preset, _)| runs(*preset));
    for (mode, limits, preset, narrow) in variants {
        let mut gpu = open_with(Options { mode, limits, preset, narrow });
        let tiles = if mode == Mode::Checked { tile_sizes(&gpu) } else { &[0] };
        for tiles in tiles {
            gpu.set_large_tiles(*tiles);
            case(&gpu);
        }
    }
}

/// Runs a case on checked shaders alone, with both presets and with words of 32 bits: for permutations that differ in
/// nothing that other tests leave out.
pub(crate) fn checked(case: impl Fn(&mut Gpu)) {
    let variants = [(None, false), (None, true), (Some(Preset::Gpu), false)];
    let different = if cfg!(target_family = "wasm") { 1 } else { variants.len() };
    for (preset, narrow) in variants.into_iter().take(different).filter(|(preset, _)| runs(*preset)) {
        case(&mut open_with(Options { mode: Mode::Checked, limits: None, preset, narrow }));
    }
}

/// Whether to run a preset: with `WGR_OWN_PRESET`, only that of the adapter.
fn runs(preset: Option<Preset>) -> bool {
    preset.is_none() || std::env::var_os("WGR_OWN_PRESET").is_none()
}

/// Numbers of large tiles from which products run in them, such that none does, and all do.
pub(crate) fn tile_sizes(gpu: &Gpu) -> &'static [u32] {
    match gpu.preset() {
        Preset::Software => &[u32::MAX],
        Preset::Gpu => &[u32::MAX, 0],
    }
}

/// The variants of a product in which operands of any type run.
pub(crate) fn tilings(gpu: &Gpu, operation: Operation) -> Vec<Variant> {
    let mut variants = operation.variants(gpu.loads_wide());
    variants.retain(|variant| variant.wide == gpu.loads_wide() && variant.tiling != Tiling::Rows(64));
    variants
}

/// The adapter the tests run on.
pub(crate) fn open(mode: Mode, limits: Option<Limits>) -> Gpu {
    open_with(Options { mode, limits, ..Options::default() })
}

pub(crate) fn open_with(options: Options) -> Gpu {
    pollster::block_on(Gpu::open_with(&AdapterChoice::default(), options)).expect("the tests need an adapter")
}

/// Seeded values between −1 and 1.
pub(crate) fn random(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// The values as a storage type keeps them.
pub(crate) fn stored(values: &[f32], dtype: Dtype) -> Vec<f32> {
    match dtype {
        Dtype::Bf16 => values.iter().map(|v| half::bf16::from_f32(*v).to_f32()).collect(),
        Dtype::F16 => values.iter().map(|v| half::f16::from_f32(*v).to_f32()).collect(),
        _ => values.to_vec(),
    }
}

/// As [`stored`], of weights in rows of so many values, which may be kept in 8 bits.
pub(crate) fn stored_rows(columns: usize, values: &[f32], dtype: Dtype) -> Vec<f32> {
    match dtype {
        Dtype::Q8 => reference::quantized::stored(columns, values),
        _ => stored(values, dtype),
    }
}

/// A tensor of activations holding `values`, rows × columns.
pub(crate) fn activation(gpu: &Gpu, columns: Layout, values: &[f32], dtype: Dtype) -> Tensor {
    let rows = values.len() / columns.len();
    let tensor = Tensor::activation(gpu, "test activation", rows, columns, dtype).unwrap();
    tensor.write(gpu, values).unwrap();
    tensor
}

/// A parameter holding `values`, rows × columns, sharded if the limit asks for it.
pub(crate) fn parameter(gpu: &Gpu, rows: Layout, columns: Layout, values: &[f32], dtype: Dtype) -> Tensor {
    let tensor = Tensor::new(gpu, Memory::Weights, "test parameter", rows, columns, dtype).unwrap();
    tensor.write(gpu, values).unwrap();
    tensor
}

/// A parameter of one row.
pub(crate) fn vector(gpu: &Gpu, columns: Layout, values: &[f32]) -> Tensor {
    activation(gpu, columns, values, Dtype::F32)
}

pub(crate) fn read(gpu: &Gpu, tensor: &Tensor) -> Vec<f32> {
    pollster::block_on(tensor.read(gpu)).unwrap()
}

/// Records with a closure and runs the recording once.
pub(crate) fn run(gpu: &Gpu, record: impl FnOnce(&mut Recorder) -> wgr::Result<()>) {
    let mut recording = Recording::new();
    record(&mut recording.recorder(gpu)).unwrap();
    replay(gpu, &mut recording);
    pollster::block_on(gpu.wait("running a test")).unwrap();
}

/// Replays, and notes in the file that this variable names what ran with the driver's checks: `cargo xtask test` demands
/// that every permutation did.
pub(crate) fn replay(gpu: &Gpu, recording: &mut Recording) {
    recording.replay(gpu).unwrap();
    if let (Mode::Checked, Some(path)) = (gpu.mode(), std::env::var_os("WGR_CHECKED_KERNELS")) {
        let kernels: BTreeSet<String> =
            recording.kernels().map(|(name, features)| format!("{name} {}\n", features.join(" "))).collect();
        let file = OpenOptions::new().create(true).append(true).open(path);
        // In one write, as tests run side by side.
        file.and_then(|mut file| file.write_all(kernels.into_iter().collect::<String>().as_bytes())).unwrap();
    }
}

/// Asserts that every element agrees, by the normalised mean squared error.
#[track_caller]
pub(crate) fn assert_close(what: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}: length");
    let energy: f64 = expected.iter().map(|e| e * e).sum();
    let error: f64 = actual.iter().zip(expected).map(|(a, e)| (f64::from(*a) - e).powi(2)).sum();
    let nmse = error / energy.max(f64::MIN_POSITIVE);
    let worst = (0..actual.len())
        .max_by(|i, j| {
            let off = |i: usize| (f64::from(actual[i]) - expected[i]).abs();
            off(*i).total_cmp(&off(*j))
        })
        .unwrap_or(0);
    assert!(
        nmse <= tolerance,
        "{what}: error {nmse:.2e} exceeds {tolerance:.0e}; worst at {worst}: {} instead of {}",
        actual[worst],
        expected[worst]
    );
    if std::env::var_os("WGR_PRINT_ERRORS").is_some() {
        println!("{what}: {nmse:.2e}");
    }
}
