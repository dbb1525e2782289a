//! `metrics.jsonl`: one JSON object per line, written during the run and safe to continue after a crash.

use crate::files::fs;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The name of the file within the output directory.
pub const FILE_NAME: &str = "metrics.jsonl";

/// The report of an optimizer step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepMetrics {
    /// Optimizer steps done, counted from 1.
    pub step: u64,
    /// Passes over the data done, as a fraction.
    pub epoch: f64,
    /// Mean loss over the rows of this step.
    pub loss: f64,
    /// L2 norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate this step used.
    pub learning_rate: f64,
    /// Tokens trained on since the run began.
    pub tokens: u64,
    /// Rate of this step.
    pub tokens_per_second: f64,
    /// Further metrics of the method, by name.
    pub measures: Vec<(&'static str, f64)>,
}

impl StepMetrics {
    /// The row as it is written. A number that is not finite becomes null, as JSON has none.
    pub fn to_row(&self) -> Map<String, Value> {
        let mut row = Map::new();
        row.insert("step".into(), self.step.into());
        row.insert("epoch".into(), self.epoch.into());
        row.insert("loss".into(), self.loss.into());
        row.insert("grad_norm".into(), self.grad_norm.into());
        row.insert("learning_rate".into(), self.learning_rate.into());
        row.insert("tokens".into(), self.tokens.into());
        row.insert("tokens_per_second".into(), self.tokens_per_second.into());
        row.extend(self.measures.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
        row
    }
}

/// Appends rows to `DIR/metrics.jsonl`, each flushed before the call returns.
#[derive(Debug)]
pub struct MetricsWriter {
    path: PathBuf,
    file: fs::File,
}

impl MetricsWriter {
    /// Starts an empty file in `directory`, which must exist; an old one is replaced.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE_NAME);
        let file = fs::File::create(&path).map_err(|e| Error::io(&path, e))?;
        Ok(Self { path, file })
    }

    /// Continues after `step`: rows of later steps, which the resumed run will write again, are dropped, and so is a
    /// last line that a crash cut short. A missing file is started.
    ///
    /// # Errors
    /// Names the line when one before the last is not a row with a `step`; the file is then left as it was.
    pub fn resume(directory: &Path, step: u64) -> Result<Self> {
        let path = directory.join(FILE_NAME);
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Self::create(directory),
            Err(error) => return Err(Error::io(&path, error)),
        };
        let kept: String = rows_up_to(&text, step, &path)?.into_iter().flat_map(|line| [line, "\n"]).collect();
        crate::files::replace_file(&path, kept.as_bytes())?;
        let file = fs::append(&path).map_err(|e| Error::io(&path, e))?;
        Ok(Self { path, file })
    }

    /// Appends one row.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, row: &Map<String, Value>) -> Result<()> {
        let mut line = Value::Object(row.clone()).to_string();
        line.push('\n');
        // One write for the whole line: a crash cannot leave half of it behind another row.
        self.file.write_all(line.as_bytes()).and_then(|()| self.file.flush()).map_err(|e| Error::io(&self.path, e))
    }
}

/// The lines whose step is at most `step`.
fn rows_up_to<'a>(text: &'a str, step: u64, path: &Path) -> Result<Vec<&'a str>> {
    let mut kept = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let row: Option<Value> = serde_json::from_str(line).ok();
        match row.as_ref().and_then(|row| row["step"].as_u64()) {
            Some(row_step) if row_step <= step => kept.push(line),
            Some(_) => {}
            None if lines.peek().is_none() => {}
            None => {
                return Err(Error::input(
                    format!("{}:{}", path.display(), index + 1),
                    "not a metrics row with a whole number `step`",
                    "remove the line, or start over with `.force`",
                ));
            }
        }
    }
    Ok(kept)
}

/// Reads the rows of a metrics file back, for charts; a torn last line is left out.
///
/// # Errors
/// Names the line when one before the last is not a row with a `step`.
pub fn read(path: &Path) -> Result<Vec<Map<String, Value>>> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
    let text = String::from_utf8_lossy(&bytes);
    let rows = rows_up_to(&text, u64::MAX, path)?;
    Ok(rows.into_iter().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(step: u64) -> StepMetrics {
        StepMetrics {
            step,
            epoch: 0.5,
            loss: 0.25,
            grad_norm: 1.0,
            learning_rate: 1e-5,
            tokens: 10 * step,
            tokens_per_second: 3.0,
            measures: vec![],
        }
    }

    fn step(step: u64) -> Map<String, Value> {
        metrics(step).to_row()
    }

    fn steps(directory: &Path) -> Vec<u64> {
        read(&directory.join(FILE_NAME)).unwrap().iter().map(|row| row["step"].as_u64().unwrap()).collect()
    }

    #[test]
    fn rows_carry_the_contract_keys_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = MetricsWriter::create(directory.path()).unwrap();
        writer.write(&step(1)).unwrap();
        writer.write(&StepMetrics { measures: vec![("entropy", 2.5)], ..metrics(2) }.to_row()).unwrap();
        // Read while the writer is still open: every line has reached the file.
        let text = std::fs::read_to_string(directory.path().join(FILE_NAME)).unwrap();
        assert_eq!(
            text,
            "{\"step\":1,\"epoch\":0.5,\"loss\":0.25,\"grad_norm\":1.0,\"learning_rate\":0.00001,\"tokens\":10,\
             \"tokens_per_second\":3.0}\n{\"step\":2,\"epoch\":0.5,\"loss\":0.25,\"grad_norm\":1.0,\"learning_rate\":0.00001,\
             \"tokens\":20,\"tokens_per_second\":3.0,\"entropy\":2.5}\n"
        );
    }

    #[test]
    fn a_loss_that_is_not_finite_stays_valid_json() {
        let row = StepMetrics { loss: f64::NAN, ..metrics(1) }.to_row();
        assert!(Value::Object(row).to_string().contains("\"loss\":null"));
    }

    #[test]
    fn resume_drops_later_steps_and_a_torn_line() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = MetricsWriter::create(directory.path()).unwrap();
        (1..=4).for_each(|s| writer.write(&step(s)).unwrap());
        writer.file.write_all(b"{\"step\": 2, \"lo\xff").unwrap();
        drop(writer);
        let mut writer = MetricsWriter::resume(directory.path(), 2).unwrap();
        assert_eq!(steps(directory.path()), [1, 2]);
        writer.write(&step(3)).unwrap();
        assert_eq!(steps(directory.path()), [1, 2, 3]);
    }

    #[test]
    fn resume_ends_a_whole_last_line_that_lacks_its_newline() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE_NAME), "{\"step\":1}").unwrap();
        MetricsWriter::resume(directory.path(), 5).unwrap().write(&step(6)).unwrap();
        assert_eq!(steps(directory.path()), [1, 6]);
    }

    #[test]
    fn resume_starts_a_missing_file_and_names_a_broken_line() {
        let directory = tempfile::tempdir().unwrap();
        MetricsWriter::resume(directory.path(), 3).unwrap();
        assert_eq!(steps(directory.path()), [0u64; 0]);
        let broken = "{\"step\":1}\nnonsense\n{\"step\":2}\n";
        std::fs::write(directory.path().join(FILE_NAME), broken).unwrap();
        let error = MetricsWriter::resume(directory.path(), 3).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl:2"), "{error}");
        assert_eq!(std::fs::read_to_string(directory.path().join(FILE_NAME)).unwrap(), broken);
    }
}
