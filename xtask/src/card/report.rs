//! What a report holds, and its table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use wgr::gpu::{AdapterSummary, Bound, Ceilings, Profile, ProfileRow, Work};

/// Everything that was measured on an adapter.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    adapter: AdapterSummary,
    version: &'static str,
    /// "passed", or what is wrong.
    pub(super) self_test: String,
    /// Until the adapter was open, tested and tuned.
    pub(super) start_seconds: f64,
    pub(super) ceilings: Option<Ceilings>,
    /// The closing line of the kernel tests.
    pub(super) kernel_tests: Option<String>,
    pub(super) rows: Vec<Row>,
    /// Where the time of whole steps goes.
    pub(super) profiles: Vec<StepProfile>,
    /// What was not measured, and why.
    pub(super) left_out: Vec<LeftOut>,
    /// Versions and device of PyTorch.
    pub(super) pytorch: Option<String>,
    pub(super) seconds: f64,
}

/// One measurement.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// What is computed, by which PyTorch's measurement is found.
    pub(super) task: String,
    /// In which form: types, preset.
    pub(super) form: &'static str,
    pub(super) value: f64,
    pub(super) unit: Unit,
    /// The ceiling that applies, and the share of it, for kernels.
    pub(super) bound: Option<(Bound, f64)>,
    /// The same with PyTorch, by type.
    pub(super) pytorch: BTreeMap<String, f64>,
}

/// Device time of a step, by kernel, the slowest first.
#[derive(Debug, Serialize)]
pub(super) struct StepProfile {
    task: String,
    form: &'static str,
    kernels: Vec<KernelTime>,
    /// Of all kernels, those that are not listed included.
    device_seconds: f64,
}

#[derive(Debug, Serialize)]
struct KernelTime {
    #[serde(flatten)]
    row: ProfileRow,
    bound: Bound,
    share: f64,
}

/// Kernels that a profile lists.
const KERNELS: usize = 12;

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) enum Unit {
    #[serde(rename = "GFLOP/s")]
    Gflops,
    #[serde(rename = "tokens/s")]
    Tokens,
}

#[derive(Debug, Serialize)]
pub(super) struct LeftOut {
    pub(super) what: String,
    pub(super) why: String,
}

impl Report {
    pub(super) fn new(adapter: AdapterSummary) -> Self {
        Self {
            adapter,
            version: env!("CARGO_PKG_VERSION"),
            self_test: "not run".into(),
            start_seconds: 0.0,
            ceilings: None,
            kernel_tests: None,
            rows: vec![],
            profiles: vec![],
            left_out: vec![],
            pytorch: None,
            seconds: 0.0,
        }
    }

    pub(super) fn leave_out(&mut self, what: impl Into<String>, why: impl Into<String>) {
        let (what, why) = (what.into(), why.into());
        println!("left out: {what}: {why}");
        self.left_out.push(LeftOut { what, why });
    }

    /// Adds the rate of a kernel and its share of the ceiling that applies, which is raised if it is exceeded.
    pub(super) fn add_kernel(&mut self, task: &str, form: &'static str, work: Work) {
        let bound = self.ceilings.as_mut().map(|ceilings| {
            let (rooflines, _) = ceilings.rooflines(&[(task, work)]);
            (rooflines[0].bound, rooflines[0].share)
        });
        self.add(task, form, work.cost.flops / work.seconds / 1e9, Unit::Gflops, bound);
    }

    pub(super) fn add_tokens(&mut self, task: &str, form: &'static str, tokens_per_second: f64) {
        self.add(task, form, tokens_per_second, Unit::Tokens, None);
    }

    /// Adds where the time of a step goes.
    pub(super) fn add_profile(&mut self, task: &str, form: &'static str, profile: &Profile) {
        let Some(ceilings) = self.ceilings.as_mut() else { return };
        let (rooflines, _) = profile.rooflines(ceilings);
        let rows = profile.rows.iter().cloned().zip(rooflines).take(KERNELS);
        let kernels = rows.map(|(row, of)| KernelTime { row, bound: of.bound, share: of.share }).collect();
        let profile = StepProfile { task: task.into(), form, kernels, device_seconds: profile.seconds() };
        println!("{}", profile.markdown());
        self.profiles.push(profile);
    }

    fn add(&mut self, task: &str, form: &'static str, value: f64, unit: Unit, bound: Option<(Bound, f64)>) {
        let row = Row { task: task.into(), form, value, unit, bound, pytorch: BTreeMap::new() };
        println!("{}", row.markdown());
        self.rows.push(row);
    }

