//! A kernel of one's own: WGSL in, a dispatch that is checked like those of the engine, values out.
//!
//! `cargo run --example custom_kernel`

use wgr::gpu::{AdapterChoice, Cost, Dtype, Gpu, Kernel, Layout, Recording, Tensor, grid};

// The comment above a binding gives its extent in the parameters' terms; what is bound is compared with it.
const SHADER: &str = "
struct Params {
    /// Groups of four values.
    count: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [count]: what is scaled.
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
/// [count]: the result.
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < params.count) {
        y[id.x] = params.factor * x[id.x];
    }
}
";

wgr::parameters! {
    struct Params {
        count: u32,
        factor: f32,
    }
}

fn main() -> wgr::Result<()> {
    pollster::block_on(run())
}

async fn run() -> wgr::Result<()> {
    let gpu = Gpu::open(&AdapterChoice::default()).await?;
    let [x, y] = ["x", "y"].map(|label| Tensor::activation(&gpu, label, 3, Layout::plain(8), Dtype::F32));
    let (x, y) = (x?, y?);
    x.write(&gpu, &(0..24u8).map(f32::from).collect::<Vec<_>>())?;

    let kernel = Kernel::from_wgsl("scale", SHADER, "main")?;
    let params = Params { count: 3 * x.columns4(), factor: 0.5 };
    let mut recording = Recording::new();
    let workgroups = grid(params.count.div_ceil(64));
    recording.recorder(&gpu).dispatch(&kernel, &params, &[x.whole(), y.whole()], workgroups, Cost::default())?;
    recording.replay(&gpu)?;
    println!("{:?}", y.read(&gpu).await?);

    // A tensor that is too short is an error instead of zeros.
    let short = Tensor::activation(&gpu, "short", 2, Layout::plain(8), Dtype::F32)?;
    let refused =
        recording.recorder(&gpu).dispatch(&kernel, &params, &[x.whole(), short.whole()], workgroups, Cost::default());
    println!("{}", refused.expect_err("y needs six groups and has four"));
    Ok(())
}
