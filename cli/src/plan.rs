//! `wgr plan`.

use std::ops::Not;

use serde::Serialize;
use wgr::dpo::{self, DpoConfig};
use wgr::generate::{self, GenerateConfig};
use wgr::model::Checkpoint;
use wgr::model::fitting::{self, Smaller};
use wgr::model::lora::LoraSettings;
use wgr::model::plan::MemoryPlan;
use wgr::train::{self, ScoreConfig, TrainConfig, TrainerConfig};
use wgr::{Error, Result};

use crate::lora::LoraArgs;
use crate::settings::Settings;
use crate::trainer::StorageArgs;
use crate::{print, progress};

/// Flags of `wgr plan`; those of a run are left out of the serialized form if they are not given.
#[derive(Debug, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Args {
    /// Model: a directory, a `.gguf` file, a config `.json` alone, or a hub name (owner/name)
    #[arg(long)]
    model: String,
    /// The command that will run; `dpo` is offline
    #[arg(long = "for", value_name = "COMMAND", default_value = "train")]
    #[serde(skip)]
    command: Command,
    /// Rows, pairs or sequences per batch [default: that of the command]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<usize>,
    #[command(flatten)]
    #[serde(flatten)]
    storage: StorageArgs,
    /// Count the share of the optimizer's moments that each of --ranks holds
    #[arg(long, requires = "ranks")]
    #[serde(skip_serializing_if = "Not::not")]
    shard_optimizer: bool,
    /// Number of ranks
    #[arg(long, value_name = "N", requires = "shard_optimizer", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(skip)]
    ranks: Option<u32>,
    #[command(flatten)]
    #[serde(flatten)]
    lora: LoraArgs,
    /// Memory of the adapter, such as 24GiB: say whether the run fits, and which flags make it fit
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    #[serde(skip)]
    memory: Option<u64>,
    /// Print the plan as JSON, in bytes
    #[arg(long)]
    #[serde(skip)]
    json: bool,
}

/// A command with a plan.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Command {
    Train,
    Dpo,
    Score,
    Generate,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    #[serde(flatten)]
    plan: MemoryPlan,
    total: u64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    fit: Option<Fit>,
}

/// Whether a run fits into some memory.
#[derive(Serialize)]
struct Fit {
    memory: u64,
    fits: bool,
    /// The flags that make it fit; absent if it does without, or nothing is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<String>,
    /// Bytes in all with these flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_with_flags: Option<u64>,
}

/// Prints the memory that a command needs, without opening an adapter.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut config = Settings::<TrainConfig>::resolve(None, args)?.config;
    if args.batch_size.is_none() {
        config.trainer.batch_size = match args.command {
            Command::Train | Command::Dpo => config.trainer.batch_size,
            Command::Score => ScoreConfig::default().batch_size,
            Command::Generate => GenerateConfig::default().batch_size,
        };
    }
    for (setting, value) in [("`.batch_size`", config.trainer.batch_size), ("`.max_length`", config.trainer.max_length)]
    {
        if value == 0 {
            return Err(Error::input(setting, "cannot be 0", "use a number above 0"));
        }
    }
    let trains = matches!(args.command, Command::Train | Command::Dpo);
    let mut source = Checkpoint::open(&config.model)?;
    if !trains {
        refuse_training(&config)?;
        source = source.held_in(config.lora.base_dtype);
    }
    let ranks = args.ranks.map_or(1, |ranks| ranks as usize);
    let (batch_size, max_length) = (config.trainer.batch_size, config.trainer.max_length);
    let training_plan = |trainer: &TrainerConfig, lora: &LoraSettings| {
        let (trainer, lora) = (trainer.clone(), lora.clone());
        let plan = match args.command {
            Command::Dpo => dpo::plan(&DpoConfig { trainer, lora, ..DpoConfig::default() }, &source),
            _ => train::plan(&TrainConfig { trainer, lora, ..config.clone() }, &source),
        };
        plan.map(|plan| plan.on_ranks(ranks))
    };
    let running_plan = |source: &Checkpoint, sequences: usize, length: usize| match args.command {
        Command::Generate => {
            let length = length.min(source.config().max_position_embeddings);
            Ok(generate::plan(source, sequences, length, GenerateConfig::default().cache_dtype.dtype()))
        }
        _ => train::plan_scoring(sequences, length, source),
    };
    let plan = match trains {
        true => training_plan(&config.trainer, &config.lora)?,
        false => running_plan(&source, batch_size, max_length)?,
    };
    let fit = match args.memory {
        None => None,
        Some(memory) if plan.total() <= memory => Some(Fit::new(memory, true, None)),
        Some(memory) => {
            let smaller = match trains {
                true => train::fitting(&config.trainer, &config.lora, memory, training_plan)?,
                false => fitting::fitting(source, batch_size, max_length, memory, running_plan)?,
            };
            Some(Fit::new(memory, false, smaller))
        }
    };
    if args.json {
        return print::json(&Output { total: plan.total(), plan, fit });
    }
    progress::plan_lines(&plan, None).iter().try_for_each(|line| print::line(line))?;
    fit.map_or(Ok(()), |fit| print::line(&describe(&fit, args.command)))
}

