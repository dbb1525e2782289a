//! Published numbers for the same benchmarks, to compare with.

use serde::Serialize;

use crate::evaluate::suites::SuiteName;

/// The source of most numbers.
const SOURCE: &str = "WildReward, arXiv 2602.08829";
const ADDRESS: &str = "https://arxiv.org/abs/2602.08829";

/// A published result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Published {
    /// The model.
    pub model: &'static str,
    /// The part of the benchmark: `total`, or the name of one of its parts.
    pub part: &'static str,
    /// The result, as a share in 0..=1.
    pub value: f64,
    /// Its publication.
    pub source: &'static str,
    /// The address of that.
    pub address: &'static str,
}

/// Results in percent: RewardBench, RM-Bench easy, normal and hard, PPE human and correctness, JudgeBench.
const RESULTS: [(&str, [f64; 7]); 4] = [
    ("WildReward-4B", [83.6, 82.0, 77.0, 68.6, 61.6, 63.6, 61.1]),
    ("WildReward-8B", [86.0, 83.5, 78.4, 69.7, 62.5, 65.6, 66.0]),
    ("Skywork-Reward-Llama-3.1-8B-v0.2", [93.1, 70.5, 74.2, 49.3, 62.2, 62.5, 62.9]),
    ("INF-ORM-Llama3.1-70B", [95.1, 92.1, 80.0, 54.0, 64.2, 64.4, 70.2]),
];

/// Accuracy on pairs of translations, in percent (table 4).
const TRANSLATION: [(&str, f64); 5] = [
    ("GPT-4o", 82.5),
    ("Eurus RM 7B", 80.0),
    ("URM LLaMa 3.1 8B", 79.8),
    ("BTRM Qwen 2 7B", 79.0),
    ("Tulu 2.5 13B RM", 75.8),
];
const TRANSLATION_SOURCE: &str = "M-RewardBench, arXiv 2410.15522";
const TRANSLATION_ADDRESS: &str = "https://arxiv.org/abs/2410.15522";

/// The published results of a suite.
pub fn of(suite: SuiteName) -> Vec<Published> {
    let parts: &[(&str, usize)] = match suite {
        SuiteName::Rewardbench => &[("total", 0)],
        SuiteName::Rmbench => &[("easy", 1), ("normal", 2), ("hard", 3)],
        SuiteName::PpeHuman => &[("total", 4)],
        SuiteName::PpeCorrectness => &[("total", 5)],
        SuiteName::Judgebench => &[("total", 6)],
        SuiteName::MRewardbench => return translation(),
        SuiteName::Rewardbench2 | SuiteName::Rmb | SuiteName::Arena | SuiteName::Pairs | SuiteName::Wildfb => &[],
    };
    let of_model = |(model, results): (&'static str, [f64; 7])| {
        parts.iter().map(move |&(part, place)| {
            let value = results[place] / 100.0;
            Published { model, part, value, source: SOURCE, address: ADDRESS }
        })
    };
    RESULTS.into_iter().flat_map(of_model).collect()
}

fn translation() -> Vec<Published> {
    let (part, source, address) = ("translation", TRANSLATION_SOURCE, TRANSLATION_ADDRESS);
    let of_model = |(model, value)| Published { model, part, value: value / 100.0, source, address };
    TRANSLATION.into_iter().map(of_model).collect()
}
