//! The page as people use it: the browser's debugging port chooses files, types and presses keys.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::browser::Headless;
use super::devtools::Page;
use super::server::Server;

/// How long anything in the page may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often to look whether it is done.
const LOOK: Duration = Duration::from_millis(100);
/// The width of a small phone, in CSS pixels.
const PHONE: u32 = 360;

const ROWS: &str = r#"{"text": "2 + 2 = 4", "label": 4}
{"text": "2 + 2 = 5", "label": 1}
{"text": "3 + 3 = 6", "label": 4}
{"text": "3 + 3 = 7", "label": 1}
"#;

/// Opens the page that is in `folder`, scores, generates and trains with the model in `model`, and watches what it asks for.
///
/// # Errors
/// Something is not as it should be.
pub(crate) fn run(program: &OsStr, folder: &Path, model: &Path) -> Result<()> {
    let server = Server::bind(0)?;
    let url = server.url();
    let folder = folder.to_owned();
    thread::spawn(move || server.serve(&folder));
    let files = tempfile::tempdir().context("no temporary folder")?;
    let file = |name: &str| files.path().join(name);
    fs::write(file("rows.jsonl"), ROWS)?;
    let mut browser = Headless::open(program, "about:blank")?;
    let mut user = User { page: browser.page(files.path())? };
    let page = &mut user.page;
    for domain in ["Network", "Page", "DOM"] {
        page.call(&format!("{domain}.enable"), json!({}))?;
    }
    let phone = json!({"width": PHONE, "height": 800, "deviceScaleFactor": 1, "mobile": true});
    page.call("Emulation.setDeviceMetricsOverride", phone)?;
    page.call("Page.navigate", json!({"url": url}))?;
    user.waits_for("/^Ready/.test(status.textContent)")?;

    user.chooses("#directory", model)?;
    user.waits_for("find('model').textContent !== 'none' && status.textContent === 'Ready.'")?;
    user.waits_for("/^Training needs up to [0-9.]+ MiB/.test(find('plan').textContent)")?;

    user.types("#score [name=prompt]", "2 + 2?")?;
    user.types("#score [name=a]", "4")?;
    user.presses_enter_on("#score button")?;
    user.waits_for("/is not a reward model/.test(problem.textContent)")?;

    user.types("#generate [name=prompt]", "2 + 2")?;
    user.types("#generate [name=tokens]", "8")?;
    user.presses_enter_on("#generate button")?;
    user.waits_for("/^The text has/.test(status.textContent) && find('text').textContent !== ''")?;

    user.chooses("#train [name=file]", &file("rows.jsonl"))?;
    user.chooses("#train [name=held-out]", &file("rows.jsonl"))?;
    user.types("#train [name=lr]", "1e-2")?;
    user.types("#train [name=epochs]", "60")?;
    user.presses_enter_on("#train button")?;
    user.waits_for("/^Step/.test(find('trained').textContent)")?;
    user.waits_for("find('losses').getBoundingClientRect().height > 0")?;
    user.presses_enter_on("#train .stop")?;
    user.waits_for("/^Paused/.test(status.textContent)")?;
    user.presses_enter_on("#resume")?;
    user.waits_for("/^Trained 60 steps/.test(status.textContent)")?;
    user.waits_for("/roc_auc/.test(find('evaluated').textContent)")?;

    user.presses_enter_on("#score button")?;
    user.waits_for("!find('scores').hidden && status.textContent === 'Scored.'")?;
    user.chooses("#rows [name=file]", &file("rows.jsonl"))?;
    user.presses_enter_on("#rows button")?;
    user.waits_for("status.textContent === 'Scored 4 rows.'")?;
    let scores = user.downloads(&file("scores.jsonl"))?;
    ensure!(scores.lines().count() == 4 && scores.contains("\"score\":"), "scores.jsonl holds {scores}");
    user.presses_enter_on("#download")?;
    let archive = user.downloads(&file("reward-model.tar"))?;
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        ensure!(archive.contains(&format!("reward-model/{name}\0")), "the archive has no {name}");
    }

    user.waits_for("document.documentElement.scrollWidth <= innerWidth")?;
    let requests = &user.page.requests;
    let is_own = |asked: &&String| asked.starts_with(&url) || asked.starts_with("blob:");
    let elsewhere: Vec<&String> = requests.iter().filter(|asked| !is_own(asked)).collect();
    ensure!(elsewhere.is_empty(), "the page asks elsewhere: {elsewhere:?}");
    ensure!(requests.iter().any(|asked| asked.ends_with(".wasm")), "not all requests were seen: {requests:?}");
    Ok(())
}

/// Whoever sits before the page.
struct User {
    page: Page,
}

impl User {
    /// Until an expression is true, in which `status`, `problem` and `find` are as in the page.
    fn waits_for(&mut self, expression: &str) -> Result<()> {
        let start = Instant::now();
        let names =
            "const find = (name) => document.getElementById(name), status = find('status'), problem = find('problem')";
        while self.page.evaluate(&format!("(() => {{ {names}; return status !== null && ({expression}); }})()"))?
            != true
        {
            if start.elapsed() > PATIENCE {
                let seen = self.page.evaluate("document.body.innerText")?;
                bail!("never: {expression}\nthe page reads:\n{}", seen.as_str().unwrap_or_default());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn chooses(&mut self, input: &str, path: &Path) -> Result<()> {
        let root = self.page.call("DOM.getDocument", json!({}))?["root"]["nodeId"].take();
        let found = self.page.call("DOM.querySelector", json!({"nodeId": root, "selector": input}))?;
        let path = fs::canonicalize(path)?;
        self.page.call("DOM.setFileInputFiles", json!({"nodeId": found["nodeId"], "files": [path]}))?;
        Ok(())
    }

    fn types(&mut self, field: &str, text: &str) -> Result<()> {
        self.page.evaluate(&format!("{{ const it = document.querySelector({field:?}); it.focus(); it.select(); }}"))?;
        self.page.call("Input.insertText", json!({"text": text})).map(drop)
    }

    fn presses_enter_on(&mut self, button: &str) -> Result<()> {
        self.page.evaluate(&format!("document.querySelector({button:?}).focus()"))?;
        let key = |kind: &str| json!({"type": kind, "key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13});
        self.page.call("Input.dispatchKeyEvent", key("keyDown"))?;
        self.page.call("Input.dispatchKeyEvent", key("keyUp")).map(drop)
    }

    /// The content of a file that the page has the browser save.
    fn downloads(&mut self, path: &Path) -> Result<String> {
        let start = Instant::now();
        while !path.is_file() {
            ensure!(start.elapsed() < PATIENCE, "{} is never there", path.display());
            thread::sleep(LOOK);
        }
        Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
    }
}
