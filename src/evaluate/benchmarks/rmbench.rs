//! RM-Bench (Liu et al., 2025): chosen and rejected responses in three styles each.

use serde::Serialize;

use super::{Benchmark, Part, mean_of_all};
use crate::statistics::Units;

/// The files that the benchmark comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RmBenchFile {
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
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Math => "math",
            Self::Code => "code",
            Self::SafetyRefuse => "safety-refuse",
            Self::SafetyResponse => "safety-response",
        }
    }

    /// The file of that name.
    pub fn from_name(name: &str) -> Option<Self> {
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
pub struct RmBenchPrompt {
    /// The file it is from.
    pub file: RmBenchFile,
    /// Scores of the chosen responses.
    pub chosen: [f64; 3],
    /// Scores of the rejected responses.
    pub rejected: [f64; 3],
}

/// Shares `[i][j]` of prompts whose chosen response of style i scores strictly above the rejected one of style j.
pub type StyleMatrix = [[f64; 3]; 3];

/// RM-Bench with scores.
///
/// Hard is above the diagonal of the matrix (the rejected response is the more elaborate), normal the diagonal, easy
/// below it. The total is the mean over domains of the mean of the three. A domain without a prompt, or safety without
/// one of its two files, is named, and then neither the total nor the mean difficulties are shown.
#[derive(Clone, Debug)]
pub struct RmBench {
    prompts: Vec<RmBenchPrompt>,
}

impl RmBench {
    /// Takes prompts for scoring.
    pub fn new(prompts: Vec<RmBenchPrompt>) -> Self {
        Self { prompts }
    }

    /// The matrix of the prompts of some files, each counted `weights` times. `None` when there is none.
    pub fn matrix(&self, files: &[RmBenchFile], weights: &[u32]) -> Option<StyleMatrix> {
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

    /// The matrices of the domains at hand, unweighted.
    pub fn matrices(&self) -> Vec<(&'static str, StyleMatrix)> {
        let ones = self.units().ones();
        DOMAINS.into_iter().filter_map(|(name, files)| Some((name, self.matrix(files, &ones)?))).collect()
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
    use crate::evaluate::benchmarks::measure;
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
        assert_eq!(bench.matrices().len(), 1);
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
            assert_eq!(serde_json::to_value(file).unwrap(), file.name());
        }
        assert_eq!(RmBenchFile::from_name("safety"), None);
    }
}
