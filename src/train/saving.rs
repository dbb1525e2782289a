//! Model directories and checkpoints: a trained model is a Hugging Face directory, a checkpoint is one with the
//! optimizer's state beside it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::Template;
use crate::files::{fs, replace_file};
use crate::gpu::Gpu;
use crate::model::companions::TEMPLATE;
use crate::model::lora::{HEAD_FILE, LoraConfig, NewAdapter};
use crate::model::parameter::Parameter;
use crate::model::weights::{self, DirectoryWriter, NewTensor};
use crate::model::{Checkpoint, TensorSpec};
use crate::optimizer::LossScale;
use crate::ranks::Ranks;
use crate::{Error, Result};

use super::config::TrainerConfig;
use super::diloco::{DilocoSettings, check_resumed};
use super::head::Head;
use super::step::Stepper;
use super::tensor_file::damaged;
use super::update::Update;

const STATE: &str = "trainer_state.json";

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Optimizer steps taken.
    pub step: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Steps that the run was planned to take, on which its learning rates depend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_steps: Option<u64>,
    /// What the loss is scaled by in the next step, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
    /// Steps that updated nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped_steps: u64,
    /// The algorithm of ranks that take steps of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diloco: Option<DilocoSettings>,
}

/// Everything a model directory holds beside its weights.
pub(crate) struct Parts<'a> {
    /// The source of the weights: configuration and tokenizer.
    pub source: &'a Checkpoint,
    /// The head.
    pub head: Head,
    /// The prompt template.
    pub template: &'a Template,
}

/// Writes the model as a Hugging Face directory, or its adapters as PEFT's, complete or not at all. `extra` are more
/// files for it.
pub(crate) async fn save_model(
    gpu: &Gpu,
    stepper: &Stepper,
    parts: &Parts<'_>,
    directory: &Path,
    mut extra: Vec<(String, Vec<u8>)>,
) -> Result<()> {
    let mut head = parts.head.clone();
    if let Some(biases) = stepper.classifier.biases() {
        head.biases = biases.weight.read(gpu).await?;
    }
    extra.extend(parts.source.travelling_files()?);
    extra.push((TEMPLATE.to_owned(), parts.template.source().as_bytes().to_vec()));
    if let Some(lora) = stepper.classifier.lora() {
        extra.push((HEAD_FILE.to_owned(), serde_json::to_vec_pretty(&head).expect("a head serializes")));
        let trained = stepper.classifier.checkpoint_parameters().filter(|parameter| !parameter.frozen);
        return save_adapter(gpu, &trained.collect::<Vec<_>>(), lora, parts.source, directory, extra).await;
    }
    let mut config = parts.source.config().to_classifier_json(&head.labels(), weights::Dtype::F32);
    config["wgr"] = json!(head);
    let parameters: Vec<&Parameter> = stepper.classifier.checkpoint_parameters().collect();
    write_parameters(gpu, directory, &config, &extra, &parameters).await
}

/// Writes a model directory with the values that some parameters have on the device, a piece at a time, so that the host need
/// not have room for all.
pub(crate) async fn write_parameters(
    gpu: &Gpu,
    directory: &Path,
    config: &Value,
    files: &[(String, Vec<u8>)],
    parameters: &[&Parameter],
) -> Result<()> {
    let new = |parameter: &&Parameter| NewTensor {
        name: parameter.name.clone(),
        shape: parameter.shape.clone(),
        dtype: weights::Dtype::F32,
    };
    let tensors: Vec<NewTensor> = parameters.iter().map(new).collect();
    fill(gpu, DirectoryWriter::model(directory, config, &tensors, files)?, parameters).await
}

/// Writes the values of parameters and completes the directory.
async fn fill(gpu: &Gpu, mut writer: DirectoryWriter, parameters: &[&Parameter]) -> Result<()> {
    for parameter in parameters {
        for rows in parameter.weight.row_pieces() {
            writer.append(&parameter.weight.read_rows(gpu, rows).await?)?;
        }
    }
    writer.finish()
}

/// Writes adapters, and the head where `trained` has one, as a directory that PEFT reads.
pub(crate) async fn save_adapter(
    gpu: &Gpu,
    trained: &[&Parameter],
    config: &LoraConfig,
    source: &Checkpoint,
    directory: &Path,
    files: Vec<(String, Vec<u8>)>,
) -> Result<()> {
    let spec = |parameter: &&Parameter| TensorSpec { name: parameter.name.clone(), shape: parameter.shape.clone() };
    let tensors = trained.iter().map(spec).collect();
    let adapter = NewAdapter { config, base: source.base_name(), tensors, files };
    fill(gpu, adapter.begin(directory)?, trained).await
}

