//! The wait before a request is sent again.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Waits that double, each shortened at random by up to a half so that clients that failed together do not return
/// together.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    left: u32,
    sent: u32,
    random: ChaCha8Rng,
}

/// The longest wait of our own choice.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest wait that a server can ask for; with more, the request fails.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

impl Backoff {
    /// At most `attempts` requests; the first wait is up to `first`.
    pub(crate) fn new(attempts: u32, first: Duration, seed: u64) -> Self {
        Self { first, left: attempts.saturating_sub(1), sent: 0, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The wait before the next attempt, at least as long as the server asks for; `None` if there is none left.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let doubled = self.first.saturating_mul(1 << self.sent.min(20)).min(LONGEST);
        self.sent += 1;
        let own = doubled.mul_f64(self.random.random_range(0.5..=1.0));
        match asked {
            Some(asked) if asked > LONGEST_ASKED => None,
            Some(asked) => Some(asked.max(own.min(self.first))),
            None => Some(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let mut backoff = Backoff::new(4, Duration::from_secs(1), 7);
        for doubled in [1.0, 2.0, 4.0] {
            let wait = backoff.next(None).unwrap().as_secs_f64();
            assert!((doubled / 2.0..=doubled).contains(&wait), "{wait}");
        }
        assert_eq!(backoff.next(None), None);
    }

    #[test]
    fn a_server_is_given_its_time() {
        let mut backoff = Backoff::new(9, Duration::from_millis(10), 7);
        assert_eq!(backoff.next(Some(Duration::from_secs(30))), Some(Duration::from_secs(30)));
        assert_eq!(backoff.next(Some(Duration::from_secs(7200))), None);
    }

    #[test]
    fn the_longest_wait_is_a_minute() {
        let mut backoff = Backoff::new(100, Duration::from_secs(1), 7);
        assert!((0..90).all(|_| backoff.next(None).unwrap() <= LONGEST));
    }
}
