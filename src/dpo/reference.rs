//! The reference model's log-probability of every completion: from a cache, from a second model, or from the initial
//! policy.

use std::path::PathBuf;

use crate::gpu::Gpu;
use crate::model::Checkpoint;
use crate::model::activations::{AdapterRoom, Checkpointing};
use crate::model::causal::Causal;
use crate::model::parameter::Holding;
use crate::model::plan::MemoryPlan;
use crate::model::policy::{LogProb, Policy};
use crate::ranks::Ranks;
use crate::train::Precision;
use crate::{Error, Event, Observer, Result};

use super::cache::{Cache, Key, hash, hash_of_tokens};
use super::config::DpoConfig;
use super::encode::{PairEncoder, TokenPair};
use super::room::Room;

/// Reference log-probabilities of chosen and rejected, pair by pair.
pub(super) type References = Vec<[f32; 2]>;

/// Pairs read from some files, with the name of their cache in a folder.
pub(super) struct Set<'a> {
    /// Their source.
    pub files: &'a [PathBuf],
    /// The pairs.
    pub pairs: &'a [TokenPair],
    /// File name of their cache.
    pub cache: &'static str,
}

/// The reference of a run, for some sets of pairs.
pub(super) struct Reference<'a> {
    ranks: Ranks,
    sets: &'a [Set<'a>],
    keys: Vec<Key>,
    caches: Vec<Cache>,
    /// Whether the log-probabilities of a set came from its cache.
    cached: Vec<bool>,
    found: Vec<Option<References>>,
    /// The second model, if there is one.
    model: Option<Checkpoint>,
}

