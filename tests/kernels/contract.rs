//! What the host binds is held against what shaders declare: one break of each kind, and how it is told.

use wgr::gpu::{Cost, Dtype, Gpu, Kernel, Layout, Mode, Recorder, Recording, Tensor};
use wgr::kernels::product::{self, Epilogue};
use wgr::kernels::rms_norm;

use crate::harness::*;

/// The error of what `record` does; asserts that it recorded nothing.
#[track_caller]
fn refused(gpu: &Gpu, record: impl FnOnce(&mut Recorder) -> wgr::Result<()>) -> String {
    let mut recording = Recording::new();
    let refused = record(&mut recording.recorder(gpu)).expect_err("it does not fit");
    assert!(recording.is_empty());
    refused.to_string()
}

fn matrix(gpu: &Gpu, rows: usize, columns: usize, dtype: Dtype) -> Tensor {
    activation(gpu, Layout::plain(columns), &vec![0.0; rows * columns], dtype)
}

fn list(gpu: &Gpu, len: usize) -> Tensor {
    Tensor::workspace(gpu, "a list", len, Dtype::F32).unwrap()
}

#[test]
fn another_storage_type_is_refused() {
    let gpu = open(Mode::Trusted, None);
    let (x, y) = (matrix(&gpu, 4, 8, Dtype::Bf16), matrix(&gpu, 4, 8, Dtype::F32));
    let weight = vector(&gpu, Layout::plain(8), &[1.0; 8]);
    let problem = refused(&gpu, |recorder| rms_norm::forward(recorder, 4, &x, &weight, &y, &list(&gpu, 4), 1e-5));
    let expected = "kernel rms_norm/forward: operand x (test activation) is bf16, and the shader declares f32";
    assert_eq!(problem, expected);
}

#[test]
fn a_tensor_that_is_too_short_is_refused() {
    let gpu = open(Mode::Trusted, None);
    let (x, y) = (matrix(&gpu, 4, 8, Dtype::F32), matrix(&gpu, 4, 8, Dtype::F32));
    let weight = vector(&gpu, Layout::plain(8), &[1.0; 8]);
    let problem = refused(&gpu, |recorder| rms_norm::forward(recorder, 4, &x, &weight, &y, &list(&gpu, 3), 1e-5));
    assert_eq!(problem, "kernel rms_norm/forward: operand rstd (a list) holds 12 bytes, and [rows] needs 16");
    let problem = refused(&gpu, |recorder| rms_norm::forward(recorder, 5, &x, &weight, &y, &list(&gpu, 5), 1e-5));
    let expected = "operand x (test activation) holds 128 bytes, and [rows, columns4] needs 160";
    assert!(problem.contains(expected), "{problem}");
}

#[test]
fn a_bias_or_residual_of_another_shape_is_refused() {
    for preset_of in [open(Mode::Trusted, None), open_gpu_preset()] {
        let gpu = &preset_of;
        for rows in [3, 40] {
            let (x, y) = (matrix(gpu, rows, 8, Dtype::F32), matrix(gpu, rows, 12, Dtype::F32));
            let w = parameter(gpu, Layout::plain(12), Layout::plain(8), &[0.0; 96], Dtype::F32);
            let with = |epilogue: Epilogue| refused(gpu, |recorder| product::nt(recorder, rows, &x, &w, &y, epilogue));
            let short = vector(gpu, Layout::plain(8), &[0.0; 8]);
            let problem = with(Epilogue { bias: Some(&short), ..Epilogue::default() });
            assert!(problem.contains("the columns of test activation and test activation differ"), "{problem}");
            let short = matrix(gpu, rows - 1, 12, Dtype::F32);
            let problem = with(Epilogue { residual: Some(&short), ..Epilogue::default() });
            assert!(problem.contains("operand residual (test activation) holds"), "{problem}");
            let half = vector(gpu, Layout::plain(12), &[0.0; 12]);
            let half = Tensor::activation(gpu, half.label(), 1, half.columns(), Dtype::Bf16).unwrap();
            let problem = with(Epilogue { bias: Some(&half), ..Epilogue::default() });
            assert!(
                problem.contains("operand bias (test activation) is bf16, and the shader declares f32"),
                "{problem}"
            );
        }
    }
}

fn open_gpu_preset() -> Gpu {
    use wgr::gpu::{AdapterChoice, Options, Preset};
    let options = Options { preset: Some(Preset::Gpu), ..Options::default() };
    pollster::block_on(Gpu::open_with(&AdapterChoice::default(), options)).unwrap()
}

