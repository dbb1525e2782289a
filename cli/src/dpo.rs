//! `wgr dpo`.

use std::path::PathBuf;

use serde::Serialize;
use wgr::dpo::{DpoConfig, dpo};
use wgr::kernels::{self, Passes};
use wgr::{Error, Result};

use crate::print;
use crate::progress::Progress;
use crate::settings::{DeviceArgs, OutputArgs, Settings};
use crate::trainer::{self, TrainerArgs};

/// Flags of `wgr dpo`; what is not given stays out of the serialized form, so that the file or the default holds.
#[derive(Debug, clap::Args, Serialize)]
#[command(allow_negative_numbers = true)]
#[serde(rename_all = "kebab-case")]
pub struct Args {
    /// Model to train: a directory, a `.gguf` file, the config `.json` of a new model, or a hub name (owner/name)
    #[arg(long, value_name = "MODEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    /// Preference pairs, JSONL, JSON or parquet
    #[arg(long, num_args = 1.., value_name = "FILE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data: Vec<PathBuf>,
    /// Model that the policy is held against; the policy as it begins when absent
    #[arg(long, value_name = "MODEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// Folder to keep reference log-probabilities in, for several runs to share; the output when absent
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_cache: Option<PathBuf>,
    /// What is minimised
    #[arg(long, value_parser = ["sigmoid", "cdpo", "robust", "hinge", "ipo", "simpo", "orpo", "apo_zero", "nca_pair"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<String>,
    /// What log-probability ratios are multiplied by
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    beta: Option<f64>,
    /// Share of pairs that are thought to be the wrong way round, for cdpo and robust
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    label_smoothing: Option<f64>,
    /// Weight of the negative log-likelihood of the chosen completion, which is added to the loss
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sft_weight: Option<f64>,
    /// Margin that simpo asks for
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    simpo_gamma: Option<f64>,
    #[command(flatten)]
    #[serde(flatten)]
    trainer: TrainerArgs,
    #[command(flatten)]
    #[serde(flatten)]
    device: DeviceArgs,
    /// TOML file with these settings; flags override it
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    show: OutputArgs,
}

/// Trains, and saves the settings as `wgr.toml` in the output.
pub async fn run(args: &Args) -> Result<()> {
    let settings = Settings::<DpoConfig>::resolve(args.config.as_deref(), args)?;
    settings.config.validate()?;
    let gpu = kernels::open(&settings.adapter, Passes::ForwardAndBackward).await?;
    let mut progress = Progress::new(args.show.quiet);
    progress.runs_on(&gpu);
    let summary = dpo(&gpu, &settings.config, &mut progress).await;
    progress.finish();
    let summary = summary?;
    let output = &settings.config.trainer.output;
    settings.save(&output.join("wgr.toml"))?;
    if args.show.json {
        print::json(&summary)?;
    } else if !args.show.quiet {
        print::line(&trainer::describe(&summary.training, output))?;
    }
    if summary.training.interrupted {
        return Err(Error::Interrupted(trainer::goes_on(output)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn resolve(flags: &[&str]) -> DpoConfig {
        let command = Command::try_parse_from([&["dpo"], flags].concat()).unwrap();
        Settings::resolve(None, &command.args).unwrap().config
    }

    #[test]
    fn no_flags_leave_the_defaults() {
        assert_eq!(resolve(&[]), DpoConfig::default());
    }

    #[test]
    fn every_setting_has_a_flag_that_reaches_it() {
        let flags = "--policy p --data a b --reference r --reference-cache c --loss ipo --beta 0.5 --label-smoothing 0.25 \
                     --sft-weight 1 --simpo-gamma 2 --output o --eval-data e --epochs 2 --max-steps 3 --batch-size 6 \
                     --grad-accum 7 --lr 0.5 --schedule cosine --warmup-ratio 0.25 --weight-decay 0.75 --max-grad-norm 2 \
                     --max-length 8 --precision mixed --checkpointing layer --no-shuffle --save-every 9 --eval-every 10 \
                     --resume --force --seed 11 --adapter 0 --backend vulkan";
        let config = toml::Table::try_from(resolve(&flags.split_whitespace().collect::<Vec<_>>())).unwrap();
        let defaults = toml::Table::try_from(DpoConfig::default()).unwrap();
        for (name, value) in &config {
            assert_ne!(Some(value), defaults.get(name), "{name}");
        }
        assert_eq!(config.len(), 29, "a setting that is absent without its flag is still absent");
    }

    #[test]
    fn every_choice_that_a_flag_offers_exists() {
        let command = <Command as clap::CommandFactory>::command();
        for name in ["loss", "schedule", "precision", "checkpointing"] {
            let flag = command.get_arguments().find(|arg| arg.get_id() == name).unwrap();
            for choice in flag.get_possible_values() {
                resolve(&[&format!("--{name}"), choice.get_name()]);
            }
        }
    }
}