impl<'a> Reference<'a> {
    /// Opens the reference model of a run and its cache. `source` is the initial policy, or the one to continue from if
    /// it `goes_on`.
    ///
    /// # Errors
    /// A reference model that cannot be read or has a different vocabulary from the policy; a cache that was computed
    /// for something else or is damaged, unless it is in an output that is replaced anyway; no cache for a resumed run
    /// whose policy has changed.
    pub(super) fn open(
        config: &DpoConfig,
        ranks: &Ranks,
        encoder: &PairEncoder,
        source: &Checkpoint,
        goes_on: bool,
        sets: &'a [Set<'a>],
    ) -> Result<Self> {
        let model = config.policy.reference.as_deref().map(|name| open_reference(name, encoder)).transpose()?;
        if let (Some(name), Some(model)) = (&config.policy.reference, &model) {
            check_pairs(name, model, sets)?;
        }
        let begins = match goes_on && model.is_none() {
            true => Some(Checkpoint::open(&config.policy.model)?),
            false => None,
        };
        let source = model.as_ref().or(begins.as_ref()).unwrap_or(source);
        let fingerprint = fingerprint(source, config.trainer.seed)?;
        let [tokenizer, template] = encoder.sources().map(|source| hash(source.as_bytes()));
        // A second model computes in f32 whatever the policy does.
        let precision = match (&model, config.lora.base_dtype) {
            (Some(_), _) => Precision::F32.to_string(),
            (None, None) => config.trainer.precision.to_string(),
            (None, Some(base)) => format!("{} on {base}", config.trainer.precision),
        };
        let key = |set: &Set| {
            Ok(Key {
                model: fingerprint.clone(),
                precision: precision.clone(),
                data: hash_of_files(set.files)?,
                tokenizer: tokenizer.clone(),
                template: template.clone(),
                max_length: encoder.max_length(),
                tokens: hash_of_tokens(set.pairs),
            })
        };
        let keys: Vec<Key> = sets.iter().map(key).collect::<Result<_>>()?;
        let folder = config.reference_cache.as_ref().unwrap_or(&config.trainer.output);
        let caches: Vec<Cache> = sets.iter().map(|set| Cache::at(folder.join(set.cache))).collect();
        let is_replaced = config.trainer.force && config.reference_cache.is_none();
        let read = |((set, key), cache): ((&Set, &Key), &Cache)| match cache.read(key, set.pairs) {
            Err(_) if is_replaced => Ok(None),
            found => found,
        };
        let found = sets.iter().zip(&keys).zip(&caches).map(read).collect::<Result<Vec<_>>>()?;
        if goes_on
            && model.is_none()
            && let Some(missing) = found.iter().position(Option::is_none)
        {
            let at = caches[missing].path().display().to_string();
            let hint = "put the file back, or start over with `.force`";
            return Err(Error::input(at, "does not exist, and the policy has changed since the run began", hint));
        }
        let cached = found.iter().map(Option::is_some).collect();
        Ok(Self { ranks: ranks.clone(), sets, keys, caches, cached, found, model })
    }

    /// Checks that all ranks found the same caches, so that they compute the same.
    ///
    /// # Errors
    /// A rank that did not; a rank failed or does not answer.
    pub(super) async fn agree(&self) -> Result<()> {
        self.ranks.agree(&[("a reference cache", format!("{:?}", self.cached))]).await
    }

    /// Whether completions may share a prompt in the second model, if there is one.
    pub(super) fn shares_prompts(&self) -> bool {
        self.model.as_ref().is_none_or(|model| model.config().shares_prompts())
    }

    /// Computes what is not cached with the second model, and gives its memory back; does nothing without one.
    ///
    /// # Errors
    /// The model does not fit the device, or the device fails; the observer asks to stop.
    pub(super) async fn compute(&mut self, gpu: &Gpu, room: &Room, observer: &mut dyn Observer) -> Result<()> {
        let Some(model) = self.model.take_if(|_| !self.found.iter().all(Option::is_some)) else { return Ok(()) };
        let adapters = model.adapter().map(|adapter| AdapterRoom::of(&adapter.config));
        let settings = room.settings(Holding::Inference, Checkpointing::None, adapters);
        let mut plan = MemoryPlan { tokens: room.tokens, ..MemoryPlan::default() };
        Causal::add_to(&mut plan, &model, Holding::Inference);
        settings.add_to(&mut plan, model.config());
        plan.check(gpu)?;
        let causal = Causal::load(gpu, &model, Holding::Inference, 0)?;
        let mut policy = Policy::new(gpu, model.config(), causal, &settings)?;
        self.compute_with(gpu, &mut policy, room, observer).await
    }

    /// Computes what is not cached with a policy on the device, each rank every so many batches. Each batch is kept as it comes, so that an interrupted run
    /// that starts again computes only what is missing.
    ///
    /// # Errors
    /// The device or the disk fails, or the observer asks to stop.
    pub(super) async fn compute_with(
        &mut self,
        gpu: &Gpu,
        policy: &mut Policy,
        room: &Room,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        for (index, set) in self.sets.iter().enumerate() {
            if self.found[index].is_some() {
                continue;
            }
            observer.note(&format!("computing reference log-probabilities of {} pairs", set.pairs.len()));
            let mut unfinished = self.caches[index].unfinished(&self.keys[index], self.ranks.rank())?;
            let mut references = vec![[0.0; 2]; set.pairs.len()];
            let batches = room.passes(set.pairs);
            let of_rank = |rank: usize| batches.iter().skip(rank).step_by(self.ranks.size());
            let mut own: Vec<[f32; 2]> = vec![];
            let (mut tokens, total) = (0, of_rank(self.ranks.rank()).map(Vec::len).sum());
            for round in batches.chunks(self.ranks.size()) {
                if let Some(batch) = round.get(self.ranks.rank()) {
                    let known = unfinished.get(batch)?.filter(|known| known.len() == batch.len());
                    own.extend(match known {
                        Some(known) => known,
                        None => {
                            let (said, of_batch) = pass(gpu, policy, set.pairs, batch).await?;
                            let said: Vec<[f32; 2]> =
                                said.iter().map(|sides| sides.map(|side| side.log_prob)).collect();
                            unfinished.keep(batch, &set.pairs[batch[0]].id, said.clone())?;
                            tokens += of_batch;
                            said
                        }
                    });
                }
                observer.on(Event::Scored { done: own.len(), total, tokens });
                if self.ranks.any(observer.stop_requested()).await? {
                    let kept = "the reference log-probabilities so far are kept; run again with the same settings";
                    return Err(Error::Interrupted(kept.into()));
                }
            }
            for (rank, said) in self.ranks.gather_values(&own).await?.into_iter().enumerate() {
                for (place, sides) in of_rank(rank).flatten().zip(said) {
                    references[*place] = sides;
                }
            }
            self.found[index] = Some(references);
        }
        Ok(())
    }

    /// Keeps what was computed, and gives the log-probabilities of each set.
    ///
    /// # Errors
    /// The disk fails; a log-probability is not finite.
    pub(super) fn finish(self, observer: &mut dyn Observer) -> Result<Vec<References>> {
        let mut all = vec![];
        for (index, (set, references)) in self.sets.iter().zip(self.found).enumerate() {
            let references = references.unwrap_or_default();
            if let Some((pair, _)) =
                set.pairs.iter().zip(&references).find(|(_, sides)| sides.iter().any(|value| !value.is_finite()))
            {
                let problem =
                    format!("the reference model gives row {:?} a log-probability that is not finite", pair.id);
                return Err(Error::run(problem, "the weights of the reference model are damaged"));
            }
            let cache = &self.caches[index];
            match self.cached[index] {
                true => observer.note(&format!("reference log-probabilities come from {}", cache.path().display())),
                false if !self.ranks.is_first() => cache.forget_unfinished(self.ranks.rank())?,
                false => cache.write(&self.keys[index], set.pairs, &references)?,
            }
            all.push(references);
        }
        Ok(all)
    }
}

