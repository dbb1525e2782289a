//! The choice of an adapter, and of the kernels that suit it.

use std::sync::LazyLock;

use super::cooperative::{self, Cooperative};
use crate::{Error, Result};

/// The adapter that the user asked for.
#[derive(Debug, Clone, Default)]
pub struct AdapterChoice {
    /// Part of the adapter's name, in any case, or its index in [`adapters`].
    pub name: Option<String>,
    /// `vulkan`, `metal` or `dx12`; all of them when absent.
    pub backend: Option<String>,
}

/// The family of kernels an adapter runs best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Drivers that run shaders on the CPU: register tiles and panels, loads shared within a subgroup.
    Software,
    /// Ordinary GPUs: workgroup tiles.
    Gpu,
}

/// An adapter as `wgr devices` describes it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AdapterSummary {
    /// Its place in the list, which [`AdapterChoice::name`] accepts as well.
    pub index: usize,
    /// The driver's name for it.
    pub name: String,
    /// `discrete`, `integrated`, `virtual` or `software`.
    pub kind: &'static str,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// Smallest and largest subgroup size.
    pub subgroup_size: [u32; 2],
    /// Largest storage binding in bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Workgroup memory in bytes.
    pub workgroup_memory_bytes: u32,
    /// Maximum number of storage buffers that a shader can bind.
    pub storage_buffers: u32,
    /// Optional features the engine can use.
    pub features: Vec<&'static str>,
    /// Sizes and types of cooperative matrices.
    pub cooperative: Vec<Cooperative>,
    /// The reason why products in f16 do not use them, although there are some.
    pub uncooperative: Option<String>,
    /// Preset the engine would choose.
    pub preset: Preset,
    /// The reason why a software adapter runs the kernels for GPUs, which are slower there, if it does.
    pub unsuited: Option<String>,
    /// The reason why the engine cannot run on it, if there is one.
    pub unusable: Option<String>,
}

const HOW_TO_GET_ONE: &str = "install a Vulkan driver: Debian/Ubuntu `apt-get install mesa-vulkan-drivers`, Fedora \
     `dnf install mesa-vulkan-drivers`, Arch `pacman -S vulkan-swrast`; macOS and Windows bring Metal and DirectX 12";

const BACKENDS: wgpu::Backends = if cfg!(target_family = "wasm") {
    wgpu::Backends::BROWSER_WEBGPU
} else {
    wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12)
};

pub(super) fn backends(choice: &AdapterChoice) -> Result<wgpu::Backends> {
    Ok(match choice.backend.as_deref() {
        None => BACKENDS,
        Some("vulkan") => wgpu::Backends::VULKAN,
        Some("metal") => wgpu::Backends::METAL,
        Some("dx12") => wgpu::Backends::DX12,
        Some(other) => {
            return Err(Error::input(
                "`.backend`",
                format!("no backend is called {other:?}"),
                "use vulkan, metal or dx12",
            ));
        }
    })
}

/// Every adapter of the chosen backends, usable or not, in a stable order.
///
/// # Errors
/// If there is no backend of the chosen name.
pub async fn adapters(choice: &AdapterChoice) -> Result<Vec<AdapterSummary>> {
    let all = enumerate(choice).await?;
    Ok(all.iter().enumerate().map(|(index, adapter)| summary(index, adapter)).collect())
}

/// The one instance of this process, which is never dropped: NVIDIA's driver leaves destructors in every thread that called
/// it, and with the last instance it is unloaded, so that the next thread to end would jump to where they had been.
fn instance() -> &'static wgpu::Instance {
    static INSTANCE: LazyLock<wgpu::Instance> = LazyLock::new(|| {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = BACKENDS;
        // To name an object for debuggers, the Vulkan loader (1.3.239) walks the list of devices without the lock under
        // which other threads open and close theirs, and crashes. WGPU_DISCARD_HAL_LABELS=0 brings the names back.
        descriptor.flags = (descriptor.flags | wgpu::InstanceFlags::DISCARD_HAL_LABELS).with_env();
        wgpu::Instance::new(descriptor)
    });
    &INSTANCE
}

async fn enumerate(choice: &AdapterChoice) -> Result<Vec<wgpu::Adapter>> {
    let mut all = instance().enumerate_adapters(backends(choice)?).await;
    // The same driver can be listed twice (once through a compatibility layer); the order must not depend on it.
    all.sort_by_key(|adapter| rank(&adapter.get_info()));
    Ok(all)
}

fn rank(info: &wgpu::AdapterInfo) -> u8 {
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// The adapter the user named, or the best one: discrete before integrated before software.
pub(super) async fn choose(choice: &AdapterChoice) -> Result<wgpu::Adapter> {
    let all = enumerate(choice).await?;
    if all.is_empty() {
        return Err(Error::NoAdapter { reason: "the system offers none".into(), hint: HOW_TO_GET_ONE.into() });
    }
    let names: Vec<String> = all.iter().map(|adapter| adapter.get_info().name).collect();
    let usable = |index: usize| match summary(index, &all[index]).unusable {
        None => Ok(()),
        Some(reason) => {
            Err(Error::NoAdapter { reason: format!("{}: {reason}", names[index]), hint: HOW_TO_GET_ONE.into() })
        }
    };
    let index = match &choice.name {
        None => (0..all.len()).find(|i| usable(*i).is_ok()).unwrap_or(0),
        Some(wanted) => named(wanted, &names).ok_or_else(|| {
            Error::input(
                "`.adapter`",
                format!("no adapter matches {wanted:?}"),
                format!("there are: {}", names.join(", ")),
            )
        })?,
    };
    usable(index)?;
    Ok(all.into_iter().nth(index).expect("the index was taken from this list"))
}

fn named(wanted: &str, names: &[String]) -> Option<usize> {
    if let Ok(index) = wanted.parse::<usize>() {
        return (index < names.len()).then_some(index);
    }
    names.iter().position(|name| name.to_lowercase().contains(&wanted.to_lowercase()))
}

pub(super) fn preset(info: &wgpu::AdapterInfo, features: wgpu::Features) -> Preset {
    if is_software(info) && misfit(info, features).is_none() { Preset::Software } else { Preset::Gpu }
}

pub(super) fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.device_type == wgpu::DeviceType::Cpu
}