/// The directory of a checkpoint.
pub(crate) fn checkpoint_directory(output: &Path, progress: Progress) -> PathBuf {
    output.join("checkpoints").join(format!("step-{}", progress.step))
}

/// Completes a checkpoint, whose model the first rank has written: the state of the optimizer, and last the progress, whose
/// presence says that the rest is complete. All ranks take part, and the first writes.
pub(crate) async fn save_state(gpu: &Gpu, update: &Update, directory: &Path, progress: Progress) -> Result<()> {
    update.save(gpu, directory).await?;
    if !update.ranks.is_first() {
        return Ok(());
    }
    replace_file(&directory.join(STATE), &serde_json::to_vec_pretty(&progress).expect("numbers serialize"))
}

/// The checkpoint in an output directory that went furthest, if there is a complete one.
pub(crate) fn latest_checkpoint(output: &Path) -> Result<Option<PathBuf>> {
    let folder = output.join("checkpoints");
    let entries = match fs::entries(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(folder, e)),
    };
    let step = |path: &Path| path.file_name()?.to_str()?.strip_prefix("step-")?.parse::<u64>().ok();
    let mut found: Vec<(u64, PathBuf)> = entries
        .into_iter()
        .filter(|path| fs::is_file(path.join(STATE)))
        .filter_map(|path| Some((step(&path)?, path)))
        .collect();
    found.sort();
    Ok(found.pop().map(|(_, path)| path))
}

/// Puts the state of the optimizer back and returns how far the checkpoint had come. The weights were loaded with the model.
pub(crate) fn restore(gpu: &Gpu, update: &mut Update, directory: &Path) -> Result<Progress> {
    update.restore(gpu, directory)?;
    progress(directory)
}

/// Refuses to go on from a checkpoint of another algorithm, if there is one.
pub(crate) fn check_algorithm(resumed: Option<&Path>, config: &TrainerConfig, ranks: &Ranks) -> Result<()> {
    match resumed {
        Some(directory) => check_resumed(progress(directory)?.diloco, config.diloco(ranks), directory),
        None => Ok(()),
    }
}

/// How far a checkpoint had come.
pub(crate) fn progress(directory: &Path) -> Result<Progress> {
    let path = directory.join(STATE);
    let text = fs::read(&path).map_err(|e| Error::io(&path, e))?;
    serde_json::from_slice(&text).map_err(|e| damaged(&path, e.to_string()))
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Layout;
    use crate::model::parameter::Holding;
    use crate::optimizer::AdamWConfig;
    use crate::test_allocations::peak_of;

    /// Sixty tensors of 256 KiB, so that what is written at a time is small beside all of them.
    #[test]
    fn writing_a_checkpoint_takes_the_memory_of_a_tensor() {
        const COUNT: usize = 60;
        const SIDE: usize = 256;
        let gpu = pollster::block_on(Gpu::open(&Default::default())).unwrap();
        let parameter = |place: usize| {
            let (name, side) = (format!("layer{place}"), Layout::plain(SIDE));
            let made = Parameter::matrix(&gpu, name, side, side, Holding::Training, crate::gpu::Dtype::F32).unwrap();
            made.write(&gpu, &vec![place as f32; SIDE * SIDE]).unwrap();
            made
        };
        let parameters: Vec<Parameter> = (0..COUNT).map(parameter).collect();
        let parameters: Vec<&Parameter> = parameters.iter().collect();
        let update = Update::new(&gpu, parameters.iter().copied(), AdamWConfig::default()).unwrap();
        let place = tempfile::tempdir().unwrap();
        let (tensor, buffer) = (4 * SIDE * SIDE, 1 << 20);
        let model = place.path().join("model");
        let peak = peak_of(|| {
            pollster::block_on(write_parameters(&gpu, &model, &json!({}), &[], &parameters)).unwrap();
        });
        assert!(peak < buffer + 8 * tensor, "the model: {peak}");
        let peak = peak_of(|| pollster::block_on(save_state(&gpu, &update, &model, Progress::default())).unwrap());
        assert!(peak < buffer + 8 * tensor, "the moments: {peak}");
        let size = |name: &str| std::fs::metadata(model.join(name)).unwrap().len() as usize;
        assert!(size("model.safetensors") > COUNT * tensor && size("optimizer.safetensors") > 2 * COUNT * tensor);
    }
}
