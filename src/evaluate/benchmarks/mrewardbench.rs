//! M-RewardBench (Gureja et al., 2024): RewardBench in 23 languages, and pairs of translations.
//!
//! Rows: `id`, `prompt`, `chosen`, `rejected`, `language`, and `source`, the subset of RewardBench
//! (`C4AI-Community/multilingual-reward-bench`, one folder per language); pairs of translations have a `subset` instead
//! (its folder `translation`).
//!
//! Scores are listed chosen, rejected. If the file, or a folder around it, is named after a language (`arb_Arab`), that
//! is its language; otherwise the row names it. Languages share their ids, so the id of an item is `arb_Arab:<id>`, or
//! `translation:<id>`.

use std::path::Path;

use super::definition::Definition;
use super::groups::Groups;
use super::part::{Benchmark, Part, indicator, mean_of_all, measure};
use super::published::Table;
use super::sections::{Section, Sections};
use crate::Result;
use crate::evaluate::items::{Fields, Item, files};
use crate::statistics::{Units, weighted};

pub(super) const SUITE: Definition = Definition {
    measure: Some(|items, scores, bootstrap| measure(&benchmark(items, scores), bootstrap)),
    published: PUBLISHED,
    ..Definition::new("m-rewardbench", "M-RewardBench", |file, record, _| item(file, Fields::new(record)).map(Ok))
};

/// Accuracy on pairs of translations (table 4 of the paper).
const PUBLISHED: Table = Table {
    source: "M-RewardBench, arXiv 2410.15522",
    address: "https://arxiv.org/abs/2410.15522",
    models: &["GPT-4o", "Eurus RM 7B", "URM LLaMa 3.1 8B", "BTRM Qwen 2 7B", "Tulu 2.5 13B RM"],
    parts: &[("translation", &[82.5, 80.0, 79.8, 79.0, 75.8])],
};

/// The field of RewardBench's subset; older files have the second name.
const SUBSET: [&str; 2] = ["source", "subset"];
/// How subsets of translations begin, and how they did before they were published (they are of MAPLE).
const TRANSLATION: [&str; 2] = ["translation", "maple"];

