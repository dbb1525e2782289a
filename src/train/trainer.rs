//! `wgr train`: rows in, a reward model out.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::data::{Example, Packed, RatingScale, Row, Template};
use crate::gpu::Gpu;
use crate::kernels::bench;
use crate::model::batch::Capacity;
use crate::model::causal::OUTPUT;
use crate::model::classifier::{self, HEAD, HEAD_BIAS, Loading};
use crate::model::companions::CALIBRATION;
use crate::model::lora::Lora;
use crate::model::parameter::Holding;
use crate::model::reading::outputs;
use crate::model::{Checkpoint, Reading};
use crate::objective::{Objective, initial_biases};
use crate::optimizer::{GradNorm, LossScale};
use crate::ranks::Ranks;
use crate::report::card::{Kind, ModelCard};
use crate::{Error, Event, Observer, Result};

use super::calibration::ModelCalibration;
use super::config::TrainConfig;
use super::course::{self, Course, Method, Taken, Updated};
use super::evaluation::{Evaluated, evaluate};
use super::head::Head;
use super::inputs::{self, Rows};
use super::likeness;
use super::output;
use super::pad;
use super::records;
use super::saving::{self, Parts, Progress};
use super::step::{Outcome, Stepper};
use super::summary::TrainSummary;

/// Trains a reward model on the rows of files, together with the other ranks, of which the first writes it to the output
/// directory.
///
/// # Errors
/// Bad settings or rows; an output that exists; a plan that does not fit; a loss or gradient that is no longer finite,
/// after a checkpoint of the last good state was written; device and disk failures; a rank that fails, or has other files or
/// settings.
pub async fn train(
    gpu: &Gpu,
    ranks: &Ranks,
    config: &TrainConfig,
    observer: &mut dyn Observer,
) -> Result<TrainSummary> {
    config.validate()?;
    run(gpu, ranks, config, Rows::Files(&config.data), Rows::Files(&config.trainer.eval_data), observer).await
}

/// As [`train`] on one rank, on rows in memory instead of the files that the settings name; without rows in `held_out`
/// nothing is evaluated.
///
/// # Errors
/// As [`train`]; settings that name files.
pub async fn train_on(
    gpu: &Gpu,
    config: &TrainConfig,
    rows: &[Row],
    held_out: &[Row],
    observer: &mut dyn Observer,
) -> Result<TrainSummary> {
    for (setting, files) in [("`.data`", &config.data), ("`.eval_data`", &config.trainer.eval_data)] {
        if let Some(file) = files.first() {
            let problem = format!("names {}, but the rows are given", file.display());
            return Err(Error::input(setting, problem, "leave it empty"));
        }
    }
    config.validate_for(!rows.is_empty(), !held_out.is_empty())?;
    run(gpu, &Ranks::alone(), config, Rows::Given(rows), Rows::Given(held_out), observer).await
}

