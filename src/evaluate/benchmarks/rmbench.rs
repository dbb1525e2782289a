//! RM-Bench (Liu et al., 2025): chosen and rejected responses in three styles each.
//!
//! Rows: `id`, `prompt`, `chosen` and `rejected` (three styles each), one file per part (`chat_filtered.json`, …), or one
//! file for all parts, whose rows name theirs as `domain`.
//!
//! Scores are listed chosen, then rejected, each concise, detailed plain text, detailed Markdown. The pairs are those of
//! the normal difficulty: responses of the same style. Ids are unique within a part, so the id of an item is `chat:8`.

use std::path::{Path, PathBuf};

use super::definition::Definition;
use super::part::{Benchmark, Part, mean_of_all, measure};
use super::published::Table;
use crate::Result;
use crate::evaluate::items::{Fields, Item, files};
use crate::statistics::Units;

pub(super) const SUITE: Definition = Definition {
    files: of_benchmark,
    measure: Some(|items, scores, bootstrap| measure(&benchmark(items, scores), bootstrap)),
    published: Table::wild_reward(&[
        ("easy", &[82.0, 83.5, 70.5, 92.1]),
        ("normal", &[77.0, 78.4, 74.2, 80.0]),
        ("hard", &[68.6, 69.7, 49.3, 54.0]),
    ]),
    ..Definition::new("rmbench", "RM-Bench", |file, record, _| item(file, Fields::new(record)).map(Ok))
};

const STYLES: usize = 3;

/// The part that a file holds, by its name.
fn part(file: &Path) -> Option<RmBenchFile> {
    let stem = files::stem(file);
    RmBenchFile::from_name(stem.strip_suffix("_filtered").unwrap_or(&stem))
}

/// The parts of the benchmark, where some are among the files; its folder also holds a file of all of them.
fn of_benchmark(files: Vec<PathBuf>) -> Vec<PathBuf> {
    match files.iter().any(|file| part(file).is_some()) {
        true => files.into_iter().filter(|file| part(file).is_some()).collect(),
        false => files,
    }
}

fn item(file: &Path, mut fields: Fields) -> Result<Item> {
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

fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> RmBench {
    let prompt = |(item, scores): (&Item, &Vec<f64>)| {
        Some(RmBenchPrompt {
            file: RmBenchFile::from_name(&item.source)?,
            chosen: [scores[0], scores[1], scores[2]],
            rejected: [scores[3], scores[4], scores[5]],
        })
    };
    RmBench::new(items.iter().zip(scores).filter_map(prompt).collect())
}

/// The files that the benchmark comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum RmBenchFile {
    /// Chat.
    Chat,
    /// Math.
    Math,
    /// Code.
    Code,
    /// Safety: what should be refused.
    SafetyRefuse,
    /// Safety: what should be answered.
    SafetyResponse,
}

impl RmBenchFile {
    /// The name that the data set uses.
    fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Math => "math",
            Self::Code => "code",
            Self::SafetyRefuse => "safety-refuse",
            Self::SafetyResponse => "safety-response",
        }
    }

    /// The file of that name.
    fn from_name(name: &str) -> Option<Self> {
        DOMAINS.iter().flat_map(|(_, files)| files.iter().copied()).find(|file| file.name() == name)
    }
}

/// Domains and the files that are pooled in them.
const DOMAINS: [(&str, &[RmBenchFile]); 4] = [
    ("chat", &[RmBenchFile::Chat]),
    ("math", &[RmBenchFile::Math]),
    ("code", &[RmBenchFile::Code]),
    ("safety", &[RmBenchFile::SafetyRefuse, RmBenchFile::SafetyResponse]),
];

/// A prompt with the scores of its responses, by style: concise, detailed plain text, detailed Markdown.
#[derive(Clone, Copy, Debug, PartialEq)]
struct RmBenchPrompt {
    /// The file it is from.
    file: RmBenchFile,
    /// Scores of the chosen responses.
    chosen: [f64; 3],
    /// Scores of the rejected responses.
    rejected: [f64; 3],
}