    /// Writes report.json and report.md; what an earlier call wrote is replaced.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let context = || format!("{} cannot be written", folder.display());
        std::fs::create_dir_all(folder).with_context(context)?;
        std::fs::write(folder.join("report.json"), serde_json::to_string_pretty(self)?).with_context(context)?;
        std::fs::write(folder.join("report.md"), self.markdown()).with_context(context)
    }

    /// A table for docs/performance.md.
    pub(super) fn markdown(&self) -> String {
        let AdapterSummary { name, driver, backend, preset, .. } = &self.adapter;
        let mut text = format!("### {name}\n\n{driver}, {backend}, {preset:?} kernels; wgr {}.\n\n", self.version);
        let mut line = |words: String| writeln!(text, "- {words}").expect("a string takes everything");
        line(format!("self-test: {}, {:.1} s from start to tuned", self.self_test, self.start_seconds));
        line(format!("kernel tests: {}", self.kernel_tests.as_deref().unwrap_or("not run")));
        if let Some(ceilings) = &self.ceilings {
            let f16 = ceilings.f16_flops_per_second.map(|rate| format!(", {:.1} in f16", rate / 1e9));
            let cooperative = ceilings.cooperative_flops_per_second;
            let cooperative = cooperative.map(|rate| format!(", {:.1} on cooperative matrices", rate / 1e9));
            let bandwidths = ceilings.bandwidths.iter().map(|of| format!("{:.1}", of.bytes_per_second / 1e9));
            line(format!(
                "ceilings: {:.1} GFLOP/s in f32{}{}; {} GB/s for working sets of {} MiB",
                ceilings.f32_flops_per_second / 1e9,
                f16.unwrap_or_default(),
                cooperative.unwrap_or_default(),
                bandwidths.collect::<Vec<_>>().join(", "),
                ceilings.bandwidths.iter().map(|of| (of.working_set >> 20).to_string()).collect::<Vec<_>>().join(", "),
            ));
        }
        line(format!("PyTorch: {}", self.pytorch.as_deref().unwrap_or("not run")));
        text +=
            "\n| | form | wgr | unit | share of the bound | PyTorch f32 | ratio | bf16, or f16 beside f16 | ratio |\n";
        text += "|---|---|--:|---|--:|--:|--:|--:|--:|\n";
        text.extend(self.rows.iter().map(|row| row.markdown() + "\n"));
        text.extend(self.profiles.iter().map(|profile| format!("\n{}", profile.markdown())));
        if !self.left_out.is_empty() {
            text += "\nNot measured:\n\n";
            text.extend(self.left_out.iter().map(|left| format!("- {}: {}\n", left.what, left.why)));
        }
        text
    }
}

impl StepProfile {
    fn markdown(&self) -> String {
        let mut text = format!("{}, {}: {:.2} ms on the device\n\n", self.task, self.form, 1e3 * self.device_seconds);
        text += "| kernel | dispatches | ms | share of the bound |\n|---|--:|--:|--:|\n";
        for KernelTime { row: ProfileRow { kernel, dispatches, seconds, .. }, bound, share } in &self.kernels {
            let (milliseconds, percent) = (1e3 * seconds, 1e2 * share);
            writeln!(text, "| {kernel} | {dispatches} | {milliseconds:.3} | {percent:.0} % ({}) |", bound.name())
                .expect("a string takes everything");
        }
        text
    }
}

impl Row {
    fn markdown(&self) -> String {
        let unit = match self.unit {
            Unit::Gflops => "GFLOP/s",
            Unit::Tokens => "tokens/s",
        };
        let share =
            self.bound.map_or("–".into(), |(bound, share)| format!("{:.0} % ({})", 1e2 * share, bound.name()));
        let beside = |dtype: &str| match self.pytorch.get(dtype) {
            Some(value) => format!("{value:.1} | {:.2}", self.value / value),
            None => "– | –".into(),
        };
        format!(
            "| {} | {} | {:.1} | {unit} | {share} | {} | {} |",
            self.task,
            self.form,
            self.value,
            beside("float32"),
            beside(if self.form == "f16" { "float16" } else { "bfloat16" })
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_the_share_and_the_ratios() {
        let mut row = Row {
            task: "product 1024".into(),
            form: "f32",
            value: 30.0,
            unit: Unit::Gflops,
            bound: Some((Bound::Compute, 0.5)),
            pytorch: BTreeMap::new(),
        };
        row.pytorch.insert("float32".into(), 60.0);
        let expected = "| product 1024 | f32 | 30.0 | GFLOP/s | 50 % (compute) | 60.0 | 0.50 | – | – |";
        assert_eq!(row.markdown(), expected);
    }
}
