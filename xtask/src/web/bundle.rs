//! Compiles a crate for pages, and puts it beside its page.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use wasm_bindgen_cli_support::Bindgen;

use crate::cargo::cargo;

const TARGET: &str = "wasm32-unknown-unknown";

/// How a package is compiled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Profile {
    /// As tests are: sharing what other commands have compiled.
    Development,
    /// As what is used is.
    Release,
}

/// Builds `package` and copies the files of `page` to a folder beside it. Prints the size of each file.
///
/// # Errors
/// It does not compile, as where Rust has no standard library for pages.
pub(crate) fn make(package: &str, page: &Path, profile: Profile) -> Result<PathBuf> {
    let folder = PathBuf::from("target/web").join(package);
    let (profile, built) = match profile {
        Profile::Development => ("dev", "debug"),
        Profile::Release => ("release", "release"),
    };
    let build = ["build", "--package", package, "--target", TARGET, "--profile", profile, "--lib"];
    let status = cargo(&build).status().context("cargo could not be started")?;
    if !status.success() {
        bail!("{package} does not build for {TARGET}; where only that is missing: `rustup target add {TARGET}`");
    }
    let module =
        PathBuf::from("target").join(TARGET).join(built).join(package.replace('-', "_")).with_extension("wasm");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .typescript(true)
        .web(true)?
        .remove_producers_section(true)
        .omit_default_module_path(false);
    bindgen.generate(&folder).with_context(|| format!("{package} cannot be made a module for pages"))?;
    for entry in fs::read_dir(page)? {
        let entry = entry?;
        fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    print_sizes(&folder)?;
    Ok(folder)
}

fn print_sizes(folder: &Path) -> Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    println!("{:<28}{:>12}{:>12}", folder.display(), "bytes", "gzipped");
    for path in files {
        let bytes = fs::read(&path)?;
        let mut packed = GzEncoder::new(vec![], Compression::best());
        packed.write_all(&bytes)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        println!("{name:<28}{:>12}{:>12}", bytes.len(), packed.finish()?.len());
    }
    Ok(())
}