fn item(file: &Path, mut fields: Fields) -> Result<Item> {
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
    // A prompt has one id in all languages; those of translations have their own numbering.
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

fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> MRewardBench {
    let pair = |(item, scores): (&Item, &Vec<f64>)| MRewardBenchPair {
        language: item.language.clone(),
        subset: item.source.clone(),
        prompt: item.unit.clone(),
        chosen: scores[0],
        rejected: scores[1],
    };
    MRewardBench::new(&items.iter().zip(scores).map(pair).collect::<Vec<_>>())
}

/// The languages of the benchmark.
const LANGUAGES: [&str; 23] = [
    "arb_Arab", "ces_Latn", "deu_Latn", "ell_Grek", "fra_Latn", "heb_Hebr", "hin_Deva", "ind_Latn", "ita_Latn",
    "jpn_Jpan", "kor_Hang", "nld_Latn", "pes_Arab", "pol_Latn", "por_Latn", "ron_Latn", "rus_Cyrl", "spa_Latn",
    "tur_Latn", "ukr_Cyrl", "vie_Latn", "zho_Hans", "zho_Hant",
];

/// The same in two letters (table 6 of the paper), and with the country if there are two scripts.
const SHORT: [&str; 23] = [
    "ar", "cs", "de", "el", "fr", "he", "hi", "id", "it", "ja", "ko", "nl", "fa", "pl", "pt", "ro", "ru", "es", "tr",
    "uk", "vi", "zh-CN", "zh-TW",
];

/// The language as the data set names it, where it is one of the benchmark's written in two letters; else unchanged.
fn language_code(name: String) -> String {
    match SHORT.iter().position(|short| *short == name) {
        Some(place) => LANGUAGES[place].to_owned(),
        None => name,
    }
}

/// The sections of RewardBench with the numbers of prompts that were translated (`EXAMPLE_COUNTS` in the authors'
/// `analysis/plot_utils.py`); as there, the 447 rows of `math-prm` weigh as much as all code together.
const SECTIONS: [Section; 4] = [
    (
        "Chat",
        &[
            ("alpacaeval-easy", 79),
            ("alpacaeval-length", 79),
            ("alpacaeval-hard", 76),
            ("mt-bench-easy", 24),
            ("mt-bench-med", 38),
        ],
    ),
    (
        "Chat Hard",
        &[
            ("mt-bench-hard", 35),
            ("llmbar-natural", 76),
            ("llmbar-adver-neighbor", 124),
            ("llmbar-adver-GPTInst", 87),
            ("llmbar-adver-GPTOut", 42),
            ("llmbar-adver-manual", 43),
        ],
    ),
    (
        "Safety",
        &[
            ("refusals-dangerous", 100),
            ("refusals-offensive", 100),
            ("xstest-should-refuse", 154),
            ("xstest-should-respond", 247),
            ("donotanswer", 135),
        ],
    ),
    (
        "Reasoning",
        &[
            ("math-prm", 983),
            ("hep-cpp", 164),
            ("hep-go", 164),
            ("hep-java", 164),
            ("hep-js", 164),
            ("hep-python", 163),
            ("hep-rust", 164),
        ],
    ),
];

/// A pair with its scores.
#[derive(Clone, Debug, PartialEq)]
struct MRewardBenchPair {
    /// The language, as the data set names it (`arb_Arab`); `None` for a pair of translations.
    language: Option<String>,
    /// The subset, as the data set names it.
    subset: String,
    /// The prompt, whatever the language: pairs of one are drawn together.
    prompt: String,
    /// Score of the chosen response.
    chosen: f64,
    /// Score of the rejected response.
    rejected: f64,
}

/// Some of the pairs.
#[derive(Clone, Debug)]
struct Language {
    name: String,
    pairs: Vec<usize>,
    sections: Sections,
}

impl Language {
    /// The result of the language with those of its sections; 23 times all subsets would hide them.
    fn score(&self, weights: &[u32]) -> Part {
        let weights: Vec<u32> = self.pairs.iter().map(|&pair| weights[pair]).collect();
        let mut part = self.sections.score(&self.name, &weights);
        part.parts.iter_mut().take(SECTIONS.len()).for_each(|section| section.parts.clear());
        part
    }
}

/// M-RewardBench with scores: a pair is right when its chosen response scores strictly higher.
///
/// A language is scored like RewardBench: the plain mean of four sections, which weigh subsets by the translated
/// prompts. The total is the plain mean of the 23 languages, shown only if every subset of every language is present.
/// Beside it are each section's mean over the languages, and the accuracy on pairs of translations, which the total
/// leaves out. Languages that the benchmark does not have, such as English, are listed under `other` and do not count.
#[derive(Clone, Debug)]
struct MRewardBench {
    languages: Vec<Language>,
    missing: Vec<String>,
    /// Pairs of translations in their subsets, and which of all pairs they are.
    translation: (Groups, Vec<usize>),
    right: Vec<f64>,
    units: Units,
}

impl MRewardBench {
    /// Lays out pairs for scoring.
    fn new(pairs: &[MRewardBenchPair]) -> Self {
        let right = |pair: &MRewardBenchPair| pair.chosen > pair.rejected;
        let (general, translated): (Vec<usize>, Vec<usize>) =
            (0..pairs.len()).partition(|&pair| pairs[pair].language.is_some());
        let groups = Groups::new(general.iter().filter_map(|&pair| pairs[pair].language.as_deref()), &LANGUAGES);
        let language = |group: usize| {
            let pairs_of: Vec<usize> =
                general.iter().zip(&groups.of_row).filter(|(_, of)| **of == group).map(|(&pair, _)| pair).collect();
            let rows = pairs_of.iter().map(|&pair| (pairs[pair].subset.as_str(), right(&pairs[pair])));
            let sections = Sections::new(&SECTIONS, rows);
            Language { name: groups.names[group].clone(), sections, pairs: pairs_of }
        };
        let (at_hand, absent): (Vec<Language>, Vec<Language>) =
            (0..groups.names.len()).map(language).partition(|language| !language.pairs.is_empty());
        let known = at_hand.iter().filter(|language| is_known(&language.name));
        // The missing subsets of a language that is present.
        let lacks = known.filter_map(|language| {
            let missing = language.score(&vec![1; pairs.len()]).missing;
            (!missing.is_empty()).then(|| format!("{} ({})", language.name, missing.join(", ")))
        });
        let translations = Groups::new(translated.iter().map(|&pair| pairs[pair].subset.as_str()), &[]);
        Self {
            missing: absent.iter().map(|language| language.name.clone()).chain(lacks).collect(),
            translation: (translations, translated),
            right: pairs.iter().map(|pair| indicator(right(pair))).collect(),
            units: Units::grouped(pairs.iter().map(|pair| pair.prompt.as_str()))
                .stratified(pairs.iter().map(|pair| pair.subset.as_str())),
            languages: at_hand,
        }
    }

    /// The mean of a section over the languages of the benchmark.
    fn section(&self, place: usize, languages: &[Part]) -> Part {
        let of_languages: Vec<&Part> = languages.iter().map(|language| &language.parts[place]).collect();
        let n = of_languages.iter().map(|section| section.n).sum();
        let mean = mean_of_all(of_languages.iter().map(|section| section.estimate.value));
        Part::new(SECTIONS[place].0, n, mean.filter(|_| self.missing.is_empty()), Some(0.5))
    }

    /// The accuracy on pairs of translations; `None` if there are none.
    fn translation(&self, weights: &[u32]) -> Option<Part> {
        let (groups, pairs) = &self.translation;
        let weights: Vec<u32> = pairs.iter().map(|&pair| weights[pair]).collect();
        let right: Vec<f64> = pairs.iter().map(|&pair| self.right[pair]).collect();
        let means = groups.means(&right, &weights);
        let subset = |group: usize| Part::new(&groups.names[group], groups.sizes[group], means[group], Some(0.5));
        let accuracy = weighted::mean(&right, &weights);
        let part = Part::new("translation", pairs.len(), accuracy, Some(0.5));
        (!pairs.is_empty()).then(|| part.with_parts((0..groups.names.len()).map(subset).collect()))
    }
}

fn is_known(language: &str) -> bool {
    LANGUAGES.contains(&language)
}

impl Benchmark for MRewardBench {
    fn units(&self) -> Units {
        self.units.clone()
    }

    fn score(&self, weights: &[u32]) -> Part {
        let all = self.languages.iter().map(|language| language.score(weights));
        let (known, other): (Vec<Part>, Vec<Part>) = all.partition(|language| is_known(&language.name));
        let total =
            mean_of_all(known.iter().map(|language| language.estimate.value)).filter(|_| self.missing.is_empty());
        let mut parts: Vec<Part> = (0..SECTIONS.len()).map(|place| self.section(place, &known)).collect();
        parts.retain(|section| section.n > 0);
        parts.extend(known);
        parts.extend(self.translation(weights));
        if !other.is_empty() {
            parts.push(Part::new("other", other.iter().map(|part| part.n).sum(), None, None).with_parts(other));
        }
        Part::new("M-RewardBench", self.right.len(), total, Some(0.5))
            .missing(self.missing.iter().cloned())
            .with_parts(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Bootstrap;

    fn pair(language: Option<&str>, subset: &str, prompt: &str, is_right: bool) -> MRewardBenchPair {
        let (language, chosen) = (language.map(str::to_owned), f64::from(u8::from(is_right)));
        MRewardBenchPair { language, subset: subset.into(), prompt: prompt.into(), chosen, rejected: 0.0 }
    }

    /// Two prompts of every subset in some languages, the first of them right, but all in the subsets that are named.
    fn pairs(languages: &[&str], right: &[(&str, &str)]) -> Vec<MRewardBenchPair> {
        let of_language = |language: &str| {
            let subsets = SECTIONS.iter().flat_map(|(_, subsets)| subsets.iter().map(|(name, _)| *name));
            let two = |subset: &str| {
                let always = right.contains(&(language, subset));
                [true, always].map(|is_right| pair(Some(language), subset, &format!("{subset}{is_right}"), is_right))
            };
            subsets.flat_map(two).collect::<Vec<_>>()
        };
        languages.iter().flat_map(|language| of_language(language)).collect()
    }

    #[test]
    fn the_weights_add_up_to_the_published_sections() {
        let totals = SECTIONS.map(|(_, subsets)| subsets.iter().map(|(_, weight)| weight).sum::<u32>());
        // Table 1 of the paper; of 1430 prompts of Reasoning, 447 are of math-prm.
        assert_eq!(totals, [296, 407, 736, (1430 - 447) * 2]);
    }

    #[test]
    fn the_total_weighs_languages_alike() {
        let mut all = pairs(&LANGUAGES, &[("deu_Latn", "math-prm"), ("deu_Latn", "donotanswer")]);
        all.extend([
            pair(None, "translation-de2en-easy", "t0", true),
            pair(None, "translation-de2en-hard", "t1", false),
            pair(None, "translation-de2en-hard", "t2", false),
        ]);
        let tree = measure(&MRewardBench::new(&all), &Bootstrap { samples: 50, ..Bootstrap::default() });
        let value = |path: &[&str]| tree.get(path).unwrap().estimate.value.unwrap();
        let safety = 0.5 + 0.5 * 135.0 / 736.0;
        assert!((value(&["deu_Latn", "Reasoning"]) - 0.75).abs() < 1e-15);
        assert!((value(&["deu_Latn", "Safety"]) - safety).abs() < 1e-15);
        assert!((value(&["deu_Latn"]) - (1.0 + 0.75 + safety) / 4.0).abs() < 1e-15);
        assert_eq!(value(&["zho_Hant"]), 0.5);
        assert!((value(&["Reasoning"]) - (22.0 * 0.5 + 0.75) / 23.0).abs() < 1e-15);
        assert!((value(&[]) - (22.0 * 0.5 + value(&["deu_Latn"])) / 23.0).abs() < 1e-15);
        assert_eq!((value(&["translation"]), value(&["translation", "translation-de2en-hard"])), (1.0 / 3.0, 0.0));
        assert_eq!((tree.missing.len(), tree.n), (0, 23 * 46 + 3));
        assert!(tree.estimate.interval.is_some() && tree.get(&["deu_Latn", "Safety"]).unwrap().parts.is_empty());
    }

    #[test]
    fn what_is_missing_is_named_and_english_counts_nowhere() {
        let mut all = pairs(&["arb_Arab", "eng_Latn"], &[]);
        all.extend(pairs(&["ces_Latn"], &[]).into_iter().filter(|pair| !pair.subset.starts_with("hep-")));
        let tree = measure(&MRewardBench::new(&all), &Bootstrap { samples: 10, ..Bootstrap::default() });
        assert_eq!((tree.estimate.value, tree.missing.len()), (None, 22));
        assert_eq!(tree.missing[0], "deu_Latn");
        assert_eq!(tree.missing[21], "ces_Latn (hep-cpp, hep-go, hep-java, hep-js, hep-python, hep-rust)");
        let value = |path: &[&str]| tree.get(path).unwrap().estimate.value;
        assert_eq!((value(&["arb_Arab"]), value(&["ces_Latn"]), value(&["Chat"])), (Some(0.5), None, None));
        assert_eq!((value(&["ces_Latn", "Chat"]), value(&["other", "eng_Latn"])), (Some(0.5), Some(0.5)));
        assert!(tree.get(&["translation"]).is_none());
        let nothing = measure(&MRewardBench::new(&[]), &Bootstrap::default());
        assert_eq!((nothing.estimate.value, nothing.missing.len(), nothing.parts.len()), (None, 23, 0));
    }

    #[test]
    fn translations_of_a_prompt_are_drawn_together() {
        let bench = MRewardBench::new(&pairs(&["arb_Arab", "ces_Latn"], &[]));
        assert_eq!((bench.units().row_count(), bench.units().unit_count()), (2 * 46, 46));
    }
}
