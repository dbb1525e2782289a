//! The grid with all seeds: runs the cells without a result, and keeps the comparison up to date.

use std::path::{Path, PathBuf};

use serde_json::json;
use twox_hash::XxHash3_128;

use super::cell::{self, Run};
use super::grid::{Cell, Plan, plans};
use super::report::{Failure, StudyReport};
use super::results::RunResult;
use super::rows::Rows;
use super::{StudyConfig, StudyName, markdown, page};
use crate::data::Template;
use crate::evaluate::suites::{Suite, SuiteName};
use crate::files::replace_file;
use crate::gpu::Gpu;
use crate::model::Checkpoint;
use crate::store::{Key, Store};
use crate::{Error, Observer, Result};

/// One row a result, as it is done.
const RESULTS: &str = "results.jsonl";
/// The results of the cells.
const CELLS: &str = "cells";
/// The comparison.
const REPORTS: [&str; 3] = ["study.json", "study.md", "study.html"];

/// How a study ended.
#[derive(Debug)]
pub struct StudyRun {
    /// The report, which has been written.
    pub report: StudyReport,
    /// Why the report is partial; the first reason if there are several.
    pub failure: Option<Error>,
}

/// A run that the grid asks for.
struct Asked<'a> {
    study: StudyName,
    size: usize,
    cell: &'a Cell,
    seed: u64,
    key: Key,
}

impl<'a> Asked<'a> {
    fn folder(&self, output: &Path) -> PathBuf {
        let name = self.cell.name.replace(' ', "-");
        output.join(CELLS).join(self.study.as_str()).join(name).join(format!("seed-{}", self.seed))
    }

    fn work(&self, config: &'a StudyConfig, rows: &'a Rows) -> Run<'a> {
        let &Self { size, cell, seed, key, .. } = self;
        Run { config, rows, cell, size, seed, folder: self.folder(&config.train.trainer.output), key }
    }

    /// Reports the result, if there is one. It is always read back, so that a comparison has the same bits whichever
    /// run computed it.
    fn report(&self, results: &mut Store<RunResult>, report: &mut StudyReport) -> Result<bool> {
        let found = results.get(self.key)?;
        let is_known = found.is_some();
        found.into_iter().for_each(|found| report.add(self.study, &self.cell.name, found));
        Ok(is_known)
    }
}

/// Trains and evaluates every cell of every study with every seed, and writes `results.jsonl` row by row and `study.json`,
/// `study.md` and `study.html` after each.
///
/// A run that fails leaves the others; a stop on request leaves a checkpoint of the run it met. In both cases the comparison
/// is written and marked as partial. Runs that have a result in the output are not repeated: nor with
/// [`resume`](crate::train::TrainerConfig::resume), nor where two studies share a cell.
///
/// # Errors
/// Bad settings, rows or suites, before anything is written; an output that holds a study; a study that has nothing to
/// report.
pub async fn study(gpu: &Gpu, config: &StudyConfig, observer: &mut dyn Observer) -> Result<StudyRun> {
    config.validate()?;
    let output = &config.train.trainer.output;
    check_output(config)?;
    let rows = Rows::read(&config.train.data, config.train.levels)?;
    let plans = plans(config, &rows)?;
    let inputs = inputs(config, &rows, observer)?;
    let asked = asked(config, &plans, inputs);
    open(config)?;
    let mut results = Store::<RunResult>::open(&output.join(RESULTS))?;

    let mut report = StudyReport::new(config, &rows, &plans);
    let mut failure = None;
    for run in &asked {
        run.report(&mut results, &mut report)?;
    }
    for (place, run) in asked.iter().enumerate() {
        // Also what this loop has found for another study.
        if run.report(&mut results, &mut report)? {
            continue;
        }
        if observer.stop_requested() {
            failure.get_or_insert(Error::Interrupted("finished runs are kept; continue with `.resume`".into()));
            break;
        }
        let (of, seed) = (asked.len(), run.seed);
        observer.note(&format!("run {} of {of}: {}, {}, seed {seed}", place + 1, run.study, run.cell.name));
        match run.work(config, &rows).run(gpu, observer).await {
            Ok(found) => {
                let id = format!("{}/{}/seed-{seed}", run.study, run.cell.name);
                results.append(&[(run.key, id, found)])?;
                if !config.grid.keep_models {
                    cell::tidy(&run.folder(output))?;
                }
                run.report(&mut results, &mut report)?;
                write(output, &report)?;
            }
            Err(error) => {
                let (cell, problem) = (run.cell.name.clone(), error.to_string());
                report.failures.push(Failure { study: run.study, cell, seed, problem });
                let interrupted = matches!(error, Error::Interrupted(_));
                failure.get_or_insert(error);
                if interrupted {
                    break;
                }
            }
        }
    }
    // The first reason alone says more than an empty comparison.
    if let Some(error) = failure.take_if(|_| report.is_empty()) {
        return Err(error);
    }
    report.partial = failure.is_some();
    write(output, &report)?;
    Ok(StudyRun { report, failure })
}

