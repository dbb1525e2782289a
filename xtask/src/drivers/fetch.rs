//! Fetching a driver unless it is there.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::driver::{Driver, Source, home, is_complete, manifest};
use super::packages;

/// Fetches a driver unless it is there: afterwards all of it is, or nothing.
///
/// # Errors
/// If it cannot be had on this system, or now.
pub(crate) fn get(driver: Driver) -> Result<()> {
    get_into(driver, &home()?).with_context(|| format!("the driver {} cannot be had", driver.name()))
}

fn get_into(driver: Driver, home: &Path) -> Result<()> {
    let folder = home.join(driver.name());
    let source = driver.source();
    if is_complete(&source, &folder) {
        return Ok(());
    }
    ensure!(cfg!(all(target_os = "linux", target_arch = "x86_64")), "its packages are for Linux on x86-64");
    if driver == Driver::Mesa25 {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        ensure!(release.contains("VERSION_CODENAME=bookworm"), "it needs the libraries of Debian 12, bookworm");
    }
    fs::create_dir_all(home).with_context(|| format!("{} cannot be created", home.display()))?;
    let path = home.join("lock");
    let lock = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
    lock.lock().with_context(|| format!("{} cannot be locked", path.display()))?;
    // Another process may have fetched it meanwhile.
    if is_complete(&source, &folder) {
        return Ok(());
    }
    // Complete or not there: an interrupted download leaves only this folder, which the next one empties.
    let partial = home.join("partial");
    for leftover in [&partial, &folder] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).with_context(|| format!("{} cannot be removed", leftover.display()))?;
        }
    }
    println!("fetching the driver {} into {}", driver.name(), folder.display());
    packages::unpack(&source, &partial.join("apt"), &partial.join("driver/root"))?;
    write_manifest(&source, &partial.join("driver"))?;
    if !is_complete(&source, &partial.join("driver")) {
        bail!("the packages of {} hold no {}", source.suite, source.file);
    }
    fs::rename(partial.join("driver"), &folder).with_context(|| format!("{} cannot be written", folder.display()))?;
    fs::remove_dir_all(&partial).with_context(|| format!("{} cannot be removed", partial.display()))
}

/// Writes the file by which Vulkan's loader finds the driver.
fn write_manifest(source: &Source, folder: &Path) -> Result<()> {
    let icd = serde_json::json!({
        "file_format_version": "1.0.0",
        // Relative to the manifest.
        "ICD": { "library_path": format!("./root/{}", source.file), "api_version": "1.3.0" },
    });
    let manifest = manifest(folder);
    fs::write(&manifest, icd.to_string()).with_context(|| format!("{} cannot be written", manifest.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_complete_with_its_manifest_and_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let source = Driver::MesaSid.source();
        write_manifest(&source, folder.path()).unwrap();
        assert!(!is_complete(&source, folder.path()));
        let file = folder.path().join("root").join(source.file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
        assert!(is_complete(&source, folder.path()));
        fs::remove_file(manifest(folder.path())).unwrap();
        assert!(!is_complete(&source, folder.path()));
    }
}
