//! The policy on the device: sampled with a cache of keys and values, rated and trained in packed batches. Generator,
//! policy and optimizer share one set of weights.

use std::path::PathBuf;

use super::config::OnlineConfig;
use super::learner::{Draw, Learned, Learner, LogProbs, Request};
use super::state::Progress;
use crate::data::{Completion, scoring_batches};
use crate::dpo::saving::{Aim, save_policy};
use crate::dpo::step::{MicroBatch, Stepper};
use crate::dpo::validate::adapters;
use crate::generate::generator::{self, Generator};
use crate::generate::{self, Finish};
use crate::gpu::{Dtype, Gpu};
use crate::model::Checkpoint;
use crate::model::activations::{AdapterRoom, Checkpointing};
use crate::model::batch::Capacity;
use crate::model::causal::Causal;
use crate::model::lora::{Lora, LoraConfig};
use crate::model::parameter::Holding;
use crate::model::plan::MemoryPlan;
use crate::model::policy::{LOGIT_BYTES, LogProb, Policy, Settings};
use crate::ranks::{self, Ranks};
use crate::train::course::Updated;
use crate::train::saving;
use crate::{Event, Observer, Result};

/// Sequences that are sampled at once.
const AT_ONCE: usize = 32;

/// How much the engine must hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Tokens of the longest prompt with a completion.
    pub length: usize,
    /// Completions of the largest round.
    pub requests: usize,
}

/// The engine.
pub(super) struct Engine<'a> {
    gpu: &'a Gpu,
    config: &'a OnlineConfig,
    pub source: Checkpoint,
    lora: Option<Lora>,
    stepper: Stepper,
    reference: Policy,
    generator: Generator,
    capacity: Capacity,
}

impl<'a> Engine<'a> {
    /// Loads the policy from `source` and the reference from its own checkpoint, with room for the longest prompts.
    ///
    /// # Errors
    /// Models that do not fit the adapter; weights that cannot be read.
    pub(super) fn load(
        gpu: &'a Gpu,
        ranks: &Ranks,
        config: &'a OnlineConfig,
        source: Checkpoint,
        reference: &Checkpoint,
        room: Room,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let trainer = &config.trainer;
        let lora = source.adapters_to_train(adapters(&config.lora)?)?;
        // Frozen weights are held once: the reference is the policy with its new adapters off.
        let is_shared = lora.is_some() && config.policy.reference.is_none() && reference.adapter().is_none();
        let holding = trainer.precision.holding();
        // A micro-batch of pairs; rollouts are rated in batches of the same size.
        let sequences = 2 * trainer.batch_size;
        let capacity = Capacity { tokens: sequences * room.length, sequences, length: room.length };
        let settings = |adapters: Option<&LoraConfig>, holding, checkpointing| Settings {
            adapters: adapters.map(AdapterRoom::of),
            holding,
            checkpointing,
            capacity,
            predictions: sequences * config.max_new_tokens.min(room.length),
            logit_bytes: LOGIT_BYTES,
            // Of both, whatever the temperature of sampling.
            temperature: 1.0,
        };
        let learning = settings(lora.as_ref().map(|lora| &lora.config), holding, trainer.checkpointing);
        let of_reference = reference.adapter().map(|adapter| &adapter.config);
        let rating = settings(of_reference, Holding::Inference, Checkpointing::None);
        let model = source.config();
        let cache = generator::capacity(gpu, model, AT_ONCE.min(room.requests), room.length, Dtype::F32)?;

        let mut plan = MemoryPlan { tokens: capacity.tokens, ..MemoryPlan::default() };
        Causal::add_to_train(&mut plan, &source, lora.as_ref(), holding);
        learning.add_to(&mut plan, model);
        if !is_shared {
            Causal::add_to(&mut plan, reference, Holding::Inference);
        }
        rating.add_to(&mut plan, reference.config());
        generator::add_to(&mut plan, model, learning.adapters, cache, Dtype::F32);
        let plan = trainer.plan_on(ranks, plan);
        observer.on(Event::Planned(&plan));
        plan.check(gpu)?;

        let causal = Causal::load_to_train(gpu, &source, lora.as_ref(), holding, trainer.seed)?;
        let kept = match is_shared {
            true => causal.without_adapters(),
            false => Causal::load(gpu, reference, Holding::Inference, trainer.seed)?,
        };
        let ends = source.end_tokens()?;
        let tokenizer = source.tokenizer()?;
        let generator = Generator::new(gpu, causal.clone(), model, tokenizer, ends, cache, Dtype::F32)?;
        let loss = (config.loss.kind, config.loss.weights());
        let stepper = Stepper::new(gpu, model, causal, &learning, loss, trainer.optimizing(ranks), trainer.grad_accum)?;
        let reference = Policy::new(gpu, reference.config(), kept, &rating)?;
        Ok(Self { gpu, config, source, lora, stepper, reference, generator, capacity })
    }

