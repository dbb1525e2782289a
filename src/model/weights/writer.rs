//! Writes Hugging Face model directories: `config.json`, safetensors in shards, and the files that go with them.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::staging::Staging;
use super::{Dtype, Entry};
use crate::model::lora::ADAPTER_CONFIG;
use crate::{Error, Result};

/// Above this a checkpoint is written in several files, as `transformers` does.
const SHARD_BYTES: usize = 5_000_000_000;

/// The configuration of a model directory.
pub(super) const CONFIG: &str = "config.json";
/// Which shard holds which tensor.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTensor {
    /// The name it gets in the file.
    pub name: String,
    /// Rows first.
    pub shape: Vec<usize>,
    /// How to store it. Safetensors hold F32, F16 and BF16; GGUF files blocks as well.
    pub dtype: Dtype,
}

impl From<&Entry> for NewTensor {
    fn from(entry: &Entry) -> Self {
        Self { name: entry.name.clone(), shape: entry.info.shape.clone(), dtype: entry.info.dtype }
    }
}

impl NewTensor {
    /// Values of the tensor.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn size(&self) -> Option<usize> {
        self.dtype.bytes(self.count())
    }

    /// The bytes of `values`, of which there must be as many as the shape says.
    pub(super) fn encode(&self, values: &[f32], path: &Path) -> Result<Vec<u8>> {
        let encoded = match values.len() == self.count() {
            true => self.dtype.encode(values),
            false => Err(format!("{} values do not fill {:?}", values.len(), self.shape)),
        };
        let at = || format!("{}: tensor {:?}", path.display(), self.name);
        encoded.map_err(|problem| Error::input(at(), problem, ""))
    }
}

/// Writes a model directory: the weights as safetensors (in shards of 5 GB with an index), `config.json` and `files`,
/// pairs of a name and its content such as tokenizer files or a model card.
///
/// `read` gives the values of a tensor when its turn comes, so that one tensor at a time is in memory; narrower dtypes
/// round to nearest. Everything is written beside `directory` first: a new directory appears complete or not at all,
/// and in an existing one complete files replace their predecessors, `config.json` last. Weights and adapters of an earlier
/// model go; other files are left alone.
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
    write_directory(directory, (CONFIG, "model"), config, tensors, read, files)
}

/// As [`write_model`], with other names of the configuration and, without `.safetensors`, the weights.
pub(in crate::model) fn write_directory(
    directory: &Path,
    names: (&str, &str),
    config: &Value,
    tensors: &[NewTensor],
    read: impl FnMut(&NewTensor) -> Result<Vec<f32>>,
    files: &[(String, Vec<u8>)],
) -> Result<()> {
    write_sharded(directory, names, config, tensors, read, files, SHARD_BYTES)
}

fn write_sharded(
    directory: &Path,
    (config_name, weights): (&str, &str),
    config: &Value,
    tensors: &[NewTensor],
    mut read: impl FnMut(&NewTensor) -> Result<Vec<f32>>,
    files: &[(String, Vec<u8>)],
    shard_bytes: usize,
) -> Result<()> {
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
    let mut weight_map = Map::new();
    for (i, shard) in shards.iter().enumerate() {
        let name = match shards.len() {
            1 => format!("{weights}.safetensors"),
            count => format!("{weights}-{:05}-of-{count:05}.safetensors", i + 1),
        };
        write_safetensors(&staged.join(&name), &directory.join(&name), shard, &mut read)?;
        weight_map.extend(shard.iter().map(|tensor| (tensor.name.clone(), json!(name))));
    }
    if shards.len() > 1 {
        let total: usize = tensors.iter().filter_map(NewTensor::size).sum();
        write(INDEX, &pretty(&json!({"metadata": {"total_size": total}, "weight_map": weight_map})))?;
    }
    write(config_name, &pretty(config))?;
    // The directory holds one model, weights or adapters: with both it would be ambiguous.
    staging.replace_directory(&staged, directory, config_name, |name| {
        let is_weights = ["model", "adapter_model"].iter().any(|start| name.starts_with(start));
        [INDEX, CONFIG, ADAPTER_CONFIG].contains(&name) || is_weights && name.ends_with(".safetensors")
    })
}