async fn run(
    gpu: &Gpu,
    ranks: &Ranks,
    config: &TrainConfig,
    rows: Rows<'_>,
    held_out: Rows<'_>,
    observer: &mut dyn Observer,
) -> Result<TrainSummary> {
    let resumed = output::check(&config.trainer)?;
    saving::check_algorithm(resumed.as_deref(), &config.trainer, ranks)?;
    let mut source = match &resumed {
        Some(directory) => Checkpoint::open(&directory.display().to_string())?,
        None => Checkpoint::open(&config.model)?,
    };
    source.config().check_trainable()?;
    match resumed {
        Some(_) => output::check_head(config, &source)?,
        None => output::check_source(&config.trainer.output, &source, &config.model)?,
    }
    let lora = source.adapters_to_train(config.lora.resolve()?)?;
    let new_head = config.new_head && resumed.is_none();
    let start = HeadStart::of(&source, config, new_head)?;
    let (template, whose) = inputs::template(config.template.as_deref(), &source, start.shows_chats)?;
    let reading = Reading::of(&source, whose, Some(start.words))?;
    observer.note(&reading.to_string());
    output::note_new(&source, config.trainer.seed, observer);
    start.warning.iter().for_each(|line| observer.note(line));
    let encoder = inputs::encoder(&source, template.clone(), config.trainer.max_length, None)?;
    let purpose = inputs::purpose(config.objective, config.levels);
    let scale = RatingScale { highest: config.max_rating };
    let examples = inputs::examples(rows, purpose, scale, &encoder, observer)?;
    let held_out = match held_out.is_empty() {
        true => vec![],
        false => inputs::examples(held_out, purpose, scale, &encoder, observer)?,
    };
    if let Some(line) = pad::settle(&mut source, &examples, lora.is_some())? {
        observer.note(&line);
    }
    let lengths: Vec<usize> = examples.iter().map(Example::tokens).collect();
    let course = Course::new(&lengths, config.lr, &config.trainer, ranks)?;
    let scaled = match &resumed {
        Some(directory) => Some(saving::progress(directory)?.loss_scale.is_some()),
        None => None,
    };
    let barred = config.trainer.bars_f16(lora.is_some());
    // Ranks take one form, which all of them have.
    let cooperates = ranks.gather(vec![u8::from(gpu.cooperative_side().is_some())]).await?;
    let side = gpu.cooperative_side().filter(|_| cooperates.iter().all(|of| of == &[1]));
    let (precision, why) = config.trainer.precision.resolved(barred, scaled, side)?;
    why.iter().for_each(|line| observer.note(line));
    let parts = (source, reading, lora, template);
    let holding = precision.holding();
    let mut run = Run::prepare(gpu, ranks, config, holding, parts, new_head, examples, held_out, &course, observer)?;
    let mut progress = Progress::default();
    if let Some(directory) = &resumed {
        progress = saving::restore(gpu, &mut run.stepper.update, directory)?;
        if let (Some(scale), Some(kept)) = (&mut run.stepper.loss_scale, progress.loss_scale) {
            *scale = kept;
        }
        run.stepper.skipped_steps = progress.skipped_steps;
        observer.note(&format!("resumed after step {} from {}", progress.step, directory.display()));
    }
    let rows = || likeness::of_examples(run.examples.iter().chain(&run.held_out));
    likeness::check(ranks, config, &run.source, progress, rows).await?;
    // Only now, when nothing that was given can be wrong any more, is an old run replaced.
    if ranks.is_first() {
        output::open(&config.trainer.output, resumed.is_some())?;
    }
    let peak = if ranks.is_first() { Some(bench::f32_ceiling(gpu).await?) } else { None };
    let mut summary = course::run(&mut run, course, &config.trainer, peak, &mut progress, observer).await?;
    summary.reading = Some(run.reading.clone());
    if !summary.interrupted && ranks.is_first() {
        run.finish(progress, &summary).await?;
    }
    Ok(summary)
}

/// A prepared run: everything but the loop.
struct Run<'a> {
    gpu: &'a Gpu,
    config: &'a TrainConfig,
    source: Checkpoint,
    reading: Reading,
    template: Template,
    head: Head,
    examples: Vec<Example>,
    held_out: Vec<Example>,
    capacity: Capacity,
    stepper: Stepper,
    calibration: Option<ModelCalibration>,
}

impl<'a> Run<'a> {
    #[allow(clippy::too_many_arguments, reason = "what was read, each once")]
    fn prepare(
        gpu: &'a Gpu,
        ranks: &Ranks,
        config: &'a TrainConfig,
        holding: Holding,
        (source, reading, lora, template): (Checkpoint, Reading, Option<Lora>, Template),
        new_head: bool,
        examples: Vec<Example>,
        held_out: Vec<Example>,
        course: &Course,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let capacity = capacity(config, course, &examples, &held_out);
        let biases = match config.objective {
            Objective::Coral if !new_head => Head::written(&source)?.map(|head| head.biases).unwrap_or_default(),
            _ => vec![],
        };
        let fresh = config.objective == Objective::Coral && biases.len() + 1 != config.levels as usize;
        let loading = Loading {
            holding,
            checkpointing: config.trainer.checkpointing,
            logits: config.objective.logits(config.levels as usize),
            new_head,
            biases: if fresh { initial_biases(config.levels as usize) } else { biases },
            lora,
            seed: config.trainer.seed,
            capacity,
        };
        let plan = config.trainer.plan_on(ranks, classifier::plan(source.config(), &source, &loading));
        observer.on(Event::Planned(&plan));
        plan.check(gpu)?;
        let settings = config.trainer.optimizing(ranks);
        let (objective, levels) = (config.objective, config.levels);
        let stepper = Stepper::new(gpu, &source, &loading, objective, levels, settings, course.micro_batches())?;
        Ok(Self {
            gpu,
            head: Head { objective, levels, biases: vec![] },
            config,
            source,
            reading,
            template,
            examples,
            held_out,
            capacity,
            stepper,
            calibration: None,
        })
    }

