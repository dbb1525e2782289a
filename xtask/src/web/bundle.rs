//! Compiles a crate for pages, and puts it beside its page.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use wasm_bindgen_cli_support::Bindgen;

use crate::cargo::cargo;
use crate::chromium::TARGET;

/// How a package is compiled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Profile {
    /// As tests are: sharing what other commands have compiled.
    Development,
    /// As small as can be, in minutes: that of what is used.
    Page,
}

impl Profile {
    /// What cargo calls it, and the folder of what it builds.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Development => ("dev", "debug"),
            Self::Page => ("page", "page"),
        }
    }
}

/// Compiles packages for pages, in one command, so that what they share is compiled once.
///
/// # Errors
/// One does not compile, as where Rust has no standard library for pages.
pub(crate) fn compile(packages: &[&str], profile: Profile) -> Result<()> {
    let mut command = cargo(&["build", "--lib", "--target", TARGET, "--profile", profile.names().0]);
    let status = command.args(packages.iter().flat_map(|package| ["--package", package])).status();
    if !status.context("cargo could not be started")?.success() {
        bail!(
            "{} does not build for {TARGET}; where only that is missing: `rustup target add {TARGET}`",
            packages.join(", ")
        );
    }
    Ok(())
}

/// Makes a folder of a compiled package as JavaScript loads it and the files of `page`, and returns it.
pub(crate) fn bind(package: &str, page: &Path, profile: Profile) -> Result<PathBuf> {
    let folder = PathBuf::from("target/web").join(package);
    let module = PathBuf::from("target").join(TARGET).join(profile.names().1).join(package.replace('-', "_"));
    let module = module.with_extension("wasm");
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
    Ok(folder)
}

/// Prints the size of each file of a folder.
pub(crate) fn print_sizes(folder: &Path) -> Result<()> {
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
