//! The table of shader permutations that the build composed and validated.

/// One shader permutation, ready for the driver.
pub struct Program {
    /// `file/entry`, the name under which kernels, profile rows and errors know it.
    pub name: &'static str,
    /// The features it was composed with, sorted.
    pub features: &'static [&'static str],
    /// The entry point.
    pub entry: &'static str,
    /// For each storage binding (1, 2, …) whether the shader writes it.
    pub writable: &'static [bool],
    /// Plain WGSL.
    pub source: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// Every permutation in the build.
pub fn programs() -> &'static [Program] {
    PROGRAMS
}

/// The permutation of `name` (`file/entry`) with exactly these features, in any order.
///
/// Kernels name only permutations listed in `shaders/registry.rs`; asking for another one is a bug in the engine, so it
/// panics with the name to add.
pub fn program(name: &str, features: &[&str]) -> &'static Program {
    PROGRAMS
        .iter()
        .find(|p| {
            p.name == name && p.features.len() == features.len() && features.iter().all(|f| p.features.contains(f))
        })
        .unwrap_or_else(|| panic!("shaders/registry.rs lists no permutation {name} {features:?}"))
}