    fn parts(&self) -> Parts<'_> {
        Parts { source: &self.source, head: self.head.clone(), template: &self.template }
    }

    /// Writes the trained model with what a run leaves beside it.
    async fn finish(&self, progress: Progress, summary: &TrainSummary) -> Result<()> {
        let card = ModelCard {
            base_model: records::hub_name(&self.config.model),
            training_rows: self.examples.len() as u64,
            template: self.template.source().to_owned(),
            reading: Some(self.reading.clone()),
            ..ModelCard::new(Kind::RewardModel {
                objective: self.config.objective.to_string(),
                levels: self.config.levels,
                is_adapter: self.config.lora.lora_rank.is_some(),
            })
        };
        let output = &self.config.trainer.output;
        let mut files = records::finish(output, self.config, card, progress, &summary.evaluation)?;
        files.extend(self.calibration.as_ref().map(calibration_file).transpose()?);
        saving::save_model(self.gpu, &self.stepper, &self.parts(), output, files).await
    }
}

impl Method for Run<'_> {
    async fn step(
        &mut self,
        batches: &[Vec<usize>],
        step: u64,
        learning_rate: f64,
        _: &mut dyn Observer,
    ) -> Result<Taken> {
        let pack = |batch: &Vec<usize>| Packed::new(batch.iter().map(|index| &self.examples[*index]));
        let batches: Vec<Packed> = batches.iter().map(pack).collect::<Result<_>>()?;
        let before = self.stepper.loss_scale;
        let Outcome { loss, grad_norm, skipped, flops } =
            self.stepper.step(self.gpu, &batches, step, learning_rate).await?;
        let tokens = batches.iter().map(|batch| batch.tokens.len() as u64).sum();
        let notes = match self.stepper.loss_scale {
            Some(scale) if skipped => vec![skipped_step(step + 1, &grad_norm, scale, self.stepper.skipped_steps)],
            _ => vec![],
        };
        let measures = before.map(|scale| ("loss_scale", scale.factor)).into_iter().collect();
        let update = Some(Updated { loss, grad_norm, skipped: before.map(|_| skipped) });
        Ok(Taken { update, tokens, processed: tokens, flops, measures, notes })
    }

    async fn evaluate(&mut self, _: u64, _: &mut dyn Observer) -> Result<Option<Map<String, Value>>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let Evaluated { metrics, calibration } =
            evaluate(self.gpu, &mut self.stepper, &self.head, &self.held_out, self.capacity).await?;
        self.calibration = calibration;
        Ok(Some(metrics))
    }

    async fn save_checkpoint(&self, progress: Progress) -> Result<PathBuf> {
        let Stepper { loss_scale, skipped_steps, .. } = self.stepper;
        let progress = Progress { loss_scale, skipped_steps, ..progress };
        let directory = saving::checkpoint_directory(&self.config.trainer.output, progress);
        if self.stepper.update.ranks.is_first() {
            saving::save_model(self.gpu, &self.stepper, &self.parts(), &directory, vec![]).await?;
        }
        saving::save_state(self.gpu, &self.stepper.update, &directory, progress).await?;
        Ok(directory)
    }

    async fn sync(&mut self) -> Result<()> {
        self.stepper.update.sync(self.gpu).await
    }
}

