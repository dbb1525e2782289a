//! Composes every shader permutation named in `shaders/registry.rs` with WESL, parses and validates it with naga, and
//! writes the table that `wgr::gpu::shader` includes.

use std::fmt::Write as _;
use std::path::Path;

include!("shaders/registry.rs");

fn main() {
    println!("cargo::rerun-if-changed=shaders");
    println!("cargo::rerun-if-changed=build.rs");
    let mut table = String::from("static PROGRAMS: &[Program] = &[\n");
    for (file, entry, axes) in PROGRAMS {
        for features in permutations(axes) {
            let name = format!("{file}/{entry}");
            let source = compose(file, entry, &features)
                .unwrap_or_else(|problem| fail(&format!("{name} {features:?}: {problem}")));
            let bindings = validate(&source)
                .unwrap_or_else(|problem| fail(&format!("{name} {features:?}: {problem}\n{}", numbered(&source))));
            writeln!(
                table,
                "Program {{ name: {name:?}, features: &{features:?}, entry: {entry:?}, writable: &{bindings:?}, source: {source:?} }},"
            )
            .expect("writing to a string");
        }
    }
    table.push_str("];\n");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&out).join("programs.rs"), table).expect("OUT_DIR is writable");
}

/// Every way to pick one feature from each axis; empty picks are left out, the rest sorted as look-ups expect.
fn permutations(axes: &[&[&'static str]]) -> Vec<Vec<&'static str>> {
    let mut all = vec![vec![]];
    for axis in axes {
        all = all.iter().flat_map(|picked| axis.iter().map(move |pick| [&picked[..], &[*pick]].concat())).collect();
    }
    for features in &mut all {
        features.retain(|feature| !feature.is_empty());
        features.sort_unstable();
    }
    all
}

/// The plain WGSL of one permutation: imports resolved, conditions decided, unused declarations dropped.
fn compose(file: &str, entry: &str, features: &[&str]) -> Result<String, String> {
    let module = format!("package::{file}").parse().map_err(|e| format!("{e}"))?;
    let mut compiler = wesl::Wesl::new("shaders");
    compiler
        .set_missing_feature_behavior(false)
        .set_features(features.iter().map(|feature| (*feature, true)))
        .keep_declarations(vec![entry.to_owned()])
        .use_stripping(true);
    compiler.compile(&module).map(|result| result.to_string()).map_err(|e| e.to_string())
}

/// Parses and validates; returns for each storage binding, in order, whether the shader writes it.
fn validate(source: &str) -> Result<Vec<bool>, String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    // What an adapter must offer is decided at run time; here every language feature the engine may use is allowed.
    let capabilities = naga::valid::Capabilities::SUBGROUP
        | naga::valid::Capabilities::SHADER_INT64
        | naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(naga::valid::SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|e| e.emit_to_string(source))?;
    let mut storage: Vec<(u32, bool)> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| match variable.space {
            naga::AddressSpace::Storage { access } => {
                Some((variable.binding.as_ref()?.binding, access.contains(naga::StorageAccess::STORE)))
            }
            _ => None,
        })
        .collect();
    storage.sort_unstable();
    if storage.len() > 8 {
        return Err(format!("{} storage buffers; portable adapters bind 8", storage.len()));
    }
    for (place, (binding, _)) in storage.iter().enumerate() {
        if *binding as usize != place + 1 {
            return Err(format!("storage bindings must be 1, 2, 3 … in order; found {binding} in place {}", place + 1));
        }
    }
    Ok(storage.into_iter().map(|(_, writes)| writes).collect())
}

fn numbered(source: &str) -> String {
    source.lines().enumerate().map(|(i, line)| format!("{:4} {line}\n", i + 1)).collect()
}

fn fail(problem: &str) -> ! {
    eprintln!("{problem}");
    std::process::exit(1)
}
