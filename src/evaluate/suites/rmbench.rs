//! RM-Bench: `id`, `prompt`, `chosen` and `rejected` (three styles each), one file per part (`chat_filtered.json`, …),
//! or one file for all parts, whose rows name theirs as `domain`.
//!
//! Scores are listed chosen, then rejected, each concise, detailed plain text, detailed Markdown. The pairs are those of
//! the normal difficulty: responses of the same style. Ids are unique within a part, so the id of an item is `chat:8`.

use std::path::{Path, PathBuf};

use super::{Fields, Item, files};
use crate::Result;
use crate::evaluate::benchmarks::RmBench;
use crate::evaluate::benchmarks::rmbench::{RmBenchFile, RmBenchPrompt};

const STYLES: usize = 3;

/// The part that a file holds, by its name.
fn part(file: &Path) -> Option<RmBenchFile> {
    let stem = files::stem(file);
    RmBenchFile::from_name(stem.strip_suffix("_filtered").unwrap_or(&stem))
}

/// The parts of the benchmark, where some are among the files; its folder also holds a file of all of them.
pub fn of_benchmark(files: Vec<PathBuf>) -> Vec<PathBuf> {
    match files.iter().any(|file| part(file).is_some()) {
        true => files.into_iter().filter(|file| part(file).is_some()).collect(),
        false => files,
    }
}

pub fn item(file: &Path, mut fields: Fields) -> Result<Item> {
    let named = match fields.optional("domain")? {
        Some(domain) => RmBenchFile::from_name(&domain),
        None => part(file),
    };
    let Some(named) = named else {
        let hint = "files are called chat_filtered.json, math_filtered.json, code_filtered.json, \
                    safety-refuse_filtered.json and safety-response_filtered.json, or rows have a `domain`";
        return Err(fields.wrong("it is unclear which part of RM-Bench this is", hint));
    };
    let own_id = fields.id("id")?;
    let prompt = fields.text("prompt")?;
    let (chosen, rejected) = (fields.texts("chosen")?, fields.texts("rejected")?);
    for (name, responses) in [("chosen", &chosen), ("rejected", &rejected)] {
        if responses.len() != STYLES {
            let problem = format!("`{name}` holds {} responses", responses.len());
            return Err(fields.wrong(problem, "RM-Bench has three styles of each"));
        }
    }
    let responses = [chosen, rejected].concat();
    let id = format!("{}:{own_id}", named.name());
    Ok(Item {
        own_id,
        correct: [[true; STYLES], [false; STYLES]].concat(),
        pairs: (0..STYLES).map(|style| [style, style + STYLES]).collect(),
        ..Item::of_prompt(id, &fields, &prompt, responses, named.name().to_owned())
    })
}

pub fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> RmBench {
    let prompt = |(item, scores): (&Item, &Vec<f64>)| {
        Some(RmBenchPrompt {
            file: RmBenchFile::from_name(&item.source)?,
            chosen: [scores[0], scores[1], scores[2]],
            rejected: [scores[3], scores[4], scores[5]],
        })
    };
    RmBench::new(items.iter().zip(scores).filter_map(prompt).collect())
}
