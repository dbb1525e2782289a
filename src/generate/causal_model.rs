//! A causal model, opened on the host and loaded with room for the prompts it will complete.

use tokenizers::Tokenizer;

use super::generator::{self, Generator};
use super::scheduler::Capacity;
use crate::gpu::{Dtype, Gpu};
use crate::model::Checkpoint;
use crate::model::activations::AdapterRoom;
use crate::model::base::BaseDtype;
use crate::model::causal::Causal;
use crate::model::parameter::Holding;
use crate::model::plan::MemoryPlan;
use crate::{Error, Event, Observer, Result};

/// Sampling settings that a model's authors may suggest and that `wgr` has too.
const SETTINGS: [&str; 6] = ["do_sample", "temperature", "top_p", "top_k", "min_p", "repetition_penalty"];

/// Rules that they may ask for and that it does not support.
const UNKNOWN: [&str; 12] = [
    "bad_words_ids",
    "suppress_tokens",
    "begin_suppress_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "no_repeat_ngram_size",
    "min_length",
    "min_new_tokens",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "num_beams",
];

/// The memory of generating with this many sequences at once, each of at most `length` tokens, on an adapter that can bind
/// it. Nothing is allocated, and of the model only configuration and header are read.
pub fn plan(source: &Checkpoint, sequences: usize, length: usize, cache: Dtype) -> MemoryPlan {
    plan_with(source, generator::wanted(sequences, length), cache)
}

fn plan_with(source: &Checkpoint, capacity: Capacity, cache: Dtype) -> MemoryPlan {
    let mut plan = MemoryPlan::default();
    Causal::add_to(&mut plan, source, Holding::Inference);
    let adapters = source.adapter().map(|adapter| AdapterRoom::of(&adapter.config));
    generator::add_to(&mut plan, source.config(), adapters, capacity, cache);
    plan
}

/// A causal model that nothing has been loaded of yet.
pub struct CausalModel(Checkpoint);

impl CausalModel {
    /// Opens a directory, `.gguf` file or hub name, its matrices to be held in `base`, or as stored.
    ///
    /// # Errors
    /// The model cannot be read, has no weights, or is a reward model.
    pub fn open(model: &str, base: Option<BaseDtype>) -> Result<Self> {
        let checkpoint = Checkpoint::open(model)?.held_in(base);
        let refuse = |problem| {
            let at = checkpoint.path().display().to_string();
            Err(Error::input(at, problem, "use a causal language model"))
        };
        if checkpoint.is_new() {
            return refuse("has no weights");
        }
        if checkpoint.config().num_labels.is_some() {
            return refuse("is a reward model, which cannot generate");
        }
        Ok(Self(checkpoint))
    }

    /// Its files.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.0
    }

    /// The sampling defaults of the model's authors, which `transformers` uses: settings in whose place those of a run are
    /// used, and rules that are not supported. One line each.
    ///
    /// # Errors
    /// The file that holds them cannot be read.
    pub fn suggested(&self) -> Result<Vec<String>> {
        let Some((path, json)) = self.0.generation_config()? else { return Ok(vec![]) };
        let given = |names: &[&str]| {
            let stated = |name: &&str| Some(format!("{name} {}", json.get(*name).filter(|v| !v.is_null())?));
            names.iter().filter_map(stated).collect::<Vec<_>>().join(", ")
        };
        let (settings, unknown) = (given(&SETTINGS), given(&UNKNOWN));
        let mut lines = vec![];
        if !settings.is_empty() {
            lines.push(format!("{path} suggests {settings}; the settings of this command are used instead"));
        }
        if !unknown.is_empty() {
            lines.push(format!("warning: {path} asks for {unknown}, which wgr does not apply"));
        }
        Ok(lines)
    }

    /// Plans, loads the weights and makes room; `hint` says what to do if there is not enough.
    ///
    /// # Errors
    /// The model does not fit the adapter, or the device fails.
    pub fn load(
        &self,
        gpu: &Gpu,
        tokenizer: &Tokenizer,
        capacity: Capacity,
        cache: Dtype,
        hint: &str,
        observer: &mut dyn Observer,
    ) -> Result<Generator> {
        let model = self.0.config();
        let plan = plan_with(&self.0, capacity, cache);
        observer.on(Event::Planned(&plan));
        plan.check_or(gpu, hint)?;
        let causal = Causal::load(gpu, &self.0, Holding::Inference, 0)?;
        Generator::new(gpu, causal, model, tokenizer.clone(), self.0.end_tokens()?, capacity, cache)
    }
}
