//! Progress of a run: a bar on a terminal, plain lines elsewhere, nothing with `--quiet`.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use serde_json::{Map, Value};
use wgr::gpu::Gpu;
use wgr::model::plan::MemoryPlan;
use wgr::report::metrics::StepMetrics;
use wgr::{Event, Observer};

use crate::{flags, print};

enum Display {
    Quiet,
    Lines,
    Bar(ProgressBar),
}

/// Shows a run's progress to the user.
pub(crate) struct Progress {
    display: Display,
    streams: bool,
    stop: Arc<AtomicBool>,
    binding_bytes: u64,
    begun: Instant,
    /// Turns judged of the annotator's current window, and when it began.
    judged: usize,
    judging: Instant,
    started: Instant,
    /// Steps or rows in all, done before this run, and done by now.
    total: u64,
    first: u64,
    position: u64,
}

/// Progress within a window of turns is shown if the annotator takes longer than this.
const SLOW: Duration = Duration::from_secs(5);

impl Progress {
    /// Progress of a run; from now on Ctrl-C asks the run to stop.
    pub(crate) fn new(quiet: bool) -> Self {
        let display = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Display::Quiet,
            (false, false) => Display::Lines,
            (false, true) => Display::Bar(bar()),
        };
        Self {
            display,
            streams: false,
            stop: stop_on_interrupt(),
            binding_bytes: 0,
            begun: Instant::now(),
            judged: 0,
            judging: Instant::now(),
            started: Instant::now(),
            total: 0,
            first: 0,
            position: 0,
        }
    }

    /// From now on text is shown as it grows, in place of a bar.
    pub(crate) fn streams(&mut self) {
        self.streams = true;
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
            self.display = Display::Lines;
        }
    }

    pub(crate) fn runs_on(&mut self, gpu: &Gpu) {
        self.binding_bytes = gpu.limits().binding_bytes;
        self.say(&format!("running on {}", gpu.name()));
    }

    fn say(&self, line: &str) {
        let line = &flags::in_text(line);
        match &self.display {
            Display::Quiet => {}
            Display::Lines => print::note(line),
            Display::Bar(bar) => bar.suspend(|| print::note(line)),
        }
    }

    fn begin(&mut self, total: u64, first: u64) {
        (self.total, self.first, self.position, self.started) = (total, first, first, Instant::now());
        if let Display::Bar(bar) = &self.display {
            bar.set_length(total);
            bar.set_position(first);
            bar.reset_eta();
        }
    }

    /// Moves on to `now`, with a plain line for every hundredth of the run.
    fn advance(&mut self, now: u64, text: &str) {
        match &self.display {
            Display::Quiet => {}
            Display::Bar(bar) => {
                bar.set_position(now);
                bar.set_message(text.to_owned());
            }
            Display::Lines => {
                if line_is_due(self.first, self.position, now, self.total) {
                    print::note(&format!("{now}/{}  {text}  {} left", self.total, HumanDuration(self.time_left(now))));
                }
            }
        }
        self.position = now;
    }

    fn time_left(&self, now: u64) -> Duration {
        let done = now.saturating_sub(self.first).max(1);
        let left = self.total.saturating_sub(now);
        Duration::from_secs_f64(self.started.elapsed().as_secs_f64() / done as f64 * left as f64)
    }
}

fn line_is_due(first: u64, before: u64, now: u64, total: u64) -> bool {
    let every = (total / 100).max(1);
    before == first || now >= total || before / every < now / every
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:20} {pos}/{len}  {elapsed} + {eta} left  {per_sec}  {msg}");
    // Its last state stays on the screen.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_finish(ProgressFinish::Abandon);
    // The template is fixed, so the fallback is never seen.
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The first Ctrl-C raises the flag, the second ends the process.
fn stop_on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = stop.clone();
    let installed = ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(1);
        }
        print::note("\nstopping after this step; press Ctrl-C again to end at once");
    });
    if let Err(error) = installed {
        tracing::warn!("Ctrl-C will end the run at once: {error}");
    }
    stop
}

/// The plan, and the largest binding of the adapter where there is one.
pub(crate) fn plan_lines(plan: &MemoryPlan, binding_bytes: Option<u64>) -> Vec<String> {
    let mut rows = vec![
        ("weights", plan.weights),
        ("gradients", plan.gradients),
        ("optimizer", plan.optimizer),
        ("activations", plan.activations),
        ("workspace", plan.workspace),
        ("total", plan.total()),
    ];
    rows.extend(binding_bytes.map(|bytes| ("largest binding", bytes)));
    let title = format!("memory plan for {} tokens per micro-batch", plan.tokens);
    std::iter::once(title)
        .chain(rows.iter().map(|(name, count)| format!("  {name:<16}{:>12}", print::bytes(*count))))
        .chain(weights_line(plan))
        .collect()
}

/// How many weights are held how, if there are any yet.
pub(crate) fn weights_line(plan: &MemoryPlan) -> Option<String> {
    (!plan.held.is_empty()).then(|| format!("weights: {}", plan.held))
}

