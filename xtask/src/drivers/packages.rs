//! Debian's packages, downloaded and unpacked with apt and dpkg, which see folders of ours instead of the system's.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::driver::{Libraries, Source};
use crate::adapter::on_path;

/// Debian's own key, which signs all its suites.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Downloads packages of one suite, and unpacks them into `root`. What apt keeps of its own goes to `scratch`.
///
/// # Errors
/// If there is no apt, it has no mirror of Debian, or the mirror does not answer.
pub(super) fn unpack(source: &Source, scratch: &Path, root: &Path) -> Result<()> {
    for program in ["apt-get", "dpkg"] {
        ensure!(on_path(program), "there is no {program}, with which Debian's packages are fetched");
    }
    ensure!(Path::new(KEYRING).is_file(), "{KEYRING} is not there (the package debian-archive-keyring)");
    let mirror = mirror()?;
    let archives = scratch.join("cache/archives");
    for folder in [&scratch.join("lists/partial"), &archives.join("partial"), root] {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    }
    let write = |name: &str, text: String| {
        let path = scratch.join(name);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    };
    write("sources.list", format!("deb [signed-by={KEYRING}] {mirror} {} main\n", source.suite))?;
    // Nothing is installed, so dependencies are downloaded too.
    write("status", String::new())?;
    output(apt(scratch).arg("update"))?;
    match source.libraries {
        Libraries::System => output(apt(scratch).arg("download").args(source.packages).current_dir(&archives))?,
        Libraries::Own => output(
            apt(scratch).args(["install", "--download-only", "--no-install-recommends", "-y"]).args(source.packages),
        )?,
    };
    for entry in fs::read_dir(&archives).with_context(|| format!("{} cannot be read", archives.display()))? {
        let archive = entry.with_context(|| format!("{} cannot be read", archives.display()))?.path();
        if archive.extension() == Some(OsStr::new("deb")) {
            output(Command::new("dpkg").arg("-x").args([&archive, root]))?;
        }
    }
    Ok(())
}

/// apt with its lists, its cache and its idea of what is installed in a folder of ours, and one source of packages.
fn apt(scratch: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let mut option = |name: &str, value: PathBuf| {
        command.arg("-o").arg(format!("{name}={}", value.display()));
    };
    option("Dir::Etc::SourceList", scratch.join("sources.list"));
    option("Dir::Etc::SourceParts", "-".into());
    option("Dir::State", scratch.to_owned());
    option("Dir::State::Lists", scratch.join("lists"));
    option("Dir::State::Status", scratch.join("status"));
    option("Dir::Cache", scratch.join("cache"));
    // As whoever runs it: apt's own user may not write here.
    option("APT::Sandbox::User", "".into());
    // A suite whose index could not be fetched is an error, not a warning.
    option("APT::Update::Error-Mode", "any".into());
    option("Acquire::Retries", "2".into());
    option("Acquire::http::Timeout", "30".into());
    command.args(["-qq", "-o", "Acquire::Languages=none"]);
    command
}

/// The mirror of Debian that the system's apt uses.
fn mirror() -> Result<String> {
    let uris = output(Command::new("apt-get").args(["update", "--print-uris"]))?;
    debian_of(&uris).context("the system's apt has no mirror of Debian")
}

/// The mirror in apt's list of the files it would fetch, lines such as
/// `'http://deb.debian.org/debian/dists/bookworm/InRelease' deb.debian.org_debian_dists_bookworm_InRelease 0`.
fn debian_of(uris: &str) -> Option<String> {
    let files = uris.lines().filter_map(|line| line.strip_prefix('\'')?.split_once("/dists/"));
    files.map(|(mirror, _)| mirror).find(|mirror| mirror.ends_with("/debian")).map(str::to_owned)
}

/// What a program prints; an error with its complaint if it fails.
fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("{program} could not be started"))?;
    if !done.status.success() {
        let complaint = String::from_utf8_lossy(&done.stderr).trim().replace('\n', "; ");
        bail!("{program} ended with {}: {complaint}", done.status);
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_one_of_debian_and_not_of_its_security_updates() {
        let security =
            "'http://deb.debian.org/debian-security/dists/bookworm-security/InRelease' deb.debian.org_x 0 \n";
        let main = "'https://mirror.example/pub/debian/dists/bookworm/InRelease' mirror.example_x 0 \n";
        assert_eq!(debian_of(&[security, main].concat()).as_deref(), Some("https://mirror.example/pub/debian"));
        assert_eq!(debian_of(security), None);
        assert_eq!(
            debian_of("'http://archive.ubuntu.com/ubuntu/dists/noble/InRelease' archive.ubuntu.com_x 0 \n"),
            None
        );
    }

    #[test]
    fn a_program_that_fails_is_named_with_its_complaint() {
        let problem = output(Command::new("cargo").arg("no-such-command")).unwrap_err().to_string();
        assert!(problem.starts_with("cargo ended with ") && problem.contains("no-such-command"), "{problem}");
    }
}
