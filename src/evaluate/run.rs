//! `wgr eval`: suites and models in, a report out.

use std::path::PathBuf;

use twox_hash::XxHash3_128;

use super::config::EvalConfig;
use super::output;
use super::report::{FailureReport, ModelResult, Report};
use super::scores::{Scored, columns};
use super::suites::{Suite, SuiteName};
use crate::gpu::Gpu;
use crate::ranks::Ranks;
use crate::train::likeness;
use crate::{Error, Observer, Result};

/// How an evaluation ended.
#[derive(Debug)]
pub struct Evaluation {
    /// The report, which has been written.
    pub report: Report,
    /// Why the report is partial; the first reason if there are several.
    pub failure: Option<Error>,
}

/// Measures models on suites, together with the other ranks, of which the first writes `report.json`, `report.md` and `report.html`. `gpu` is needed where
/// [`EvalConfig::needs_adapter`] says so.
///
/// Suites are read and models opened before anything is written. From then on the report is kept up to date: it is
/// rewritten after each suite, and a run that is stopped, or a suite or model that fails, leaves the results of the
/// others, marked as partial.
///
/// # Errors
/// Bad settings, suites or models; an output that holds a run; and a run that has nothing to report.
pub async fn evaluate(
    gpu: Option<&Gpu>,
    ranks: &Ranks,
    config: &EvalConfig,
    observer: &mut dyn Observer,
) -> Result<Evaluation> {
    config.validate()?;
    output::check(config)?;
    let suites = read(config, observer)?;
    let columns = columns(config)?;
    if ranks.size() > 1 {
        let items: String = suites.iter().map(|suite| format!("{:?}", suite.items)).collect();
        let items = XxHash3_128::oneshot(items.as_bytes());
        likeness::check_program(ranks, config, &[("items", format!("{items:x}"))]).await?;
    }
    if ranks.is_first() {
        output::open(&config.output)?;
    }

    let mut report = Report::new(config, columns.iter().map(|column| column.info.clone()).collect(), &suites);
    let mut failure = None;
    for column in &columns {
        let model = &column.info.name;
        let mut done = |place: usize, scored: Scored| {
            let suite: &Suite = &suites[place];
            match scored.answers {
                Ok(answers) => {
                    let result = ModelResult::new(model, suite, &answers, scored.truncation, config);
                    report.suites[place].results.push(result);
                    output::write(&config.output, &report)?;
                }
                Err(error) => {
                    let problem = error.to_string();
                    report.failures.push(FailureReport { model: model.clone(), suite: Some(suite.name), problem });
                    failure.get_or_insert(error);
                }
            }
            Ok(())
        };
        let outcome = column.score(gpu, ranks, config, &suites, observer, &mut done).await;
        if let Err(error) = outcome {
            // What fails on one rank only cannot be left out on all.
            if ranks.size() > 1 && !matches!(error, Error::Interrupted(_)) {
                return Err(error);
            }
            let interrupted = matches!(error, Error::Interrupted(_));
            report.failures.push(FailureReport { model: model.clone(), suite: None, problem: error.to_string() });
            failure.get_or_insert(error);
            if interrupted {
                break;
            }
        }
    }
    if let Some(error) = failure.take_if(|_| report.is_empty()) {
        if ranks.is_first() {
            output::open(&config.output)?;
        }
        return Err(error);
    }
    report.partial = !report.failures.is_empty();
    if ranks.is_first() {
        output::write(&config.output, &report)?;
    }
    Ok(Evaluation { report, failure })
}

/// The suites, each from all the paths that are named for it.
fn read(config: &EvalConfig, observer: &mut dyn Observer) -> Result<Vec<Suite>> {
    let mut named: Vec<(SuiteName, Vec<PathBuf>)> = vec![];
    for suite in &config.suite {
        match named.iter_mut().find(|(name, _)| *name == suite.name) {
            Some((_, paths)) => paths.push(suite.path.clone()),
            None => named.push((suite.name, vec![suite.path.clone()])),
        }
    }
    let mut suites = vec![];
    for (name, paths) in named {
        let suite = Suite::read(name, &paths)?;
        observer.note(&format!("{name}: {} items from {} files", suite.items.len(), suite.files.len()));
        suite.report.notes().iter().for_each(|line| observer.note(line));
        for (reason, rows) in &suite.left_out {
            observer.note(&format!("{name}: {rows} rows are left out: {reason}"));
        }
        suites.push(suite);
    }
    Ok(suites)
}
