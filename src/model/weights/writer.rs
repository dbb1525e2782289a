//! Writes Hugging Face model directories: `config.json`, safetensors in shards, and the files that go with them.

use std::collections::VecDeque;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::new_tensor::NewTensor;
use super::safetensors_writer::SafetensorsWriter;
use super::staging::Staging;
use crate::files::fs;
use crate::model::lora::ADAPTER_CONFIG;
use crate::{Error, Result};

/// Above this a checkpoint is written in several files, as `transformers` does.
const SHARD_BYTES: u64 = 5_000_000_000;

/// The configuration of a model directory.
pub(super) const CONFIG: &str = "config.json";
/// Which shard holds which tensor.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// Writes a model directory: the weights as safetensors (in shards of 5 GB with an index), `config.json` and `files`,
/// pairs of a name and its content such as tokenizer files or a model card.
///
/// `read` gives the values of a tensor when its turn comes, so that one tensor at a time is in memory; narrower dtypes
/// round to nearest. A new directory appears complete or not at all; in an existing one complete files replace their
/// predecessors, weights and adapters of an earlier model go, and other files are left alone.
///
/// # Errors
/// I/O errors, a full disk among them; whatever `read` returns; values that do not fit the shape.
pub fn write_model(
    directory: &Path,
    config: &Value,
    tensors: &[NewTensor],
    read: impl FnMut(&NewTensor) -> Result<Vec<f32>>,
    files: &[(String, Vec<u8>)],
) -> Result<()> {
    DirectoryWriter::model(directory, config, tensors, files)?.write(tensors, read)
}

/// A model directory on its way. Everything is written beside it first: a new directory appears complete or not at all, and in
/// an existing one complete files replace their predecessors, the configuration last. Weights and adapters of an earlier model
/// go; other files are left alone.
pub(crate) struct DirectoryWriter {
    directory: PathBuf,
    config_name: &'static str,
    staging: Staging,
    staged: PathBuf,
    /// The shard that is being written.
    current: Option<SafetensorsWriter<BufWriter<fs::File>>>,
    /// Those that follow.
    shards: VecDeque<(String, Vec<NewTensor>)>,
}

