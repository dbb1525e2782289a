//! `cargo xtask shaders`: the composed shaders as files, for readers and for other validators.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use wgr_shaders::{Program, programs};

use crate::adapter::on_path;

/// Writes every permutation to `directory` and runs tint, the compiler of Chrome and stricter than naga, over each that is
/// standard WGSL.
pub(crate) fn run(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let mut standard = vec![];
    for program in programs() {
        let file = write(program, directory)?;
        // Integers of 64 bits and cooperative matrices are extensions of naga's; the same code without those integers is
        // another permutation.
        if !program.features.iter().any(|feature| ["wide", "tile_8", "tile_16"].contains(feature)) {
            standard.push(file);
        }
    }
    let count = programs().len();
    println!("{count} permutations, each validated by naga in the build, are in {}", directory.display());
    if !on_path("tint") {
        println!("tint was not found and did not check them");
        return Ok(());
    }
    let mut refused = 0;
    for file in &standard {
        let output =
            Command::new("tint").args(["--format", "wgsl"]).arg(file).output().context("tint cannot be run")?;
        if !output.status.success() {
            refused += 1;
            println!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
    }
    if refused > 0 {
        bail!("tint refuses {refused} of {} permutations", standard.len());
    }
    println!("tint accepts all {} that need neither integers of 64 bits nor cooperative matrices", standard.len());
    Ok(())
}

fn write(program: &Program, directory: &Path) -> Result<PathBuf> {
    let name = [&[program.name.replace('/', "-").as_str()], program.features].concat().join("-");
    let file = directory.join(name + ".wgsl");
    // The standard asks for this line; naga 30 does not know it, so the engine leaves it out.
    let enable = if program.source.contains("subgroup") { "enable subgroups;\n\n" } else { "" };
    std::fs::write(&file, format!("{enable}{}", program.source))
        .with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(file)
}
