//! `wgr devices`.

use serde::Serialize;
use wgr::Result;
use wgr::gpu::{AdapterChoice, AdapterSummary, Ceilings, Gpu, Preset, adapters};
use wgr::kernels::bench;

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
}

/// What is printed of an adapter.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    adapter: AdapterSummary,
    /// Absent unless asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    ceilings: Option<Ceilings>,
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
        rows.push(Row { adapter, ceilings });
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

async fn measured(choice: &AdapterChoice, adapter: &AdapterSummary) -> Result<Ceilings> {
    let gpu = Gpu::open(&AdapterChoice { name: Some(adapter.index.to_string()), ..choice.clone() }).await?;
    bench::ceilings(&gpu).await
}

fn describe(Row { adapter, ceilings }: &Row) -> String {
    let AdapterSummary { index, name, kind, backend, driver, .. } = adapter;
    let [smallest, largest] = adapter.subgroup_size;
    let features = if adapter.features.is_empty() { "none".into() } else { adapter.features.join(", ") };
    let verdict = match (&adapter.unusable, adapter.preset, &adapter.unsuited) {
        (Some(reason), ..) => format!("no: {reason}"),
        (None, Preset::Software, _) => "yes, with the kernels for software adapters".into(),
        (None, Preset::Gpu, None) => "yes, with the kernels for GPUs".into(),
        (None, Preset::Gpu, Some(reason)) => format!("yes, with the kernels for GPUs, which are slower here: {reason}"),
    };
    let ceilings = ceilings.as_ref().map_or(String::new(), |of| format!("\n   ceilings   {}", print::ceilings(of)));
    format!(
        "{index}  {name}\n   \
         type       {kind}, {backend}, driver {driver}\n   \
         limits     {} per binding, {} per buffer, {} workgroup memory, {} storage buffers per shader\n   \
         features   {features}; subgroups of {smallest} to {largest}\n   \
         usable     {verdict}{ceilings}",
        print::bytes(adapter.max_binding_bytes),
        print::bytes(adapter.max_buffer_bytes),
        print::bytes(adapter.workgroup_memory_bytes.into()),
        adapter.storage_buffers,
    )
}
