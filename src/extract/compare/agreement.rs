//! The agreement of two annotators, in numbers; a statistic that their levels leave undefined is `None`, never NaN.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use crate::data::Feedback;

/// The number of levels.
const LEVELS: usize = Feedback::ALL.len();
/// Bootstrap samples.
const SAMPLES: u64 = 1000;
/// Share of the samples below an interval, and above it.
const TAIL: f64 = 0.025;
/// Seed of the samples.
const SEED: u64 = 42;

/// Turns by the level that A gives (rows) and that B gives (columns), from rejection to satisfaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Confusion(pub [[u64; LEVELS]; LEVELS]);

/// A statistic with the 95 % interval of its bootstrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Statistic {
    /// Of all turns; `None` where it is undefined.
    pub value: Option<f64>,
    /// Lower and upper end; `None` where the samples cannot tell.
    pub interval: Option<[f64; 2]>,
}

/// How A and B agree on one level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LevelAgreement {
    /// The level.
    pub level: Feedback,
    /// Turns to which A gives it.
    pub a: u64,
    /// Turns to which B gives it.
    pub b: u64,
    /// Turns to which both give it.
    pub both: u64,
    /// `both / a`: how often B confirms it.
    pub precision: Option<f64>,
    /// `both / b`: how much of B's turns A finds.
    pub recall: Option<f64>,
    /// The harmonic mean of precision and recall.
    pub f1: Option<f64>,
}

impl Confusion {
    /// Counts a turn `times` times.
    pub fn add(&mut self, a: Feedback, b: Feedback, times: u64) {
        self.0[a as usize][b as usize] += times;
    }

    /// All turns.
    pub fn total(&self) -> u64 {
        self.0.as_flattened().iter().sum()
    }

    /// The share of turns with the same level.
    pub fn observed(&self) -> Option<f64> {
        let same: u64 = (0..LEVELS).map(|level| self.0[level][level]).sum();
        ratio(same, self.total())
    }

    /// Cohen's κ (Cohen 1960). `None` without turns, and where both give all turns one same level: agreement is then what
    /// chance expects.
    pub fn kappa(&self) -> Option<f64> {
        self.weighted(|a, b| u64::from(a != b))
    }

    /// κ with quadratic weights (Cohen 1968): a disagreement counts by the square of the steps between the levels in the
    /// order of [`Feedback::ALL`], in which neutral is in the middle. `None` as for [`Confusion::kappa`].
    pub fn weighted_kappa(&self) -> Option<f64> {
        self.weighted(|a, b| (a.abs_diff(b) as u64).pow(2))
    }

    /// 1 − Σ w·observed / Σ w·expected, where `weight` is that of a disagreement.
    fn weighted(&self, weight: impl Fn(usize, usize) -> u64) -> Option<f64> {
        let (a, b) = self.margins();
        let (mut observed, mut expected) = (0, 0);
        for (row, column) in cells() {
            let weight = u128::from(weight(row, column));
            observed += weight * u128::from(self.0[row][column]);
            expected += weight * u128::from(a[row]) * u128::from(b[column]);
        }
        (expected > 0).then(|| 1.0 - observed as f64 * self.total() as f64 / expected as f64)
    }

    /// Turns by level of A, and of B.
    fn margins(&self) -> ([u64; LEVELS], [u64; LEVELS]) {
        let (mut a, mut b) = ([0; LEVELS], [0; LEVELS]);
        for (row, column) in cells() {
            a[row] += self.0[row][column];
            b[column] += self.0[row][column];
        }
        (a, b)
    }

    /// Precision, recall and F1 of A against B, level by level.
    pub fn levels(&self) -> Vec<LevelAgreement> {
        let (a, b) = self.margins();
        let of = |level: Feedback| {
            let (a, b, both) = (a[level as usize], b[level as usize], self.0[level as usize][level as usize]);
            LevelAgreement {
                level,
                a,
                b,
                both,
                precision: ratio(both, a),
                recall: ratio(both, b),
                f1: ratio(2 * both, a + b),
            }
        };
        Feedback::ALL.map(of).to_vec()
    }
}

