//! The loop on a tiny model: sampling, endings, and independence of neighbours.

use serde_json::json;

use super::engine::{Draw, Engine, Known};
use super::scheduler::Scheduler;
use super::shortlist::Shortlist;
use super::*;
use crate::gpu::{AdapterChoice, Dtype, Gpu};
use crate::model::causal::Causal;
use crate::model::parameter::Holding;
use crate::model::tiny::Tiny;
use crate::model::{Checkpoint, Family};
use crate::{Error, Event, Observer, Silent, data};

fn gpu() -> Gpu {
    pollster::block_on(Gpu::open(&AdapterChoice::default())).unwrap()
}

fn tiny() -> Tiny {
    Tiny::new(Family::Qwen3, json!({"tie_word_embeddings": true}), crate::model::Dtype::F32)
}

fn generator(gpu: &Gpu, checkpoint: &Checkpoint, capacity: Capacity, cache: Dtype) -> Generator {
    let causal = Causal::load(gpu, checkpoint, Holding::Inference, 0).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let ends = checkpoint.end_tokens().unwrap();
    Generator::new(gpu, causal, checkpoint.config(), tokenizer, ends, capacity, cache).unwrap()
}

fn settings(max_new_tokens: usize) -> Settings {
    Settings { sampling: Sampling { temperature: 3.0, ..Sampling::default() }, max_new_tokens, stop: vec![] }
}

fn capacity(sequences: usize, tokens: usize, pages: usize) -> Capacity {
    Capacity { sequences, tokens, length: 64, pages }
}

/// Prompts of many lengths, some longer than a page.
fn prompts() -> Vec<Vec<u32>> {
    [5, 33, 1, 18, 9].iter().map(|length| (0..*length).map(|i| 3 + (i * 7 + length) % 200).collect()).collect()
}

#[test]
fn the_same_seed_gives_the_same_text_whatever_runs_beside_it() {
    let (gpu, tiny) = (gpu(), tiny());
    let checkpoint = tiny.open();
    for cache in [Dtype::F32, Dtype::F16] {
        let drawn = |capacity: Capacity, seed: u64| {
            let mut generator = generator(&gpu, &checkpoint, capacity, cache);
            pollster::block_on(generator.sample(&gpu, &prompts(), 3, seed, &settings(11), &mut Silent)).unwrap()
        };
        let one = drawn(capacity(1, 8, 4), 7);
        assert_eq!(one.len(), 15);
        assert_eq!(one, drawn(capacity(3, 5, 9), 7));
        assert_eq!(one, drawn(capacity(16, 64, 64), 7));
        assert_ne!(one, drawn(capacity(16, 64, 64), 8));
        // Completions of one prompt differ, and those of the last one can be drawn alone by their seeds.
        assert_ne!(one[0], one[1]);
        let mut generator = generator(&gpu, &checkpoint, capacity(2, 8, 8), cache);
        let request = Request { prompt: prompts()[4].as_slice().into(), seed: seed_of(7, 4, 2) };
        let alone =
            pollster::block_on(generator.run(&gpu, &[request], &settings(11), &mut Silent, |_, _| Ok(()))).unwrap();
        assert_eq!(alone[0], one[14]);
    }
}

