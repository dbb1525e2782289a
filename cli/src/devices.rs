//! `wgr devices`.

use serde::Serialize;
use wgr::Result;
use wgr::gpu::{AdapterChoice, AdapterSummary, Ceilings, Cooperative, Gpu, Operation, Preset, Variant, adapters};
use wgr::kernels::bench;
use wgr::kernels::tuner::{self, Timing, Timings};

use crate::print;

/// Flags of `wgr devices`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// List the adapters of one graphics API
    #[arg(long, value_parser = ["vulkan", "metal", "dx12"])]
    backend: Option<String>,
    /// Measure what each usable adapter can do at most, which takes about two seconds each
    #[arg(long)]
    measure: bool,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
    /// Show the variants of kernels that each adapter has timed, and which of them it runs
    #[arg(long)]
    tuning: bool,
    /// Forget the timings of each adapter and time every variant now
    #[arg(long)]
    retune: bool,
}

/// What is printed of an adapter.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    adapter: AdapterSummary,
    /// Absent unless asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    ceilings: Option<Ceilings>,
    /// Absent unless asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    tuning: Option<Timings>,
}

/// Prints every adapter; fails if none is usable.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let choice = AdapterChoice { name: None, backend: args.backend.clone() };
    let mut rows = vec![];
    for adapter in adapters(&choice).await? {
        let ceilings = match args.measure && adapter.unusable.is_none() {
            true => Some(measured(&choice, &adapter).await?),
            false => None,
        };
        let tuning = match (args.tuning || args.retune) && adapter.unusable.is_none() {
            true => Some(tuned(&choice, &adapter, args.retune).await?),
            false => None,
        };
        rows.push(Row { adapter, ceilings, tuning });
    }
    if args.json {
        print::json(&rows)?;
    } else {
        rows.iter().try_for_each(|row| print::line(&describe(row)))?;
    }
    if rows.iter().all(|row| row.adapter.unusable.is_some()) {
        // Opening says why none is usable and how to get one.
        Gpu::open(&choice).await?;
    }
    Ok(())
}

async fn tuned(choice: &AdapterChoice, adapter: &AdapterSummary, retune: bool) -> Result<Timings> {
    let mut gpu = Gpu::open(&AdapterChoice { name: Some(adapter.index.to_string()), ..choice.clone() }).await?;
    if !retune {
        return Ok(Timings::kept(&gpu));
    }
    Timings::forget(&gpu)?;
    tuner::tune_all(&mut gpu).await
}

async fn measured(choice: &AdapterChoice, adapter: &AdapterSummary) -> Result<Ceilings> {
    let gpu = Gpu::open(&AdapterChoice { name: Some(adapter.index.to_string()), ..choice.clone() }).await?;
    bench::ceilings(&gpu).await
}

fn describe(Row { adapter, ceilings, tuning }: &Row) -> String {
    let AdapterSummary { index, name, kind, backend, driver, .. } = adapter;
    let [smallest, largest] = adapter.subgroup_size;
    let features = if adapter.features.is_empty() { "none".into() } else { adapter.features.join(", ") };
    let cooperative = match adapter.cooperative.as_slice() {
        [] => String::new(),
        listed => format!("\n   matrices   {}", cooperative(listed, adapter.uncooperative.as_deref())),
    };
    let verdict = match (&adapter.unusable, adapter.preset, &adapter.unsuited) {
        (Some(reason), ..) => format!("no: {reason}"),
        (None, Preset::Software, _) => "yes, with the kernels for software adapters".into(),
        (None, Preset::Gpu, None) => "yes, with the kernels for GPUs".into(),
        (None, Preset::Gpu, Some(reason)) => format!("yes, with the kernels for GPUs, which are slower here: {reason}"),
    };
    let tuning = tuning.as_ref().map_or(String::new(), |of| format!("\n{}", describe_tuning(of)));
    let ceilings = ceilings.as_ref().map_or(String::new(), |of| format!("\n   ceilings   {}", print::ceilings(of)));
    format!(
        "{index}  {name}\n   \
         type       {kind}, {backend}, driver {driver}\n   \
         limits     {} per binding, {} per buffer, {} workgroup memory, {} storage buffers per shader\n   \
         features   {features}; subgroups of {smallest} to {largest}{cooperative}\n   \
         usable     {verdict}{ceilings}{tuning}",
        print::bytes(adapter.max_binding_bytes),
        print::bytes(adapter.max_buffer_bytes),
        print::bytes(adapter.workgroup_memory_bytes.into()),
        adapter.storage_buffers,
    )
}

/// What an adapter lists of cooperative matrices, and why products do without them if they do.
fn cooperative(listed: &[Cooperative], unused: Option<&str>) -> String {
    let of = |Cooperative { m, n, k, operands, result }: &Cooperative| format!("{m}×{n}×{k} {operands} to {result}");
    let listed: Vec<String> = listed.iter().map(of).collect();
    match unused {
        Some(reason) => format!("{}; not used: {reason}", listed.join(", ")),
        None => format!("{}; --precision mixed uses them", listed.join(", ")),
    }
}

/// One line per operation: the variant in use, then the others with their times.
fn describe_tuning(timings: &Timings) -> String {
    if timings.preset == Preset::Gpu {
        return "   tuning     none: the kernels for GPUs have one variant each".into();
    }
    let tuning = timings.fastest();
    let line = |operation: Operation| {
        let used = tuning.variant(operation, timings.wide);
        let timed = timings.operations.get(&operation).map_or(&[][..], Vec::as_slice);
        let others = timed.iter().filter(|timing| timing.variant != used).map(describe_timing);
        let missing = timings.missing(operation).len();
        let missing = (missing > 0).then(|| format!("{missing} not timed yet"));
        let others: Vec<String> = others.chain(missing).collect();
        let used = match timed.iter().find(|timing| timing.variant == used) {
            Some(timing) => describe_timing(timing),
            None => variant_name(used),
        };
        format!("   tuning     {:<20}{used}; {}", operation.name(), others.join(", "))
    };
    Operation::ALL.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

fn describe_timing(timing: &Timing) -> String {
    let time = timing.seconds.map_or("wrong".into(), |seconds| format!("{:.2} ms", seconds * 1e3));
    format!("{} {time}", variant_name(timing.variant))
}

fn variant_name(variant: Variant) -> String {
    format!("{}-bit words x {}", if variant.wide { 64 } else { 32 }, variant.tiling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cooperative_matrices_are_listed_with_their_use() {
        let listed = [Cooperative { m: 8, n: 8, k: 16, operands: "f16", result: "f32" }];
        assert_eq!(cooperative(&listed, None), "8×8×16 f16 to f32; --precision mixed uses them");
        assert_eq!(cooperative(&listed, Some("why")), "8×8×16 f16 to f32; not used: why");
    }
}
