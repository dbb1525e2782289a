//! The model of the demo, before and after training, and its rows, beside the page.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, json};

use crate::cargo::root;
use crate::demo::{Reward, TRAIN_FLAGS};

/// Where the demo of the page is made, once.
const MADE: &str = "target/web/demo";
/// What the page reads of a model's directory.
const READ: [&str; 3] = ["json", "jinja", "safetensors"];

/// Copies the demo to a folder of the page, and makes it first where there is none yet.
pub(crate) fn add(page: &Path) -> Result<()> {
    let made = root().join(MADE);
    let demo = Reward::within(&made);
    if !demo.model.join("config.json").is_file() {
        println!("training the model that the page offers, once");
        Reward::make(&made)?;
    }
    let mut files: Vec<PathBuf> = demo.rows.to_vec();
    for model in [&demo.new_model, &demo.model] {
        for entry in fs::read_dir(model).with_context(|| format!("{} cannot be read", model.display()))? {
            let path = entry?.path();
            let is_read = path.extension().is_some_and(|ending| READ.iter().any(|read| ending == *read));
            files.extend(is_read.then_some(path));
        }
    }
    let mut names = vec![];
    for file in files {
        let name = file.strip_prefix(&made).context("the demo is in its folder")?;
        let copy = page.join("demo").join(name);
        fs::create_dir_all(copy.parent().context("a file is in a folder")?)?;
        fs::copy(&file, copy).with_context(|| format!("{} cannot be copied", file.display()))?;
        names.push(name.to_owned());
    }
    let settings: Map<_, _> =
        TRAIN_FLAGS.chunks_exact(2).map(|flag| (flag[0].trim_start_matches('-').to_owned(), flag[1].into())).collect();
    fs::write(page.join("demo/demo.json"), json!({"files": names, "settings": settings}).to_string())?;
    Ok(())
}