#[test]
fn what_the_device_tells_gives_the_tokens_of_whole_rows() {
    let (gpu, tiny) = (gpu(), tiny());
    let checkpoint = tiny.open();
    let causal = Causal::load(&gpu, &checkpoint, Holding::Inference, 0).unwrap();
    let room = capacity(8, 128, 64);
    let mut engine = Engine::new(&gpu, causal, checkpoint.config(), room, Dtype::F32).unwrap();
    let plain = Sampling { temperature: 1.0, ..Sampling::default() };
    let rules = [
        plain,
        Sampling::greedy(),
        Sampling { top_k: 20, ..plain },
        Sampling { top_k: 70, temperature: 0.1, top_p: 0.9, ..plain },
        Sampling { min_p: 0.9, repetition_penalty: 1.7, ..plain },
        Sampling { repetition_penalty: 0.5, ..Sampling::greedy() },
        Sampling { repetition_penalty: 3.0, temperature: 0.7, top_k: 9, ..plain },
    ];
    let mut scheduler = Scheduler::new(room);
    let prompts: Vec<Vec<u32>> = (0..7).map(|row| (0..6).map(|i| 3 + (i * 31 + row * 17) % 200).collect()).collect();
    prompts.iter().for_each(|prompt| _ = scheduler.add(prompt.as_slice().into(), 4));
    let draw = |row: usize, share| {
        let sampling = rules[row];
        let seen = if sampling.repetition_penalty == 1.0 { vec![] } else { prompts[row].clone() };
        Draw { sampling, share, seen }
    };
    let step = scheduler.step().unwrap();
    assert_eq!(step.drawing, [0, 1, 2, 3, 4, 5, 6]);
    let mut told = 0;
    for share in [0.05, 0.35, 0.65, 0.95] {
        let draws: Vec<Draw> = step.drawing.iter().map(|row| draw(*row, share)).collect();
        let known = pollster::block_on(engine.step(&gpu, &step, &draws)).unwrap();
        for (row, known) in known.into_iter().enumerate() {
            let Known { plain, penalised } = known.unwrap();
            let mut logits = pollster::block_on(engine.logits(&gpu, row)).unwrap();
            let sampling = rules[row];
            let whole = Shortlist::of_row(&logits, sampling.temperature);
            let found = sampling.token(penalised.as_ref().unwrap_or(&plain), share);
            let expected = match row {
                // Drawn on the device, in its order.
                0 => Some(wgr_shaders::reference::shortlist::forward(&logits, 1.0, share as f32).drawn as u32),
                _ => sampling.token(&whole, share),
            };
            assert!(expected.is_some());
            told += usize::from(found.is_some());
            assert!(found.is_none() || found == expected, "{sampling:?} at {share}: {found:?} {expected:?}");
            assert_eq!(penalised.is_some(), sampling.repetition_penalty != 1.0);
            // The model's own probabilities are those before the penalty.
            draws[row].undo_penalty(&mut logits);
            let token = found.or(expected).unwrap();
            let own = TokenLogProb::of(&Shortlist::of_row(&logits, 1.0), token, 5).unwrap();
            if let Some(found) = TokenLogProb::of(&plain, token, 5) {
                assert!((found.sampled - own.sampled).abs() < 1e-5, "{found:?} {own:?}");
                assert_eq!(found.top.len(), 5);
            }
        }
    }
    assert!(told >= 24, "{told} of 28 tokens needed no whole row");
}

#[test]
fn rows_are_read_where_the_device_does_not_tell() {
    let (gpu, tiny) = (gpu(), tiny());
    let checkpoint = tiny.open();
    // All but one token of the vocabulary, which no list has room for.
    let top_k = checkpoint.config().vocab_size - 1;
    let settings = Settings { sampling: Sampling { top_k, ..settings(0).sampling }, ..settings(12) };
    let drawn = |capacity: Capacity| {
        let mut generator = generator(&gpu, &checkpoint, capacity, Dtype::F32);
        pollster::block_on(generator.sample(&gpu, &prompts(), 1, 3, &settings, &mut Silent)).unwrap()
    };
    assert_eq!(drawn(capacity(1, 8, 4)), drawn(capacity(16, 64, 64)));
}

#[derive(Default)]
struct Seen {
    texts: Vec<String>,
    done: usize,
    steps: usize,
    stop_after: usize,
}

impl Observer for Seen {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Grew { request, piece } => self.texts[request].push_str(piece),
            Event::Sampled { done, .. } => (self.steps, self.done) = (self.steps + 1, done),
            _ => {}
        }
    }

    fn stop_requested(&self) -> bool {
        self.steps == self.stop_after
    }
}

