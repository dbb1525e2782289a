//! `wgr train`.

use std::ops::Not;
use std::path::PathBuf;

use serde::Serialize;
use wgr::kernels::Passes;
use wgr::train::{TrainConfig, train};
use wgr::{Ranks, Result};

use crate::flags;
use crate::lora::LoraArgs;
use crate::session;
use crate::settings::{DeviceArgs, OutputArgs, Settings};
use crate::trainer::{self, TrainerArgs};

/// Flags of `wgr train`; a flag that is not given is left out of the serialized form, so that the file or
/// the default applies.
#[derive(Debug, clap::Args, Serialize)]
#[command(allow_negative_numbers = true)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Args {
    /// Model to start from: a directory, a `.gguf` file, the config `.json` of a new model, or a hub name (owner/name)
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Training rows, JSONL or parquet
    #[arg(long, num_args = 1.., value_name = "FILE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data: Vec<PathBuf>,
    /// Training objective
    #[arg(long, value_parser = ["ordinal", "coral", "corn", "pairwise", "regression"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    objective: Option<String>,
    /// Number of levels; labels run from 1 to N
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    levels: Option<u32>,
    /// Maximum rating in `score_chosen` and `score_rejected`, which start at 1 and are mapped to the levels
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rating: Option<f64>,
    /// Initialize a new head even if the model has one that fits
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    new_head: bool,
    /// Prompt template, instead of the model's or the built-in one
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    trainer: TrainerArgs,
    #[command(flatten)]
    #[serde(flatten)]
    lora: LoraArgs,
    #[command(flatten)]
    #[serde(flatten)]
    device: DeviceArgs,
    /// TOML file with these settings; flags override it
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub show: OutputArgs,
}

/// Trains, and saves the settings as `wgr.toml` in the output.
pub(crate) async fn run(args: &Args, ranks: &Ranks) -> Result<()> {
    let settings = Settings::<TrainConfig>::resolve(args.config.as_deref(), args)?;
    settings.config.validate()?;
    let show = &args.show.of(ranks);
    trainer::note_changes(&settings, &settings.config.trainer, show)?;
    let mut summary = {
        let passes = Passes::ForwardAndBackward;
        let (gpu, mut progress) = session::open_on(ranks, &settings.adapter, passes, show).await?;
        train(&gpu, ranks, &settings.config, &mut progress).await?
    };
    flags::in_readings(&mut summary.reading);
    let output = &settings.config.trainer.output;
    trainer::conclude(
        &settings,
        output,
        show,
        ranks,
        &summary,
        &trainer::describe(&summary, output),
        summary.interrupted,
    )
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

    fn resolve(flags: &[&str]) -> TrainConfig {
        let command = Command::try_parse_from([&["train"], flags].concat()).unwrap();
        Settings::resolve(None, &command.args).unwrap().config
    }

    #[test]
    fn no_flags_leave_the_defaults() {
        assert_eq!(resolve(&[]), TrainConfig::default());
    }

    #[test]
    fn every_setting_has_a_flag_that_reaches_it() {
        let flags = "--model m --data a b --output o --eval-data e --objective corn --levels 5 --max-rating 10 --new-head --epochs 2 --max-steps 3 \
                     --batch-size 6 --grad-accum 7 --lr 0.5 --schedule cosine --warmup-ratio 0.25 --weight-decay 0.75 \
                     --max-grad-norm 2 --max-length 8 --precision mixed --checkpointing layer --template t --no-shuffle \
                     --save-every 9 --eval-every 10 --resume --force --seed 11 --lora-rank 8 --lora-alpha 32 \
                     --lora-dropout 0.25 --lora-targets q_proj,v_proj --lora-rslora --shard-optimizer --sync-every 5 --base-dtype bf16 --adapter 0 --backend vulkan";
        let config = toml::Table::try_from(resolve(&flags.split_whitespace().collect::<Vec<_>>())).unwrap();
        let defaults = toml::Table::try_from(TrainConfig::default()).unwrap();
        for (name, value) in &config {
            assert_ne!(Some(value), defaults.get(name), "{name}");
        }
        assert_eq!(config.len(), 35, "a setting that is absent without its flag is still absent");
    }

    #[test]
    fn the_last_word_on_shuffling_counts() {
        assert!(resolve(&["--no-shuffle", "--shuffle"]).trainer.shuffle);
        assert!(!resolve(&["--shuffle", "--no-shuffle"]).trainer.shuffle);
    }

    #[test]
    fn every_choice_that_a_flag_offers_exists() {
        let command = <Command as clap::CommandFactory>::command();
        for name in ["objective", "schedule", "precision", "checkpointing", "base-dtype"] {
            let flag = command.get_arguments().find(|arg| arg.get_long() == Some(name)).unwrap();
            for choice in flag.get_possible_values() {
                resolve(&[&format!("--{name}"), choice.get_name()]);
            }
        }
    }
}