/// Why a software adapter has to run the kernels for GPUs, if it has to.
pub(super) fn unsuited(info: &wgpu::AdapterInfo, features: wgpu::Features) -> Option<String> {
    is_software(info).then(|| misfit(info, features)).flatten()
}

/// Why an adapter cannot run the software preset, if it cannot. Its kernels exchange values within a subgroup, so the
/// number of lanes must be known when the pipeline is built; tiles of `product_register` and blocks of `attention`
/// consist of whole subgroups of these sizes.
pub(super) fn misfit(info: &wgpu::AdapterInfo, features: wgpu::Features) -> Option<String> {
    let (smallest, largest) = (info.subgroup_min_size, info.subgroup_max_size);
    if !features.contains(wgpu::Features::SUBGROUP) {
        Some("its shaders have no subgroups".into())
    } else if smallest != largest {
        Some(format!("its subgroups have {smallest} to {largest} lanes, not always the same number"))
    } else if !matches!(smallest, 4 | 8 | 16) {
        Some(format!("its subgroups have {smallest} lanes, not 4, 8 or 16"))
    } else {
        None
    }
}

fn summary(index: usize, adapter: &wgpu::Adapter) -> AdapterSummary {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let known = [
        (wgpu::Features::SUBGROUP, "subgroups"),
        (wgpu::Features::SHADER_INT64, "64-bit integers"),
        (wgpu::Features::SHADER_F16, "f16 arithmetic"),
        (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
        (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative matrices"),
    ];
    let cooperative = cooperative::listed(adapter);
    let preset = preset(&info, features);
    let uncooperative = match preset {
        Preset::Software => Some("the kernels for software adapters do without".into()),
        Preset::Gpu => cooperative::side(&info, features, &cooperative).err(),
    };
    AdapterSummary {
        index,
        name: info.name.clone(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        },
        backend: info.backend.to_string(),
        driver: driver(&info),
        subgroup_size: [info.subgroup_min_size, info.subgroup_max_size],
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
        storage_buffers: limits.max_storage_buffers_per_shader_stage,
        features: known.iter().filter(|(flag, _)| features.contains(*flag)).map(|(_, name)| *name).collect(),
        uncooperative: uncooperative.filter(|_| !cooperative.is_empty()),
        cooperative,
        preset,
        unsuited: unsuited(&info, features),
        unusable: unusable(&limits),
    }
}

/// Name and version of the driver.
pub(super) fn driver(info: &wgpu::AdapterInfo) -> String {
    format!("{} {}", info.driver, info.driver_info).trim().to_owned()
}

fn unusable(limits: &wgpu::Limits) -> Option<String> {
    if limits.max_storage_buffers_per_shader_stage < 8 {
        return Some(format!("it binds {} storage buffers, 8 are needed", limits.max_storage_buffers_per_shader_stage));
    }
    if limits.max_compute_invocations_per_workgroup < 256 {
        return Some(format!(
            "it runs {} invocations per workgroup, 256 are needed",
            limits.max_compute_invocations_per_workgroup
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_named_by_index_or_part_of_its_name() {
        let names = ["NVIDIA H200".to_owned(), "llvmpipe (LLVM 15)".to_owned()];
        assert_eq!(named("1", &names), Some(1));
        assert_eq!(named("2", &names), None);
        assert_eq!(named("LLVMPIPE", &names), Some(1));
        assert_eq!(named("radeon", &names), None);
    }

    #[test]
    fn a_software_adapter_without_the_right_subgroups_runs_the_kernels_for_gpus_and_says_why() {
        let subgroups = wgpu::Features::SUBGROUP;
        let adapter = |device_type, [smallest, largest]: [u32; 2]| wgpu::AdapterInfo {
            subgroup_min_size: smallest,
            subgroup_max_size: largest,
            ..wgpu::AdapterInfo::new(device_type, wgpu::Backend::Vulkan)
        };
        let software = |sizes| adapter(wgpu::DeviceType::Cpu, sizes);
        for lanes in [4, 8, 16] {
            assert_eq!(preset(&software([lanes, lanes]), subgroups), Preset::Software);
            assert_eq!(unsuited(&software([lanes, lanes]), subgroups), None);
        }
        for (sizes, features, reason) in [
            ([32, 32], subgroups, "32 lanes, not 4, 8 or 16"),
            ([4, 16], subgroups, "4 to 16 lanes"),
            ([8, 8], wgpu::Features::empty(), "no subgroups"),
        ] {
            assert_eq!(preset(&software(sizes), features), Preset::Gpu);
            assert!(unsuited(&software(sizes), features).unwrap().contains(reason));
        }
        // GPUs are where these kernels belong.
        assert_eq!(unsuited(&adapter(wgpu::DeviceType::DiscreteGpu, [32, 32]), subgroups), None);
    }

    #[test]
    fn an_unknown_backend_is_named() {
        let choice = AdapterChoice { name: None, backend: Some("cuda".into()) };
        assert!(backends(&choice).unwrap_err().to_string().contains("\"cuda\""));
    }
}
