//! Composes every permutation of every entry point with WESL, writes out its marked loops, validates it with naga, reads its contract out of it, and
//! writes two files that the crate includes: the table of programs, and their parameters as Rust structs.

#![allow(dead_code, unreachable_pub, reason = "modules of the crate, of which the build uses a part")]

#[path = "src/contract.rs"]
mod contract;
#[path = "src/document.rs"]
mod document;
#[path = "src/dtype.rs"]
mod dtype;
#[path = "src/expression.rs"]
mod expression;
#[path = "src/quantized.rs"]
mod quantized;
#[path = "src/reflect.rs"]
mod reflect;
#[path = "src/unroll.rs"]
mod unroll;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use contract::Contract;
use document::{Document, Entry};
use wesl::{EscapeMangler, Mangler as _};

/// The comments of each file by its path from here, without the ending.
type Documents = BTreeMap<String, Document>;

fn main() {
    println!("cargo::rerun-if-changed=.");
    let documents = documents();
    let mut table = String::from("static PROGRAMS: &[Program] = &[\n");
    let mut required = BTreeSet::new();
    let entries = documents.iter().flat_map(|(file, document)| document.entries.iter().map(move |entry| (file, entry)));
    for (file, Entry { name: entry, permutations, .. }) in entries {
        for features in permutations {
            let features: Vec<&str> = features.iter().map(String::as_str).collect();
            let name = format!("{file}/{entry}");
            let source = compose(file, entry, &features)
                .unwrap_or_else(|problem| fail(&format!("{name} {features:?}: {problem}")));
            let contract = contract(file, &source, &features, &documents)
                .unwrap_or_else(|problem| fail(&format!("{name} {features:?}: {problem}\n{}", numbered(&source))));
            required.extend(contract.requirements.iter().map(|text| text.to_string()));
            writeln!(
                table,
                "Program {{ name: Cow::Borrowed({name:?}), features: &{features:?}, entry: Cow::Borrowed({entry:?}), \
                 contract: {}, source: Cow::Borrowed({source:?}) }},",
                literal(&contract)
            )
            .expect("writing to a string");
        }
    }
    table.push_str("];\n");
    let mut hasher = DefaultHasher::new();
    table.hash(&mut hasher);
    writeln!(
        table,
        "/// Tells these kernels from those of other versions.\npub const FINGERPRINT: u64 = {};",
        hasher.finish()
    )
    .expect("writing to a string");
    // A misspelt name would make a requirement count for no permutation.
    let all = documents.iter().flat_map(|(file, document)| document.requirements.iter().map(move |r| (file, &r.text)));
    if let Some((file, text)) = all.clone().find(|(_, text)| !required.contains(*text)) {
        fail(&format!("{file}.wgsl: no permutation has all that `requires: {text}` names"));
    }
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(out.join("programs.rs"), table).expect("OUT_DIR is writable");
    std::fs::write(out.join("params.rs"), params(&documents)).expect("OUT_DIR is writable");
}

/// The plain WGSL of one permutation: imports resolved, conditions decided, unused declarations dropped, marked loops
/// written out.
fn compose(file: &str, entry: &str, features: &[&str]) -> Result<String, String> {
    let module = format!("package::{file}").parse().map_err(|e| format!("{e}"))?;
    let mut compiler = wesl::Wesl::new(".");
    compiler
        // WESL does not know cooperative matrices; naga validates what comes out.
        .set_options(wesl::CompileOptions { validate: false, ..Default::default() })
        .set_missing_feature_behavior(false)
        .set_features(features.iter().map(|feature| (*feature, true)))
        .keep_declarations(vec![entry.to_owned()])
        .use_stripping(true);
    let composed = compiler.compile(&module).map_err(|e| e.to_string())?.to_string();
    initialised(&composed)?;
    unroll::unroll(&named(&composed))
}

/// Refuses variables of functions without an initial value. In WGSL they are zero whenever they are declared, but in a loop
/// some compilers leave them what they were the time before: Tint with Vulkan (seen in Chromium 156) and naga before 30
/// (<https://github.com/gfx-rs/wgpu/issues/9489>).
fn initialised(source: &str) -> Result<(), String> {
    let is_bare = |line: &&str| line.starts_with("var ") && !line.contains('=');
    match source.lines().map(str::trim).find(is_bare) {
        Some(line) => Err(format!("`{line}` has no initial value; write `= …()` instead of the type")),
        None => Ok(()),
    }
}

