//! The drivers and their places.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A driver that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Driver {
    /// Mesa 25, of bookworm-backports; on Debian 12 only, whose libraries it uses
    Mesa25,
    /// The newest Mesa, of sid, with all libraries that it uses
    MesaSid,
    /// The driver inside Chromium: subgroups of 4, no f16, slow
    Swiftshader,
}

/// Where a driver comes from.
pub(crate) struct Source {
    /// The suite of Debian.
    pub suite: &'static str,
    pub packages: &'static [&'static str],
    pub libraries: Libraries,
    /// The driver within the unpacked packages.
    pub file: &'static str,
}

/// Whose libraries a driver uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Libraries {
    /// The system's, except for those in the packages.
    System,
    /// Those that the packages depend on, the C library included; they are fetched too.
    Own,
}

/// Where Debian keeps libraries, below the folder a package is unpacked to.
pub(super) const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

impl Driver {
    /// The name in commands.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mesa25 => "mesa25",
            Self::MesaSid => "mesa-sid",
            Self::Swiftshader => "swiftshader",
        }
    }

    /// Where it comes from.
    pub(crate) fn source(self) -> Source {
        const LAVAPIPE: &str = "usr/lib/x86_64-linux-gnu/libvulkan_lvp.so";
        match self {
            Self::Mesa25 => Source {
                suite: "bookworm-backports",
                packages: &["mesa-vulkan-drivers", "libdrm2", "libdrm-amdgpu1"],
                libraries: Libraries::System,
                file: LAVAPIPE,
            },
            Self::MesaSid => Source {
                suite: "sid",
                packages: &["mesa-vulkan-drivers", "libvulkan1", "libstdc++6", "libgcc-s1"],
                libraries: Libraries::Own,
                file: LAVAPIPE,
            },
            Self::Swiftshader => Source {
                suite: "bookworm",
                packages: &["chromium-common"],
                libraries: Libraries::System,
                file: "usr/lib/chromium/libvk_swiftshader.so",
            },
        }
    }

    /// The folder of this driver: `root` holds the unpacked packages, `shaders` what the driver caches.
    pub(crate) fn folder(self) -> Result<PathBuf> {
        Ok(home()?.join(self.name()))
    }
}

/// Whether a folder holds all of a driver.
pub(super) fn is_complete(source: &Source, folder: &Path) -> bool {
    manifest(folder).is_file() && folder.join("root").join(source.file).is_file()
}

/// The file by which Vulkan's loader finds the driver of a folder.
pub(super) fn manifest(folder: &Path) -> PathBuf {
    folder.join("icd.json")
}

/// The folder of all drivers: `WGR_DRIVERS`, or `~/.cache/wgr-drivers`.
pub(super) fn home() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("WGR_DRIVERS") {
        let folder = PathBuf::from(folder);
        ensure!(folder.is_absolute(), "WGR_DRIVERS is {}, which is not an absolute path", folder.display());
        return Ok(folder);
    }
    let home = std::env::home_dir().context("there is no home folder: set WGR_DRIVERS to a folder for the drivers")?;
    Ok(home.join(".cache/wgr-drivers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_named_as_on_the_command_line() {
        for driver in <Driver as clap::ValueEnum>::value_variants() {
            let value = clap::ValueEnum::to_possible_value(driver).unwrap();
            assert_eq!(driver.name(), value.get_name());
        }
    }
}
