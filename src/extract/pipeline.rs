//! The run: windows of conversations pass through the stages one after the other; nothing else is kept in memory.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::annotator::Annotator;
use super::annotator::labels::Labels;
use super::config::ExtractConfig;
use super::duplicates::Duplicates;
use super::embeddings::Embedder;
use super::filters::{Filter, Filters};
use super::instance::Judged;
use super::mining::{JudgedTurn, Miner, REACH};
use super::output::{self, Rows};
use super::pool;
use super::refusal::is_refusal;
use super::report::Report;
use super::stages::Stages;
use super::tally::Tally;
use super::tools;
use super::turn::Turn;
use crate::data::Template;
use crate::data::conversations::{Reader, Window};
use crate::gpu::Gpu;
use crate::{Error, Event, Observer, Ranks, Result};

/// Reads conversations and writes rows, stages and report into the output. `gpu` is needed where
/// [`ExtractConfig::needs_adapter`] says so. Of several ranks, the first reads and writes, and all run the models; the others'
/// reports are empty.
///
/// Memory does not grow with the input, except for eight bytes per conversation and per turn, by which repetitions are
/// noticed, sixteen a row, and the places of stored answers and embeddings.
///
/// # Errors
/// Unreadable input; an output that holds a run; a model or a server that cannot be used; a full disk. The answers so
/// far are in the output, and [`ExtractConfig::resume`] continues from them. Several ranks with nothing to share; a rank
/// that fails, or has other models or settings.
pub async fn extract(
    gpu: Option<&Gpu>,
    ranks: &Ranks,
    config: &ExtractConfig,
    observer: &mut dyn Observer,
) -> Result<Report> {
    config.validate()?;
    tools::check_ranks(ranks, config).await?;
    if !ranks.is_first() {
        tools::assist(gpu, ranks, config).await?;
        return Ok(Report::default());
    }
    let mut reader = Reader::open(&config.input)?;
    output::check(config)?;
    let labels = tools::labels(config)?;
    output::open(config)?;
    let mut run = Run::open(gpu, ranks, config, labels, observer).await?;
    let (mut bytes, total, mut conversations) = (0, reader.total_bytes(), 0);
    let inputs: Vec<String> = reader.files().iter().map(|file| file.display().to_string()).collect();
    for window in reader.by_ref() {
        let window = window?;
        bytes += window.bytes_read;
        conversations += (window.conversations.len() + window.irregular.len()) as u64;
        run.window(window, observer).await?;
        observer.on(Event::Extracted { done: bytes, total, conversations, rows: run.rows.len() });
        if observer.stop_requested() {
            let hint = "the answers so far are kept; continue with `.resume`";
            return Err(Error::Interrupted(hint.into()));
        }
    }
    pool::end(ranks).await?;
    if conversations == 0 {
        return Err(Error::input(inputs.join(", "), "holds no conversations", ""));
    }
    reader.report.notes().iter().for_each(|line| observer.note(line));
    run.finish(inputs, observer)
}

/// Everything a run holds.
struct Run<'a> {
    config: &'a ExtractConfig,
    filters: Filters,
    duplicates: Duplicates,
    annotator: Box<dyn Annotator + 'a>,
    annotator_name: String,
    miner: Option<Miner<Embedder<'a>>>,
    template: Template,
    stages: Stages,
    rows: Rows,
    tally: Tally,
}

impl<'a> Run<'a> {
    async fn open(
        gpu: Option<&'a Gpu>,
        ranks: &Ranks,
        config: &'a ExtractConfig,
        labels: Option<Labels>,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let annotator = tools::annotator(gpu, ranks, config, labels).await?;
        let miner = tools::miner(gpu, ranks, config)?;
        annotator.reading().iter().for_each(|reading| observer.note(&reading.to_string()));
        if miner.is_none() {
            observer.note("there will be no mining: no `.embedder` is given");
        }
        Ok(Self {
            config,
            filters: Filters::new(config),
            duplicates: Duplicates::default(),
            annotator_name: annotator.name(),
            annotator,
            miner,
            template: Template::builtin(),
            stages: Stages::create(&config.output)?,
            rows: Rows::create(config)?,
            tally: Tally::new(config),
        })
    }

    /// One window, stage by stage.
    async fn window(&mut self, window: Window, observer: &mut dyn Observer) -> Result<()> {
        let Window { conversations, irregular, .. } = window;
        let mut turns: Vec<Judged> = conversations.par_iter().flat_map_iter(Turn::of).map(Judged::new).collect();
        self.filter(&mut turns);
        let kept = turns.iter().filter(|judged| judged.dropped.is_none()).map(|judged| &judged.turn);
        self.annotator.window(&conversations, &kept.collect::<Vec<_>>());
        self.annotate(&mut turns, observer).await?;
        self.mine(&mut turns).await?;
        self.validate_refusals(&mut turns, observer).await?;
        self.stages.append(&irregular, &turns)?;
        self.rows.extend(&turns, &self.annotator_name, &self.template)?;
        self.tally.window(conversations.len(), &irregular, &turns, &self.annotator_name);
        Ok(())
    }

