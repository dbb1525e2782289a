//! `docs/shaders.md`: what each kernel computes, what it binds and which permutations it has, as its comments say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, Result, anyhow, bail, ensure};
use wgr_shaders::{Document, Program, programs};

const PAGE: &str = "docs/shaders.md";

const HEAD: &str = "\
# Shaders

<!-- Written by `cargo xtask shaders` from the comments of shaders/*.wgsl. -->

Every kernel of the engine: what it computes, how it is dispatched, what it binds, and its permutations.
[CONTRIBUTING](../CONTRIBUTING.md#adding-a-kernel) says how to add one.

- **Shapes** count elements of the arrays that shaders declare: groups of four values where a dimension ends in 4, single
  values in lists. They are what a dispatch may touch: recording it fails where less is bound. `stride(n)` is `n`, or for
  quantised weights the words of a row of `n` groups.
- **Requirements** of parameters and constants are checked with them.
- **`grid(n)`** is a dispatch of `n` workgroups, folded into two dimensions where there are more than 65,535.
- **Permutations** take one feature from each list; `-` stands for none.
";

/// Writes the page.
pub(crate) fn write() -> Result<()> {
    std::fs::write(PAGE, page()?).with_context(|| format!("{PAGE} cannot be written"))?;
    println!("{PAGE} describes them");
    Ok(())
}

/// Fails unless the page is what would be written.
pub(crate) fn check() -> Result<()> {
    let committed = std::fs::read_to_string(PAGE).with_context(|| format!("{PAGE} cannot be read"))?;
    // Git may check lines out with other endings.
    match committed.lines().eq(page()?.lines()) {
        true => Ok(()),
        false => bail!("{PAGE} is not what the shaders say; `cargo xtask shaders` writes it"),
    }
}

fn page() -> Result<String> {
    let shared = documents("shaders/shared")?;
    let kernels = documents("shaders")?;
    let mut page = format!("{HEAD}\n| kernel | entry points | programs |\n|---|---|--:|\n");
    for (file, document) in &kernels {
        let entries: Vec<String> = document.entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
        let count: usize = document.entries.iter().map(|entry| entry.permutations.len()).sum();
        writeln!(page, "| [{file}](#{file}) | {} | {count} |", entries.join(", "))?;
    }
    for (file, document) in &kernels {
        // Kernels of one operation import its parameters, and some of them bindings.
        let imported = document.imports.iter().filter_map(|name| shared.get(name));
        let operands = std::iter::once(document).chain(imported).find(|document| !document.members.is_empty());
        let operands = operands.with_context(|| format!("shaders/{file}.wgsl has no parameters"))?;
        let of_file = |program: &&Program| program.name.split('/').next() == Some(file);
        let members = programs().iter().find(of_file).map_or(&[][..], |program| &program.contract.members);
        let described = operands.members.iter().map(|member| &*member.name);
        ensure!(
            members.iter().map(|member| &*member.name).eq(described),
            "{file} has other parameters than it describes"
        );
        section(&mut page, file, document, operands)?;
    }
    Ok(page)
}

/// The comments of the files of a folder, by their names without the ending.
fn documents(folder: &str) -> Result<BTreeMap<String, Document>> {
    let paths = std::fs::read_dir(folder).with_context(|| format!("{folder} cannot be read"))?;
    let shaders =
        paths.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "wgsl"));
    shaders
        .map(|path| {
            let source =
                std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            let document = Document::read(&source).map_err(|problem| anyhow!("{}: {problem}", path.display()))?;
            Ok((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), document))
        })
        .collect()
}

/// The section of a file whose parameters and bindings are those of `operands`.
fn section(page: &mut String, file: &str, document: &Document, operands: &Document) -> Result<()> {
    writeln!(page, "\n## {file}\n\n[shaders/{file}.wgsl](../shaders/{file}.wgsl)\n\n{}", prose(&document.head))?;
    writeln!(page, "| parameter | type | meaning |\n|---|---|---|")?;
    for member in &operands.members {
        writeln!(page, "| `{}` | {} | {} |", member.name, member.kind, member.words)?;
    }
    let imported = if std::ptr::eq(document, operands) { &[][..] } else { &document.requirements };
    let requirements: Vec<String> = operands
        .requirements
        .iter()
        .chain(imported)
        .map(|required| format!("`{}`{}", required.text, under(&[&required.condition])))
        .collect();
    if !requirements.is_empty() {
        writeln!(page, "\nRequired: {}.", requirements.join(", "))?;
    }
    for entry in &document.entries {
        writeln!(page, "\n### {file}/{}\n\n{}\n", entry.name, entry.words)?;
        bindings(page, &format!("{file}/{}", entry.name), [document, operands])?;
        if !entry.axes.is_empty() {
            let axes: Vec<String> = entry.axes.iter().map(|axes| format!("`{axes}`")).collect();
            writeln!(page, "\nPermutations: {}.", axes.join(", "))?;
        }
    }
    Ok(())
}

/// A line for each shape that a binding of a program has in any of its permutations, as the first document says that has
/// the binding.
fn bindings(page: &mut String, program: &str, documents: [&Document; 2]) -> Result<()> {
    let mut rows: BTreeMap<(usize, String), BTreeSet<&str>> = BTreeMap::new();
    for program in programs().iter().filter(|p| p.name == program) {
        for (place, binding) in (1..).zip(&*program.contract.bindings) {
            let has = |document: &&Document| document.bindings.iter().any(|own| own.name == *binding.name);
            let operands = documents.into_iter().find(has).unwrap_or(documents[1]);
            let shape = operands.shape(&binding.name, program.features).map_err(|problem| anyhow!(problem))?;
            let shape = shape.with_context(|| format!("{} has no shape", binding.name))?;
            let declared = operands.bindings.iter().find(|b| b.shapes.iter().any(|s| std::ptr::eq(s, shape)));
            let condition = under(&[declared.map_or("", |b| &b.condition), &shape.condition]);
            let access = if binding.writable { "written" } else { "read" };
            let cells = [
                format!("`{}`", binding.name),
                access.into(),
                format!("`{}`{condition}", shape.text),
                shape.words.clone(),
            ];
            // Conditions may hold what ends a cell.
            rows.entry((place, cells.map(|cell| cell.replace('|', r"\|")).join(" | ")))
                .or_default()
                .insert(binding.storage.name());
        }
    }
    writeln!(page, "| # | binding | access | shape | content | storage |\n|--:|---|---|---|---|---|")?;
    for ((place, text), storages) in rows {
        writeln!(page, "| {place} | {text} | {} |", storages.into_iter().collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

/// " if `a && b`", or nothing where no condition is given.
fn under(conditions: &[&str]) -> String {
    let given: Vec<&str> = conditions.iter().copied().filter(|condition| !condition.is_empty()).collect();
    if given.is_empty() { String::new() } else { format!(" if `{}`", given.join(" && ")) }
}

/// The head of a file as Markdown: indented lines are formulas, which keep their columns.
fn prose(head: &str) -> String {
    let mut out = String::new();
    let mut formulas = false;
    for line in head.lines() {
        if line.starts_with("  ") != formulas {
            formulas = !formulas;
            out.push_str(if formulas { "```text\n" } else { "```\n" });
        }
        out.push_str(line);
        out.push('\n');
    }
    if formulas { out + "```\n" } else { out }
}