#[test]
fn completions_end_by_token_by_text_and_by_length() {
    let (gpu, tiny) = (gpu(), tiny());
    let checkpoint = tiny.open();
    let mut generator = generator(&gpu, &checkpoint, capacity(4, 64, 16), Dtype::F32);
    let requests: Vec<Request> = (0..40).map(|seed| Request { prompt: prompts()[0].as_slice().into(), seed }).collect();
    let mut seen = Seen { texts: vec![String::new(); 40], stop_after: usize::MAX, ..Seen::default() };
    let mut kept = vec![];
    let keep = |request, completion: &Generated| {
        kept.push((request, completion.clone()));
        Ok(())
    };
    let plain = pollster::block_on(generator.run(&gpu, &requests, &settings(40), &mut seen, keep)).unwrap();
    for (index, completion) in plain.iter().enumerate() {
        assert_eq!(seen.texts[index], completion.text, "what was shown");
        let ended = completion.tokens.last() == Some(&1);
        assert_eq!(completion.finish, if ended { Finish::Stop } else { Finish::Length });
        assert!(ended || completion.tokens.len() == 40);
    }
    assert!(plain.iter().any(|completion| completion.finish == Finish::Stop), "one of forty ends by itself");
    kept.sort_unstable_by_key(|(request, _)| *request);
    assert_eq!(kept, plain.iter().cloned().enumerate().collect::<Vec<_>>());
    assert_eq!(seen.done, 40);

    // A stop string that the text of one of them holds.
    let long = plain.iter().position(|completion| completion.text.chars().count() > 8).unwrap();
    let stop: String = plain[long].text.chars().skip(4).take(3).collect();
    let stopping = Settings { stop: vec![stop.clone()], ..settings(40) };
    let stopped =
        pollster::block_on(generator.run(&gpu, &requests[long..=long], &stopping, &mut Silent, |_, _| Ok(()))).unwrap();
    assert_eq!(stopped[0].text, plain[long].text[..plain[long].text.find(&stop).unwrap()]);
    assert_eq!(stopped[0].finish, Finish::Stop);
    assert!(plain[long].tokens.starts_with(&stopped[0].tokens));
}

#[test]
fn a_prompt_near_the_longest_sequence_gets_what_room_is_left() {
    let (gpu, tiny) = (gpu(), tiny());
    let mut generator = generator(&gpu, &tiny.open(), capacity(2, 64, 8), Dtype::F32);
    let greedy = Settings { sampling: Sampling::greedy(), ..settings(30) };
    let prompt = |length: usize| vec![vec![5; length]];
    let drawn = pollster::block_on(generator.sample(&gpu, &prompt(61), 1, 0, &greedy, &mut Silent)).unwrap();
    assert!(drawn[0].tokens.len() == 3 || drawn[0].finish == Finish::Stop);
    for (bad, named) in
        [(prompt(64), "has 64 tokens; a sequence may have 64"), (vec![vec![]], "no tokens"), (vec![vec![999]], "999")]
    {
        let error = pollster::block_on(generator.sample(&gpu, &bad, 1, 0, &greedy, &mut Silent)).unwrap_err();
        assert!(error.to_string().contains(named) && error.exit_code() == 2, "{error}");
    }
}

/// Steps until nothing is left, and collects what each completion gained.
fn finish(session: &mut Session<'_>, gpu: &Gpu, grown: &mut Vec<Vec<Grown>>) {
    while !session.is_idle() {
        for Growth { request, grown: gained } in pollster::block_on(session.step(gpu)).unwrap() {
            grown.resize(grown.len().max(request + 1), vec![]);
            grown[request].push(gained.unwrap());
        }
    }
}

