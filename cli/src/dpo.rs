//! `wgr dpo`, offline on pairs and online on prompts.

use std::ops::Not;
use std::path::{Path, PathBuf};

use serde::Serialize;
use wgr::dpo::online::{self, OnlineConfig, OnlineSummary};
use wgr::dpo::{DpoConfig, dpo};
use wgr::kernels::Passes;
use wgr::{Error, Ranks, Result};

use crate::flags;
use crate::lora::LoraArgs;
use crate::session;
use crate::settings::{DeviceArgs, OutputArgs, Settings};
use crate::trainer::{self, TrainerArgs};

/// Flags of `wgr dpo`; a flag that is not given is left out of the serialized form, so that the file or
/// the default applies.
#[derive(Debug, clap::Args, Serialize)]
#[command(allow_negative_numbers = true)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Args {
    /// Model to train: a directory, a `.gguf` file, the config `.json` of a new model, or a hub name (owner/name)
    #[arg(long, value_name = "MODEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    /// Preference pairs, JSONL, JSON or parquet
    #[arg(long, num_args = 1.., value_name = "FILE", conflicts_with = "online")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data: Vec<PathBuf>,
    /// Reference model [default: the initial policy]
    #[arg(long, value_name = "MODEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// Folder for the reference model's log-probabilities, to share them between runs [default: the output]
    #[arg(long, value_name = "DIR", conflicts_with = "online")]
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_cache: Option<PathBuf>,
    /// Loss function
    #[arg(long, value_parser = ["sigmoid", "cdpo", "robust", "hinge", "ipo", "simpo", "orpo", "apo_zero", "nca_pair"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<String>,
    /// Beta: factor of the log-probability ratios
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    beta: Option<f64>,
    /// Assumed share of pairs with swapped labels, for cdpo and robust
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    label_smoothing: Option<f64>,
    /// Weight of the chosen completion's negative log-likelihood, which is added to the loss
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sft_weight: Option<f64>,
    /// Target reward margin, for simpo
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    simpo_gamma: Option<f64>,
    #[command(flatten)]
    #[serde(flatten)]
    online: OnlineArgs,
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
    config: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    show: OutputArgs,
}

/// Flags of online DPO only.
#[derive(Debug, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
struct OnlineArgs {
    /// Learn from the policy's own completions, rated by a reward model; the default of --lr is then 5e-7
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    online: bool,
    /// Prompts to complete, JSONL, JSON or parquet
    #[arg(long, num_args = 1.., value_name = "FILE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prompts: Vec<PathBuf>,
    /// Reward model that rates completions, or the address of a reward server
    #[arg(long, value_name = "MODEL|URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<String>,
    /// Prompt template of the reward model, instead of the one saved with it or the built-in one
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<PathBuf>,
    /// Meaning of the outputs of the reward model's head if the model does not say
    #[arg(long, value_parser = ["scalar", "ordinal"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    /// Completions per prompt; the best and the worst of them form a pair
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rollouts: Option<usize>,
    /// Sampling temperature
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    /// Sample from the most likely tokens whose probabilities add up to this share
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    /// Sample from the N most likely tokens; 0 for all
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<usize>,
    /// Sample from tokens with at least this share of the most likely token's probability
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f64>,
    /// Maximum tokens per completion
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_new_tokens: Option<usize>,
    /// Minimum difference of rewards that makes a pair
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    min_margin: Option<f64>,
    /// Stop when the KL divergence from the reference model exceeds this, in nats per completion
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_kl: Option<f64>,
}

/// Trains, and saves the settings as `wgr.toml` in the output.
pub(crate) async fn run(args: &Args, ranks: &Ranks) -> Result<()> {
    match is_online(args.config.as_deref(), args)? {
        true => run_online(args, ranks).await,
        false => run_offline(args, ranks).await,
    }
}

/// Whether a flag or the file says so.
fn is_online(file: Option<&Path>, args: &Args) -> Result<bool> {
    let settings = Settings::<toml::Table>::resolve(file, args)?.config;
    if settings.get("online").and_then(toml::Value::as_bool) == Some(true) {
        return Ok(true);
    }
    match online_only().into_iter().find(|name| settings.contains_key(name)) {
        Some(name) => Err(Error::input(format!("--{name}"), "is a setting of online DPO", "add --online")),
        None => Ok(false),
    }
}

/// The settings that only online DPO has.
fn online_only() -> Vec<String> {
    let given = OnlineArgs {
        online: false,
        prompts: vec![PathBuf::new()],
        reward: Some(String::new()),
        template: Some(PathBuf::new()),
        head: Some(String::new()),
        rollouts: Some(0),
        temperature: Some(0.0),
        top_p: Some(0.0),
        top_k: Some(0),
        min_p: Some(0.0),
        max_new_tokens: Some(0),
        min_margin: Some(0.0),
        max_kl: Some(0.0),
    };
    toml::Table::try_from(given).map(|table| table.into_iter().map(|(name, _)| name).collect()).unwrap_or_default()
}

/// The defaults of these settings, for the help.
pub(crate) fn online_defaults() -> toml::Table {
    let all = toml::Table::try_from(OnlineConfig::default()).unwrap_or_default();
    let names = online_only();
    all.into_iter().filter(|(name, _)| names.contains(name)).collect()
}

