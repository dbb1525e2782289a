//! Makes the tests of the engine part of this library, and a list of them, as a page has neither test runner nor disk.
//!
//! The sources are those of `tests/`, but for a few words: tests are ordinary functions, and where they wait, print or read
//! a file they do so through the page.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The folders of tests in the order in which they run, and which of their files.
const SUITES: [(&str, &[&str]); 2] = [("models", &["fetched", "golden", "harness"]), ("kernels", &[])];

/// What the sources say, and what is said in a page.
const WORDS: [(&str, &str); 6] = [
    ("#[test]\nfn ", "pub(crate) fn "),
    ("pollster::block_on", "crate::block_on"),
    ("println!", "crate::say!"),
    ("std::fs::read", "crate::files::read"),
    ("env!(\"CARGO_MANIFEST_DIR\")", "\"/\""),
    ("\nmod ", "\npub(crate) mod "),
];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_FAMILY").as_deref() != Ok("wasm") {
        return Ok(());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").canonicalize()?;
    println!("cargo::rerun-if-changed={}", tests.display());
    let (mut modules, mut list) = (String::new(), String::new());
    for (suite, wanted) in SUITES {
        let folder = out.join(suite);
        fs::create_dir_all(&folder)?;
        let mut files: Vec<PathBuf> =
            fs::read_dir(tests.join(suite))?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<_>>()?;
        files.sort();
        for file in files {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let mut source = fs::read_to_string(&file)?;
            if stem == "main" && !wanted.is_empty() {
                let is_wanted = |line: &&str| {
                    line.strip_prefix("mod ").is_none_or(|rest| wanted.contains(&rest.trim_end_matches(';')))
                };
                source = source.lines().filter(is_wanted).map(|line| format!("{line}\n")).collect();
            }
            if stem != "main" {
                for name in source.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split('(').next()) {
                    if wanted.is_empty() || wanted.contains(&stem.as_str()) {
                        writeln!(list, "    (\"{suite}::{stem}::{name}\", {suite}::{stem}::{name}),")
                            .expect("a string grows");
                    }
                }
            }
            source = source.replace("crate::", &format!("crate::{suite}::"));
            for (said, in_page) in WORDS {
                source = source.replace(said, in_page);
            }
            source = source.replace("\"../support/", &format!("\"{}/support/", tests.display()));
            fs::write(folder.join(format!("{stem}.rs")), source)?;
        }
        writeln!(modules, "#[path = {:?}]\nmod {suite};", folder.join("main.rs")).expect("a string grows");
    }
    fs::write(out.join("tests.rs"), format!("{modules}\nconst TESTS: &[(&str, fn())] = &[\n{list}];\n"))
}
