//! Percentile confidence intervals of any statistic, by the seeded bootstrap (Efron, 1979).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::units::{Units, stream};

/// An interval of the values that a statistic takes over the samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A number with how sure it is and what no skill at all would get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The statistic of the whole set; `None` where it is undefined.
    pub value: Option<f64>,
    /// Its bootstrap interval; `None` where samples cannot tell, see [`Bootstrap::estimates`].
    pub interval: Option<Interval>,
    /// The value that chance, the majority class or a constant achieves on the same rows; `None` if that is undefined.
    pub baseline: Option<f64>,
}

impl Estimate {
    /// The same with a baseline.
    pub fn beside(self, baseline: impl Into<Option<f64>>) -> Self {
        Self { baseline: baseline.into(), ..self }
    }
}

/// How intervals are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Samples drawn.
    pub samples: u32,
    /// Share of the samples that an interval covers.
    pub confidence: f64,
    /// Decides every draw, whatever the number of threads.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { samples: 1000, confidence: 0.95, seed: 42 }
    }
}

impl Bootstrap {
    /// Values and intervals of many statistics, which share the samples.
    ///
    /// `statistics` maps weights (one per row: how often it was drawn) to values, always as many and in the same order.
    /// An interval lies between percentiles of the values, linearly interpolated. Samples that leave a statistic
    /// undefined are left out; where those are more than half, where the value itself is undefined, or where all
    /// samples are alike because there is but one unit, there is no interval. Samples are noisier than the set, so a
    /// statistic that noise can only raise, such as the ECE of a calibrated model, may be above its value in nearly all
    /// of them; the interval is then stretched to hold the value.
    pub fn estimates<S>(&self, units: &Units, statistics: S) -> Vec<Estimate>
    where
        S: Fn(&[u32]) -> Vec<Option<f64>> + Sync,
    {
        let samples = if units.vary() { self.samples } else { 0 };
        let drawn: Vec<Vec<Option<f64>>> = (0..samples)
            .into_par_iter()
            .map_init(Default::default, |(of_units, weights), sample| {
                units.draw(&mut stream(self.seed, sample.into()), of_units, weights);
                statistics(weights)
            })
            .collect();
        let interval = |index: usize, value: f64| {
            let mut values: Vec<f64> = drawn.iter().filter_map(|sample| sample[index]).collect();
            values.sort_unstable_by(f64::total_cmp);
            let tail = (1.0 - self.confidence) / 2.0;
            (2 * values.len() >= drawn.len()).then_some(())?;
            let (low, high) = (quantile(&values, tail)?, quantile(&values, 1.0 - tail)?);
            Some(Interval { low: low.min(value), high: high.max(value) })
        };
        statistics(&units.ones())
            .into_iter()
            .enumerate()
            .map(|(index, value)| Estimate {
                value,
                interval: value.and_then(|value| interval(index, value)),
                baseline: None,
            })
            .collect()
    }

    /// Value and interval of one statistic.
    pub fn estimate(&self, units: &Units, statistic: impl Fn(&[u32]) -> Option<f64> + Sync) -> Estimate {
        self.estimates(units, |weights| vec![statistic(weights)]).remove(0)
    }
}

/// A quantile with linear interpolation between order statistics (type 7 of Hyndman and Fan, 1996). `None` when empty.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let position = q.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    Some(low + (high - low) * position.fract())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::weighted;

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[3.0], 0.9), Some(3.0));
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 1.0), Some(4.0));
    }

    #[test]
    fn the_interval_of_a_mean_has_the_width_of_theory() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
        let estimate = Bootstrap { samples: 4000, ..Bootstrap::default() }
            .estimate(&Units::rows(400), |weights| weighted::mean(&values, weights));
        let interval = estimate.interval.unwrap();
        let half = 1.96 * (0.25f64 * 0.75 / 400.0).sqrt();
        assert_eq!(estimate.value, Some(0.25));
        assert!((interval.low - (0.25 - half)).abs() < 0.005, "{interval:?}");
        assert!((interval.high - (0.25 + half)).abs() < 0.005, "{interval:?}");
    }

    #[test]
    fn units_that_hold_many_rows_widen_the_interval() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i / 10 % 2 == 0))).collect();
        let width = |units: Units| {
            let interval = Bootstrap::default().estimate(&units, |w| weighted::mean(&values, w)).interval.unwrap();
            interval.high - interval.low
        };
        let ratio = width(Units::grouped((0..400).map(|i| i / 10))) / width(Units::rows(400));
        assert!((2.6..3.8).contains(&ratio), "√10 expected, got {ratio}");
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let values: Vec<f64> = (0..300).map(|i| f64::from(i * 37 % 101) / 7.0).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Bootstrap::default().estimate(&Units::rows(300), |w| weighted::mean(&values, w)))
        };
        assert_eq!(run(1), run(4));
        let other = Bootstrap { seed: 43, ..Bootstrap::default() };
        assert_ne!(run(1).interval, other.estimate(&Units::rows(300), |w| weighted::mean(&values, w)).interval);
    }

    #[test]
    fn no_interval_where_samples_cannot_tell() {
        let bootstrap = Bootstrap::default();
        let one = bootstrap.estimate(&Units::grouped([7, 7]), |w| weighted::mean(&[1.0, 2.0], w));
        assert_eq!((one.value, one.interval), (Some(1.5), None));
        let none = bootstrap.estimate(&Units::rows(0), |w| weighted::mean(&[], w));
        assert_eq!((none.value, none.interval), (None, None));
        // The first row is drawn by 1 − (9/10)¹⁰ = 65 % of the samples, both of the first two by about 41 %.
        let wants =
            |rows: usize| bootstrap.estimate(&Units::rows(10), |w| w[..rows].iter().all(|&w| w > 0).then_some(1.0));
        assert!(wants(1).interval.is_some());
        assert!(wants(2).interval.is_none());
    }

    #[test]
    fn a_value_is_never_outside_its_interval() {
        // The number of distinct rows drawn is greatest where each is drawn once, in the set itself.
        let distinct = |weights: &[u32]| Some(weights.iter().filter(|&&weight| weight > 0).count() as f64);
        let estimate = Bootstrap::default().estimate(&Units::rows(100), distinct);
        assert!(estimate.interval.unwrap().low < 70.0 && estimate.interval.unwrap().high == 100.0);
    }
}