async fn run_online(args: &Args, ranks: &Ranks) -> Result<()> {
    let settings = Settings::<OnlineConfig>::resolve(args.config.as_deref(), args)?;
    settings.config.validate()?;
    let show = &args.show.of(ranks);
    trainer::note_changes(&settings, &settings.config.trainer, show)?;
    let mut summary = {
        let passes = Passes::ForwardAndBackward;
        let (gpu, mut progress) = session::open_on(ranks, &settings.adapter, passes, show).await?;
        online::train(&gpu, ranks, &settings.config, &mut progress).await?
    };
    flags::in_readings(summary.reading.iter_mut().chain(&mut summary.reward_reading));
    flags::in_texts(&mut summary.warnings);
    let output = &settings.config.trainer.output;
    trainer::conclude(&settings, output, show, ranks, &summary, &describe(&summary, output), summary.interrupted)
}

fn describe(summary: &OnlineSummary, output: &Path) -> String {
    let OnlineSummary { steps, pairs, skipped, .. } = summary;
    let mut text = format!(
        "{}: {steps} steps, {pairs} pairs, {} prompts without a pair ({} ties, {} small margins, {} identical)",
        output.display(),
        skipped.total(),
        skipped.ties,
        skipped.small_margins,
        skipped.identical
    );
    let between = [
        ("mean reward, first to last step", summary.first_score, summary.last_score),
        ("mean reward of held-out prompts, before and after", summary.held_out_before, summary.held_out_after),
    ];
    for (name, before, after) in between {
        if let (Some(before), Some(after)) = (before, after) {
            text.push_str(&format!("\n  {name}: {before:.4} {after:.4}"));
        }
    }
    if let Some(kl) = summary.kl {
        text.push_str(&format!("\n  KL divergence from the reference model: {kl:.4} nats per completion"));
    }
    text
}

async fn run_offline(args: &Args, ranks: &Ranks) -> Result<()> {
    let settings = Settings::<DpoConfig>::resolve(args.config.as_deref(), args)?;
    settings.config.validate()?;
    let show = &args.show.of(ranks);
    trainer::note_changes(&settings, &settings.config.trainer, show)?;
    let mut summary = {
        let passes = Passes::ForwardAndBackward;
        let (gpu, mut progress) = session::open_on(ranks, &settings.adapter, passes, show).await?;
        dpo(&gpu, ranks, &settings.config, &mut progress).await?
    };
    flags::in_readings(&mut summary.training.reading);
    flags::in_texts(&mut summary.warnings);
    let output = &settings.config.trainer.output;
    trainer::conclude(
        &settings,
        output,
        show,
        ranks,
        &summary,
        &trainer::describe(&summary.training, output),
        summary.training.interrupted,
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
                     --resume --force --seed 11 --lora-rank 8 --lora-alpha 32 --lora-dropout 0.25 \
                     --lora-targets q_proj,v_proj --lora-rslora --shard-optimizer --sync-every 5 --base-dtype bf16 --adapter 0 --backend vulkan";
        let config = toml::Table::try_from(resolve(&flags.split_whitespace().collect::<Vec<_>>())).unwrap();
        let defaults = toml::Table::try_from(DpoConfig::default()).unwrap();
        for (name, value) in &config {
            assert_ne!(Some(value), defaults.get(name), "{name}");
        }
        assert_eq!(config.len(), 37, "a setting that is absent without its flag is still absent");
    }

    #[test]
    fn online_settings_have_flags_of_their_own() {
        let flags = "--online --policy p --reference r --loss ipo --beta 0.5 --label-smoothing 0.25 --sft-weight 1 \
                     --simpo-gamma 2 --prompts a b --reward m --template t --head scalar --rollouts 4 --temperature 0.5 --top-p 0.5 --top-k 9 \
                     --min-p 0.25 --max-new-tokens 7 --min-margin 0.5 --max-kl 3 --output o --lr 0.5";
        let command = Command::try_parse_from(std::iter::once("dpo").chain(flags.split_whitespace())).unwrap();
        assert!(is_online(None, &command.args).unwrap());
        let config = Settings::<OnlineConfig>::resolve(None, &command.args).unwrap().config;
        let (config, defaults) =
            (toml::Table::try_from(config).unwrap(), toml::Table::try_from(OnlineConfig::default()).unwrap());
        let mut shared = toml::Table::try_from(DpoConfig::default().trainer).unwrap();
        shared.extend(toml::Table::try_from(DpoConfig::default().lora).unwrap());
        for (name, value) in config.iter().filter(|(name, _)| !shared.contains_key(*name) && *name != "online") {
            assert_ne!(Some(value), defaults.get(name), "{name}");
        }
        for name in online_only() {
            assert!(config.contains_key(&name), "{name}");
        }
    }

    #[test]
    fn online_is_said_by_a_flag_or_a_file() {
        let parse = |flags: &[&str]| Command::try_parse_from([&["dpo"], flags].concat());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "online = true\nprompts = ['a']").unwrap();
        let nothing = parse(&[]).unwrap().args;
        assert!(is_online(Some(file.path()), &nothing).unwrap() && !is_online(None, &nothing).unwrap());
        let error = is_online(None, &parse(&["--rollouts", "4"]).unwrap().args).unwrap_err();
        assert!(error.to_string().starts_with("--rollouts: ") && error.exit_code() == 2, "{error}");
        assert!(parse(&["--online", "--data", "a"]).is_err());
    }

    #[test]
    fn every_choice_that_a_flag_offers_exists() {
        let command = <Command as clap::CommandFactory>::command();
        for name in ["loss", "schedule", "precision", "checkpointing", "base-dtype"] {
            let flag = command.get_arguments().find(|arg| arg.get_long() == Some(name)).unwrap();
            for choice in flag.get_possible_values() {
                resolve(&[&format!("--{name}"), choice.get_name()]);
            }
        }
    }
}
