//! The tuner: times the variants of each operation once per adapter, driver version and kernels, and has the adapter run
//! the fastest. Drivers differ in what they do well, by version: what is fast on one is slow on the next.
//!
//! A start spends at most [`BUDGET`] on it and leaves the rest to the next; until an operation's variants are all timed,
//! its first one is used. A variant that disagrees with the twin of its operation is never used. All of an operation add up
//! in the same order, so no result depends on what was timed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::attention::Attention;
use super::product::{self, Epilogue};
use super::sample;
use super::self_test::{self, Passes};
use crate::files::{read_if_there, replace_file};
use crate::gpu::{Dtype, Gpu, Layout, Memory, Operation, Preset, Recorder, Recording, Tensor, Tuning, Variant};
use crate::{Error, Result};

/// Time that one start gives to variants, compiling included. One that was begun is finished.
pub const BUDGET: Duration = Duration::from_secs(2);

/// How many times as long the first variant of an operation must take as another one that takes its place.
const MARGIN: f64 = 1.1;

/// What was timed on one adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// The adapter's name.
    pub adapter: String,
    /// Its driver and the driver's version.
    pub driver: String,
    /// The kernels that it runs; those for GPUs have one variant each.
    pub preset: Preset,
    /// Lanes of its subgroups.
    pub lanes: u32,
    /// Whether there are variants for words of 64 bits.
    pub wide: bool,
    /// What tells these kernels from those of other versions of the program.
    pub kernels: u64,
    /// The variants of each operation that were timed.
    pub operations: BTreeMap<Operation, Vec<Timing>>,
}

/// A variant and its speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The variant.
    #[serde(flatten)]
    pub variant: Variant,
    /// The fewest seconds that it took; none if it disagreed with its twin.
    pub seconds: Option<f64>,
}

impl Timings {
    fn none(gpu: &Gpu) -> Self {
        Self {
            adapter: gpu.name().to_owned(),
            driver: gpu.driver(),
            preset: gpu.preset(),
            lanes: gpu.subgroup_size(),
            wide: gpu.loads_wide(),
            kernels: wgr_shaders::FINGERPRINT,
            operations: BTreeMap::new(),
        }
    }

    /// What was kept of an earlier start, if it was timed on the same adapter, driver and kernels. What cannot be read is
    /// timed again.
    pub fn kept(gpu: &Gpu) -> Self {
        let none = Self::none(gpu);
        let kept = cache().and_then(|folder| read_if_there(&none.file(&folder)).ok().flatten());
        let kept = kept.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        kept.filter(|kept| Self { operations: BTreeMap::new(), ..kept.clone() } == none).unwrap_or(none)
    }

    /// Removes what was kept of an adapter.
    ///
    /// # Errors
    /// If there is a file that cannot be removed.
    pub fn forget(gpu: &Gpu) -> Result<()> {
        let Some(file) = cache().map(|folder| Self::none(gpu).file(&folder)) else { return Ok(()) };
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&file, error)),
            _ => Ok(()),
        }
    }

    fn keep(&self) -> Result<()> {
        let Some(folder) = cache() else { return Ok(()) };
        std::fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
        let json = serde_json::to_vec_pretty(self).expect("numbers and texts can be written");
        replace_file(&self.file(&folder), &json)
    }

    /// One file per adapter and driver; the version of the kernels is inside, so that old ones are overwritten.
    fn file(&self, folder: &Path) -> PathBuf {
        let text = format!("{} {} {}", self.adapter, self.driver, self.lanes);
        let name: String = text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        folder.join(name + ".json")
    }

    /// Variants of an operation that were not timed.
    pub fn missing(&self, operation: Operation) -> Vec<Variant> {
        let timed = self.operations.get(&operation).map_or(&[][..], Vec::as_slice);
        let mut variants = operation.variants(self.wide);
        variants.retain(|variant| timed.iter().all(|timing| timing.variant != *variant));
        variants
    }

    /// The fastest variant of each operation of which all were timed, or whose first one is wrong: the first one, unless
    /// another takes less by more than what a few runs differ by.
    pub fn fastest(&self) -> Tuning {
        let fastest = self.operations.iter().filter_map(|(operation, timings)| {
            let first = operation.variants(self.wide)[0];
            let first_is_wrong = timings.iter().any(|timing| timing.variant == first && timing.seconds.is_none());
            if !first_is_wrong && !self.missing(*operation).is_empty() {
                return None;
            }
            let needed = |timing: &Timing| {
                let margin = if timing.variant == first { 1.0 } else { MARGIN };
                Some((timing.seconds? * margin, timing.variant))
            };
            Some((*operation, timings.iter().filter_map(needed).min_by(|a, b| a.0.total_cmp(&b.0))?.1))
        });
        Tuning(fastest.collect())
    }
}

/// Where timings are kept: `wgr/tuning` in the user's cache folder, if the system has one.
fn cache() -> Option<PathBuf> {
    Some(dirs::cache_dir()?.join("wgr").join("tuning"))
}

