//! `wgr eval study`.

use std::ops::Not;

use serde::Serialize;
use wgr::Result;
use wgr::evaluate::SuitePath;
use wgr::evaluate::study::{StudyConfig, StudyName, study, table};
use wgr::kernels::Passes;

use crate::flags;
use crate::print;
use crate::session;
use crate::settings::Settings;
use crate::train;

/// Flags of `wgr eval study`, which include those of `wgr train`: all cells are trained with them.
#[derive(Debug, clap::Args, Serialize)]
#[command(allow_negative_numbers = true, mut_arg("eval_data", |arg| arg.hide(true)), mut_arg("eval_every", |arg| arg.hide(true)))]
#[group(id = "StudyArgs")]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Args {
    /// Studies to run, one or more: users (few against many), mining (without and with), refusals (without and with
    /// their validation), heads
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    study: Vec<StudyName>,
    /// For `users`: numbers of users, one cell each; all cells have the same number of rows
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "N")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    users: Vec<usize>,
    /// For `heads`: objectives, one cell each [default: all]
    #[arg(long, num_args = 1.., value_delimiter = ',', value_parser = ["ordinal", "coral", "corn", "pairwise", "regression"])]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    heads: Vec<String>,
    /// Training rows per cell [default: the most that all cells of a study can have]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    /// Train each cell N times, with --seed and the N - 1 numbers after it
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seeds: Option<u32>,
    /// Suites to evaluate on, as for `wgr eval`
    #[arg(long, num_args = 1.., value_name = "NAME=PATH")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suite: Vec<SuitePath>,
    /// Bootstrap samples for confidence intervals of each evaluation; 0 for no intervals
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bootstrap: Option<u32>,
    /// Keep the trained models and their rows, not only the results
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    keep_models: bool,
    #[command(flatten)]
    #[serde(flatten)]
    train: train::Args,
}

/// Runs the studies, and saves the settings in the output, as `wgr.toml`. A partial comparison is printed too, before
/// the error that made it one.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let settings = Settings::<StudyConfig>::resolve(args.train.config.as_deref(), args)?;
    settings.config.validate()?;
    let show = &args.train.show;
    let mut found = {
        let (gpu, mut progress) = session::open(&settings.adapter, Passes::ForwardAndBackward, show).await?;
        study(&gpu, &settings.config, &mut progress).await?
    };
    flags::in_texts(found.report.failures.iter_mut().map(|failure| &mut failure.problem));
    let output = &settings.config.train.trainer.output;
    session::conclude(&settings, &output.join("wgr.toml"), show, &found.report, || {
        for block in table(&found.report) {
            print::columns(&block)?;
        }
        print::line(&format!("{}: study.json, study.md, study.html", output.display()))
    })?;
    found.failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use wgr::evaluate::study::GridConfig;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn resolve(flags: &[&str]) -> StudyConfig {
        let command = Command::try_parse_from([&["study"], flags].concat()).unwrap();
        Settings::resolve(None, &command.args).unwrap().config
    }

    #[test]
    fn no_flags_leave_the_defaults() {
        assert_eq!(resolve(&[]), StudyConfig::default());
    }

    #[test]
    fn every_setting_has_a_flag_that_reaches_it() {
        let flags = "--study users heads --users 1 20 --heads corn,coral --size 7 --seeds 2 --suite pairs=a wildfb=b \
                     --bootstrap 9 --keep-models --lr 0.5 --seed 8";
        let found = resolve(&flags.split_whitespace().collect::<Vec<_>>());
        let (grid, defaults) =
            (toml::Table::try_from(&found.grid).unwrap(), toml::Table::try_from(GridConfig::default()).unwrap());
        for (name, value) in &grid {
            assert_ne!(Some(value), defaults.get(name), "{name}");
        }
        assert_eq!(grid.len(), 8, "a setting that is absent without its flag is still absent");
        assert_eq!((found.train.lr, found.seeds()), (0.5, vec![8, 9]));
    }

    #[test]
    fn what_there_is_not_is_wrong_usage() {
        for flags in [["--study", "user"], ["--heads", "head"], ["--suite", "a"], ["--users", "-1"]] {
            assert!(Command::try_parse_from(["study", flags[0], flags[1]]).is_err());
        }
    }
}