impl Observer for Progress {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Note(line) => self.say(line),
            Event::Tokenized { rows, tokens, truncation } => {
                self.say(&format!("tokenized {rows} rows, {tokens} tokens"));
                if truncation.rows > 0 {
                    self.say(&truncation.to_string());
                }
            }
            Event::Planned(plan) => plan_lines(plan, Some(self.binding_bytes)).iter().for_each(|line| self.say(line)),
            Event::Training { done, total } => self.begin(total, done),
            Event::Step { metrics, peak_share } => self.step(metrics, peak_share),
            Event::Evaluated { step, metrics } => self.say(&format!("step {step}: {}", named(metrics))),
            Event::Scored { done, total, tokens } => self.scored(done as u64, total as u64, tokens),
            Event::Extracted { done, total, conversations, rows } => {
                // Kibibytes, which a bar can show and which suit small inputs too.
                self.extracted(done >> 10, total >> 10, conversations, rows);
            }
            Event::Annotated { done, total } => self.annotated(done, total),
            Event::Grew { piece, .. } if self.streams => print::piece(piece),
            Event::Sampled { done, total, tokens } if !self.streams => self.sampled(done as u64, total as u64, tokens),
            Event::Grew { .. } | Event::Sampled { .. } => {}
        }
    }

    fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// What each event shows.
impl Progress {
    fn step(&mut self, metrics: &StepMetrics, peak_share: f64) {
        let StepMetrics { step, loss, learning_rate, grad_norm, tokens_per_second, .. } = metrics;
        let rate = print::token_rate(*tokens_per_second);
        let mut text = format!("loss {loss:.4}  lr {learning_rate:.2e}  grad norm {grad_norm:.3}  {rate}");
        if peak_share > 0.0 {
            text.push_str(&format!("  {:.0} % of peak", peak_share * 100.0));
        }
        self.advance(*step, &text);
    }

    fn scored(&mut self, rows: u64, total: u64, tokens: u64) {
        if self.total != total {
            self.begin(total, 0);
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let text = if seconds > 0.1 { print::token_rate(tokens as f64 / seconds) } else { String::new() };
        self.advance(rows, &text);
    }

    fn extracted(&mut self, done: u64, total: u64, conversations: u64, rows: u64) {
        if self.total != total {
            self.begin(total, 0);
        }
        let rate = conversations as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        let text = format!("KiB read  {conversations} conversations, {rate:.0}/s  {rows} rows");
        self.advance(done, &text);
    }

    fn annotated(&mut self, done: usize, total: usize) {
        if self.judged == 0 {
            self.judging = Instant::now();
        }
        // An annotator that finishes at once needs no lines.
        let is_slow = self.judging.elapsed() >= SLOW;
        match &self.display {
            Display::Quiet => {}
            Display::Bar(bar) => bar.set_message(format!("KiB read  {done} of {total} turns judged")),
            Display::Lines if is_slow && line_is_due(0, self.judged as u64, done as u64, total as u64) => {
                print::note(&format!("{done} of {total} turns judged"));
            }
            Display::Lines => {}
        }
        self.judged = if done == total { 0 } else { done };
    }

    fn sampled(&mut self, done: u64, total: u64, tokens: u64) {
        if self.total != total {
            self.begin(total, done);
        }
        // A completion takes many steps, which plain lines do not show.
        if matches!(self.display, Display::Bar(_)) || done > self.position {
            let rate = tokens as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
            self.advance(done, &format!("{tokens} tokens, {rate:.1}/s"));
        }
    }
}

/// Metrics with their names, in one line.
fn named(metrics: &Map<String, Value>) -> String {
    let shown = |(name, value): (&String, &Value)| match value.as_f64() {
        Some(number) if !value.is_u64() => format!("{name} {number:.4}"),
        _ => format!("{name} {value}"),
    };
    metrics.iter().map(shown).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_sums_up() {
        let plan = MemoryPlan { weights: 3 << 20, activations: 5 << 20, tokens: 96, ..MemoryPlan::default() };
        let lines = plan_lines(&plan, Some(128 << 20));
        assert!(lines[0].contains("96 tokens"));
        assert!(lines.iter().any(|line| line.contains("total") && line.ends_with("8.0 MiB")));
        assert!(lines.iter().any(|line| line.contains("largest binding") && line.ends_with("128.0 MiB")));
    }

    #[test]
    fn plain_lines_mark_the_first_the_last_and_every_hundredth() {
        let shown: Vec<u64> = (51..=1000).filter(|now| line_is_due(50, now - 1, *now, 1000)).collect();
        assert_eq!(shown[..3], [51, 60, 70]);
        assert_eq!(shown.last(), Some(&1000));
        assert_eq!((1..=5).filter(|now| line_is_due(0, now - 1, *now, 5)).count(), 5);
        assert!(line_is_due(0, 95, 130, 1000), "a batch may jump over a mark");
    }
}
