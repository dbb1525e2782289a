//! Samples from a causal model:
//!
//! ```sh
//! cargo run --example generate -- Qwen/Qwen3-0.6B "What is the capital of France?"
//! ```

use wgr::generate::{GenerateConfig, Sampling, generate};
use wgr::gpu::AdapterChoice;
use wgr::kernels::{self, Passes};
use wgr::{Ranks, Silent};

fn main() -> wgr::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, prompt] = arguments.as_slice() else {
        eprintln!("usage: generate MODEL PROMPT");
        std::process::exit(2)
    };
    pollster::block_on(run(model, prompt))
}

async fn run(model: &str, prompt: &str) -> wgr::Result<()> {
    let gpu = kernels::open(&AdapterChoice::default(), Passes::Generation).await?;
    let config = GenerateConfig {
        model: model.into(),
        prompt: Some(prompt.into()),
        n: 2,
        max_new_tokens: 32,
        sampling: Sampling { temperature: 0.8, ..Sampling::default() },
        ..GenerateConfig::default()
    };
    let summary = generate(&gpu, &Ranks::alone(), &config, &mut Silent).await?;
    for row in &summary.rows {
        println!("--- sample {}, {} tokens\n{}", row.sample, row.tokens, row.text);
    }
    println!("{:.1} tokens/s on {}", summary.tokens_per_second, gpu.name());
    Ok(())
}
