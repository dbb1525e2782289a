//! Seconds of replays, waiting included.

use std::ops::RangeInclusive;
use std::time::Duration;

use web_time::Instant;

use crate::Result;
use crate::gpu::{Gpu, Recording};

/// Number of replays whose median is taken: as many as fit into the time, within these bounds.
const MEDIAN_RUNS: RangeInclusive<usize> = 3..=7;
const MEDIAN_TIME: Duration = Duration::from_secs(2);

/// How long replays are repeated to find the fastest, and how many there are at least. Other programs only make them
/// slower, so many short ones find a moment at which the adapter has nothing else to do.
const FASTEST_TIME: Duration = Duration::from_millis(150);
const FASTEST_RUNS: usize = 3;

/// Median seconds of several replays, after one that is not counted.
///
/// # Errors
/// If the driver fails.
pub async fn median(gpu: &Gpu, recording: &mut Recording) -> Result<f64> {
    timed(gpu, recording).await?;
    let (started, mut seconds) = (Instant::now(), vec![]);
    while seconds.len() < *MEDIAN_RUNS.start() || seconds.len() < *MEDIAN_RUNS.end() && started.elapsed() < MEDIAN_TIME
    {
        seconds.push(timed(gpu, recording).await?);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}

/// Seconds of the fastest of several replays.
pub(super) async fn fastest(gpu: &Gpu, recording: &mut Recording) -> Result<f64> {
    let (started, mut best) = (Instant::now(), estimate(gpu, recording).await?);
    while started.elapsed() < FASTEST_TIME {
        best = best.min(timed(gpu, recording).await?);
    }
    Ok(best)
}

/// As [`fastest`], of a few replays only: a single one compiles shaders, or is held up by other programs.
pub(super) async fn estimate(gpu: &Gpu, recording: &mut Recording) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..FASTEST_RUNS {
        best = best.min(timed(gpu, recording).await?);
    }
    Ok(best)
}

/// Seconds of one replay.
async fn timed(gpu: &Gpu, recording: &mut Recording) -> Result<f64> {
    let started = Instant::now();
    recording.replay(gpu)?;
    gpu.wait("measuring").await?;
    Ok(started.elapsed().as_secs_f64())
}