/// A policy's log-probabilities of chosen and rejected completions, pair by pair; each rank computes every so many batches.
///
/// # Errors
/// The device fails.
pub(super) async fn log_probs(
    gpu: &Gpu,
    ranks: &Ranks,
    policy: &mut Policy,
    pairs: &[TokenPair],
    room: &Room,
) -> Result<Vec<[LogProb; 2]>> {
    let nothing = LogProb { log_prob: 0.0, entropy: 0.0, tokens: 0 };
    let mut all = vec![[nothing; 2]; pairs.len()];
    let batches = room.passes(pairs);
    let of_rank = |rank: usize| batches.iter().skip(rank).step_by(ranks.size());
    let mut own: Vec<[f32; 4]> = vec![];
    for batch in of_rank(ranks.rank()) {
        let (said, _) = pass(gpu, policy, pairs, batch).await?;
        own.extend(said.iter().map(|[a, b]| [a.log_prob, a.entropy, b.log_prob, b.entropy]));
    }
    for (rank, said) in ranks.gather_values(&own).await?.into_iter().enumerate() {
        for (place, [log_prob, entropy, other_log_prob, other_entropy]) in of_rank(rank).flatten().zip(said) {
            let [tokens, others] = pairs[*place].sides().map(|side| side.tokens.len() - side.prompt);
            all[*place] = [
                LogProb { log_prob, entropy, tokens },
                LogProb { log_prob: other_log_prob, entropy: other_entropy, tokens: others },
            ];
        }
    }
    Ok(all)
}

/// A policy's log-probabilities of the pairs of a batch, and the number of tokens computed.
async fn pass(
    gpu: &Gpu,
    policy: &mut Policy,
    pairs: &[TokenPair],
    batch: &[usize],
) -> Result<(Vec<[LogProb; 2]>, u64)> {
    let packed = policy.pack(batch.iter().flat_map(|place| pairs[*place].sides()))?;
    let said = policy.log_probs(gpu, &packed).await?;
    Ok((said.chunks_exact(2).map(|sides| [sides[0], sides[1]]).collect(), packed.tokens.len() as u64))
}

/// Refuses a reference whose embedding has no row for a token of the pairs.
fn check_pairs(name: &str, model: &Checkpoint, sets: &[Set]) -> Result<()> {
    let rows = model.config().vocab_size;
    let tokens = sets.iter().flat_map(|set| set.pairs).flat_map(TokenPair::sides).flat_map(|side| &side.tokens);
    match tokens.max() {
        Some(largest) if *largest as usize >= rows => {
            Err(other_vocabulary(name, format!("has {rows} tokens, but the pairs hold token {largest}")))
        }
        _ => Ok(()),
    }
}

/// Opens the model that `reference` names, for a policy whose texts `encoder` reads.
///
/// # Errors
/// It cannot be read, has no weights, or spells a token differently from the policy.
pub(super) fn open_reference(name: &str, encoder: &PairEncoder) -> Result<Checkpoint> {
    let model = Checkpoint::open(name)?;
    if model.is_new() {
        return Err(Error::input(format!("`.reference` {name}"), "has no weights", "use a trained model"));
    }
    match encoder.difference(&model.tokenizer()?) {
        Some(token) => {
            Err(other_vocabulary(name, format!("has a different vocabulary from the policy: token {token}")))
        }
        None => Ok(model),
    }
}

/// The error of a reference whose tokens are not those of the policy.
pub(super) fn other_vocabulary(name: &str, problem: String) -> Error {
    let hint = "policy and reference model must have the same vocabulary, token by token";
    Error::input(format!("`.reference` {name}"), problem, hint)
}

/// A hash of what decides what a model says; a model without weights is drawn from a seed.
fn fingerprint(model: &Checkpoint, seed: u64) -> Result<String> {
    let hash = format!("{:032x}", model.fingerprint()?);
    Ok(if model.is_new() { format!("{hash}-{seed}") } else { hash })
}

fn hash_of_files(files: &[PathBuf]) -> Result<String> {
    let mut hashes = vec![];
    for file in files {
        hashes.push(hash(&std::fs::read(file).map_err(|e| Error::io(file, e))?));
    }
    Ok(hash(hashes.concat().as_bytes()))
}
