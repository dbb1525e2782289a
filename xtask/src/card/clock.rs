//! The time that a report may take.

use std::time::{Duration, Instant};

/// Runs from the start of the measurements.
pub(super) struct Clock {
    started: Instant,
    limit: Duration,
}

impl Clock {
    pub(super) fn start(limit: Duration) -> Self {
        Self { started: Instant::now(), limit }
    }

    /// Seconds since the start.
    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// What is left.
    pub(super) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }

    /// Why a measurement of about so many seconds is not begun, if so: one may take a tenth of the whole time, and what is
    /// left.
    pub(super) fn refuses(&self, seconds: f64) -> Option<String> {
        let most = self.left().as_secs_f64().min(self.limit.as_secs_f64() / 10.0);
        (seconds > most).then(|| format!("it would take about {seconds:.0} s, and {most:.0} s are granted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_gets_a_tenth_of_the_time_at_most() {
        let clock = Clock::start(Duration::from_secs(1000));
        assert_eq!(clock.refuses(50.0), None);
        assert_eq!(clock.refuses(200.0).unwrap(), "it would take about 200 s, and 100 s are granted");
        assert!(Clock::start(Duration::ZERO).refuses(0.001).is_some());
    }
}
