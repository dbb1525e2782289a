//! Tie calibration (Deutsch, Foster and Freitag, 2023, arXiv 2305.14324): the threshold below which a difference of
//! scores is called a tie.

/// How a verdict of people and a difference of scores go together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// People preferred one response; the difference is its score minus the other's.
    Decided(f64),
    /// People called it a tie; the difference is that of the two scores, in either direction.
    Tied(f64),
}

impl Verdict {
    /// Whether a model that calls differences of at most ε a tie agrees with people.
    pub(super) fn agrees(self, epsilon: f64) -> bool {
        match self {
            Self::Decided(difference) => difference > epsilon,
            Self::Tied(difference) => difference.abs() <= epsilon,
        }
    }

    fn distance(self) -> f64 {
        let (Self::Decided(difference) | Self::Tied(difference)) = self;
        difference.abs()
    }
}

/// The smallest ε ≥ 0 for which most verdicts agree. It is 0 or the size of one of the differences.
pub(super) fn threshold(verdicts: &[Verdict]) -> f64 {
    let candidates = |verdict: &Verdict| verdict.distance().is_finite() && verdict.distance() > 0.0;
    let mut sorted: Vec<Verdict> = verdicts.iter().copied().filter(candidates).collect();
    sorted.sort_by(|a, b| a.distance().total_cmp(&b.distance()));
    let mut agreeing = verdicts.iter().filter(|verdict| verdict.agrees(0.0)).count();
    let mut best = (0.0, agreeing);
    for equal in sorted.chunk_by(|a, b| a.distance() == b.distance()) {
        // A difference that ε reaches agrees from here on where people called it a tie, and only there.
        for verdict in equal {
            match verdict {
                Verdict::Tied(_) => agreeing += 1,
                Verdict::Decided(difference) => agreeing -= usize::from(*difference > 0.0),
            }
        }
        if agreeing > best.1 {
            best = (equal[0].distance(), agreeing);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Decided, Tied};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        // ε = 1 makes all ties right, and costs the one decided verdict below it.
        let verdicts = [Tied(0.5), Tied(-1.0), Tied(0.9), Decided(0.7), Decided(2.0), Decided(3.0)];
        assert_eq!(threshold(&verdicts), 1.0);
        assert_eq!(threshold(&[Decided(0.5), Decided(1.0), Tied(9.0)]), 0.0, "one tie is not worth two verdicts");
        assert_eq!(threshold(&[Decided(0.5), Tied(0.6)]), 0.0, "of equally good ones the smallest");
        assert_eq!(threshold(&[Tied(0.0), Decided(-1.0)]), 0.0);
        assert_eq!(threshold(&[Tied(2.0), Decided(-1.0)]), 2.0);
        assert_eq!((threshold(&[]), threshold(&[Tied(f64::NAN), Decided(f64::INFINITY)])), (0.0, 0.0));
    }

    #[test]
    fn a_verdict_at_the_threshold_is_a_tie() {
        assert!(Tied(-1.0).agrees(1.0) && !Decided(1.0).agrees(1.0) && Decided(1.5).agrees(1.0));
        assert!(Tied(0.0).agrees(0.0) && !Decided(0.0).agrees(0.0) && !Decided(-2.0).agrees(0.0));
        assert!(!Tied(f64::NAN).agrees(9.0) && !Decided(f64::NAN).agrees(0.0));
    }

    proptest! {
        #[test]
        fn no_threshold_is_better(verdicts in prop::collection::vec((any::<bool>(), -4i8..5), 1..30)) {
            let verdicts: Vec<Verdict> = verdicts
                .into_iter()
                .map(|(tied, difference)| if tied { Tied(difference.into()) } else { Decided(difference.into()) })
                .collect();
            let agreeing = |epsilon: f64| verdicts.iter().filter(|verdict| verdict.agrees(epsilon)).count();
            let found = threshold(&verdicts);
            for other in 0..=8 {
                let other = f64::from(other) / 2.0;
                prop_assert!(agreeing(other) <= agreeing(found));
                prop_assert!(other >= found || agreeing(other) < agreeing(found));
            }
        }
    }
}