/// Overridable constants under the name that their file gives them, by which the host sets them.
fn named(composed: &str) -> String {
    let declared = composed.split("override ").skip(1).filter_map(|rest| rest.split([':', ' ']).next());
    let renamed = |text: String, mangled: &str| match EscapeMangler.unmangle(mangled) {
        Some((_, name)) => text.replace(mangled, &name),
        None => text,
    };
    declared.fold(composed.to_owned(), renamed)
}

fn documents() -> Documents {
    let wgsl = |folder: &str| {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|e| fail(&format!("{folder}: {e}")));
        entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "wgsl"))
    };
    let read = |path: PathBuf| {
        let source = std::fs::read_to_string(&path).map_err(|e| e.to_string());
        let document = source.and_then(|source| Document::read(&source));
        let document = document.unwrap_or_else(|problem| fail(&format!("{}: {problem}", path.display())));
        let name = path.with_extension("").to_string_lossy().trim_start_matches("./").to_owned();
        (name, document)
    };
    wgsl(".").chain(wgsl("shared")).map(read).collect()
}

/// What a composed permutation expects, and that its expressions name only what there is.
fn contract(file: &str, source: &str, features: &[&str], documents: &Documents) -> Result<Contract, String> {
    let module = reflect::module(source)?;
    // Names of other files are mangled, those of the file itself are not.
    let origin = |mangled: &str| match EscapeMangler.unmangle(mangled) {
        Some((path, name)) if documents.contains_key(&path.components.join("/")) => {
            (&documents[&path.components.join("/")], name)
        }
        _ => (&documents[file], mangled.to_owned()),
    };
    let contract = reflect::contract(&module, source, features, &documents[file], &origin)?;
    contract.check(&contract.unset())?;
    Ok(contract)
}

/// A contract as Rust, for a file that has `Cow`, `Contract` and its parts in scope.
fn literal(contract: &Contract) -> String {
    let Contract { members, bindings, constants, requirements } = contract;
    let list = |items: Vec<String>| format!("Cow::Borrowed(&[{}])", items.join(", "));
    let members = members.iter().map(|member| {
        format!("Member {{ name: Cow::Borrowed({:?}), scalar: Scalar::{:?} }}", &*member.name, member.scalar)
    });
    let bindings = bindings.iter().map(|binding| {
        format!(
            "Binding {{ name: Cow::Borrowed({:?}), storage: Storage::{:?}, bytes: {}, writable: {}, shape: Cow::Borrowed({:?}) }}",
            &*binding.name, binding.storage, binding.bytes, binding.writable, &*binding.shape
        )
    });
    let constants = constants.iter().map(|(name, value)| format!("(Cow::Borrowed({:?}), {value:?})", &**name));
    let requirements = requirements.iter().map(|text| format!("Cow::Borrowed({:?})", &**text));
    format!(
        "Contract {{ members: {}, bindings: {}, constants: {}, requirements: {} }}",
        list(members.collect()),
        list(bindings.collect()),
        list(constants.collect()),
        list(requirements.collect())
    )
}

/// One module for each file that declares parameters.
fn params(documents: &Documents) -> String {
    let mut rust = String::new();
    for (path, document) in documents.iter().filter(|(_, document)| !document.members.is_empty()) {
        let file = Path::new(path).file_name().expect("a file has a name").to_string_lossy();
        write!(rust, "/// Parameters of `{path}.wgsl`.\npub mod {file} {{\n").expect("writing to a string");
        rust.push_str("crate::parameters! {\n/// Parameters of every entry point.\npub struct Params {\n");
        for member in &document.members {
            let words = if member.words.is_empty() { &member.name } else { &member.words };
            writeln!(rust, "#[doc = {words:?}]\npub {}: {},", member.name, member.kind).expect("writing to a string");
        }
        rust.push_str("}\n}\n}\n");
    }
    rust
}

fn numbered(source: &str) -> String {
    source.lines().enumerate().map(|(i, line)| format!("{:4} {line}\n", i + 1)).collect()
}

fn fail(problem: &str) -> ! {
    eprintln!("{problem}");
    std::process::exit(1)
}