/// All pairs of places of levels.
fn cells() -> impl Iterator<Item = (usize, usize)> {
    (0..LEVELS).flat_map(|row| (0..LEVELS).map(move |column| (row, column)))
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The pairs of levels, of A and of B, that turns of one conversation have.
pub type Pairs = Vec<(Feedback, Feedback)>;

/// Observed agreement, κ and weighted κ, with percentile intervals of the seeded bootstrap (Efron 1979).
///
/// Conversations are resampled, because turns of one conversation are similar. Samples that leave a statistic undefined
/// are left out; if those are more than half, or if there is only one conversation, there is no interval.
pub fn statistics(conversations: &[Pairs]) -> [Statistic; 3] {
    let of = |confusion: &Confusion| [confusion.observed(), confusion.kappa(), confusion.weighted_kappa()];
    let count = |confusion: &mut Confusion, pairs: &Pairs| pairs.iter().for_each(|&(a, b)| confusion.add(a, b, 1));
    let mut all = Confusion::default();
    conversations.iter().for_each(|pairs| count(&mut all, pairs));
    let samples = if conversations.len() > 1 { SAMPLES } else { 0 };
    let drawn: Vec<[Option<f64>; 3]> = (0..samples)
        .into_par_iter()
        .map(|sample| {
            let mut rng = ChaCha8Rng::seed_from_u64(SEED);
            rng.set_stream(sample);
            let mut confusion = Confusion::default();
            for _ in conversations {
                count(&mut confusion, &conversations[rng.random_range(0..conversations.len())]);
            }
            of(&confusion)
        })
        .collect();
    let values = of(&all);
    [0, 1, 2].map(|index| {
        let mut of_samples: Vec<f64> = drawn.iter().filter_map(|sample| sample[index]).collect();
        of_samples.sort_unstable_by(f64::total_cmp);
        let told = !of_samples.is_empty() && 2 * of_samples.len() >= drawn.len();
        let interval =
            (values[index].is_some() && told).then(|| [quantile(&of_samples, TAIL), quantile(&of_samples, 1.0 - TAIL)]);
        Statistic { value: values[index], interval }
    })
}

/// A quantile of numbers that are not none, with linear interpolation (type 7 of Hyndman and Fan, 1996).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    low + (high - low) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Feedback::{Correction, Engagement, Neutral, Rejection, Satisfaction};

    fn confusion(cells: &[(Feedback, Feedback, u64)]) -> Confusion {
        let mut confusion = Confusion::default();
        cells.iter().for_each(|&(a, b, times)| confusion.add(a, b, times));
        confusion
    }

    #[track_caller]
    fn near(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-12), "{found:?}, not {expected}");
    }

    #[test]
    fn kappa_has_published_values() {
        // Two readers of fifty grants: agreement 0.7, by chance 0.5 (Wikipedia, "Cohen's kappa").
        let grants = confusion(&[
            (Satisfaction, Satisfaction, 20),
            (Satisfaction, Rejection, 5),
            (Rejection, Satisfaction, 10),
            (Rejection, Rejection, 15),
        ]);
        near(grants.observed(), 0.7);
        near(grants.kappa(), 0.4);
        // The example of scikit-learn's cohen_kappa_score.
        let sentiments = confusion(&[
            (Rejection, Rejection, 2),
            (Satisfaction, Satisfaction, 1),
            (Satisfaction, Rejection, 1),
            (Neutral, Neutral, 1),
        ]);
        near(sentiments.kappa(), 0.6875);
    }

    #[test]
    fn weighted_kappa_counts_steps_with_neutral_in_the_middle() {
        // Of four turns two agree and two are off by three steps: Σ w·o = 9 + 9. The margins are 1 1 1 0 1 and 0 2 1 1 0, so
        // that 4 Σ w·e = (2·1 + 4 + 9) + (0 + 1 + 4) + (2·1 + 0 + 1) + (2·9 + 4 + 1) = 46.
        let turns = confusion(&[
            (Correction, Correction, 1),
            (Neutral, Neutral, 1),
            (Rejection, Engagement, 1),
            (Satisfaction, Correction, 1),
        ]);
        near(turns.weighted_kappa(), 1.0 - 4.0 * 18.0 / 46.0);
        // With two levels every disagreement has the same weight.
        let two = confusion(&[(Rejection, Rejection, 3), (Rejection, Correction, 2), (Correction, Correction, 4)]);
        near(two.weighted_kappa(), two.kappa().unwrap());
    }

    #[test]
    fn chance_alone_gives_nothing_and_full_agreement_one() {
        let independent = confusion(&[
            (Correction, Correction, 4),
            (Correction, Neutral, 8),
            (Neutral, Correction, 6),
            (Neutral, Neutral, 12),
        ]);
        near(independent.kappa(), 0.0);
        near(independent.weighted_kappa(), 0.0);
        let same = confusion(&[(Correction, Correction, 4), (Neutral, Neutral, 9)]);
        near(same.kappa(), 1.0);
        near(same.weighted_kappa(), 1.0);
    }

    #[test]
    fn one_level_alone_leaves_kappa_undefined() {
        let neutral = confusion(&[(Neutral, Neutral, 7)]);
        assert_eq!((neutral.observed(), neutral.kappa(), neutral.weighted_kappa()), (Some(1.0), None, None));
        let none = Confusion::default();
        assert_eq!((none.observed(), none.kappa(), none.weighted_kappa()), (None, None, None));
        // Two levels that never meet mean an agreement of zero, which is defined.
        near(confusion(&[(Neutral, Correction, 7)]).kappa(), 0.0);
    }

    #[test]
    fn levels_are_measured_against_b() {
        let levels =
            confusion(&[(Correction, Correction, 3), (Correction, Neutral, 1), (Neutral, Correction, 2)]).levels();
        let correction = levels[1];
        assert_eq!((correction.level, correction.a, correction.b, correction.both), (Correction, 4, 5, 3));
        near(correction.precision, 0.75);
        near(correction.recall, 0.6);
        near(correction.f1, 2.0 / 3.0);
        near(levels[2].f1, 0.0);
        assert_eq!((levels[4].precision, levels[4].recall, levels[4].f1), (None, None, None));
    }

    #[test]
    fn intervals_have_the_width_of_theory_and_widen_with_conversations() {
        let turn = |index: usize| if index.is_multiple_of(4) { (Correction, Neutral) } else { (Neutral, Neutral) };
        let single: Vec<Pairs> = (0..400).map(|index| vec![turn(index)]).collect();
        let [low, high] = statistics(&single)[0].interval.unwrap();
        let half = 1.96 * (0.75f64 * 0.25 / 400.0).sqrt();
        assert!((low - (0.75 - half)).abs() < 0.01 && (high - (0.75 + half)).abs() < 0.01, "{low} {high}");
        let grouped: Vec<Pairs> = (0..40).map(|index| vec![turn(index); 10]).collect();
        let [wide_low, wide_high] = statistics(&grouped)[0].interval.unwrap();
        assert!((wide_high - wide_low) / (high - low) > 2.0, "√10 expected");
        assert_eq!(statistics(&single), statistics(&single));
    }

    #[test]
    fn there_is_no_interval_where_samples_cannot_tell() {
        assert_eq!(statistics(&[]), [Statistic::default(); 3]);
        let one = statistics(&[vec![(Neutral, Neutral), (Correction, Neutral)]]);
        assert_eq!((one[0].value, one[0].interval), (Some(0.5), None));
    }
}
