//! M-RewardBench: `id`, `prompt`, `chosen`, `rejected`, `language`, and `source`, the subset of RewardBench
//! (`C4AI-Community/multilingual-reward-bench`, one folder per language); pairs of translations have a `subset` instead
//! (its folder `translation`).
//!
//! Scores are listed chosen, rejected. If the file, or a folder around it, is named after a language (`arb_Arab`), that
//! is its language; otherwise the row names it. Languages share their ids, so the id of an item is `arb_Arab:<id>`, or
//! `translation:<id>`.

use std::path::Path;

use super::{Fields, Item, files};
use crate::Result;
use crate::evaluate::benchmarks::MRewardBench;
use crate::evaluate::benchmarks::mrewardbench::{MRewardBenchPair, language_code};

/// The field of RewardBench's subset; older files have the second name.
const SUBSET: [&str; 2] = ["source", "subset"];
/// How subsets of translations begin, and how they did before they were published (they are of MAPLE).
const TRANSLATION: [&str; 2] = ["translation", "maple"];

pub fn item(file: &Path, mut fields: Fields) -> Result<Item> {
    let own_id = fields.id("id")?;
    let (name, value) = fields.any(&SUBSET)?;
    let Some(subset) = value.as_str().map(str::to_owned) else { return Err(fields.not(name, &value, "a text")) };
    let is_translation = TRANSLATION.iter().any(|beginning| subset.starts_with(beginning));
    let named = fields.optional("language")?;
    let language = match is_translation {
        true => None,
        false => Some(of_path(file).or_else(|| named.map(language_code)).ok_or_else(|| {
            let hint = "name the file, or the folder it is in, after the language, such as arb_Arab";
            fields.wrong("the row has no `language`", hint)
        })?),
    };
    let prompt = fields.text("prompt")?;
    let responses = vec![fields.text("chosen")?, fields.text("rejected")?];
    let part = language.as_deref().unwrap_or(TRANSLATION[0]);
    let id = format!("{part}:{own_id}");
    // A prompt has one id in all languages; those of translations are numbered anew.
    let unit = if is_translation { id.clone() } else { own_id.clone() };
    Ok(Item { own_id, language, unit, ..Item::of_prompt(id, &fields, &prompt, responses, subset).decided_for(0) })
}

/// The language that the file or the nearest folder is named after.
fn of_path(file: &Path) -> Option<String> {
    let folders = file.parent().into_iter().flatten().rev().map(|part| part.to_string_lossy().into_owned());
    std::iter::once(files::stem(file)).chain(folders).find(|name| is_code(name))
}

/// Whether a name is a language and its script, as FLORES-200 writes them: `arb_Arab`.
fn is_code(name: &str) -> bool {
    let lower = |part: &str| part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let Some((language, script)) = name.split_once('_') else { return false };
    let Some(rest) = script.strip_prefix(|first: char| first.is_ascii_uppercase()) else { return false };
    lower(language) && lower(rest)
}

pub fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> MRewardBench {
    let pair = |(item, scores): (&Item, &Vec<f64>)| MRewardBenchPair {
        language: item.language.clone(),
        subset: item.source.clone(),
        prompt: item.unit.clone(),
        chosen: scores[0],
        rejected: scores[1],
    };
    MRewardBench::new(&items.iter().zip(scores).map(pair).collect::<Vec<_>>())
}