impl DirectoryWriter {
    /// Begins a model whose values follow in the order of `tensors`.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn model(
        directory: &Path,
        config: &Value,
        tensors: &[NewTensor],
        files: &[(String, Vec<u8>)],
    ) -> Result<Self> {
        Self::new(directory, (CONFIG, "model"), config, tensors, files, SHARD_BYTES)
    }

    /// As [`Self::model`], with adapters instead of a model.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub(in crate::model) fn adapter(
        directory: &Path,
        config: &Value,
        tensors: &[NewTensor],
        files: &[(String, Vec<u8>)],
    ) -> Result<Self> {
        Self::new(directory, (ADAPTER_CONFIG, "adapter_model"), config, tensors, files, SHARD_BYTES)
    }

    fn new(
        directory: &Path,
        (config_name, weights): (&'static str, &str),
        config: &Value,
        tensors: &[NewTensor],
        files: &[(String, Vec<u8>)],
        shard_bytes: u64,
    ) -> Result<Self> {
        let staging = Staging::beside(directory)?;
        // A subdirectory, since the staging place itself is readable by its owner alone.
        let staged = staging.path("model");
        fs::create_dir(&staged).map_err(|source| Error::io(&staged, source))?;
        let write = |name: &str, bytes: &[u8]| {
            let path = staged.join(name);
            let made = path.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::write(path, bytes)).map_err(|source| Error::io(directory.join(name), source))
        };
        for (name, bytes) in files {
            write(name, bytes)?;
        }
        let shards = shards(tensors, shard_bytes);
        let name = |place: usize| match shards.len() {
            1 => format!("{weights}.safetensors"),
            count => format!("{weights}-{:05}-of-{count:05}.safetensors", place + 1),
        };
        let shards: VecDeque<_> = shards.iter().enumerate().map(|(i, shard)| (name(i), shard.to_vec())).collect();
        if shards.len() > 1 {
            let total: usize = tensors.iter().filter_map(NewTensor::size).sum();
            let places = |(file, shard): &(String, Vec<NewTensor>)| {
                shard.iter().map(|tensor| (tensor.name.clone(), json!(file))).collect::<Vec<_>>()
            };
            let weight_map: Map<String, Value> = shards.iter().flat_map(places).collect();
            write(INDEX, &pretty(&json!({"metadata": {"total_size": total}, "weight_map": weight_map})))?;
        }
        write(config_name, &pretty(config))?;
        let mut begun = Self { directory: directory.to_owned(), config_name, staging, staged, current: None, shards };
        begun.open_next()?;
        Ok(begun)
    }

    /// Completes the shard that is being written and opens the next.
    fn open_next(&mut self) -> Result<()> {
        if let Some(current) = self.current.take() {
            current.sync()?;
        }
        if let Some((name, tensors)) = self.shards.pop_front() {
            let path = self.directory.join(&name);
            let file = fs::File::create(self.staged.join(&name)).map_err(|source| Error::io(&path, source))?;
            self.current = Some(SafetensorsWriter::to_file(file, &path, tensors, Some(&json!({"format": "pt"})))?);
        }
        Ok(())
    }

    /// Writes the next values, all of one tensor.
    ///
    /// # Errors
    /// Values that do not fit the shape; I/O errors, a full disk among them.
    pub(crate) fn append(&mut self, values: &[f32]) -> Result<()> {
        self.shard()?.append(values)
    }

    /// The shard that the next values belong to.
    fn shard(&mut self) -> Result<&mut SafetensorsWriter<BufWriter<fs::File>>> {
        while self.current.as_ref().is_some_and(SafetensorsWriter::is_complete) && !self.shards.is_empty() {
            self.open_next()?;
        }
        Ok(self.current.as_mut().expect("a shard is open until the directory is finished"))
    }

    /// Writes all values, those of each tensor as `read` gives them, and completes the directory.
    pub(in crate::model) fn write(
        mut self,
        tensors: &[NewTensor],
        mut read: impl FnMut(&NewTensor) -> Result<Vec<f32>>,
    ) -> Result<()> {
        for tensor in tensors.iter().filter(|tensor| tensor.count() > 0) {
            let values = read(tensor)?;
            self.shard()?.append_whole(&values)?;
        }
        self.finish()
    }

    /// Puts the directory in its place.
    ///
    /// # Errors
    /// A tensor that lacks values; I/O errors.
    pub(crate) fn finish(mut self) -> Result<()> {
        while self.current.is_some() {
            self.open_next()?;
        }
        // The directory holds one model, weights or adapters: with both it would be ambiguous.
        self.staging.replace_directory(&self.staged, &self.directory, self.config_name, |name| {
            let is_weights = ["model", "adapter_model"].iter().any(|start| name.starts_with(start));
            [INDEX, CONFIG, ADAPTER_CONFIG].contains(&name) || is_weights && name.ends_with(".safetensors")
        })
    }
}

