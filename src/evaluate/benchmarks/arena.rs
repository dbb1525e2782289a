//! Votes of Chatbot Arena (Chiang et al., 2024, arXiv 2403.04132), including ties.

use super::tie_calibration::{Verdict, threshold};
use super::{Benchmark, Part, indicator};
use crate::statistics::{Units, weighted};

/// A vote between two responses, with their scores.
#[derive(Clone, Debug, PartialEq)]
pub struct ArenaVote {
    /// Scores of the two responses.
    pub scores: [f64; 2],
    /// Which of them won, 0 or 1; `None` for a tie.
    pub winner: Option<usize>,
    /// Votes of one session, or on one prompt, are drawn together.
    pub unit: String,
}

impl ArenaVote {
    fn verdict(&self) -> Verdict {
        let [a, b] = self.scores;
        match self.winner {
            None => Verdict::Tied(a - b),
            Some(0) => Verdict::Decided(a - b),
            Some(_) => Verdict::Decided(b - a),
        }
    }
}

/// Some of the votes: one entry per row, 1 if it is counted.
#[derive(Clone, Debug)]
struct Counted {
    rows: Vec<f64>,
    n: usize,
}

impl Counted {
    fn new(rows: impl Iterator<Item = bool>) -> Self {
        let rows: Vec<f64> = rows.map(indicator).collect();
        Self { n: rows.iter().filter(|&&counted| counted > 0.0).count(), rows }
    }

    /// Of the counted rows, the share that is right.
    fn part(&self, name: &str, right: &[f64], weights: &[u32], chance: Option<f64>) -> Part {
        let rows: Vec<(f64, f64)> =
            right.iter().zip(&self.rows).map(|(&right, &counted)| (right * counted, counted)).collect();
        Part::new(name, self.n, weighted::ratio(&rows, weights), chance)
    }
}

/// Votes with scores. The result is the accuracy on votes for one response: it is right when that response scores
/// strictly higher.
///
/// `with ties` is the accuracy on all votes with tie calibration (Deutsch, Foster and Freitag, 2023): a model calls a
/// tie what differs by at most ε, the threshold that agrees with most votes of this very set; so it is what the best
/// threshold gives, and intervals hold ε. Below it are the shares of `decided` votes and of `ties` that are right so. A
/// model without skill gets the share of ties by calling everything a tie, or half of the rest by never doing so. There
/// is no such part where nobody voted for a tie.
#[derive(Clone, Debug)]
pub struct Arena {
    all: Counted,
    decided: Counted,
    tied: Counted,
    /// Whether the winner scores higher; of ties 0.
    right: Vec<f64>,
    /// Whether the vote agrees with the model's calibrated one.
    agrees: Vec<f64>,
    units: Units,
}

impl Arena {
    /// Lays out votes for scoring.
    pub fn new(votes: &[ArenaVote]) -> Self {
        let verdicts: Vec<Verdict> = votes.iter().map(ArenaVote::verdict).collect();
        let epsilon = threshold(&verdicts);
        let is_right = |verdict: &Verdict| matches!(verdict, Verdict::Decided(difference) if *difference > 0.0);
        Self {
            all: Counted::new(votes.iter().map(|_| true)),
            decided: Counted::new(votes.iter().map(|vote| vote.winner.is_some())),
            tied: Counted::new(votes.iter().map(|vote| vote.winner.is_none())),
            right: verdicts.iter().map(|verdict| indicator(is_right(verdict))).collect(),
            agrees: verdicts.iter().map(|verdict| indicator(verdict.agrees(epsilon))).collect(),
            units: Units::grouped(votes.iter().map(|vote| vote.unit.as_str())),
        }
    }
}

impl Benchmark for Arena {
    fn units(&self) -> Units {
        self.units.clone()
    }

