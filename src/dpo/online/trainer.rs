//! `wgr dpo --online`: prompts and a reward model in, a better policy out.

use std::path::PathBuf;

use twox_hash::XxHash3_128;

use super::config::OnlineConfig;
use super::engine::{Engine, Room};
use super::rewards::{ModelRewards, Rewards, ServerRewards};
use super::round::Task;
use super::run::Run;
use super::state::Progress;
use super::summary::OnlineSummary;
use crate::data::prompts::{self, Ask, Prompt};
use crate::dpo::encode::PairEncoder;
use crate::dpo::reference;
use crate::dpo::trainer::open_policy;
use crate::generate::Prompter;
use crate::gpu::Gpu;
use crate::http::is_address;
use crate::model::{Checkpoint, Reading};
use crate::report::card::{Kind, ModelCard};
use crate::train::{RewardModel, RewardOptions, likeness, output, records};
use crate::{Error, Observer, Ranks, Result};

/// Trains a policy against the reward that the settings name, together with the other ranks, of which the first writes it to
/// the output directory.
///
/// # Errors
/// Bad settings or prompts; a reward that cannot be opened; a rank with another reward model; as [`train_with`].
pub async fn train(
    gpu: &Gpu,
    ranks: &Ranks,
    config: &OnlineConfig,
    observer: &mut dyn Observer,
) -> Result<OnlineSummary> {
    config.validate()?;
    if is_address(&config.reward) {
        let rewards = ServerRewards::open(&config.reward, config.template.as_deref())?;
        return train_with(gpu, ranks, config, rewards, observer).await;
    }
    let (template, max_length) = (config.template.as_deref(), config.trainer.max_length);
    let model = RewardModel::open_with(
        &config.reward,
        RewardOptions { template, max_length, head: config.head, ..RewardOptions::default() },
    )?;
    observer.note(&model.reading.to_string());
    likeness::check_model(ranks, "a reward model", &model.source).await?;
    let rewards = ModelRewards::load(gpu, &model, observer)?;
    let summary = train_with(gpu, ranks, config, rewards, observer).await?;
    Ok(OnlineSummary { reward_reading: Some(model.reading.clone()), ..summary })
}

/// Trains a policy against a reward of one's own, which the settings name for the records.
///
/// # Errors
/// Bad settings or prompts; an output that exists; a reference with another vocabulary; models that do not fit the
/// adapter. Rewards that cannot be had, a policy too far from the reference, a loss or gradient that is no longer finite, in
/// each case after a checkpoint of the last whole step was written; failures of device and disk; a rank that fails, or has other
/// files or settings.
pub async fn train_with(
    gpu: &Gpu,
    ranks: &Ranks,
    config: &OnlineConfig,
    rewards: impl Rewards,
    observer: &mut dyn Observer,
) -> Result<OnlineSummary> {
    let (mut run, reading) = open(gpu, ranks, config, rewards, observer).await?;
    let mut summary = run.train(observer).await?;
    summary.reading = Some(reading);
    if !summary.interrupted && ranks.is_first() {
        finish(config, &run, &summary).await?;
    }
    Ok(summary)
}

/// Reads and loads everything, and makes the output ready; nothing is sampled yet.
///
/// # Errors
/// Bad settings or prompts; an output that exists; models that do not fit each other or the adapter.
pub(super) async fn open<'a, R: Rewards>(
    gpu: &'a Gpu,
    ranks: &Ranks,
    config: &'a OnlineConfig,
    rewards: R,
    observer: &mut dyn Observer,
) -> Result<(Run<'a, Engine<'a>, R>, Reading)> {
    config.validate()?;
    let trainer = &config.trainer;
    let resumed = output::check(trainer)?;
    let source = open_policy(&config.policy.model, &config.loss, &trainer.output, resumed.as_deref())?;
    let reading = Reading::of_causal(&source)?;
    observer.note(&reading.to_string());
    output::note_new(&source, trainer.seed, observer);
    let reference = open_reference(config, &source)?;
    let reach = trainer.max_length.min(source.config().max_position_embeddings);
    let tasks = read_tasks(&config.prompts, &source, reach, observer)?;
    let held_out = match trainer.eval_data.is_empty() {
        true => vec![],
        false => read_tasks(&trainer.eval_data, &source, reach, observer)?,
    };
    let longest = tasks.iter().chain(&held_out).map(|task| task.tokens.len()).max().unwrap_or(1);
    let room = Room {
        length: longest.saturating_add(config.max_new_tokens).min(reach),
        requests: held_out
            .len()
            .max(config.prompts_per_step().min(tasks.len()) * config.rollouts)
            .div_ceil(ranks.size()),
    };
    let mut engine = Engine::load(gpu, ranks, config, source, &reference, room, observer)?;
    let mut progress = Progress::default();
    if let Some(directory) = &resumed {
        progress = engine.restore(directory)?;
        observer.note(&format!("resumed after step {} from {}", progress.step, directory.display()));
    }
    likeness::check_model(ranks, "a reference model", &reference).await?;
    let prompts = || of_tasks(tasks.iter().chain(&held_out));
    likeness::check(ranks, config, &engine.source, progress.common(), prompts).await?;
    // Only now, when nothing that was given can be wrong any more, is an old run replaced.
    if ranks.is_first() {
        output::open(&trainer.output, resumed.is_some())?;
    }
    Ok((Run::new(config, engine, rewards, tasks, held_out, progress).over(ranks), reading))
}

