//! Counts of what the server does, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::failure::Failure;

/// Upper bounds of the times in the histograms, in seconds.
const SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];
/// Upper bounds of the tokens of batches.
const TOKENS: &[f64] = &[64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0];

/// Everything that is counted.
pub(crate) struct Metrics {
    /// Answers by route and status.
    answers: Mutex<BTreeMap<(String, u16), u64>>,
    failures: Mutex<BTreeMap<&'static str, u64>>,
    underway: AtomicU64,
    queue_seconds: Histogram,
    device_seconds: Histogram,
    batch_tokens: Histogram,
}

/// A request that is being answered, until it is dropped.
pub(crate) struct Underway<'a>(&'a Metrics);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.underway.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            answers: Mutex::default(),
            failures: Mutex::default(),
            underway: AtomicU64::new(0),
            queue_seconds: Histogram::new("wgr_queue_seconds", "Seconds a row waited for its batch.", SECONDS),
            device_seconds: Histogram::new("wgr_device_seconds", "Seconds of a batch on the device.", SECONDS),
            batch_tokens: Histogram::new("wgr_batch_tokens", "Tokens of a batch.", TOKENS),
        }
    }

    /// Counts a request that has come.
    pub(crate) fn request(&self) -> Underway<'_> {
        self.underway.fetch_add(1, Ordering::SeqCst);
        Underway(self)
    }

    /// Requests that are being answered.
    pub(crate) fn underway(&self) -> u64 {
        self.underway.load(Ordering::SeqCst)
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, route: &str, status: u16, failure: Option<&Failure>) {
        *locked(&self.answers).entry((route.to_owned(), status)).or_default() += 1;
        if let Some(failure) = failure {
            *locked(&self.failures).entry(failure.kind()).or_default() += 1;
        }
    }

    /// Counts the time a row waited for its batch.
    pub(crate) fn waited(&self, time: Duration) {
        self.queue_seconds.add(time.as_secs_f64());
    }

    /// Counts a batch.
    pub(crate) fn batch(&self, tokens: usize, time: Duration) {
        self.batch_tokens.add(tokens as f64);
        self.device_seconds.add(time.as_secs_f64());
    }

    /// All of it, as Prometheus reads it. `queue` is the number of rows that wait or are being scored, `completions` that
    /// of completions that wait or are being drawn.
    pub(crate) fn text(&self, queue: Option<usize>, completions: Option<usize>) -> String {
        let mut text = String::new();
        head(&mut text, "wgr_requests_total", "counter", "Answered requests by route and status.");
        for ((route, status), count) in &*locked(&self.answers) {
            line(&mut text, format_args!("wgr_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}"));
        }
        head(&mut text, "wgr_failures_total", "counter", "Requests that were not answered as asked, by kind.");
        for (kind, count) in &*locked(&self.failures) {
            line(&mut text, format_args!("wgr_failures_total{{kind=\"{kind}\"}} {count}"));
        }
        head(&mut text, "wgr_requests_underway", "gauge", "Requests that are being answered.");
        line(&mut text, format_args!("wgr_requests_underway {}", self.underway()));
        if let Some(queue) = queue {
            head(&mut text, "wgr_queue_rows", "gauge", "Rows that wait or are being scored.");
            line(&mut text, format_args!("wgr_queue_rows {queue}"));
        }
        if let Some(completions) = completions {
            head(&mut text, "wgr_queue_completions", "gauge", "Completions that wait or are being drawn.");
            line(&mut text, format_args!("wgr_queue_completions {completions}"));
        }
        [&self.queue_seconds, &self.device_seconds, &self.batch_tokens].iter().for_each(|each| each.write(&mut text));
        text
    }
}

/// Counts of values up to each bound, and beyond the last.
struct Histogram {
    name: &'static str,
    help: &'static str,
    bounds: &'static [f64],
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    sum: f64,
    count: u64,
    /// Values up to each bound and above the one before.
    buckets: Vec<u64>,
}

impl Histogram {
    fn new(name: &'static str, help: &'static str, bounds: &'static [f64]) -> Self {
        Self { name, help, bounds, counts: Mutex::new(Counts { buckets: vec![0; bounds.len()], ..Counts::default() }) }
    }

    fn add(&self, value: f64) {
        let mut counts = locked(&self.counts);
        counts.sum += value;
        counts.count += 1;
        if let Some(bucket) = self.bounds.iter().position(|bound| value <= *bound) {
            counts.buckets[bucket] += 1;
        }
    }

    fn write(&self, text: &mut String) {
        let Self { name, help, bounds, counts } = self;
        let Counts { sum, count, buckets } = &*locked(counts);
        head(text, name, "histogram", help);
        let mut below = 0;
        for (bound, bucket) in bounds.iter().zip(buckets) {
            below += bucket;
            line(text, format_args!("{name}_bucket{{le=\"{bound}\"}} {below}"));
        }
        line(text, format_args!("{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}"));
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    line(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes all that is written");
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