/// All runs, seed by seed, so that a study that is stopped has something of each cell.
fn asked<'a>(config: &StudyConfig, plans: &'a [Plan], inputs: u128) -> Vec<Asked<'a>> {
    let mut asked = vec![];
    for seed in config.seeds() {
        for Plan { study, size, cells } in plans {
            for cell in cells {
                let key = cell::key(config, inputs, cell, *size, seed);
                asked.push(Asked { study: *study, size: *size, cell, seed, key });
            }
        }
    }
    asked
}

/// Opens model, template and suites, so that what is wrong with them is said before anything is trained, and hashes them
/// with the rows.
fn inputs(config: &StudyConfig, rows: &Rows, observer: &mut dyn Observer) -> Result<u128> {
    let checkpoint = Checkpoint::open(&config.train.model)?;
    let model = checkpoint.fingerprint()?.to_string();
    let from_file = |path| Template::from_file(path, &checkpoint.special_tokens()?);
    let template = config.train.template.as_deref().map(from_file).transpose()?;
    let mut hashes = vec![];
    let mut names: Vec<SuiteName> = vec![];
    for suite in &config.grid.suite {
        let read = Suite::read(suite.name, std::slice::from_ref(&suite.path))?;
        observer.note(&format!("{}: {} items from {} files", suite.name, read.items.len(), read.files.len()));
        names.push(suite.name);
        for file in read.files {
            let bytes = std::fs::read(&file).map_err(|e| Error::io(&file, e))?;
            hashes.push(format!("{:032x}", XxHash3_128::oneshot(&bytes)));
        }
    }
    let parts = json!([model, template.map(|t| t.source().to_owned()), rows.hash.to_string(), names, hashes]);
    Ok(XxHash3_128::oneshot(parts.to_string().as_bytes()))
}

/// Checks that the output may be written; changes nothing.
fn check_output(config: &StudyConfig) -> Result<()> {
    let output = &config.train.trainer.output;
    let at = format!("`.output` {}", output.display());
    if output.exists() && !output.is_dir() {
        return Err(Error::input(at, "is a file", "give a directory"));
    }
    let occupied = [RESULTS, CELLS].iter().any(|name| output.join(name).exists());
    if occupied && !config.train.trainer.resume && !config.train.trainer.force {
        let hint = "use `.resume` to continue or `.force` to start over";
        return Err(Error::input(at, "already holds a study", hint));
    }
    // The study must not replace its own input.
    let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (cells, model) = (resolved(&output.join(CELLS)), PathBuf::from(&config.train.model));
    let read = config.train.data.iter().chain(config.grid.suite.iter().map(|suite| &suite.path)).chain([&model]);
    if let Some(path) = read.into_iter().find(|path| resolved(path).starts_with(&cells)) {
        return Err(Error::input(at, format!("holds {}", path.display()), "use another directory"));
    }
    // The report of `wgr eval` and a model are not for this command to replace.
    match ["report.json", "config.json"].iter().find(|name| output.join(name).exists()) {
        Some(name) => {
            Err(Error::input(at, format!("holds a {name}, which is not of a study"), "use another directory"))
        }
        None => Ok(()),
    }
}

/// Makes the directory; an earlier comparison goes, and without `resume` all that is left of an earlier study.
fn open(config: &StudyConfig) -> Result<()> {
    let output = &config.train.trainer.output;
    std::fs::create_dir_all(output).map_err(|e| Error::io(output, e))?;
    let mut files = REPORTS.to_vec();
    if !config.train.trainer.resume {
        files.push(RESULTS);
        cell::remove(&output.join(CELLS))?;
    }
    for path in files.into_iter().map(|name| output.join(name)) {
        if path.exists() {
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, e))?;
        }
    }
    Ok(())
}

fn write(output: &Path, report: &StudyReport) -> Result<()> {
    let json = serde_json::to_vec_pretty(report).map_err(|e| Error::run(format!("{}: {e}", REPORTS[0]), ""))?;
    replace_file(&output.join(REPORTS[0]), &json)?;
    replace_file(&output.join(REPORTS[1]), markdown::markdown(report).as_bytes())?;
    page::page(report).write(&output.join(REPORTS[2]))
}
