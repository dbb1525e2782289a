use serde_json::json;
use wgr::Silent;
use wgr::data::prompts::{Ask, Prompt};
use wgr::generate::engine::{Draw, Engine};
use wgr::generate::scheduler::Scheduler;
use wgr::generate::{Capacity, Generator, Prompter, Request, Sampling, Settings, generator};
use wgr::gpu::{Dtype, Gpu, Mode, Options, Preset};
use wgr::model::Checkpoint;
use wgr::model::causal::Causal;
use wgr::model::parameter::Holding;

use crate::harness::*;

/// The body of a tiny model as a causal model whose output matrix is its embedding.
fn causal(name: &str) -> Checkpoint {
    let directory = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(folder(name).join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    let class = config["architectures"][0].as_str().unwrap().replace("ForSequenceClassification", "ForCausalLM");
    config["architectures"] = json!([class]);
    config["tie_word_embeddings"] = json!(true);
    std::fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
    std::fs::copy(folder(name).join("model.safetensors"), directory.path().join("model.safetensors")).unwrap();
    // The weights stay mapped when the directory is gone.
    Checkpoint::open(directory.path().to_str().unwrap()).unwrap()
}

/// The most likely token after each of so many sequences.
fn greedy(sequences: usize) -> Vec<Draw> {
    vec![Draw { sampling: Sampling::greedy(), share: 0.0, seen: vec![] }; sequences]
}

/// Continues the prompts of a golden file with its tokens and compares all logits on the way.
fn check(gpu: &Gpu, golden: &Golden, name: &str, capacity: Capacity, cache: Dtype, tolerance: f32) {
    let integers = |part: &str| golden.integers(&format!("{name}.{part}"));
    let (ids, offsets, prompts) = (integers("ids"), integers("offsets"), integers("prompts"));
    let sequences: Vec<&[u32]> = offsets.windows(2).map(|pair| &ids[pair[0] as usize..pair[1] as usize]).collect();
    let requests: Vec<Request> = sequences
        .iter()
        .zip(prompts)
        .map(|(sequence, prompt)| Request { prompt: sequence[..*prompt as usize].into(), seed: 0 })
        .collect();
    let checkpoint = causal(name);
    let config = checkpoint.config();
    let model = Causal::load(gpu, &checkpoint, Holding::Inference, 0).unwrap();
    let mut engine = Engine::new(gpu, model, config, capacity, cache).unwrap();
    let new_tokens = sequences[0].len() - prompts[0] as usize;
    let mut scheduler = Scheduler::new(capacity);
    requests.iter().for_each(|request| _ = scheduler.add(request.prompt.clone(), new_tokens));
    let mut found = vec![vec![]; sequences.len()];
    while let Some(step) = scheduler.step() {
        pollster::block_on(engine.step(gpu, &step, &greedy(step.drawing.len()))).unwrap();
        for (end, request) in step.drawing.iter().enumerate() {
            let logits = pollster::block_on(engine.logits(gpu, end)).unwrap();
            let token = sequences[*request][scheduler.tokens(*request).len()];
            let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
            assert!(tolerance > 1e-3 || best == token as usize, "{name}: {best} instead of {token}");
            found[*request].extend(logits);
            let drawn = scheduler.tokens(*request).len() + 1 - prompts[*request] as usize;
            scheduler.drawn(*request, token, drawn == new_tokens);
        }
    }
    let expected = golden.floats(&format!("{name}.logits"));
    assert_close(&format!("{name} {cache:?} {capacity:?}"), &found.concat(), expected, tolerance);
}

#[test]
fn cached_decoding_gives_the_logits_of_the_full_forward_pass() {
    let golden = Golden::read_file(&folder("generation.safetensors"));
    let few = Capacity { sequences: 2, tokens: 7, length: 49, pages: 8 };
    let all = Capacity { sequences: 4, tokens: 64, length: 49, pages: 16 };
    let software = open(Mode::Checked, None);
    let gpu = open_with(Options { mode: Mode::Trusted, preset: Some(Preset::Gpu), ..Options::default() });
    for name in MODELS {
        // Prompts in pieces beside sequences that decode, and all at once.
        check(&software, &golden, name, few, Dtype::F32, 2e-5);
        check(&gpu, &golden, name, all, Dtype::F32, 2e-5);
        check(&software, &golden, name, all, Dtype::F16, 5e-3);
    }
}

#[test]
fn steps_of_one_shape_share_a_recording() {
    let gpu = open(Mode::Trusted, None);
    let checkpoint = causal("llama");
    let model = Causal::load(&gpu, &checkpoint, Holding::Inference, 0).unwrap();
    let capacity = Capacity { sequences: 2, tokens: 16, length: 32, pages: 4 };
    let mut engine = Engine::new(&gpu, model, checkpoint.config(), capacity, Dtype::F32).unwrap();
    let requests = [1, 2].map(|id| Request { prompt: [id, 3, 4].into(), seed: 0 });
    let mut scheduler = Scheduler::new(capacity);
    requests.into_iter().for_each(|request| _ = scheduler.add(request.prompt, 8));
    let mut prepared = vec![];
    while let Some(step) = scheduler.step() {
        pollster::block_on(engine.step(&gpu, &step, &greedy(step.drawing.len()))).unwrap();
        prepared.push(engine.recording().prepared());
        for request in step.drawing {
            let ends = scheduler.tokens(request).len() == 10;
            scheduler.drawn(request, 5, ends);
        }
    }
    assert_eq!(prepared.len(), 8);
    assert!(prepared[1] > prepared[0], "a step that decodes has another shape than one of prompts");
    assert!(prepared[1..].iter().all(|count| *count == prepared[1]), "{prepared:?}");
}

#[test]
fn smollm2_knows_the_capital_of_france() {
    let Some(path) = fetched("WGR_ASSETS", "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf") else { return };
    let checkpoint = Checkpoint::open(&path.display().to_string()).unwrap();
    let gpu = open(Mode::Trusted, None);
    let prompter = Prompter::new(&checkpoint, false).unwrap();
    let ask = Ask::Text("What is the capital of France?".into());
    let prompt = prompter.tokens(&Prompt { id: "france".into(), ask, inputs: Default::default() }).unwrap();
    let config = checkpoint.config();
    let capacity = generator::capacity(&gpu, config, 1, prompt.len() + 16, Dtype::F32).unwrap();
    let causal = Causal::load(&gpu, &checkpoint, Holding::Inference, 0).unwrap();
    let (tokenizer, ends) = (prompter.tokenizer().clone(), checkpoint.end_tokens().unwrap());
    let mut generator = Generator::new(&gpu, causal, config, tokenizer, ends, capacity, Dtype::F32).unwrap();
    let settings = Settings { sampling: Sampling::greedy(), max_new_tokens: 16, stop: vec![".".into()] };
    let completions = pollster::block_on(generator.sample(&gpu, &[prompt], 1, 0, &settings, &mut Silent)).unwrap();
    assert!(completions[0].text.contains("Paris"), "{:?}", completions[0]);
}
