//! Whether the tests of kernels ran every shader permutation with the driver's checks.
//!
//! Runs compute without these checks, so what no test has seen with them is not shipped: it is tested, or it leaves
//! the list of its shader.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use wgr::gpu::AdapterSummary;
use wgr_shaders::{Program, programs};

/// Fails, with the list of them, where permutations are missing from what the tests noted in `file`, one line each: the
/// name and the features. Left out, by name, are those that no driver at hand can run: in f16 where the adapter has none,
/// and on cooperative matrices of a side of which no driver ran any, because none lists it.
pub(crate) fn check(file: &Path, adapter: Option<&AdapterSummary>) -> Result<()> {
    let noted = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let computes_f16 = adapter.is_none_or(|adapter| adapter.features.contains(&"f16 arithmetic"));
    let unlisted: Vec<&str> = ["tile_8", "tile_16"].into_iter().filter(|side| !noted.contains(side)).collect();
    let runs = |program: &&Program| {
        (computes_f16 || !program.features.contains(&"f16")) && !program.features.iter().any(|of| unlisted.contains(of))
    };
    let line = |program: &Program| format!("{} {}", program.name, program.features.join(" "));
    let all: Vec<String> = programs().iter().filter(runs).map(line).collect();
    for program in programs().iter().filter(|program| !runs(program)) {
        println!("left out, as no driver at hand runs f16 arithmetic or these matrices: {}", line(program));
    }
    let missing = missing(&all, &noted);
    if missing.is_empty() {
        println!("all {} permutations ran with the driver's checks against their twins", all.len());
        return Ok(());
    }
    bail!(
        "no test of a kernel ran these with the driver's checks; test them, or take them off the lists of their shaders:\n{}",
        missing.join("\n")
    )
}

fn missing<'a>(all: &'a [String], noted: &str) -> Vec<&'a str> {
    let noted: BTreeSet<&str> = noted.lines().map(str::trim_end).collect();
    all.iter().map(|name| name.trim_end()).filter(|name| !noted.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_is_missing_unless_it_was_noted_with_its_features() {
        let all = ["add/main ", "rope/main ", "rope/main x_bf16"].map(str::to_owned);
        assert_eq!(missing(&all, "add/main \nrope/main x_bf16\nrope/main x_bf16\n"), ["rope/main"]);
        assert!(missing(&all, "rope/main \nadd/main \nrope/main x_bf16\n").is_empty());
    }
}