    /// Puts the moments of a checkpoint back, whose weights were loaded with the model, and says how far it had come.
    ///
    /// # Errors
    /// A file of the checkpoint is missing or damaged.
    pub(super) fn restore(&mut self, directory: &std::path::Path) -> Result<Progress> {
        saving::restore(self.gpu, &mut self.stepper.update, directory)?;
        Progress::read(directory)
    }

    /// Writes the policy as a model directory, with more files for it.
    ///
    /// # Errors
    /// The device or the disk fails.
    pub(super) async fn save(&self, directory: &std::path::Path, files: Vec<(String, Vec<u8>)>) -> Result<()> {
        let lora = self.lora.as_ref().map(|lora| &lora.config);
        save_policy(self.gpu, &self.stepper.policy.causal, lora, &self.source, directory, files).await
    }

    /// The log-probabilities of a batch's completions under policy and reference model.
    async fn rate(&mut self, batch: &[&Completion]) -> Result<Vec<LogProbs>> {
        let packed = self.stepper.policy.pack(batch.iter().copied())?;
        let policy = self.stepper.policy.log_probs(self.gpu, &packed).await?;
        let packed = self.reference.pack(batch.iter().copied())?;
        let reference = self.reference.log_probs(self.gpu, &packed).await?;
        let both = |(policy, reference): (LogProb, LogProb)| LogProbs {
            policy: f64::from(policy.log_prob),
            reference: f64::from(reference.log_prob),
            entropy: f64::from(policy.entropy) / policy.tokens as f64,
        };
        Ok(policy.into_iter().zip(reference).map(both).collect())
    }
}

impl Learner for Engine<'_> {
    async fn sample(&mut self, requests: &[Request<'_>], observer: &dyn Observer) -> Result<Vec<Draw>> {
        let (sampling, max_new_tokens) = (self.config.sampling(), self.config.max_new_tokens);
        let settings = generate::Settings { sampling, max_new_tokens, stop: vec![] };
        let requests: Vec<generate::Request> = requests
            .iter()
            .map(|request| generate::Request { prompt: request.prompt.into(), seed: request.seed })
            .collect();
        let drawn = self.generator.run(self.gpu, &requests, &settings, &mut Stops(observer), |_, _| Ok(())).await?;
        let draw = |drawn: generate::Generated| Draw {
            ended: drawn.finish == Finish::Stop,
            tokens: drawn.tokens,
            text: drawn.text,
        };
        Ok(drawn.into_iter().map(draw).collect())
    }

    async fn log_probs(&mut self, completions: &[Completion]) -> Result<Vec<LogProbs>> {
        let lengths: Vec<usize> = completions.iter().map(|completion| completion.tokens.len()).collect();
        let mut found = vec![None; completions.len()];
        for mut batch in scoring_batches(&lengths, self.capacity.sequences, self.capacity.tokens) {
            // Completions of one prompt came together, and share it where they stay so.
            batch.sort_unstable();
            let of_batch: Vec<&Completion> = batch.iter().map(|&place| &completions[place]).collect();
            for (place, said) in batch.iter().zip(self.rate(&of_batch).await?) {
                found[*place] = Some(said);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    async fn update(&mut self, pairs: &[[Learned; 2]], updates: u64, learning_rate: f64) -> Result<Updated> {
        let micro_batch = |pairs: &[[Learned; 2]]| {
            let sides = || pairs.iter().flatten();
            Ok(MicroBatch {
                completions: self.stepper.policy.pack(sides().map(|side| &side.completion))?,
                references: sides().map(|side| side.reference as f32).collect(),
            })
        };
        let ranks = &self.stepper.update.ranks;
        let tokens = |pair: &[Learned; 2]| pair.iter().map(|side| side.completion.tokens.len()).sum();
        let places = ranks::deal(&pairs.iter().map(tokens).collect::<Vec<_>>(), ranks.size()).swap_remove(ranks.rank());
        let own: Vec<[Learned; 2]> = places.into_iter().map(|place| pairs[place].clone()).collect();
        let batches: Vec<MicroBatch> =
            own.chunks(self.config.trainer.batch_size).map(micro_batch).collect::<Result<_>>()?;
        let outcome = self.stepper.step(self.gpu, &batches, updates, learning_rate).await?;
        Ok(Updated { loss: outcome.loss, grad_norm: outcome.grad_norm, skipped: None })
    }

    async fn save_checkpoint(&self, progress: Progress) -> Result<PathBuf> {
        let trained = saving::Progress { step: progress.step, tokens: progress.tokens, ..saving::Progress::default() };
        let directory = saving::checkpoint_directory(&self.config.trainer.output, trained);
        if self.stepper.update.ranks.is_first() {
            self.save(&directory, vec![Aim::of(&self.config.loss).file(), progress.file()]).await?;
        }
        saving::save_state(self.gpu, &self.stepper.update, &directory, trained).await?;
        Ok(directory)
    }
}

/// Ends sampling when the user wants to stop, and tells nothing of it: what counts is the step that it is part of.
struct Stops<'a>(&'a dyn Observer);

impl Observer for Stops<'_> {
    fn on(&mut self, _: Event<'_>) {}

    fn stop_requested(&self) -> bool {
        self.0.stop_requested()
    }
}
