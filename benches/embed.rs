//! Embedding of queries with all-MiniLM-L6-v2, as in mining. Throughput is in queries.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wgr::extract::embeddings::{Embed, Embedder};
use wgr::gpu::{AdapterChoice, Gpu};

use self::fetched::fetched;

#[path = "../tests/support/fetched.rs"]
mod fetched;

/// Queries of 4 to 63 words, half of them shorter than 16, as people write them.
fn queries() -> Vec<String> {
    let words: Vec<&str> =
        "how can i sort a list of names in python so that the longest comes first please explain".split(' ').collect();
    (0..256usize)
        .map(|i| {
            let length = if i % 2 == 0 { 4 + i % 12 } else { 16 + i % 48 };
            (0..length).map(|j| words[(i * 7 + j * (1 + i % 5)) % words.len()]).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

fn embed(criterion: &mut Criterion) {
    let Some(model) = fetched("WGR_ASSETS", "minilm") else { return };
    let gpu = pollster::block_on(Gpu::open(&AdapterChoice::default())).expect("benchmarks need an adapter");
    let mut embedder = Embedder::open(&gpu, &model.display().to_string()).expect("the model is whole");
    let queries = queries();
    let texts: Vec<&str> = queries.iter().map(String::as_str).collect();
    let mut group = criterion.benchmark_group("embed");
    group.throughput(Throughput::Elements(texts.len() as u64)).sample_size(10);
    group.bench_function("MiniLM, 256 queries", |bencher| {
        bencher.iter(|| pollster::block_on(embedder.embed(&texts)).expect("the model embeds"));
    });
    group.finish();
}

criterion_group!(benches, embed);
criterion_main!(benches);