#[test]
fn completions_of_a_session_have_settings_of_their_own_and_come_and_go() {
    let (gpu, tiny) = (gpu(), tiny());
    let mut generator = generator(&gpu, &tiny.open(), capacity(3, 16, 12), Dtype::F32);
    let request = |row: usize| Request { prompt: prompts()[row].as_slice().into(), seed: row as u64 };
    let all: [(usize, Settings); 4] = [
        (0, settings(12)),
        (1, Settings { sampling: Sampling::greedy(), ..settings(9) }),
        (3, Settings { sampling: Sampling { top_k: 3, ..Sampling::default() }, ..settings(20) }),
        (4, settings(5)),
    ];
    let alone = all.each_ref().map(|(row, settings)| {
        let requests = [request(*row)];
        pollster::block_on(generator.run(&gpu, &requests, settings, &mut Silent, |_, _| Ok(()))).unwrap().remove(0)
    });
    let mut session = generator.session();
    let add = |session: &mut Session<'_>, at: usize, log_probs| {
        session.add("prompt", &request(all[at].0), all[at].1.clone().into(), log_probs).unwrap()
    };
    let mut grown: Vec<Vec<Grown>> = vec![];
    add(&mut session, 0, None);
    let gone = add(&mut session, 1, None);
    for Growth { request, grown: gained } in pollster::block_on(session.step(&gpu)).unwrap() {
        grown.resize(request + 1, vec![]);
        grown[request].push(gained.unwrap());
    }
    session.remove(gone);
    for at in 1..4 {
        add(&mut session, at, Some(at - 1));
    }
    finish(&mut session, &gpu, &mut grown);
    assert!(grown[gone].len() < 2, "it got nothing more");
    grown.remove(gone);
    for (at, (grown, alone)) in grown.iter().zip(&alone).enumerate() {
        assert_eq!(grown.iter().map(|grown| grown.token).collect::<Vec<_>>(), alone.tokens);
        assert_eq!(grown.iter().map(|grown| &*grown.piece).collect::<String>(), alone.text);
        assert_eq!(grown.last().unwrap().ended.as_ref(), Some(alone));
        assert!(grown[..grown.len() - 1].iter().all(|grown| grown.ended.is_none()));
        for grown in grown {
            let told = grown.log_prob.as_ref().map(|log_prob| log_prob.top.len());
            assert_eq!(told, at.checked_sub(1));
            if let Some(TokenLogProb { sampled, top }) = &grown.log_prob {
                assert!(*sampled <= 0.0 && top.iter().all(|(_, top)| *top <= 0.0));
            }
        }
    }
    // Greedy decoding takes the most likely token, which log-probabilities know.
    let mut grown = vec![];
    let mut session = generator.session();
    add(&mut session, 1, Some(1));
    finish(&mut session, &gpu, &mut grown);
    for grown in &grown[0] {
        let TokenLogProb { sampled, top } = grown.log_prob.as_ref().unwrap();
        assert_eq!(top, &[(grown.token, *sampled)]);
    }
}

#[test]
fn a_run_stops_when_asked() {
    let (gpu, tiny) = (gpu(), tiny());
    let mut generator = generator(&gpu, &tiny.open(), capacity(2, 64, 8), Dtype::F32);
    let mut seen = Seen { texts: vec![String::new(); 5], stop_after: 2, ..Seen::default() };
    let result = pollster::block_on(generator.sample(&gpu, &prompts(), 1, 0, &settings(9), &mut seen));
    assert!(matches!(result, Err(Error::Interrupted(_))));
    assert_eq!(seen.steps, 2);
}

/// Interrupts a run after some completions.
struct Interrupting {
    after: usize,
    done: usize,
    notes: Vec<String>,
}

impl Observer for Interrupting {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Note(line) => self.notes.push(line.to_owned()),
            Event::Sampled { done, .. } => self.done = done,
            _ => {}
        }
    }

    fn stop_requested(&self) -> bool {
        self.done >= self.after
    }
}

#[test]
fn rows_come_in_order_and_an_interrupted_run_goes_on() {
    let (gpu, tiny) = (gpu(), tiny());
    let input = tiny.path("prompts.jsonl");
    let lines: Vec<String> = (0..6)
        .map(|i| match i % 2 {
            0 => json!({"id": format!("p{i}"), "prompt": "hello ".repeat(i + 1)}).to_string(),
            _ => json!({"messages": [{"role": "user", "content": format!("hell {i}")}]}).to_string(),
        })
        .collect();
    std::fs::write(&input, lines.join("\n")).unwrap();
    let config = |output: &str| GenerateConfig {
        model: tiny.source(),
        input: Some(input.clone()),
        output: Some(tiny.path(output)),
        n: 2,
        max_new_tokens: 6,
        batch_size: 3,
        ..GenerateConfig::default()
    };
    let run = |config: &GenerateConfig, after: usize| {
        let mut observer = Interrupting { after, done: 0, notes: vec![] };
        (pollster::block_on(generate(&gpu, &crate::Ranks::alone(), config, &mut observer)), observer.notes)
    };
    let whole = run(&config("whole.jsonl"), usize::MAX).0.unwrap();
    assert_eq!((whole.completions, whole.rows.len()), (12, 0));
    let text = std::fs::read_to_string(tiny.path("whole.jsonl")).unwrap();
    let rows: Vec<output::Row> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let places: Vec<(String, usize)> = rows.iter().map(|row| (row.id.clone(), row.sample)).collect();
    let ids = ["p0", "prompts:2", "p2", "prompts:4", "p4", "prompts:6"];
    let expected: Vec<(String, usize)> = ids.iter().flat_map(|id| [0, 1].map(|n| ((*id).to_owned(), n))).collect();
    assert_eq!(places, expected);

    let parted = config("parted.jsonl");
    assert!(matches!(run(&parted, 4).0, Err(Error::Interrupted(_))));
    assert!(!tiny.path("parted.jsonl").exists());
    assert!(run(&parted, 99).0.unwrap_err().to_string().contains("`.resume`"));
    let (summary, notes) = run(&GenerateConfig { resume: true, ..parted }, usize::MAX);
    assert!(summary.unwrap().tokens < whole.tokens, "what had ended is not drawn again");
    assert!(notes.iter().any(|note| note.contains("exist already")), "{notes:?}");
    assert_eq!(std::fs::read_to_string(tiny.path("parted.jsonl")).unwrap(), text);
}