/// Splits tensors in order into runs of at most `limit` bytes, a larger tensor making a run of its own.
fn shards(tensors: &[NewTensor], limit: usize) -> Vec<&[NewTensor]> {
    let (mut shards, mut start, mut size) = (Vec::new(), 0, 0);
    for (i, tensor) in tensors.iter().enumerate() {
        let bytes = tensor.size().unwrap_or(0);
        if i > start && size + bytes > limit {
            shards.push(&tensors[start..i]);
            (start, size) = (i, 0);
        }
        size += bytes;
    }
    shards.push(&tensors[start..]);
    shards
}

/// Writes one file at `staged`; errors name `path`, where it will be.
fn write_safetensors(
    staged: &Path,
    path: &Path,
    tensors: &[NewTensor],
    mut read: impl FnMut(&NewTensor) -> Result<Vec<f32>>,
) -> Result<()> {
    let io = |source| Error::io(path, source);
    let (mut header, mut offset) = (Map::new(), 0);
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    for tensor in tensors {
        let dtype = match tensor.dtype {
            Dtype::F32 => "F32",
            Dtype::F16 => "F16",
            Dtype::BF16 => "BF16",
            Dtype::Quantized(_) => {
                let at = format!("{}: tensor {:?}", path.display(), tensor.name);
                return Err(Error::input(at, "safetensors cannot hold quantized tensors", "write F32, F16 or BF16"));
            }
        };
        let size = tensor.size().unwrap_or(0);
        let entry = json!({"dtype": dtype, "shape": tensor.shape, "data_offsets": [offset, offset + size]});
        header.insert(tensor.name.clone(), entry);
        offset += size;
    }
    let mut header = serde_json::to_vec(&header).map_err(|error| io(error.into()))?;
    // The data begins at a multiple of eight, so that mapped files can be read in place.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(staged).map_err(io)?);
    out.write_all(&(header.len() as u64).to_le_bytes()).and_then(|()| out.write_all(&header)).map_err(io)?;
    for tensor in tensors {
        out.write_all(&tensor.encode(&read(tensor)?, path)?).map_err(io)?;
    }
    let file = out.into_inner().map_err(|error| io(error.into_error()))?;
    file.sync_all().map_err(io)
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use safetensors::SafeTensors;

    use super::*;

    fn tensors() -> Vec<NewTensor> {
        [("a", vec![2, 3], Dtype::F32), ("b", vec![4], Dtype::BF16), ("c", vec![3], Dtype::F16)]
            .map(|(name, shape, dtype)| NewTensor { name: name.into(), shape, dtype })
            .into()
    }

    fn values(tensor: &NewTensor) -> Result<Vec<f32>> {
        Ok((0..tensor.count()).map(|i| i as f32 + f32::from(tensor.name.as_bytes()[0])).collect())
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
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
        write_sharded(&directory, (CONFIG, "model"), &json!({}), &tensors(), values, &[], 24).unwrap();
        let shard = |i| format!("model-0000{i}-of-00002.safetensors");
        assert_eq!(names(&directory), ["config.json", "metrics.jsonl", &shard(1), &shard(2), INDEX]);
        let index: Value = serde_json::from_slice(&fs::read(directory.join(INDEX)).unwrap()).unwrap();
        assert_eq!(
            index,
            json!({"metadata": {"total_size": 24 + 8 + 6},
            "weight_map": {"a": shard(1), "b": shard(2), "c": shard(2)}})
        );
        // Adapters replace weights, and weights adapters.
        let adapter = (ADAPTER_CONFIG, "adapter_model");
        write_directory(&directory, adapter, &json!({}), &tensors(), values, &[]).unwrap();
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
        let error = write_safetensors(Path::new("/dev/full"), path, &tensors(), values).unwrap_err();
        assert!(matches!(&error, Error::Io { path: named, .. } if named == path), "{error}");
    }
}
