//! Sources of scores: a local model (`model`), a reward server (`server`), or files (`table`).
//!
//! Scores of models and servers are stored in the output as they arrive ([`Store`]), by a hash of model, template and
//! text, so that nothing is scored twice: neither a response shared by two suites, nor one scored by an earlier run.

mod answer;
mod info;
mod model;
mod server;
mod table;
mod work;

use std::collections::HashSet;
use std::path::Path;

pub(super) use self::answer::{Answer, Done, Scored};
pub use self::info::{ModelInfo, Origin};
use self::model::Model;
use self::server::Server;
use self::table::Table;
use super::config::EvalConfig;
use super::suites::Suite;
use crate::gpu::Gpu;
use crate::http::is_address;
use crate::ranks::Ranks;
use crate::store::Store;
use crate::{Error, Observer, Result};

/// The folder of an output that holds what models said.
pub(super) const FOLDER: &str = "scores";

/// A model with its way to scores: a column of the report.
pub(super) struct Column {
    /// The model.
    pub info: ModelInfo,
    source: Source,
}

enum Source {
    Model(Box<Model>),
    Server(Box<Server>),
    Table(Table),
}

/// The columns that the settings ask for, models first.
///
/// # Errors
/// A model that cannot be read or has no score head, a template that fails, an address that is none, a bad file of
/// scores, or two columns of the same name.
pub(super) fn columns(config: &EvalConfig) -> Result<Vec<Column>> {
    let mut columns = vec![];
    for (name, source) in names(&config.model).into_iter().zip(&config.model) {
        columns.push(if is_address(source) {
            let server = Server::open(config, source)?;
            Column { info: server.info(name), source: Source::Server(Box::new(server)) }
        } else {
            let model = Model::open(config, source)?;
            Column { info: model.info(name), source: Source::Model(Box::new(model)) }
        });
    }
    let tables = table::read(&config.scores)?.into_iter();
    columns.extend(tables.map(|(info, table)| Column { info, source: Source::Table(table) }));
    let mut seen = HashSet::new();
    match columns.iter().find(|column| !seen.insert(column.info.name.as_str())) {
        Some(twice) => {
            let at = format!("model {:?}", twice.info.name);
            Err(Error::input(at, "is given twice", "every column of the report needs a name of its own"))
        }
        None => Ok(columns),
    }
}

/// Models by the last part of their path, or whole where that names two.
fn names(models: &[String]) -> Vec<String> {
    let short = |model: &String| match is_address(model) {
        true => model.clone(),
        false => Path::new(model).file_name().map_or(model.clone(), |name| name.to_string_lossy().into_owned()),
    };
    let is_shared = |name: &String| models.iter().filter(|model| short(model) == *name).count() > 1;
    models.iter().map(|model| Some(short(model)).filter(|name| !is_shared(name)).unwrap_or(model.clone())).collect()
}

impl Column {
    /// Scores all suites, together with the other ranks; the first gives each to `done` when it is complete.
    ///
    /// # Errors
    /// What ends the column: a failing device or server, bad rows, a full disk, or a stop on request. Suites that were
    /// given to `done` before are not touched by it.
    pub(super) async fn score(
        &self,
        gpu: Option<&Gpu>,
        ranks: &Ranks,
        config: &EvalConfig,
        suites: &[Suite],
        observer: &mut dyn Observer,
        done: &mut Done<'_>,
    ) -> Result<()> {
        match &self.source {
            Source::Model(model) => {
                let mut store = ranks.is_first().then(|| self.store(config)).transpose()?;
                model.score(gpu, ranks, config, suites, store.as_mut(), observer, done).await
            }
            // Only models compute here.
            _ if !ranks.is_first() => Ok(()),
            Source::Server(server) => server.score(config, suites, &mut self.store(config)?, observer, done),
            Source::Table(table) => table.score(&self.info.name, suites, observer, done),
        }
    }

    /// The model's scores so far.
    fn store(&self, config: &EvalConfig) -> Result<Store<Answer>> {
        let folder = config.output.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let name: String = self.info.name.chars().map(plain).collect();
        Store::open(&folder.join(format!("{}.jsonl", name.trim_start_matches('.'))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_short_names_where_those_tell_them_apart() {
        let models = ["runs/a/final", "runs/b/final", "owner/name", "http://host/get_reward"].map(String::from);
        assert_eq!(names(&models), ["runs/a/final", "runs/b/final", "name", "http://host/get_reward"]);
    }
}
