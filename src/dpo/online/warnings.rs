//! Signs that the policy has learned to please the reward model rather than the reader.
//!
//! Rewards of chat models like length and structure, so a policy under training drifts there (Singhal et al. 2023,
//! arXiv 2310.03716; Gao et al. 2022, arXiv 2210.10760). The latest steps are compared with the first ones; each sign
//! is reported once.

use super::metrics::Sampled;

/// Steps whose mean is compared, at the beginning and at the end.
const WINDOW: usize = 10;
/// Completions this many times as long as at first, or as short, are drift.
const LENGTH_FACTOR: f64 = 1.5;
/// A rise of the share of repeated phrases that is a sign.
const REPETITION_RISE: f64 = 0.1;
/// A fall of the share of completions that end by themselves that is a sign.
const EOS_FALL: f64 = 0.2;

/// Watches the steps of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    steps: Vec<Sampled>,
    told: [bool; 3],
}

impl Watch {
    /// Takes in the next step and gives what is worth telling now.
    pub(super) fn step(&mut self, sampled: Sampled) -> Vec<String> {
        self.steps.push(sampled);
        if self.steps.len() < 2 * WINDOW {
            return vec![];
        }
        let (first, last) = (mean(&self.steps[..WINDOW]), mean(&self.steps[self.steps.len() - WINDOW..]));
        let signs = [length(first, last), repetition(first, last), ends(first, last)];
        let fresh = self.told.iter_mut().zip(signs).filter_map(|(told, sign)| {
            let sign = sign.filter(|_| !*told)?;
            *told = true;
            Some(sign)
        });
        fresh.collect()
    }
}

fn mean(steps: &[Sampled]) -> Sampled {
    let of = |value: fn(&Sampled) -> f64| steps.iter().map(value).sum::<f64>() / steps.len() as f64;
    Sampled {
        scores: of(|s| s.scores),
        scores_std: of(|s| s.scores_std),
        kl: of(|s| s.kl),
        entropy: of(|s| s.entropy),
        contain_eos: of(|s| s.contain_eos),
        length: of(|s| s.length),
        repetition: of(|s| s.repetition),
    }
}

fn length(first: Sampled, last: Sampled) -> Option<String> {
    let ratio = last.length / first.length.max(f64::MIN_POSITIVE);
    let drifts = !(1.0 / LENGTH_FACTOR..=LENGTH_FACTOR).contains(&ratio);
    let (from, to) = (first.length, last.length);
    let (reward_from, reward_to) = (first.scores, last.scores);
    drifts.then(|| {
        format!(
            "completions went from {from:.0} to {to:.0} tokens while the reward went from {reward_from:.3} to \
             {reward_to:.3}: the reward may follow length; read rollouts.jsonl, and see length bias in wgr eval"
        )
    })
}

fn repetition(first: Sampled, last: Sampled) -> Option<String> {
    (last.repetition - first.repetition > REPETITION_RISE).then(|| {
        format!(
            "repeated phrases rose from {:.0} % to {:.0} % of a completion: the policy may be falling into loops; a larger \
             `.beta` or a smaller `.lr` keeps it closer to the reference model",
            100.0 * first.repetition,
            100.0 * last.repetition
        )
    })
}

fn ends(first: Sampled, last: Sampled) -> Option<String> {
    (first.contain_eos - last.contain_eos > EOS_FALL).then(|| {
        format!(
            "{:.0} % of the completions end by themselves, {:.0} % did at first: the policy forgets to stop; a larger \
             `.max_new_tokens` lets the reward model see complete ones",
            100.0 * last.contain_eos,
            100.0 * first.contain_eos
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEADY: Sampled = Sampled {
        scores: 2.0,
        scores_std: 0.3,
        kl: 0.1,
        entropy: 1.0,
        contain_eos: 0.9,
        length: 40.0,
        repetition: 0.02,
    };

    /// The warnings over twenty steps like the first and forty like the last.
    fn told(last: Sampled) -> Vec<String> {
        let mut watch = Watch::default();
        let steps = std::iter::repeat_n(STEADY, 20).chain(std::iter::repeat_n(last, 40));
        steps.flat_map(|sampled| watch.step(sampled)).collect()
    }

    #[test]
    fn a_steady_run_is_left_alone() {
        assert_eq!(told(STEADY), [""; 0]);
        let better = Sampled { scores: 3.5, kl: 9.0, length: 50.0, repetition: 0.1, contain_eos: 0.75, ..STEADY };
        assert_eq!(told(better), [""; 0]);
    }

    #[test]
    fn each_sign_is_told_once() {
        for (last, sign) in [
            (Sampled { length: 80.0, ..STEADY }, "from 40 to 6"),
            (Sampled { length: 10.0, ..STEADY }, "from 40 to 2"),
            (Sampled { repetition: 0.6, ..STEADY }, "loops"),
            (Sampled { contain_eos: 0.1, ..STEADY }, "forgets to stop"),
        ] {
            let told = told(last);
            assert!(told.len() == 1 && told[0].contains(sign), "{told:?}");
        }
        assert_eq!(told(Sampled { length: 200.0, repetition: 0.9, contain_eos: 0.0, ..STEADY }).len(), 3);
    }
}
