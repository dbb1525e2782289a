//! Pairs in subsets, and subsets in sections that weigh them.

use super::groups::Groups;
use super::part::{Part, indicator, mean_of_all};

/// A section: its name, and its subsets with their weights.
pub(super) type Section = (&'static str, &'static [(&'static str, u32)]);

/// Pairs with scores, laid out in sections.
///
/// A section is the mean of its subsets by their weights, over those present; the total is the plain mean of the
/// sections, and shown only if no subset is missing. Unknown subsets are listed under `other` and do not count.
#[derive(Clone, Debug)]
pub(super) struct Sections {
    table: &'static [Section],
    groups: Groups,
    right: Vec<f64>,
}

impl Sections {
    /// Lays out pairs, each with its subset and whether it is right.
    pub(super) fn new<'a>(table: &'static [Section], pairs: impl IntoIterator<Item = (&'a str, bool)>) -> Self {
        let known: Vec<&str> = table.iter().flat_map(|(_, subsets)| subsets.iter().map(|(name, _)| *name)).collect();
        let (subsets, right): (Vec<&str>, Vec<f64>) =
            pairs.into_iter().map(|(subset, right)| (subset, indicator(right))).unzip();
        Self { table, groups: Groups::new(subsets, &known), right }
    }

    /// Number of pairs.
    pub(super) fn len(&self) -> usize {
        self.right.len()
    }

    /// The subset of each pair, as a number.
    pub(super) fn subsets(&self) -> &[usize] {
        &self.groups.of_row
    }

    /// The total under a name, with the sections below it and their subsets below them.
    pub(super) fn score(&self, name: &str, weights: &[u32]) -> Part {
        let means = self.groups.means(&self.right, weights);
        let mut parts = vec![];
        let mut first = 0;
        for (section, subsets) in self.table {
            let (at_hand, missing): (Vec<usize>, Vec<usize>) =
                (first..first + subsets.len()).partition(|&group| self.groups.sizes[group] > 0);
            let (mut sum, mut total) = (0.0, 0.0);
            for &group in &at_hand {
                let weight = f64::from(subsets[group - first].1);
                sum += means[group].unwrap_or(f64::NAN) * weight;
                total += weight;
            }
            let n = at_hand.iter().map(|&group| self.groups.sizes[group]).sum();
            let value = Some(sum / total).filter(|value| value.is_finite());
            parts.push(
                Part::new(section, n, value, Some(0.5))
                    .missing(missing.into_iter().map(|group| self.groups.names[group].as_str()))
                    .with_parts(at_hand.iter().map(|&group| self.subset(group, &means)).collect()),
            );
            first += subsets.len();
        }
        let missing: Vec<String> = parts.iter().flat_map(|section| section.missing.clone()).collect();
        let total = mean_of_all(parts.iter().map(|section| section.estimate.value)).filter(|_| missing.is_empty());
        let other: Vec<Part> = (first..self.groups.names.len()).map(|group| self.subset(group, &means)).collect();
        if !other.is_empty() {
            parts.push(Part::new("other", other.iter().map(|part| part.n).sum(), None, None).with_parts(other));
        }
        Part::new(name, self.right.len(), total, Some(0.5)).missing(missing).with_parts(parts)
    }

    fn subset(&self, group: usize, means: &[Option<f64>]) -> Part {
        Part::new(&self.groups.names[group], self.groups.sizes[group], means[group], Some(0.5))
    }
}
