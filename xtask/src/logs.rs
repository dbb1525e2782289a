//! `cargo xtask logs`: synthetic conversations in the format of WildChat, to measure extraction with.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::chats::{Logs, Style, write_jsonl, write_parquet};

/// The format of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// As WildChat comes.
    Parquet,
    /// One JSON object a line.
    Jsonl,
}

/// Writes `conversations` in `shards` files of about equal length.
pub(crate) fn run(conversations: u64, output: &Path, seed: u64, shards: u64, format: Format) -> Result<()> {
    ensure!(shards > 0, "--shards is 0: use at least 1");
    std::fs::create_dir_all(output).with_context(|| format!("{} cannot be made", output.display()))?;
    let logs = Logs { seed, style: Style::Long };
    for shard in 0..shards {
        let start = Instant::now();
        let edge = |shard: u64| (u128::from(conversations) * u128::from(shard) / u128::from(shards)) as u64;
        let part = edge(shard)..edge(shard + 1);
        let (ending, write) = match format {
            Format::Parquet => ("parquet", write_parquet as fn(&Path, &Logs, std::ops::Range<u64>) -> Result<()>),
            Format::Jsonl => ("jsonl", write_jsonl as _),
        };
        let path = output.join(format!("train-{shard:05}-of-{shards:05}.{ending}"));
        let count = part.end - part.start;
        write(&path, &logs, part)?;
        println!("{}: {count} conversations in {:.1} s", path.display(), start.elapsed().as_secs_f64());
    }
    Ok(())
}
