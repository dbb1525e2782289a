//! `wgr devices`.

use wgr::Result;
use wgr::gpu::{AdapterChoice, AdapterSummary, Gpu, Preset, adapters};

use crate::print;

/// Flags of `wgr devices`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// List the adapters of one graphics API
    #[arg(long, value_parser = ["vulkan", "metal", "dx12"])]
    backend: Option<String>,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// Prints every adapter; fails if none is usable.
pub async fn run(args: &Args) -> Result<()> {
    let choice = AdapterChoice { name: None, backend: args.backend.clone() };
    let found = adapters(&choice).await?;
    if args.json {
        print::json(&found)?;
    } else {
        for adapter in &found {
            print::line(&describe(adapter))?;
        }
    }
    if found.iter().all(|adapter| adapter.unusable.is_some()) {
        // Opening says why none is usable and how to get one.
        Gpu::open(&choice).await?;
    }
    Ok(())
}

fn describe(adapter: &AdapterSummary) -> String {
    let AdapterSummary { index, name, kind, backend, driver, .. } = adapter;
    let [smallest, largest] = adapter.subgroup_size;
    let features = if adapter.features.is_empty() { "none".into() } else { adapter.features.join(", ") };
    let verdict = match (&adapter.unusable, adapter.preset) {
        (Some(reason), _) => format!("no: {reason}"),
        (None, Preset::Software) => "yes, with the kernels for software adapters".into(),
        (None, Preset::Gpu) => "yes, with the kernels for GPUs".into(),
    };
    format!(
        "{index}  {name}\n   \
         type       {kind}, {backend}, driver {driver}\n   \
         limits     {} per binding, {} per buffer, {} workgroup memory, {} storage buffers per shader\n   \
         features   {features}; subgroups of {smallest} to {largest}\n   \
         usable     {verdict}",
        print::bytes(adapter.max_binding_bytes),
        print::bytes(adapter.max_buffer_bytes),
        print::bytes(adapter.workgroup_memory_bytes.into()),
        adapter.storage_buffers,
    )
}
