//! Real models and data, which are not in the repository: tests and benchmarks find them here.

use std::path::PathBuf;

/// A file or folder under the one that a variable of the environment names, or `None`, said in a line, where it is not
/// there. An empty name stands for all of it.
///
/// `WGR_ASSETS` holds models and tokenizers, in `~/.cache/wgr-assets` unless it is set; `WGR_DATA` holds rows and
/// benchmarks. `cargo xtask test` counts a test that says such a line as skipped.
pub(crate) fn fetched(variable: &str, name: &str) -> Option<PathBuf> {
    let root = match (std::env::var_os(variable), variable) {
        (Some(root), _) => Some(PathBuf::from(root)),
        (None, "WGR_ASSETS") => std::env::home_dir().map(|home| home.join(".cache/wgr-assets")),
        (None, "WGR_DATA") => None,
        (None, other) => panic!("no test takes files from {other}"),
    };
    let Some(root) = root else {
        println!("skipped: {variable} is not set");
        return None;
    };
    // Packages of the workspace run their tests in folders of their own.
    assert!(root.is_absolute(), "{variable} is {}, which is not an absolute path", root.display());
    let path = root.join(name);
    if !path.exists() {
        println!("skipped: no {}", path.display());
        return None;
    }
    Some(path)
}