#[test]
fn bad_settings_and_models_are_named() {
    let (gpu, tiny) = (gpu(), tiny());
    let good = GenerateConfig { model: tiny.source(), prompt: Some("hello".into()), ..GenerateConfig::default() };
    let reward = Tiny::new(
        Family::Llama,
        json!({"architectures": ["LlamaForSequenceClassification"], "num_labels": 3}),
        crate::model::Dtype::F32,
    );
    let bad: Vec<(&str, GenerateConfig)> = vec![
        ("`.model`", GenerateConfig { model: String::new(), ..good.clone() }),
        ("`.prompt`", GenerateConfig { prompt: None, ..good.clone() }),
        ("`.prompt`", GenerateConfig { input: Some("x".into()), ..good.clone() }),
        ("`.output`", GenerateConfig { output: Some("x".into()), ..good.clone() }),
        ("`.output`", GenerateConfig { prompt: None, input: Some("x".into()), ..good.clone() }),
        ("`.n`", GenerateConfig { n: 0, ..good.clone() }),
        ("`.stop`", GenerateConfig { stop: vec![String::new()], ..good.clone() }),
        (
            "`.temperature`",
            GenerateConfig { sampling: Sampling { temperature: -0.5, ..Sampling::default() }, ..good.clone() },
        ),
        ("reward model", GenerateConfig { model: reward.source(), ..good.clone() }),
        ("no weights", GenerateConfig { model: tiny.named("model/config.json"), ..good.clone() }),
        ("limit is", GenerateConfig { prompt: Some("a".repeat(80)), ..good.clone() }),
    ];
    for (named, config) in bad {
        let mut observer = Interrupting { after: usize::MAX, done: 0, notes: vec![] };
        let error = pollster::block_on(generate(&gpu, &crate::Ranks::alone(), &config, &mut observer)).unwrap_err();
        assert!(error.to_string().contains(named) && error.exit_code() == 2, "{named}: {error}");
    }
}

#[test]
fn prompts_get_their_special_tokens_once() {
    let tiny = tiny();
    let prompt = |text: &str| data::prompts::Prompt {
        id: "p".into(),
        ask: data::prompts::Ask::Text(text.into()),
        inputs: Default::default(),
    };
    let write = |template: &str| {
        let config = json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": template});
        std::fs::write(tiny.path("model/tokenizer_config.json"), config.to_string()).unwrap();
    };
    let tokens = |raw: bool, text: &str| Prompter::new(&tiny.open(), raw).and_then(|p| p.tokens(&prompt(text)));
    write("{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}");
    let [bos, hello] = [0, 262];
    assert_eq!(tokens(false, "hello").unwrap(), [bos, hello]);
    assert_eq!(tokens(true, "hello").unwrap(), [bos, hello]);
    assert_eq!(tokens(true, "<s>hello").unwrap(), [bos, bos, hello]);
    let prompter = Prompter::new(&tiny.open(), true).unwrap();
    for (text, special, expected) in
        [("hello", true, &[bos, hello][..]), ("<s>hello", true, &[bos, hello]), ("hello", false, &[hello])]
    {
        assert_eq!(prompter.text_tokens("t", text, special).unwrap(), expected, "{text}");
    }
    std::fs::write(tiny.path("model/tokenizer_config.json"), "{}").unwrap();
    assert!(tokens(false, "hello").unwrap_err().to_string().contains("`.raw`"));
    assert_eq!(tokens(true, "hello").unwrap(), [bos, hello]);
}