/// Refuses flags that only training has.
fn refuse_training(config: &TrainConfig) -> Result<()> {
    let (TrainConfig { trainer, lora, .. }, default) = (config, TrainConfig::default());
    let adapters = LoraSettings { base_dtype: lora.base_dtype, ..default.lora };
    for (setting, given) in [
        ("`.shard_optimizer`", trainer.shard_optimizer),
        ("`.precision`", trainer.precision != default.trainer.precision),
        ("`.checkpointing`", trainer.checkpointing != default.trainer.checkpointing),
        ("`.lora_rank` and its settings", *lora != adapters),
    ] {
        if given {
            return Err(Error::input(setting, "apply to training only", "leave them out"));
        }
    }
    Ok(())
}

impl Fit {
    fn new(memory: u64, fits: bool, smaller: Option<Smaller>) -> Self {
        let flag = |(name, value): &(&str, String)| format!("--{name} {value}");
        let flags = smaller.as_ref().map(|smaller| smaller.changes.iter().map(flag).collect::<Vec<_>>().join(" "));
        Self { memory, fits, flags, total_with_flags: smaller.map(|smaller| smaller.plan.total()) }
    }
}

fn describe(fit: &Fit, command: Command) -> String {
    let memory = print::bytes(fit.memory);
    match (fit.fits, &fit.flags, fit.total_with_flags) {
        (true, ..) => format!("it fits into {memory}"),
        (false, Some(flags), Some(total)) => {
            let tokens = match command {
                Command::Generate if flags.contains("max-length") => {
                    ", where a length is a prompt's with --max-new-tokens"
                }
                _ => "",
            };
            format!("it does not fit into {memory}; with {flags} it needs {}{tokens}", print::bytes(total))
        }
        _ => format!("it does not fit into {memory}, whatever the flags; use a smaller --max-length or model"),
    }
}

/// Bytes, or a number with a unit: GiB and GB, or G for GiB, as for M and T.
fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "m" | "mib" => f64::from(1 << 20),
        "g" | "gib" => f64::from(1 << 30),
        "t" | "tib" => f64::from(1 << 20) * f64::from(1 << 20),
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        _ => return Err(format!("{unit:?} is not a unit; use MiB, GiB, MB or GB")),
    };
    let number: f64 = number.parse().map_err(|_| "it must begin with a number, as in 24GiB".to_owned())?;
    Ok((number * scale) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        let size = |text| parse_size(text).unwrap();
        assert_eq!([size("24GiB"), size("24G"), size("24 gib")], [24 << 30; 3]);
        assert_eq!(
            [size("1.5GB"), size("512MiB"), size("1000"), size("2TiB")],
            [1_500_000_000, 512 << 20, 1000, 2 << 40]
        );
        assert!(parse_size("24 cards").unwrap_err().contains("is not a unit"));
        assert!(parse_size("GiB").is_err() && parse_size("1.2.3GB").is_err() && parse_size("").is_err());
    }
}
