//! `wgr serve`.

use std::ops::Not;
use std::path::PathBuf;

use serde::Serialize;
use wgr::{Event, Observer, Result};
use wgr_serve::{DEVICE_THREADS, ServeConfig, serve};

use crate::settings::{BaseArgs, DeviceArgs, Settings};
use crate::{flags, print, progress};

/// Flags of `wgr serve`; a flag that is not given is left out of the serialized form, so that the file or
/// the default applies.
#[derive(Debug, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Args {
    /// Reward model: a directory, a `.gguf` file or a hub name (owner/name)
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Causal model that completes prompts: a directory, a `.gguf` file or a hub name (owner/name)
    #[arg(long, value_name = "MODEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    generate: Option<String>,
    /// Address to listen on
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// Port to listen on; 0 takes a free one
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Environment variable that holds the key clients must send
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_env: Option<String>,
    /// Listen on other hosts than loopback without a key
    #[arg(long)]
    #[serde(skip_serializing_if = "Not::not")]
    no_auth: bool,
    /// Maximum row length in tokens
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<usize>,
    /// Longer rows lose their oldest messages first, as in training, or are refused
    #[arg(long, value_parser = ["oldest", "error"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<String>,
    /// Maximum tokens per batch; a single longer row gets a batch of its own
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_batch_tokens: Option<usize>,
    /// Maximum rows that wait or are being scored; beyond it clients are asked to come again
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_queue: Option<usize>,
    /// What /classify answers as `probs`: the score alone, or P(y > k) for every threshold k
    #[arg(long, value_parser = ["score", "thresholds"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    classify: Option<String>,
    /// Folder of the models that /v1/reload may load; without it nothing can be reloaded
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    reload_root: Option<PathBuf>,
    /// Prompt template, instead of the one saved with the model
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<PathBuf>,
    /// Meaning of the head's outputs if the model does not say: one logit that is the score, or one logit per threshold
    #[arg(long, value_parser = ["scalar", "ordinal"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    #[serde(flatten)]
    device: DeviceArgs,
    /// TOML file with these settings; flags override it
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Print errors and the address only
    #[arg(long)]
    #[serde(skip)]
    quiet: bool,
}

/// Serves until it is told to end.
pub(crate) fn run(args: &Args) -> Result<()> {
    let settings = Settings::<ServeConfig>::resolve(args.config.as_deref(), args)?;
    // A request that panics is answered as a failure; only without a device is the server of no use.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match std::thread::current().name() {
        Some(name) if DEVICE_THREADS.contains(&name) => report(panic),
        _ => print::bug(panic),
    }));
    serve(&settings.config, &settings.adapter, Box::new(Lines { quiet: args.quiet }))
}

/// Prints what is worth a line. The signals belong to the server, so there is no bar that listens to them.
struct Lines {
    quiet: bool,
}

impl Observer for Lines {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Note(line) if !self.quiet => print::note(&flags::in_text(line)),
            Event::Planned(plan) if !self.quiet => {
                progress::weights_line(plan).iter().for_each(|line| print::note(line));
                print::note(&format!("{} of device memory planned", print::bytes(plan.total())));
            }
            _ => {}
        }
    }
}