/// Has the adapter run the variants that earlier starts found fastest.
pub(super) fn recall(gpu: &mut Gpu) {
    if gpu.preset() == Preset::Software {
        gpu.tune(Timings::kept(gpu).fastest());
    }
}

/// Has the adapter run the fastest variants of what a run needs, timing for at most [`BUDGET`] those that no earlier start
/// has. The kernels for GPUs have one variant each.
///
/// # Errors
/// If the driver fails.
pub async fn tune(gpu: &mut Gpu, passes: Passes) -> Result<()> {
    if gpu.preset() == Preset::Gpu {
        return Ok(());
    }
    let mut timings = Timings::kept(gpu);
    let started = Instant::now();
    if time(gpu, &mut timings, passes, || started.elapsed() < BUDGET).await? {
        keep(&timings);
    }
    gpu.tune(timings.fastest());
    Ok(())
}

/// Times every variant that was not, however long it takes, and keeps the outcome.
///
/// # Errors
/// If the driver fails.
pub async fn tune_all(gpu: &mut Gpu) -> Result<Timings> {
    let mut timings = Timings::kept(gpu);
    if gpu.preset() == Preset::Software && time(gpu, &mut timings, Passes::ForwardAndBackward, || true).await? {
        keep(&timings);
    }
    Ok(timings)
}

fn keep(timings: &Timings) {
    if let Err(problem) = timings.keep() {
        tracing::warn!("{problem}; the variants of kernels will be timed again at the next start");
    }
}

/// Times what is missing while `goes_on`; whether anything was.
async fn time(gpu: &mut Gpu, timings: &mut Timings, passes: Passes, goes_on: impl Fn() -> bool) -> Result<bool> {
    let mut any = false;
    for operation in passes.operations() {
        for variant in timings.missing(*operation) {
            if !goes_on() {
                return Ok(any);
            }
            gpu.tune(Tuning([(*operation, variant)].into()));
            let seconds = match self_test::agrees(gpu, *operation).await {
                Ok(()) => Some(seconds(gpu, *operation).await?),
                Err(problem) => {
                    tracing::warn!("{problem}; {operation:?} does not use {variant:?} on this adapter");
                    None
                }
            };
            timings.operations.entry(*operation).or_default().push(Timing { variant, seconds });
            any = true;
        }
    }
    Ok(any)
}

/// The fewest seconds of a few runs.
async fn seconds(gpu: &Gpu, operation: Operation) -> Result<f64> {
    const RUNS: usize = 5;
    // Buffers of tensors that are dropped go to others, so these must outlive the runs.
    let (mut recording, _tensors) = prepared(gpu, operation)?;
    let mut fewest = f64::INFINITY;
    // The first run compiles.
    for run in 0..=RUNS {
        let started = Instant::now();
        recording.replay(gpu)?;
        gpu.wait("tuning").await?;
        if run > 0 {
            fewest = fewest.min(started.elapsed().as_secs_f64());
        }
    }
    Ok(fewest)
}

