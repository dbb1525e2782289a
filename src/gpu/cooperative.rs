//! Cooperative matrices: square ones that a subgroup multiplies together, in units of the adapter's own. Adapters list
//! which sizes and types they have; any other is undefined behaviour, which nothing else in the way of a shader refuses.

use serde::Serialize;
use wgpu::CooperativeScalarType::{self, F16, F32};

/// A size and the types that an adapter lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cooperative {
    /// Rows of the left operand and of the result.
    pub m: u32,
    /// Columns of the right operand and of the result.
    pub n: u32,
    /// Values that a product sums over.
    pub k: u32,
    /// Type of both operands.
    pub operands: &'static str,
    /// Type of the result.
    pub result: &'static str,
}

/// What an adapter lists.
pub(super) fn listed(adapter: &wgpu::Adapter) -> Vec<Cooperative> {
    let of = |properties: wgpu::CooperativeMatrixProperties| Cooperative {
        m: properties.m_size,
        n: properties.n_size,
        k: properties.k_size,
        operands: name(properties.ab_type),
        result: name(properties.cr_type),
    };
    adapter.cooperative_matrix_properties().into_iter().map(of).collect()
}

fn name(scalar: CooperativeScalarType) -> &'static str {
    match scalar {
        F32 => "f32",
        F16 => "f16",
        CooperativeScalarType::I32 => "i32",
        CooperativeScalarType::U32 => "u32",
    }
}

/// Drivers, by part of their name, whose lists are wrong, and what is wrong with them.
///
/// AMD's own drivers list matrices on GPUs that have none: llama.cpp, ggml-vulkan.cpp,
/// `ggml_vk_khr_cooperative_matrix_support`.
const DENIED: &[(&str, &str)] = &[
    ("AMD proprietary", "its driver lists them on GPUs that have none"),
    ("AMD open-source", "its driver lists them on GPUs that have none"),
];

/// Features of a device that are needed.
pub(super) const FEATURES: wgpu::Features =
    wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SHADER_F16).union(wgpu::Features::SUBGROUP);

/// The side of the matrices that products of f16 sum in f32, the larger of 8 and 16 that is listed, or why there is none.
pub(super) fn side(info: &wgpu::AdapterInfo, features: wgpu::Features, listed: &[Cooperative]) -> Result<u32, String> {
    if !features.contains(FEATURES) {
        return Err("it does not have them".into());
    }
    if let Some((_, reason)) = DENIED.iter().find(|(driver, _)| info.driver.contains(driver)) {
        return Err((*reason).into());
    }
    let (smallest, largest) = (info.subgroup_min_size, info.subgroup_max_size);
    // A workgroup is cut into subgroups when its pipeline is built.
    if smallest != largest {
        return Err(format!("its subgroups have {smallest} to {largest} lanes, not always the same number"));
    }
    let square = |side| Cooperative { m: side, n: side, k: side, operands: "f16", result: "f32" };
    [16, 8]
        .into_iter()
        .find(|side| listed.contains(&square(*side)))
        .ok_or_else(|| "it lists none of 8×8×8 or 16×16×16 with f16 operands and an f32 result".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(driver: &str, [smallest, largest]: [u32; 2]) -> wgpu::AdapterInfo {
        wgpu::AdapterInfo {
            driver: driver.into(),
            subgroup_min_size: smallest,
            subgroup_max_size: largest,
            ..wgpu::AdapterInfo::new(wgpu::DeviceType::DiscreteGpu, wgpu::Backend::Vulkan)
        }
    }

    #[test]
    fn the_largest_listed_square_of_f16_and_f32_is_chosen() {
        let listed = |(side, k, result)| Cooperative { m: side, n: side, k, operands: "f16", result };
        let on = |entries: &[(u32, u32, &'static str)]| {
            let listed: Vec<Cooperative> = entries.iter().copied().map(listed).collect();
            side(&info("NVIDIA", [32, 32]), FEATURES, &listed)
        };
        assert_eq!(on(&[(8, 8, "f32"), (16, 16, "f32")]), Ok(16));
        assert_eq!(on(&[(8, 8, "f32"), (16, 8, "f32"), (16, 16, "f16")]), Ok(8));
        assert!(on(&[(8, 8, "f16")]).unwrap_err().contains("lists none"));
        assert!(on(&[]).is_err());
    }

    #[test]
    fn what_cannot_be_relied_on_is_refused_with_the_reason() {
        let listed = [Cooperative { m: 16, n: 16, k: 16, operands: "f16", result: "f32" }];
        let reason = |info, features| side(&info, features, &listed).unwrap_err();
        assert!(reason(info("AMD proprietary driver", [32, 32]), FEATURES).contains("GPUs that have none"));
        assert!(reason(info("radv", [32, 64]), FEATURES).contains("32 to 64 lanes"));
        let without_f16 = FEATURES - wgpu::Features::SHADER_F16;
        assert!(reason(info("NVIDIA", [32, 32]), without_f16).contains("does not have them"));
    }
}
