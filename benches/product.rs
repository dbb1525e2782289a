//! The f32 product of two 1024 x 1024 matrices, which decides the speed of a training step.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wgr::gpu::{AdapterChoice, Dtype, Gpu};
use wgr::kernels::bench::{Prepared, forward_product};

fn product(criterion: &mut Criterion) {
    let gpu = pollster::block_on(Gpu::open(&AdapterChoice::default())).expect("benchmarks need an adapter");
    let mut group = criterion.benchmark_group("product");
    for (name, weights) in [("f32", Dtype::F32), ("bf16 weights", Dtype::Bf16)] {
        let Prepared { mut recording, cost } =
            forward_product(&gpu, 1024, [Dtype::F32, weights]).expect("three matrices fit everywhere");
        group.throughput(Throughput::Elements(cost.flops as u64));
        group.sample_size(10).bench_function(name, |bencher| {
            bencher.iter(|| {
                recording.replay(&gpu).expect("a recorded product runs");
                pollster::block_on(gpu.wait("measuring a product")).expect("a recorded product runs");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, product);
criterion_main!(benches);