    fn score(&self, weights: &[u32]) -> Part {
        let part = self.decided.part("Chatbot Arena", &self.right, weights, Some(0.5));
        if self.tied.n == 0 {
            return part;
        }
        let ties = self.tied.n as f64 / self.all.n as f64;
        let of = |counted: &Counted, name: &str| counted.part(name, &self.agrees, weights, None);
        let calibrated = self.all.part("with ties", &self.agrees, weights, Some(ties.max((1.0 - ties) / 2.0)));
        part.with_parts(vec![calibrated.with_parts(vec![of(&self.decided, "decided"), of(&self.tied, "ties")])])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::benchmarks::measure;
    use crate::statistics::Bootstrap;

    fn vote(scores: [f64; 2], winner: Option<usize>) -> ArenaVote {
        ArenaVote { scores, winner, unit: format!("{scores:?}{winner:?}") }
    }

    #[test]
    fn ties_count_in_their_own_part() {
        let votes = [
            vote([5.0, 1.0], Some(0)),
            vote([1.0, 5.0], Some(1)),
            vote([2.0, 1.5], Some(0)),
            vote([1.0, 4.0], Some(0)),
            vote([1.0, 1.0], Some(1)),
            vote([1.0, 2.0], None),
            vote([2.0, 1.0], None),
            vote([1.0, 9.0], None),
        ];
        let tree = measure(&Arena::new(&votes), &Bootstrap::default());
        let part = |path: &[&str]| {
            let part = tree.get(path).unwrap();
            (part.n, part.estimate.value, part.estimate.baseline)
        };
        assert_eq!(part(&[]), (5, Some(3.0 / 5.0), Some(0.5)), "equal scores are wrong where people saw a difference");
        // ε = 1: two of three ties, and of the decided votes the two with a difference of 4.
        assert_eq!(part(&["with ties"]), (8, Some(4.0 / 8.0), Some(3.0 / 8.0)));
        assert_eq!(part(&["with ties", "decided"]), (5, Some(2.0 / 5.0), None));
        assert_eq!(part(&["with ties", "ties"]), (3, Some(2.0 / 3.0), None));
        let interval = tree.get(&["with ties"]).unwrap().estimate.interval.unwrap();
        assert!(interval.low < 0.5 && 0.5 < interval.high);
    }

    #[test]
    fn where_most_votes_are_ties_chance_calls_everything_one() {
        let tree = measure(&Arena::new(&[vote([1.0, 2.0], None), vote([1.0, 0.0], Some(0))]), &Bootstrap::default());
        assert_eq!(tree.get(&["with ties"]).unwrap().estimate.baseline, Some(0.5));
        let tree = measure(&Arena::new(&[vote([1.0, 2.0], None)]), &Bootstrap::default());
        assert_eq!((tree.estimate.value, tree.get(&["with ties"]).unwrap().estimate.value), (None, Some(1.0)));
    }

    #[test]
    fn where_few_votes_are_ties_chance_calls_nothing_one() {
        let decided = [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]].map(|scores| vote(scores, Some(0)));
        let bench = Arena::new(&[&decided[..], &[vote([9.0, 0.0], None)]].concat());
        let tree = bench.score(&bench.units().ones());
        assert_eq!(tree.get(&["with ties"]).unwrap().estimate.baseline, Some((1.0 - 1.0 / 5.0) / 2.0));
    }

    #[test]
    fn without_ties_there_is_one_number() {
        let tree = measure(&Arena::new(&[vote([1.0, 2.0], Some(1)), vote([1.0, 2.0], Some(0))]), &Bootstrap::default());
        assert_eq!((tree.estimate.value, tree.parts.len()), (Some(0.5), 0));
        assert_eq!(measure(&Arena::new(&[]), &Bootstrap::default()).estimate.value, None);
    }

    #[test]
    fn votes_of_one_session_are_drawn_together() {
        let of = |unit: &str| ArenaVote { unit: unit.into(), ..vote([1.0, 0.0], Some(0)) };
        assert_eq!(Arena::new(&[of("a"), of("b"), of("a")]).units().unit_count(), 2);
    }
}