/// A hash of prompts, on whose ids and tokens what is drawn depends.
fn of_tasks<'a>(tasks: impl Iterator<Item = &'a Task>) -> u128 {
    let mut bytes: Vec<u8> = vec![];
    for task in tasks {
        bytes.extend(task.prompt.id.as_bytes());
        bytes.extend(bytemuck::cast_slice(&task.tokens));
    }
    XxHash3_128::oneshot(&bytes)
}

/// The reference model: the given one, or the initial policy.
fn open_reference(config: &OnlineConfig, policy: &Checkpoint) -> Result<Checkpoint> {
    let Some(name) = &config.policy.reference else { return Checkpoint::open(&config.policy.model) };
    let reference = reference::open_reference(name, &PairEncoder::new(policy, config.trainer.max_length)?)?;
    let (had, has) = (policy.config().vocab_size, reference.config().vocab_size);
    match had == has {
        true => Ok(reference),
        false => {
            let problem = format!("has a different vocabulary from the policy: {has} tokens instead of {had}");
            Err(reference::other_vocabulary(name, problem))
        }
    }
}

/// Reads prompts and tokenizes them: texts as they stand, with the tokenizer's special tokens, and conversations through the
/// model's chat template. A sequence has `reach` tokens at most.
fn read_tasks(files: &[PathBuf], policy: &Checkpoint, reach: usize, observer: &mut dyn Observer) -> Result<Vec<Task>> {
    let (asked, report) = prompts::read(files)?;
    report.notes().iter().for_each(|line| observer.note(line));
    let is_chat = |prompt: &Prompt| matches!(prompt.ask, Ask::Chat(_));
    let plain = Prompter::new(policy, true)?;
    let chat = asked.iter().any(is_chat).then(|| Prompter::new(policy, false)).transpose()?;
    chat.iter().flat_map(|prompter| prompter.hidden(&asked)).for_each(|line| observer.note(&line));
    let task = |prompt: Prompt| {
        let prompter = chat.as_ref().filter(|_| is_chat(&prompt)).unwrap_or(&plain);
        let tokens = prompter.tokens(&prompt)?;
        let refuse = |problem: String, hint: &str| Err(Error::input(format!("prompt {:?}", prompt.id), problem, hint));
        if tokens.is_empty() {
            return refuse("has no tokens".into(), "the text may be blank");
        }
        if tokens.len() >= reach {
            let problem = format!("has {} tokens, which leaves no room for a completion within {reach}", tokens.len());
            return refuse(problem, "drop it, or raise `.max_length` up to the model's limit");
        }
        let rows = policy.config().vocab_size;
        match tokens.iter().find(|id| **id as usize >= rows) {
            Some(id) => refuse(
                format!("has the token {id}, but the embedding has {rows} rows"),
                "tokenizer and model do not match",
            ),
            None => Ok(Task { prompt, tokens }),
        }
    };
    let tasks = asked.into_iter().map(task).collect::<Result<Vec<Task>>>()?;
    let texts = tasks.iter().filter(|task| !is_chat(&task.prompt)).map(|task| task.tokens.as_slice());
    plain.doubled_bos(texts).iter().for_each(|line| observer.note(line));
    Ok(tasks)
}

/// Writes the trained policy with what a run leaves beside it.
async fn finish<R: Rewards>(
    config: &OnlineConfig,
    run: &Run<'_, Engine<'_>, R>,
    summary: &OnlineSummary,
) -> Result<()> {
    let output = &config.trainer.output;
    let card = ModelCard {
        base_model: records::hub_name(&config.policy.model),
        training_rows: run.prompts() as u64,
        ..ModelCard::new(Kind::Policy {
            loss: config.loss.kind.to_string(),
            is_adapter: config.lora.lora_rank.is_some(),
        })
    };
    let scores = [("before", summary.held_out_before), ("after", summary.held_out_after)];
    let measured =
        scores.into_iter().filter_map(|(when, score)| Some((format!("held-out reward {when}"), score?.into())));
    let files = records::finish(output, config, card, run.progress.common(), &measured.collect())?;
    run.learner.save(output, files).await
}