/// Splits tensors in order into runs of at most `limit` bytes, a larger tensor making a run of its own.
fn shards(tensors: &[NewTensor], limit: u64) -> Vec<&[NewTensor]> {
    let (mut shards, mut start, mut size) = (Vec::new(), 0, 0);
    for (i, tensor) in tensors.iter().enumerate() {
        let bytes = tensor.size().unwrap_or(0) as u64;
        if i > start && size + bytes > limit {
            shards.push(&tensors[start..i]);
            (start, size) = (i, 0);
        }
        size += bytes;
    }
    shards.push(&tensors[start..]);
    shards
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use safetensors::SafeTensors;

    use super::*;
    use crate::model::weights::Dtype;

    fn tensors() -> Vec<NewTensor> {
        [("a", vec![2, 3], Dtype::F32), ("b", vec![4], Dtype::BF16), ("c", vec![3], Dtype::F16)]
            .map(|(name, shape, dtype)| NewTensor { name: name.into(), shape, dtype })
            .into()
    }

    fn values(tensor: &NewTensor) -> Result<Vec<f32>> {
        Ok((0..tensor.count()).map(|i| i as f32 + f32::from(tensor.name.as_bytes()[0])).collect())
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::entries(directory).unwrap();
        let mut names: Vec<_> =
            entries.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("model");
        (parent, directory)
    }

    #[test]
    fn the_safetensors_crate_reads_what_is_written() {
        let (_parent, directory) = place();
        let files = [("tokenizer.json".to_owned(), b"{}".to_vec())];
        write_model(&directory, &json!({"a": 1}), &tensors(), values, &files).unwrap();
        assert_eq!(names(&directory), ["config.json", "model.safetensors", "tokenizer.json"]);
        let bytes = fs::read(directory.join("model.safetensors")).unwrap();
        let read = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.tensor("a").unwrap().shape(), [2, 3]);
        assert_eq!(Dtype::F32.decode(read.tensor("a").unwrap().data()), [97.0, 98.0, 99.0, 100.0, 101.0, 102.0]);
        assert_eq!(Dtype::BF16.decode(read.tensor("b").unwrap().data()), [98.0, 99.0, 100.0, 101.0]);
        assert_eq!(Dtype::F16.decode(read.tensor("c").unwrap().data()), [99.0, 100.0, 101.0]);
    }

    #[test]
    fn shards_come_with_an_index_and_replace_an_earlier_single_file() {
        let (_parent, directory) = place();
        write_model(&directory, &json!({}), &tensors(), values, &[]).unwrap();
        fs::write(directory.join("metrics.jsonl"), "kept").unwrap();
        let sharded = DirectoryWriter::new(&directory, (CONFIG, "model"), &json!({}), &tensors(), &[], 24).unwrap();
        sharded.write(&tensors(), values).unwrap();
        let shard = |i| format!("model-0000{i}-of-00002.safetensors");
        assert_eq!(names(&directory), ["config.json", "metrics.jsonl", &shard(1), &shard(2), INDEX]);
        let index: Value = serde_json::from_slice(&fs::read(directory.join(INDEX)).unwrap()).unwrap();
        assert_eq!(
            index,
            json!({"metadata": {"total_size": 24 + 8 + 6},
            "weight_map": {"a": shard(1), "b": shard(2), "c": shard(2)}})
        );
        // Adapters replace weights, and weights adapters.
        let adapter = DirectoryWriter::adapter(&directory, &json!({}), &tensors(), &[]).unwrap();
        adapter.write(&tensors(), values).unwrap();
        assert_eq!(names(&directory), ["adapter_config.json", "adapter_model.safetensors", "metrics.jsonl"]);
        write_model(&directory, &json!({}), &tensors(), values, &[]).unwrap();
        assert_eq!(names(&directory), ["config.json", "metrics.jsonl", "model.safetensors"]);
    }

    #[test]
    fn a_failure_leaves_nothing_behind_and_the_old_model_untouched() {
        let (parent, directory) = place();
        let fail = |tensor: &NewTensor| match tensor.name.as_str() {
            "b" => Err(Error::run("no more", "")),
            _ => values(tensor),
        };
        write_model(&directory, &json!({}), &tensors(), fail, &[]).unwrap_err();
        assert_eq!(names(parent.path()), [""; 0]);
        write_model(&directory, &json!({"old": true}), &tensors(), values, &[]).unwrap();
        let before = fs::read(directory.join("model.safetensors")).unwrap();
        write_model(&directory, &json!({}), &tensors(), fail, &[]).unwrap_err();
        assert_eq!(names(parent.path()), ["model"]);
        assert_eq!(fs::read(directory.join("model.safetensors")).unwrap(), before);
    }

    #[test]
    fn values_that_do_not_fit_the_shape_are_refused() {
        let (_parent, directory) = place();
        let error = write_model(&directory, &json!({}), &tensors(), |_| Ok(vec![0.0]), &[]).unwrap_err();
        assert!(error.to_string().contains("model.safetensors: tensor \"a\""), "{error}");
    }

    /// `/dev/full` refuses every byte, as a full disk does.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_naming_the_file() {
        let path = Path::new("out/model.safetensors");
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut writer = SafetensorsWriter::to_file(full, path, tensors(), None).unwrap();
        tensors().iter().for_each(|tensor| writer.append(&values(tensor).unwrap()).unwrap());
        let error = writer.sync().unwrap_err();
        assert!(matches!(&error, Error::Io { path: named, .. } if named == path), "{error}");
    }
}