/// Shares `[i][j]` of prompts whose chosen response of style i scores strictly above the rejected one of style j.
type StyleMatrix = [[f64; 3]; 3];

/// RM-Bench with scores.
///
/// Hard is above the diagonal of the matrix (the rejected response is the more elaborate), normal the diagonal, easy
/// below it. The total is the mean over domains of the mean of the three. A domain without a prompt, or safety without
/// one of its two files, is named, and then neither the total nor the mean difficulties are shown.
#[derive(Clone, Debug)]
struct RmBench {
    prompts: Vec<RmBenchPrompt>,
}

impl RmBench {
    /// Takes prompts for scoring.
    fn new(prompts: Vec<RmBenchPrompt>) -> Self {
        Self { prompts }
    }

    /// The matrix of the prompts of some files, each counted `weights` times. `None` when there is none.
    fn matrix(&self, files: &[RmBenchFile], weights: &[u32]) -> Option<StyleMatrix> {
        let mut counts = [[0u64; 3]; 3];
        let mut total = 0;
        for (prompt, &weight) in self.prompts.iter().zip(weights).filter(|(prompt, _)| files.contains(&prompt.file)) {
            total += u64::from(weight);
            for (row, chosen) in counts.iter_mut().zip(prompt.chosen) {
                for (count, rejected) in row.iter_mut().zip(prompt.rejected) {
                    *count += u64::from(weight) * u64::from(chosen > rejected);
                }
            }
        }
        (total > 0).then(|| counts.map(|row| row.map(|count| count as f64 / total as f64)))
    }

    fn count(&self, files: &[RmBenchFile]) -> usize {
        self.prompts.iter().filter(|prompt| files.contains(&prompt.file)).count()
    }
}

/// Hard, normal and easy of a matrix.
fn difficulties(m: StyleMatrix) -> [f64; 3] {
    [(m[0][1] + m[0][2] + m[1][2]) / 3.0, (m[0][0] + m[1][1] + m[2][2]) / 3.0, (m[1][0] + m[2][0] + m[2][1]) / 3.0]
}

/// A part that is the mean of a hard, a normal and an easy one.
fn of_difficulties(name: &str, n: usize, values: [Option<f64>; 3]) -> Part {
    let parts = ["hard", "normal", "easy"].into_iter().zip(values);
    Part::new(name, n, mean_of_all(values), Some(0.5))
        .with_parts(parts.map(|(name, value)| Part::new(name, n, value, Some(0.5))).collect())
}

impl Benchmark for RmBench {
    fn units(&self) -> Units {
        Units::rows(self.prompts.len()).stratified(self.prompts.iter().map(|prompt| prompt.file))
    }

