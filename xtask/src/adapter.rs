//! A usable adapter, installed if necessary: Mesa's software Vulkan driver runs anywhere.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use wgr::gpu::{AdapterChoice, AdapterSummary, adapters};

/// The package manager that installs the Vulkan loader and Mesa's software driver, and its commands one by one.
struct Installer {
    program: &'static str,
    commands: &'static [&'static [&'static str]],
}

const INSTALLERS: &[Installer] = &[
    Installer {
        program: "apt-get",
        commands: &[&["update"], &["install", "-y", "--no-install-recommends", "libvulkan1", "mesa-vulkan-drivers"]],
    },
    Installer { program: "dnf", commands: &[&["install", "-y", "vulkan-loader", "mesa-vulkan-drivers"]] },
    Installer {
        program: "pacman",
        commands: &[&["-S", "--noconfirm", "--needed", "vulkan-icd-loader", "vulkan-swrast"]],
    },
    Installer { program: "apk", commands: &[&["add", "vulkan-loader", "mesa-vulkan-swrast"]] },
    Installer { program: "zypper", commands: &[&["--non-interactive", "install", "libvulkan1", "libvulkan_lvp"]] },
];

/// The best usable adapter; if there is none, a software driver is installed first, or with `no_install` only named.
pub(crate) fn ensure(no_install: bool) -> Result<AdapterSummary> {
    let problem = match usable() {
        Ok(adapter) => {
            println!("adapter: {} ({}, {})", adapter.name, adapter.kind, adapter.backend);
            return Ok(adapter);
        }
        Err(problem) => problem,
    };
    println!("{problem}");
    if !cfg!(target_os = "linux") {
        bail!("macOS and Windows include a driver (Metal, DirectX 12); update the system or its GPU driver");
    }
    let Some(installer) = INSTALLERS.iter().find(|installer| on_path(installer.program)) else {
        bail!(
            "install the Vulkan loader and Mesa's software driver (lavapipe) with the package manager of this system"
        );
    };
    let commands = installer.commands.iter().map(|arguments| {
        let program: &[&str] =
            if is_root() || !on_path("sudo") { &[installer.program] } else { &["sudo", installer.program] };
        [program, arguments].concat()
    });
    if no_install {
        let line = commands.map(|command| command.join(" ")).collect::<Vec<_>>().join(" && ");
        bail!("a software driver makes it work: {line}");
    }
    for command in commands {
        println!("installing a software driver: {}", command.join(" "));
        let status = Command::new(command[0])
            .args(&command[1..])
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("{} could not be started", command[0]))?;
        if !status.success() {
            bail!("{} ended with {status}", command.join(" "));
        }
    }
    let adapter = usable()?;
    println!("adapter: {} ({}, {})", adapter.name, adapter.kind, adapter.backend);
    Ok(adapter)
}

/// The adapter that the library would choose, or why there is none.
fn usable() -> Result<AdapterSummary> {
    let found = pollster::block_on(adapters(&AdapterChoice::default()))?;
    let reasons: Vec<String> =
        found.iter().filter_map(|a| Some(format!("; {}: {}", a.name, a.unusable.as_ref()?))).collect();
    found
        .into_iter()
        .find(|a| a.unusable.is_none())
        .with_context(|| format!("no usable GPU adapter{}", reasons.concat()))
}

/// Whether a program can be started by its name.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).any(|folder| folder.join(&name).is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