/// What there is to say of a step that updated nothing.
fn skipped_step(step: u64, grad_norm: &GradNorm, scale: LossScale, skipped: u64) -> String {
    let tensor = grad_norm.worst.as_ref().map_or("the model", |worst| &worst.parameter);
    let times = if skipped == 1 { "1 step".into() } else { format!("{skipped} steps") };
    format!(
        "step {step} updated nothing: the gradient of {tensor} left the range of f16; the loss is scaled by {} from now \
         on ({times} skipped so far)",
        scale.factor
    )
}

/// The head that a run begins with.
struct HeadStart {
    /// The use of the checkpoint's head, in words.
    words: String,
    /// The warning that a trained head is not used.
    warning: Option<String>,
    /// Whether it was trained on conversations as the model's chat template shows them.
    shows_chats: bool,
}

impl HeadStart {
    fn of(source: &Checkpoint, config: &TrainConfig, new_head: bool) -> Result<Self> {
        let (objective, levels) = (config.objective, config.levels);
        let wanted = objective.logits(levels as usize);
        let head = Head { objective, levels, biases: vec![] };
        let meaning = head.meaning();
        let written = Head::written(source)?;
        let found = source.info(HEAD).map(|info| info.shape[0]);
        let new = |why: String| format!("new, {}, {meaning} ({why})", outputs(wanted));
        let replaced = |what: String| Some(format!("warning: {what} is not used: the head is initialized anew"));
        let (words, warning) = match found {
            _ if source.is_new() => (new("the model has no weights".into()), None),
            Some(_) if new_head => (new("as `.new_head` says".into()), None),
            Some(found) if found == wanted => {
                let before = match &written {
                    Some(head) if head.objective != objective => format!("; it was trained with {}", head.objective),
                    Some(_) => String::new(),
                    None => "; wgr did not train it".into(),
                };
                let has_bias = source.contains(HEAD_BIAS);
                let and_bias = if has_bias { format!(" and {HEAD_BIAS}") } else { String::new() };
                return Ok(Self {
                    words: format!("kept: {HEAD}{and_bias} with {}, {meaning}{before}", outputs(found)),
                    // https://github.com/huggingface/transformers, `GenericForSequenceClassification`: `bias=False`.
                    warning: has_bias.then(|| {
                        format!(
                            "warning: the head has a bias, {HEAD_BIAS}, which is kept and saved; the classifiers of \
                             transformers have none, so their scores lack it"
                        )
                    }),
                    shows_chats: head.is_of_another_method(source)?,
                });
            }
            Some(found) => (
                new(format!("{HEAD} has {}", outputs(found))),
                replaced(format!("{HEAD} of the model, with {},", outputs(found))),
            ),
            None => {
                let others: Vec<&str> = source.unread(false).filter(|name| *name != OUTPUT).collect();
                let warning = if others.is_empty() { None } else { replaced(others.join(", ")) };
                (new(format!("the model has no {HEAD}")), warning)
            }
        };
        Ok(Self { words, warning, shows_chats: false })
    }
}

/// The calibration as a file of the model directory.
fn calibration_file(calibration: &ModelCalibration) -> Result<(String, Vec<u8>)> {
    let json = serde_json::to_vec_pretty(calibration).map_err(|e| Error::run(format!("{CALIBRATION}: {e}"), ""))?;
    Ok((CALIBRATION.to_owned(), json))
}

/// The largest micro-batch that the run will see, and at least the longest held-out row.
fn capacity(config: &TrainConfig, course: &Course, examples: &[Example], held_out: &[Example]) -> Capacity {
    let tokens_of = |batch: Vec<usize>| batch.iter().map(|index| examples[*index].tokens()).sum::<usize>();
    let largest = course.all_batches().map(tokens_of).max();
    let longest = |examples: &[Example]| examples.iter().flat_map(|e| &e.sequences).map(Vec::len).max().unwrap_or(0);
    let widest = held_out.iter().map(Example::tokens).max().unwrap_or(0);
    let per_example = if config.objective == Objective::Pairwise { 2 } else { 1 };
    Capacity {
        tokens: largest.unwrap_or(0).max(widest).max(1),
        sequences: config.trainer.batch_size.min(examples.len()) * per_example,
        length: longest(examples).max(longest(held_out)).max(1),
    }
}
