//! Published numbers for the same benchmarks, to compare with.

use serde::Serialize;

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

/// A table of a paper: results of models in percent, for parts of a benchmark.
pub(in crate::evaluate) struct Table {
    pub source: &'static str,
    pub address: &'static str,
    pub models: &'static [&'static str],
    /// The name of a part, and a result for each model.
    pub parts: &'static [(&'static str, &'static [f64])],
}

impl Table {
    /// Nothing was published.
    pub(super) const NONE: Self = Self { source: "", address: "", models: &[], parts: &[] };

    /// Results that the paper of WildReward lists for its own and other models.
    pub(super) const fn wild_reward(parts: &'static [(&'static str, &'static [f64])]) -> Self {
        Self {
            source: "WildReward, arXiv 2602.08829",
            address: "https://arxiv.org/abs/2602.08829",
            models: &["WildReward-4B", "WildReward-8B", "Skywork-Reward-Llama-3.1-8B-v0.2", "INF-ORM-Llama3.1-70B"],
            parts,
        }
    }

    /// The results, model by model.
    pub(crate) fn results(&self) -> Vec<Published> {
        let Self { source, address, models, parts } = *self;
        let of_model = |(place, model): (usize, &&'static str)| {
            let model = *model;
            parts.iter().map(move |&(part, values)| Published {
                model,
                part,
                value: values[place] / 100.0,
                source,
                address,
            })
        };
        models.iter().enumerate().flat_map(of_model).collect()
    }
}