mod drifted {
    wgr::parameters! {
        /// Renamed.
        pub struct Renamed {
            pub groups: u32,
        }
    }
    wgr::parameters! {
        /// Of another type.
        pub struct Retyped {
            pub count: f32,
        }
    }
    wgr::parameters! {
        /// One too many.
        pub struct Grown {
            pub count: u32,
            pub more: u32,
        }
    }
}

#[test]
fn parameters_that_drifted_from_their_shader_are_refused() {
    let gpu = open(Mode::Trusted, None);
    let [x, y] = [(); 2].map(|()| list(&gpu, 64));
    let bindings = [x.whole(), y.whole()];
    let kernel = Kernel::new("add/main");
    let cost = Cost::default();
    let renamed = refused(&gpu, |recorder| {
        recorder.dispatch(&kernel, &drifted::Renamed { groups: 16 }, &bindings, [1, 1, 1], cost)
    });
    let expected = "kernel add/main: the parameters given are (groups: u32), and the shader declares (count: u32)";
    assert_eq!(renamed, expected);
    let retyped = refused(&gpu, |recorder| {
        recorder.dispatch(&kernel, &drifted::Retyped { count: 16.0 }, &bindings, [1, 1, 1], cost)
    });
    assert!(retyped.contains("given are (count: f32)"), "{retyped}");
    let grown = refused(&gpu, |recorder| {
        recorder.dispatch(&kernel, &drifted::Grown { count: 16, more: 1 }, &bindings, [1, 1, 1], cost)
    });
    assert!(grown.contains("given are (count: u32, more: u32)"), "{grown}");
}

#[test]
fn a_missing_binding_and_a_broken_requirement_are_refused() {
    let gpu = open(Mode::Trusted, None);
    let x = list(&gpu, 64);
    let params = wgr_shaders::params::add::Params { count: 16 };
    let missing = refused(&gpu, |recorder| {
        recorder.dispatch(&Kernel::new("add/main"), &params, &[x.whole()], [1, 1, 1], Cost::default())
    });
    assert_eq!(missing, "kernel add/main: 1 tensors are bound, and the shader declares 2: x, y");
    let params = wgr_shaders::params::l2_norm::Params { rows: 4, columns4: 4 };
    let kernel = Kernel::new("l2_norm/forward").constant("LANES", 3);
    let broken = refused(&gpu, |recorder| {
        recorder.dispatch(&kernel, &params, &[x.whole(), list(&gpu, 64).whole()], [1, 1, 1], Cost::default())
    });
    assert!(broken.contains("it requires WORKGROUP % LANES == 0, and these are 1 and 0"), "{broken}");
    let kernel = Kernel::new("l2_norm/forward").constant("LANE", 1);
    let unknown = refused(&gpu, |recorder| {
        recorder.dispatch(&kernel, &params, &[x.whole(), list(&gpu, 64).whole()], [1, 1, 1], Cost::default())
    });
    assert_eq!(unknown, "kernel l2_norm/forward: it has no constant LANE");
}

wgr::parameters! {
    struct Fill {
        count: u32,
        value: f32,
    }
}

const FILL: &str = "
struct Params {
    count: u32,
    value: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
/// [count]: the values.
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    // Without the driver's checks this would write past the end; with them it is dropped or goes to some other element,
    // which gets the same value.
    x[id.x] = params.value;
}
";

#[test]
fn a_kernel_of_ones_own_is_checked_like_the_engines() {
    let gpu = open(Mode::Trusted, None);
    let kernel = Kernel::from_wgsl("fill", FILL, "main").unwrap();
    let x = list(&gpu, 12);
    let params = Fill { count: 12, value: 1.5 };
    run(&gpu, |recorder| recorder.dispatch(&kernel, &params, &[x.whole()], [1, 1, 1], Cost::default()));
    assert_eq!(read(&gpu, &x), [1.5; 12]);
    let params = Fill { count: 13, ..params };
    let problem =
        refused(&gpu, |recorder| recorder.dispatch(&kernel, &params, &[x.whole()], [1, 1, 1], Cost::default()));
    assert_eq!(problem, "kernel fill: operand x (a list) holds 48 bytes, and [count] needs 52");

    let without = FILL.replace("/// [count]: the values.\n", "");
    for (source, entry, expected) in [
        (without.as_str(), "main", "kernel fill: x: the comment above it gives no shape"),
        (FILL, "forward", "kernel fill: it has no entry point forward"),
        ("fn main(", "main", "kernel fill: error"),
    ] {
        let problem = Kernel::from_wgsl("fill", source, entry).unwrap_err().to_string();
        assert!(problem.starts_with(expected), "{problem}");
    }
}
