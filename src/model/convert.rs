//! Between GGUF files and Hugging Face directories, and between dtypes.

use std::path::Path;

use serde_json::Value;

use super::gguf_tokenizer;
use super::weights::{Checkpoint, Dtype, NewTensor, write_model};
use crate::{Error, Result};

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A directory with `config.json`, safetensors and tokenizer files.
    HuggingFace,
    /// One `.gguf` file.
    Gguf,
}

/// Writes the model `source` names to `output`, as `format` and with weights as `dtype`; without one every tensor
/// keeps its own, quantised ones becoming F32. A classification head comes along.
///
/// In GGUF files norms and biases are always F32, as llama.cpp expects them, and matrices whose rows do not come out in
/// whole `Q8_0` blocks are F16.
///
/// # Errors
/// Besides those of [`Checkpoint::open`] and I/O: a source without weights, a `dtype` the format cannot be written
/// with, and what GGUF cannot express, named by field.
pub fn convert(source: &str, output: &Path, dtype: Option<Dtype>, format: Format) -> Result<()> {
    let checkpoint = Checkpoint::open(source)?;
    if checkpoint.is_new() {
        return Err(Error::input(source, "has no weights to convert", ""));
    }
    match (format, dtype) {
        (Format::HuggingFace, Some(Dtype::Quantized(_))) => {
            Err(Error::input("--dtype", "model directories hold no quantised weights", "take f32, f16 or bf16"))
        }
        (Format::HuggingFace, dtype) => to_directory(&checkpoint, output, dtype),
        (Format::Gguf, dtype) => to_gguf(&checkpoint, output, dtype),
    }
}

/// The tensors worth keeping: the body, and the heads there are.
fn kept(checkpoint: &Checkpoint, dtype: impl Fn(&[usize], Dtype) -> Dtype) -> Vec<NewTensor> {
    let mut names: Vec<String> = checkpoint.config().tensors().into_iter().map(|spec| spec.name).collect();
    if !checkpoint.config().tie_word_embeddings {
        names.push("lm_head.weight".into());
    }
    names.push("score.weight".into());
    let tensor = |name: String| {
        let info = checkpoint.info(&name)?;
        Some(NewTensor { name, dtype: dtype(&info.shape, info.dtype), shape: info.shape.clone() })
    };
    names.into_iter().filter_map(tensor).collect()
}

fn widened(dtype: Dtype) -> Dtype {
    if matches!(dtype, Dtype::Quantized(_)) { Dtype::F32 } else { dtype }
}

fn to_directory(checkpoint: &Checkpoint, output: &Path, dtype: Option<Dtype>) -> Result<()> {
    let tensors = kept(checkpoint, |_, stored| dtype.unwrap_or(widened(stored)));
    let config = checkpoint.config().to_json(tensors[0].dtype);
    let files = checkpoint.tokenizer_files()?;
    write_model(output, &config, &tensors, |tensor| checkpoint.read_f32(&tensor.name), &files)
}

fn to_gguf(checkpoint: &Checkpoint, output: &Path, dtype: Option<Dtype>) -> Result<()> {
    let tensors = kept(checkpoint, |shape, stored| match dtype.unwrap_or(widened(stored)) {
        _ if shape.len() == 1 => Dtype::F32,
        quantized @ Dtype::Quantized(_) if !shape[1].is_multiple_of(quantized.block().0) => Dtype::F16,
        dtype => dtype,
    });
    let at = checkpoint.path().display().to_string();
    let files = checkpoint.tokenizer_files()?;
    let json = |name: &str| -> Result<Value> {
        let Some((_, bytes)) = files.iter().find(|(known, _)| known == name) else { return Ok(Value::Null) };
        serde_json::from_slice(bytes)
            .map_err(|error| Error::input(format!("{at}/{name}"), format!("is not valid JSON: {error}"), ""))
    };
    let tokenizer = json("tokenizer.json")?;
    if tokenizer.is_null() {
        let hint = "a GGUF file holds its tokenizer";
        return Err(Error::input(format!("{at}/tokenizer.json"), "is missing", hint));
    }
    let chat_template = checkpoint.chat_template()?;
    let files = gguf_tokenizer::TokenizerFiles {
        tokenizer: &tokenizer,
        config: &json("tokenizer_config.json")?,
        chat_template: chat_template.as_deref(),
        at: &at,
    };
    let metadata = gguf_tokenizer::metadata(&files, checkpoint.config().vocab_size)?;
    checkpoint.write_gguf(output, metadata, &tensors)
}