    fn filter(&mut self, turns: &mut [Judged]) {
        let filters = &self.filters;
        turns.par_iter_mut().for_each(|judged| {
            judged.dropped = filters.dropped_by(&judged.turn);
            if judged.dropped.is_none() {
                judged.refusal = is_refusal(judged.turn.response());
            }
        });
        // In order, as the first of several alike stays.
        for judged in turns.iter_mut().filter(|judged| judged.dropped.is_none()) {
            if !self.duplicates.first(&judged.turn) {
                judged.dropped = Some(Filter::Duplicate);
            }
        }
    }

    /// Asks about the turns that the filters left and, where turns are mined, about those whose level one of these
    /// could take.
    async fn annotate(&mut self, turns: &mut [Judged], observer: &mut dyn Observer) -> Result<()> {
        let mines = self.miner.is_some();
        let is_asked = |index: usize| {
            let judged = &turns[index];
            let reach = index.saturating_sub(REACH)..index;
            let could_give = |earlier: &Judged| {
                earlier.dropped.is_none() && earlier.turn.conversation.id == judged.turn.conversation.id
            };
            judged.dropped.is_none() || (mines && turns[reach].iter().any(could_give))
        };
        let asked: Vec<usize> = (0..turns.len()).filter(|&index| is_asked(index)).collect();
        let questions: Vec<&Turn> = asked.iter().map(|&index| &turns[index].turn).collect();
        let verdicts = self.annotator.feedback(&questions, observer).await?;
        for (index, verdict) in asked.into_iter().zip(verdicts) {
            turns[index].verdict = Some(verdict);
        }
        Ok(())
    }

    async fn mine(&mut self, turns: &mut [Judged]) -> Result<()> {
        let Some(miner) = &mut self.miner else { return Ok(()) };
        // A turn without a verdict neither gives nor takes, and must not be between two that do: their numbers
        // distinguish them.
        let judged: Vec<(usize, JudgedTurn)> = turns
            .iter()
            .enumerate()
            .filter_map(|(index, judged)| {
                let feedback = judged.annotated()?;
                let (kept, refusal) = (judged.dropped.is_none(), judged.refusal.is_some());
                Some((index, JudgedTurn { turn: &judged.turn, feedback, kept, refusal }))
            })
            .collect();
        let (indices, judged): (Vec<usize>, Vec<JudgedTurn>) = judged.into_iter().unzip();
        let mined = miner.mine(&judged).await?;
        for (index, mined) in indices.into_iter().zip(mined) {
            turns[index].mined = mined;
        }
        Ok(())
    }

    async fn validate_refusals(&mut self, turns: &mut [Judged], observer: &mut dyn Observer) -> Result<()> {
        let mut asked: Vec<&mut Judged> =
            turns.iter_mut().filter(|judged| judged.asks_for_validation(self.config.variant)).collect();
        let questions: Vec<&Turn> = asked.iter().map(|judged| &judged.turn).collect();
        let verdicts = self.annotator.refusals(&questions, observer).await?;
        for (judged, verdict) in asked.iter_mut().zip(verdicts) {
            judged.validated = Some(verdict);
        }
        Ok(())
    }

    fn finish(self, inputs: Vec<String>, observer: &mut dyn Observer) -> Result<Report> {
        let mining = self.miner.as_ref().map(Miner::counts).unwrap_or_default();
        let mut report = self.tally.report(mining);
        report.inputs = inputs;
        report.annotator = self.annotator_name;
        report.embedder = self.config.embedder.clone();
        report.similarity = report.embedder.as_ref().map(|_| self.config.similarity());
        report.labels = self.annotator.labels();
        report.usage = self.annotator.usage();
        (report.train, report.test) = self.rows.split(self.config)?;
        unusable(&report.irregular).iter().for_each(|line| observer.note(line));
        report.labels.iter().flat_map(|labels| labels.doubts()).for_each(|line| observer.note(&line));
        if report.train.rows == 0 {
            observer.note("there are no training rows; the report shows why");
        }
        self.stages.finish()?;
        write_report(&report, &self.config.output)?;
        Ok(report)
    }
}

/// How many conversations could not be used, and why.
fn unusable(reasons: &BTreeMap<String, u64>) -> Option<String> {
    let parts: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    let count: u64 = reasons.values().sum();
    let line = || {
        format!(
            "conversations that could not be used: {count} ({}); stages/irregular.jsonl lists them",
            parts.join(", ")
        )
    };
    (count > 0).then(line)
}

fn write_report(report: &Report, output: &Path) -> Result<()> {
    let path = output.join("report.json");
    let text = serde_json::to_string_pretty(report).map_err(|e| Error::io(&path, e.into()))?;
    crate::files::replace_file(&path, (text + "\n").as_bytes())?;
    super::page::page(report).write(&output.join("report.html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_that_could_not_be_used_are_counted_by_reason() {
        assert_eq!(unusable(&BTreeMap::new()), None);
        let reasons = [("broken_json".to_owned(), 2), ("unknown_role".to_owned(), 1)].into();
        let line = "conversations that could not be used: 3 (broken_json 2, unknown_role 1); stages/irregular.jsonl lists them";
        assert_eq!(unusable(&reasons).as_deref(), Some(line));
    }
}
