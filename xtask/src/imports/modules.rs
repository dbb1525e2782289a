//! The modules of a crate, each in its file, and where a path leads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::source::Source;

/// A module by its names below the crate's root, which has none.
pub(super) type Name = Vec<String>;

/// A crate without its tests.
#[derive(Debug)]
pub(super) struct Modules {
    modules: BTreeMap<Name, Module>,
}

#[derive(Debug)]
struct Module {
    file: PathBuf,
    source: Source,
}

/// A file names something that another holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrow {
    /// The file that names it.
    pub from: PathBuf,
    /// Where.
    pub line: usize,
    /// The path as it is written there.
    pub path: String,
    /// The file that holds it.
    pub to: PathBuf,
}

impl Modules {
    /// Reads a crate from its root, such as `src/lib.rs`; `read` gives the text of a file, if there is such a file.
    pub(super) fn read(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Result<Self> {
        let mut modules = BTreeMap::new();
        let mut left = vec![(Name::new(), root.to_owned(), root.parent().unwrap_or(root).to_owned())];
        while let Some((name, file, directory)) = left.pop() {
            let text = read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
            let source = Source::read(&text);
            for child in &source.modules {
                let below = directory.join(child);
                let plain = below.with_extension("rs");
                let file = if read(&plain).is_some() { plain } else { below.join("mod.rs") };
                left.push((joined(&name, child), file, below));
            }
            modules.insert(name, Module { file, source });
        }
        Ok(Self { modules })
    }

    /// The files.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.modules.values().map(|module| module.file.as_path())
    }

    /// Whatever one file names of another. That a module passes on what its own modules hold is none of it: `pub use` says
    /// where a name is found, and needs nothing.
    pub(super) fn arrows(&self) -> Vec<Arrow> {
        let mut arrows = vec![];
        for (name, module) in &self.modules {
            let imports = module.source.imports.iter().map(|import| (&import.path, import.is_public));
            let mentions = module.source.mentions.iter().map(|path| (path, false));
            for (path, passes_on) in imports.chain(mentions) {
                // `a::*` names the module `a`.
                let names = path.names.split(|name| name == "*").next().unwrap_or_default();
                let target = self.absolute(name, names, true);
                let Some(target) = target.filter(|target| !(passes_on && target.starts_with(name))) else { continue };
                let Some(holder) = self.holder(&target, self.modules.len()) else { continue };
                let to = &self.modules[&holder].file;
                if *to != module.file {
                    let (from, path, line) = (module.file.clone(), path.names.join("::"), path.line);
                    arrows.push(Arrow { from, line, path, to: to.clone() });
                }
            }
        }
        arrows
    }

    /// A path of a module from the crate's root; `None` where it leads to another crate.
    fn absolute(&self, module: &Name, path: &[String], through_imports: bool) -> Option<Name> {
        let (first, rest) = path.split_first()?;
        let from = |start: &[String], rest: &[String]| Some([start, rest].concat());
        match first.as_str() {
            "crate" => from(&[], rest),
            "self" => from(module, rest),
            "super" => {
                let ups = path.iter().take_while(|name| *name == "super").count();
                from(&module[..module.len().checked_sub(ups)?], &path[ups..])
            }
            _ if self.modules.contains_key(&joined(module, first)) => from(module, path),
            _ if through_imports => {
                let import = self.modules[module].source.imports.iter().find(|import| import.name == *first)?;
                from(&self.absolute(module, &import.path.names, false)?, rest)
            }
            _ => None,
        }
    }

    /// The module whose file holds what a path from the root names, wherever it is passed on from; `None` where that is
    /// another crate. `steps` ends what is passed on in a circle.
    fn holder(&self, path: &[String], steps: usize) -> Option<Name> {
        let mut module = Name::new();
        for (at, name) in path.iter().enumerate() {
            let child = joined(&module, name);
            if self.modules.contains_key(&child) {
                module = child;
                continue;
            }
            let passed_on = self.modules[&module].source.imports.iter().find(|import| import.name == *name);
            let Some(import) = passed_on.filter(|_| steps > 0) else { break };
            let target = self.absolute(&module, &import.path.names, false)?;
            return self.holder(&[&target, &path[at + 1..]].concat(), steps - 1);
        }
        Some(module)
    }
}

fn joined(name: &[String], child: &str) -> Name {
    [name, &[child.to_owned()]].concat()
}
