//! Greedy decoding of SmolLM2-135M, one sequence and sixteen at once; `generate_transformers.py` does the same with PyTorch.
//!
//! `cargo bench --bench generate [-- MODEL]`; MODEL is as for `--model`, by default the GGUF file among the assets.
//! Every sequence gets the same number of tokens, regardless of end-of-sequence tokens. The rates leave out the time of
//! the prompt. The last step is then profiled.

use std::time::Instant;

use wgr::generate::{Generator, Sampling, Settings, generator};
use wgr::gpu::{AdapterChoice, Dtype, Gpu};
use wgr::kernels::bench;
use wgr::model::Checkpoint;
use wgr::model::causal::Causal;
use wgr::model::parameter::Holding;
use wgr::{Event, Observer};

use self::fetched::fetched;

#[path = "../tests/support/fetched.rs"]
mod fetched;

const PROMPT: usize = 32;
const NEW: usize = 64;
const ROUNDS: usize = 3;
/// Kernels of a step to name, slowest first.
const KERNELS: usize = 5;

/// When each step was done, and how many tokens had been drawn.
struct Steps(Vec<(Instant, u64)>);

impl Observer for Steps {
    fn on(&mut self, event: Event<'_>) {
        if let Event::Sampled { tokens, .. } = event {
            self.0.push((Instant::now(), tokens));
        }
    }
}

fn main() -> wgr::Result<()> {
    // cargo passes flags of its own.
    let model = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let asset = || Some(fetched("WGR_ASSETS", "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")?.display().to_string());
    let Some(model) = model.or_else(asset) else { return Ok(()) };
    let gpu = pollster::block_on(Gpu::open(&AdapterChoice::default()))?;
    let mut ceilings = pollster::block_on(bench::ceilings(&gpu))?;
    let checkpoint = Checkpoint::open(&model)?;
    let (config, tokenizer) = (checkpoint.config(), checkpoint.tokenizer()?);
    let causal = Causal::load(&gpu, &checkpoint, Holding::Inference, 0)?;
    let settings = Settings { sampling: Sampling::greedy(), max_new_tokens: NEW, stop: vec![] };
    println!("{model} on {}, {PROMPT} tokens of prompt, {NEW} new ones", gpu.name());
    for batch in [1, 16] {
        let capacity = generator::capacity(&gpu, config, batch, PROMPT + NEW, Dtype::F32)?;
        let (causal, tokenizer) = (causal.clone(), tokenizer.clone());
        let mut generator = Generator::new(&gpu, causal, config, tokenizer, vec![], capacity, Dtype::F32)?;
        let prompt = |row: usize| (0..PROMPT).map(|i| 100 + ((row * 7919 + i * 31) % 40_000) as u32).collect();
        let prompts: Vec<Vec<u32>> = (0..batch).map(prompt).collect();
        let mut rates = vec![];
        for _ in 0..ROUNDS {
            let mut steps = Steps(vec![]);
            pollster::block_on(generator.sample(&gpu, &prompts, 1, 0, &settings, &mut steps))?;
            // Steps before every sequence has its first token are of prompts.
            let decoding = steps.0.iter().skip_while(|(_, drawn)| *drawn < batch as u64).collect::<Vec<_>>();
            let (first, last) = (decoding[0], decoding[decoding.len() - 1]);
            rates.push((last.1 - first.1) as f64 / (last.0 - first.0).as_secs_f64());
        }
        rates.sort_by(f64::total_cmp);
        let rate = rates[ROUNDS / 2];
        println!(
            "batch {batch:2}: {rate:7.1} tokens/s, {:6.1} ms a step (median of {ROUNDS})",
            1e3 * batch as f64 / rate
        );
        let profile = pollster::block_on(generator.profile(&gpu))?;
        let (rooflines, _) = profile.rooflines(&mut ceilings);
        for (row, roofline) in profile.rows.iter().zip(rooflines).take(KERNELS) {
            let (milliseconds, share) = (1e3 * row.seconds, 1e2 * roofline.share);
            let bound = roofline.bound.name();
            println!(
                "  {:28} {:4} dispatches {milliseconds:7.1} ms {share:5.1} % of the {bound} bound",
                row.kernel, row.dispatches
            );
        }
        println!("  {:28} {:26.1} ms", "all kernels", 1e3 * profile.seconds());
    }
    Ok(())
}