/// An operation at a size that takes a few milliseconds, and the tensors that it works on.
fn prepared(gpu: &Gpu, operation: Operation) -> Result<(Recording, Vec<Tensor>)> {
    // Of attention.
    const TOKENS: usize = 128;
    // Of products: as many rows as make a panel pay, as far apart as caches like least.
    const ROWS: usize = 256;
    const INNER: usize = 1024;
    const OUT: usize = 256;
    let rows = if operation == Operation::ProductFew { 4 } else { ROWS };
    let matrix = |rows: usize, columns: Layout| {
        let tensor = Tensor::activation(gpu, "tuning", rows, columns, Dtype::F32)?;
        tensor.write(gpu, &sample(rows * columns.len(), 1))?;
        Ok::<_, Error>(tensor)
    };
    let (inner, out) = (Layout::plain(INNER), Layout::plain(OUT));
    let mut recording = Recording::new();
    let recorder: &mut Recorder = &mut recording.recorder(gpu);
    let tensors = match operation {
        Operation::Attention | Operation::AttentionBackward => {
            let shape = Attention { heads: 4, key_value_heads: 2, head_dim: 64, causal: true, window: None };
            let (query, keys) = (shape.query_layout(), shape.key_value_layout());
            let spans = Tensor::workspace(gpu, "tuning", 2 * TOKENS, Dtype::U32)?;
            spans.write_u32(gpu, &[0, TOKENS as u32].repeat(TOKENS));
            let stats = Tensor::workspace(gpu, "tuning", 2 * TOKENS * shape.heads, Dtype::F32)?;
            let (q, k, v, o) =
                (matrix(TOKENS, query)?, matrix(TOKENS, keys)?, matrix(TOKENS, keys)?, matrix(TOKENS, query)?);
            let (d_o, d_q) = (matrix(TOKENS, query)?, matrix(TOKENS, query)?);
            let (d_k, d_v) = (matrix(TOKENS, keys)?, matrix(TOKENS, keys)?);
            if operation == Operation::Attention {
                shape.forward(recorder, TOKENS, &spans, &q, &k, &v, &o, &stats)?;
            } else {
                shape.backward(recorder, TOKENS, &spans, [&q, &k, &v, &o], &stats, &d_o, [&d_q, &d_k, &d_v])?;
            }
            vec![spans, stats, q, k, v, o, d_o, d_q, d_k, d_v]
        }
        _ => {
            let (x, y) = (matrix(rows, inner)?, matrix(rows, out)?);
            let w = Tensor::new(gpu, Memory::Weights, "tuning", out, inner, Dtype::F32)?;
            w.write(gpu, &sample(OUT * INNER, 2))?;
            match operation {
                Operation::ProductNn => product::nn(recorder, rows, &y, &w, &x, false)?,
                Operation::ProductTn => product::tn(recorder, rows, &y, &x, &w)?,
                _ => product::nt(recorder, rows, &x, &w, &y, Epilogue::default())?,
            }
            vec![x, w, y]
        }
    };
    Ok((recording, tensors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{AdapterChoice, Tiling};

    const NARROW: Variant = Variant { wide: false, tiling: Tiling::Rows(16) };
    const WIDE: Variant = Variant { wide: true, tiling: Tiling::Rows(16) };
    const SMALL: Variant = Variant { wide: false, tiling: Tiling::Rows(32) };

    type Timed<'a> = (Operation, &'a [(Variant, Option<f64>)]);

    fn timings(timed: &[Timed]) -> Timings {
        let operation = |(operation, timed): &Timed| {
            (
                *operation,
                timed.iter().map(|(variant, seconds)| Timing { variant: *variant, seconds: *seconds }).collect(),
            )
        };
        let operations = timed.iter().map(operation).collect();
        Timings {
            adapter: "llvmpipe".into(),
            driver: "Mesa".into(),
            preset: Preset::Software,
            lanes: 8,
            wide: true,
            kernels: 1,
            operations,
        }
    }

    #[test]
    fn the_fastest_of_an_operation_is_used_once_all_its_variants_were_timed() {
        let timings = timings(&[
            (Operation::Attention, &[(WIDE, Some(2.0)), (NARROW, Some(1.0))]),
            (Operation::AttentionBackward, &[(WIDE, Some(2.0)), (NARROW, None)]),
            (Operation::ProductFew, &[(WIDE, Some(1.05)), (NARROW, Some(1.0))]),
            (Operation::ProductNt, &[(SMALL, Some(1.0))]),
            (Operation::ProductNn, &[(Variant { wide: true, tiling: Tiling::Panel }, None), (SMALL, Some(1.0))]),
        ]);
        let tuning = timings.fastest();
        assert_eq!(tuning.variant(Operation::Attention, true), NARROW);
        assert_eq!(tuning.variant(Operation::AttentionBackward, true), WIDE, "the other one is wrong");
        assert_eq!(tuning.variant(Operation::ProductFew, true), WIDE, "runs differ by more");
        let untimed = tuning.variant(Operation::ProductNt, true);
        assert_eq!(untimed, Variant { wide: true, tiling: Tiling::Panel }, "other variants were not timed");
        assert_eq!(tuning.variant(Operation::ProductNn, true), SMALL, "the first one is wrong");
        assert_eq!(tuning.variant(Operation::ProductTn, false), SMALL, "there are no words of 64 bits");
    }

    #[test]
    fn timings_survive_being_written_and_name_their_adapter() {
        let timings = timings(&[(Operation::ProductFew, &[(WIDE, Some(0.5))])]);
        let json = serde_json::to_string(&timings).unwrap();
        assert!(json.contains(r#""product_few":[{"wide":true,"tiling":{"rows":16},"seconds":0.5}]"#), "{json}");
        assert_eq!(serde_json::from_str::<Timings>(&json).unwrap(), timings);
        assert_eq!(timings.file(Path::new("tuning")), Path::new("tuning/llvmpipe-Mesa-8.json"));
    }

    #[test]
    fn timing_stops_when_it_is_told_to_and_goes_on_from_there() {
        let mut gpu = pollster::block_on(Gpu::open(&AdapterChoice::default())).unwrap();
        let mut timings = Timings::none(&gpu);
        let timed = |timings: &Timings| timings.operations.values().map(Vec::len).sum::<usize>();
        let mut time_one = |timings: &mut Timings| {
            let asked = std::cell::Cell::new(0);
            let first = || asked.replace(asked.get() + 1) == 0;
            pollster::block_on(time(&mut gpu, timings, Passes::Generation, first)).unwrap()
        };
        assert!(time_one(&mut timings) && timed(&timings) == 1);
        let first = timings.clone();
        assert!(time_one(&mut timings) && timed(&timings) == 2);
        assert_eq!(timings.operations[&Operation::ProductFew][0], first.operations[&Operation::ProductFew][0]);
        assert!(
            timings.operations.values().flatten().all(|timing| timing.seconds.is_some_and(|seconds| seconds > 0.0))
        );
    }
}