    fn score(&self, weights: &[u32]) -> Part {
        let (mut domains, mut values, mut missing) = (vec![], vec![], vec![]);
        for (name, files) in DOMAINS {
            let n = self.count(files);
            let absent: Vec<&str> = files.iter().filter(|file| self.count(&[**file]) == 0).map(|f| f.name()).collect();
            let of_domain = match self.matrix(files, weights) {
                Some(matrix) => difficulties(matrix).map(Some),
                None => [None; 3],
            };
            values.push(of_domain);
            if n > 0 {
                missing.extend_from_slice(&absent);
                domains.push(of_difficulties(name, n, of_domain).missing(absent));
            } else {
                missing.push(name);
            }
        }
        let mean = |difficulty: usize| {
            mean_of_all(values.iter().map(|of_domain| of_domain[difficulty])).filter(|_| missing.is_empty())
        };
        let mut tree = of_difficulties("RM-Bench", self.prompts.len(), [mean(0), mean(1), mean(2)]).missing(missing);
        tree.parts.extend(domains);
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Bootstrap;

    const ALL: [RmBenchFile; 5] = [
        RmBenchFile::Chat,
        RmBenchFile::Math,
        RmBenchFile::Code,
        RmBenchFile::SafetyRefuse,
        RmBenchFile::SafetyResponse,
    ];

    fn prompt(file: RmBenchFile, chosen: [f64; 3], rejected: [f64; 3]) -> RmBenchPrompt {
        RmBenchPrompt { file, chosen, rejected }
    }

    #[test]
    fn the_matrix_by_hand() {
        // A model that scores by style alone, with ties on the diagonal, beside one that is always right.
        let bench = RmBench::new(vec![
            prompt(RmBenchFile::Chat, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
            prompt(RmBenchFile::Chat, [9.0; 3], [0.0; 3]),
        ]);
        let matrix = bench.matrix(&[RmBenchFile::Chat], &[1, 1]).unwrap();
        assert_eq!(matrix, [[0.5, 0.5, 0.5], [1.0, 0.5, 0.5], [1.0, 1.0, 0.5]]);
        assert_eq!(difficulties(matrix), [0.5, 0.5, 1.0]);
        assert_eq!(bench.matrix(&[RmBenchFile::Chat], &[0, 1]).unwrap(), [[1.0; 3]; 3]);
        assert_eq!(bench.matrix(&[RmBenchFile::Math], &[1, 1]), None);
    }

    #[test]
    fn chosen_is_the_row_and_rejected_the_column() {
        // Only the concise chosen response is good enough, and only against the Markdown rejected one: hard.
        let bench = RmBench::new(vec![prompt(RmBenchFile::Math, [1.0, 0.0, 0.0], [5.0, 5.0, 0.0])]);
        assert_eq!(bench.matrix(&[RmBenchFile::Math], &[1]).unwrap(), [[0.0, 0.0, 1.0], [0.0; 3], [0.0; 3]]);
        let tree = bench.score(&[1]);
        assert_eq!(tree.get(&["math", "hard"]).unwrap().estimate.value, Some(1.0 / 3.0));
        assert_eq!(tree.get(&["math", "easy"]).unwrap().estimate.value, Some(0.0));
    }

    #[test]
    fn safety_is_pooled_and_domains_weigh_alike() {
        let mut prompts: Vec<RmBenchPrompt> = ALL.map(|file| prompt(file, [1.0; 3], [0.0; 3])).to_vec();
        prompts.extend([prompt(RmBenchFile::SafetyRefuse, [0.0; 3], [1.0; 3]); 2]);
        let tree = measure(&RmBench::new(prompts), &Bootstrap::default());
        assert_eq!(tree.get(&["safety"]).unwrap().estimate.value, Some(0.5));
        assert_eq!((tree.estimate.value, tree.get(&["hard"]).unwrap().estimate.value), (Some(0.875), Some(0.875)));
        assert!(tree.missing.is_empty() && tree.estimate.interval.is_some());
    }

    #[test]
    fn a_missing_domain_or_file_is_named_and_there_is_no_total() {
        let prompts = vec![
            prompt(RmBenchFile::Chat, [1.0; 3], [0.0; 3]),
            prompt(RmBenchFile::Code, [1.0; 3], [0.0; 3]),
            prompt(RmBenchFile::SafetyRefuse, [1.0; 3], [0.0; 3]),
        ];
        let tree = measure(&RmBench::new(prompts), &Bootstrap::default());
        assert_eq!((tree.estimate.value, tree.get(&["easy"]).unwrap().estimate.value), (None, None));
        assert_eq!(tree.missing, ["math", "safety-response"]);
        assert_eq!(tree.get(&["safety"]).unwrap().missing, ["safety-response"]);
        assert_eq!(tree.get(&["chat"]).unwrap().estimate.value, Some(1.0));
        assert_eq!(measure(&RmBench::new(vec![]), &Bootstrap::default()).missing, ["chat", "math", "code", "safety"]);
    }

    #[test]
    fn files_have_the_names_of_the_data_set() {
        for file in ALL {
            assert_eq!(RmBenchFile::from_name(file.name()), Some(file));
        }
        assert_eq!(RmBenchFile::from_name("safety"), None);
    }
}
