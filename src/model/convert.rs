//! Between GGUF files and Hugging Face directories, and between dtypes.

use std::path::Path;

use serde_json::Value;

use super::reading::Reading;
use super::weights::gguf_field::{Field, NewMetadata};
use super::weights::quantized::GgmlType;
use super::weights::{Checkpoint, Dtype, Merged, NewTensor, write_model};
use super::{companions, gguf_tokenizer};
use crate::{Error, Result};

/// A merged model that keeps less than this of its adapters is likely not what was wanted.
const LITTLE: f64 = 0.9;

/// The format to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A directory with `config.json`, safetensors and tokenizer files.
    HuggingFace,
    /// One `.gguf` file.
    Gguf,
}

/// Writes the model `source` names to `output`, as `format` and with weights as `dtype`; without one every tensor
/// keeps its own, quantised ones becoming F32. A classification head comes along with its labels, a reward model's prompt
/// template and calibration, chat templates, end tokens and the defaults of sampling; what a GGUF file cannot say is
/// named in a warning. Returns how the model is read, if it has a tokenizer.
///
/// In GGUF files norms and biases are always F32, as llama.cpp expects them, and matrices whose rows do not come out in
/// whole `Q8_0` blocks are F16.
///
/// # Errors
/// Besides those of [`Checkpoint::open`] and I/O: a source without weights, a `dtype` the format cannot be written
/// with, and what GGUF cannot express, named by field.
pub fn convert(source: &str, output: &Path, dtype: Option<Dtype>, format: Format) -> Result<Option<Reading>> {
    let checkpoint = Checkpoint::open(source)?;
    if checkpoint.adapter().is_some() {
        return Err(Error::input(source, "is an adapter", "pass `.merge` to merge it into its base model"));
    }
    write(&checkpoint, source, output, dtype, format)
}

/// As [`convert`], for an adapter directory: writes the base model with what the adapters add, summed in f32, as a model
/// of its own. From one GGUF file to another, without a `dtype`, all is kept that the adapters do not change: types, order
/// and metadata, and the bytes of tensors without adapters. Those with adapters are rounded to their types, by how
/// much is returned.
///
/// # Errors
/// Those of [`convert`]; a source that is not an adapter.
pub fn merge(
    source: &str,
    output: &Path,
    dtype: Option<Dtype>,
    format: Format,
) -> Result<(Option<Reading>, Option<Merged>)> {
    let checkpoint = Checkpoint::open(source)?;
    if checkpoint.adapter().is_none() {
        return Err(Error::input(source, "is not an adapter that can be merged", "leave `.merge` out"));
    }
    if checkpoint.gguf().is_none() || dtype.is_some() || format != Format::Gguf {
        return Ok((write(&checkpoint, source, output, dtype, format)?, None));
    }
    let merged = checkpoint.write_merged_gguf(output, changes(&checkpoint)?)?;
    if merged.total.kept < LITTLE {
        let kept = 100.0 * merged.total.kept;
        tracing::warn!(
            "{source}: {kept:.0} % of what the adapters add are left after rounding; give `.dtype` f16, or use the adapter \
             beside its base model"
        );
    }
    Ok((reading(&checkpoint), Some(merged)))
}

/// The metadata that adapters change in the GGUF file of their base model: what makes a reward model of it, and, where
/// they bring a tokenizer, chat templates and the pad token, or all of it if it knows tokens that the base does not.
fn changes(checkpoint: &Checkpoint) -> Result<NewMetadata> {
    let mut changes = companion_metadata(checkpoint)?;
    if !checkpoint.brings_tokenizer() {
        return Ok(changes);
    }
    let base = Checkpoint::open(checkpoint.base_name())?.tokenizer()?.get_vocab(true);
    let own = checkpoint.tokenizer()?.get_vocab(true);
    let is_known = own.iter().all(|(token, id)| base.get(token) == Some(id));
    let is_changed = |key: &str| key.starts_with("tokenizer.chat_template") || key == "tokenizer.ggml.padding_token_id";
    let tokenizer = tokenizer_metadata(checkpoint)?;
    changes.extend(tokenizer.into_iter().filter(|(key, _)| !is_known || is_changed(key)));
    if !is_known {
        let at = checkpoint.path().display();
        tracing::warn!(
            "{at}: the tokenizer has tokens that the base model does not know, and is written in place of its own"
        );
    }
    Ok(changes)
}

/// Writes the adapters in the directory `source`, without their base model, as the GGUF file that llama.cpp loads beside it.
///
/// # Errors
/// A source that is not an adapter; a value that is not finite; what GGUF cannot express; I/O.
pub fn adapter_to_gguf(source: &str, output: &Path) -> Result<Option<Reading>> {
    let checkpoint = Checkpoint::open(source)?;
    let Some(adapter) = checkpoint.adapter() else {
        return Err(Error::input(source, "is not an adapter", "pass a model as `.model`"));
    };
    if checkpoint.contains("score.weight") {
        tracing::warn!("{source}: the score head is not written, because adapters of llama.cpp have none");
    }
    checkpoint.write_gguf_adapter(&adapter.config, output)?;
    Ok(Reading::as_stored(&checkpoint).ok())
}

fn write(
    checkpoint: &Checkpoint,
    source: &str,
    output: &Path,
    dtype: Option<Dtype>,
    format: Format,
) -> Result<Option<Reading>> {
    if checkpoint.is_new() {
        return Err(Error::input(source, "has no weights to convert", ""));
    }
    let unread: Vec<&str> = checkpoint.unread(checkpoint.config().num_labels.is_none()).collect();
    // A classifier may keep the causal head it once had.
    let lost: Vec<&str> =
        unread.into_iter().filter(|name| !["lm_head.weight", "score.weight", "score.bias"].contains(name)).collect();
    if !lost.is_empty() {
        tracing::warn!("{source}: tensors that are not part of the architecture are not written: {}", lost.join(", "));
    }
    match (format, dtype) {
        (Format::HuggingFace, Some(Dtype::Quantized(_))) => {
            Err(Error::input("`.dtype`", "model directories cannot hold quantized weights", "use f32, f16 or bf16"))
        }
        (Format::Gguf, Some(Dtype::Quantized(kind))) if kind != GgmlType::Q8_0 => {
            Err(Error::input("`.dtype`", format!("{kind:?} can only be read"), "use f32, f16, bf16 or q8_0"))
        }
        (Format::HuggingFace, dtype) => to_directory(checkpoint, output, dtype),
        (Format::Gguf, dtype) => to_gguf(checkpoint, output, dtype),
    }?;
    Ok(reading(checkpoint))
}

/// How a model is read; weights alone may be converted, too.
fn reading(checkpoint: &Checkpoint) -> Option<Reading> {
    let reading = Reading::as_stored(checkpoint);
    reading.inspect_err(|problem| tracing::warn!("the tokenizer is not converted: {problem}")).ok()
}

/// The tensors worth keeping: the body, and the heads there are.
fn kept(checkpoint: &Checkpoint, dtype: impl Fn(&[usize], Dtype) -> Dtype) -> Vec<NewTensor> {
    let mut names: Vec<String> = checkpoint.config().tensors().into_iter().map(|spec| spec.name).collect();
    if !checkpoint.config().tie_word_embeddings {
        names.push("lm_head.weight".into());
    }
    names.extend(["score.weight".into(), "score.bias".into()]);
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
    let config = match (checkpoint.adapter(), checkpoint.config().num_labels) {
        // The head is the adapter's; the base model may have none.
        (Some(_), Some(outputs)) => {
            checkpoint.config().to_classifier_json(&labels(checkpoint, outputs), tensors[0].dtype)
        }
        _ => checkpoint.config().to_json(tensors[0].dtype),
    };
    let files = [checkpoint.travelling_files()?, checkpoint.companions()?].concat();
    write_model(output, &config, &tensors, |tensor| checkpoint.read_merged(&tensor.name), &files)
}

/// The names of a head's outputs: thresholds where `wgr` wrote several, else those that `transformers` gives by default.
fn labels(checkpoint: &Checkpoint, outputs: usize) -> Vec<String> {
    match checkpoint.config().extra(companions::HEAD.0) {
        Some(_) if outputs > 1 => (1..=outputs).map(|k| format!("y>{k}")).collect(),
        Some(_) => vec!["reward".into()],
        None => (0..outputs).map(|i| format!("LABEL_{i}")).collect(),
    }
}

fn to_gguf(checkpoint: &Checkpoint, output: &Path, dtype: Option<Dtype>) -> Result<()> {
    let tensors = kept(checkpoint, |shape, stored| match dtype.unwrap_or(widened(stored)) {
        _ if shape.len() == 1 => Dtype::F32,
        quantized @ Dtype::Quantized(_) if !shape[1].is_multiple_of(quantized.block().0) => Dtype::F16,
        dtype => dtype,
    });
    let mut metadata = tokenizer_metadata(checkpoint)?;
    metadata.extend(companion_metadata(checkpoint)?);
    checkpoint.write_gguf(output, metadata, &tensors)
}

/// The metadata of the tokenizer, its templates and defaults of sampling.
fn tokenizer_metadata(checkpoint: &Checkpoint) -> Result<NewMetadata> {
    let at = checkpoint.path().display().to_string();
    let files = checkpoint.travelling_files()?;
    let json = |name: &str| -> Result<Value> {
        let Some((_, bytes)) = files.iter().find(|(known, _)| known == name) else { return Ok(Value::Null) };
        serde_json::from_slice(bytes)
            .map_err(|error| Error::input(format!("{at}/{name}"), format!("is not valid JSON: {error}"), ""))
    };
    // As it is used: what its configuration changes has no other place in a GGUF file.
    let used = checkpoint.tokenizer()?.to_string(false);
    let tokenizer: Value = used
        .map_err(|e| e.to_string())
        .and_then(|text| serde_json::from_str(&text).map_err(|e| e.to_string()))
        .map_err(|problem| Error::input(format!("{at}/tokenizer.json"), problem, ""))?;
    let templates: Vec<(String, String)> =
        checkpoint.chat_templates()?.into_iter().map(|template| (template.name, template.source)).collect();
    let default = templates.iter().find(|(name, _)| name == "default");
    let files = gguf_tokenizer::TokenizerFiles {
        tokenizer: &tokenizer,
        config: &json("tokenizer_config.json")?,
        special: &json("special_tokens_map.json")?,
        generation: &json("generation_config.json")?,
        end_tokens: &checkpoint.end_tokens()?,
        chat_template: default.map(|(_, source)| source.as_str()),
        named_templates: &templates,
        at: &at,
    };
    gguf_tokenizer::metadata(&files, checkpoint.config())
}

/// The metadata of what makes a reward model of it besides its head.
fn companion_metadata(checkpoint: &Checkpoint) -> Result<NewMetadata> {
    let mut metadata = vec![];
    for (name, key) in companions::KEYS {
        let Some(bytes) = checkpoint.companion(name)? else { continue };
        let at = || format!("{}/{name}", checkpoint.path().display());
        let text = String::from_utf8(bytes).map_err(|_| Error::input(at(), "is not UTF-8 text", ""))?;
        metadata.push((key.to_owned(), Field::Text(text)));
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::tiny::Tiny;
    use crate::model::weights::{gguf, gguf_writer};
    use crate::model::{Family, RopeScaling};

    const Q8_0: Dtype = Dtype::Quantized(GgmlType::Q8_0);

    fn there_and_back(tiny: &Tiny, dtype: Option<Dtype>) -> (Checkpoint, Checkpoint) {
        convert(&tiny.source(), &tiny.path("tiny.gguf"), dtype, Format::Gguf).unwrap();
        convert(&tiny.named("tiny.gguf"), &tiny.path("back"), None, Format::HuggingFace).unwrap();
        (Checkpoint::open(&tiny.named("tiny.gguf")).unwrap(), Checkpoint::open(&tiny.named("back")).unwrap())
    }

    fn same_tensors(a: &Checkpoint, b: &Checkpoint) {
        assert_eq!(a.names().collect::<Vec<_>>(), b.names().collect::<Vec<_>>());
        for name in a.names() {
            assert_eq!(a.info(name).unwrap().shape, b.info(name).unwrap().shape, "{name}");
            assert_eq!(a.read_f32(name).unwrap(), b.read_f32(name).unwrap(), "{name}");
        }
    }

    #[test]
    fn every_family_survives_gguf() {
        let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                            "original_max_position_embeddings": 8});
        let yarn = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16});
        for (family, changes) in [
            (Family::Llama, json!({"attention_bias": true, "mlp_bias": true, "rope_scaling": llama3})),
            (Family::Mistral, json!({"sliding_window": 5, "rope_theta": 1e6})),
            (Family::Qwen2, json!({"tie_word_embeddings": true, "rope_scaling": yarn})),
            (Family::Qwen3, json!({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5}})),
        ] {
            let tiny = Tiny::new(family, changes, Dtype::F32);
            let original = tiny.open();
            let (gguf, back) = there_and_back(&tiny, None);
            for copy in [&gguf, &back] {
                same_tensors(&original, copy);
                let (config, copied) = (original.config(), copy.config());
                assert_eq!(copied.family, family);
                assert_eq!(copied.rope, config.rope);
                assert_eq!(copied.window(1), config.window(1));
                assert_eq!(copied.rms_norm_eps, config.rms_norm_eps);
                assert_eq!(copied.tensors(), config.tensors());
                assert_eq!(copied.tie_word_embeddings, config.tie_word_embeddings);
                assert_eq!((copied.bos_token_id, &copied.eos_token_id), (config.bos_token_id, &config.eos_token_id));
                let source = |of: &Checkpoint| of.chat_template().unwrap().map(|template| template.source().to_owned());
                assert_eq!(source(copy), source(&original));
                for text in ["hello <think>hell</think></s> \u{e9}", ""] {
                    let ids = |checkpoint: &Checkpoint| {
                        checkpoint.tokenizer().unwrap().encode(text, true).unwrap().get_ids().to_vec()
                    };
                    assert_eq!(ids(copy), ids(&original), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn a_classification_head_comes_along() {
        let changes = json!({"architectures": ["LlamaForSequenceClassification"], "num_labels": 3});
        let tiny = Tiny::new(Family::Llama, changes, Dtype::BF16);
        let (gguf, back) = there_and_back(&tiny, None);
        for copy in [&gguf, &back] {
            assert_eq!(copy.config().num_labels, Some(3));
            same_tensors(&tiny.open(), copy);
        }
        assert_eq!(back.info("score.weight").unwrap().dtype, Dtype::BF16);
    }

    #[test]
    fn labels_of_a_classifier_come_along() {
        let changes = json!({"architectures": ["Qwen2ForSequenceClassification"], "num_labels": 3, "pad_token_id": 1,
                             "id2label": {"0": "bad", "1": "fair", "2": "good"}});
        let tiny = Tiny::new(Family::Qwen2, changes, Dtype::F32);
        let (gguf, back) = there_and_back(&tiny, None);
        for copy in [&gguf, &back] {
            assert_eq!(copy.config().extra("id2label"), Some(&json!({"0": "bad", "1": "fair", "2": "good"})));
            assert_eq!(copy.config().extra("label2id"), Some(&json!({"bad": 0, "fair": 1, "good": 2})));
            assert_eq!((copy.config().num_labels, copy.config().pad_token_id), (Some(3), Some(1)));
        }
        let unnamed = json!({"architectures": ["Qwen2ForSequenceClassification"], "num_labels": 3});
        let (gguf, _) = there_and_back(&Tiny::new(Family::Qwen2, unnamed, Dtype::F32), None);
        assert_eq!(gguf.config().extra("id2label"), None);
    }

    #[test]
    fn what_says_how_to_generate_comes_along() {
        let tiny = Tiny::new(Family::Llama, json!({"eos_token_id": 1}), Dtype::F32);
        let generation = json!({"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95,
                                "repetition_penalty": 1.05, "eos_token_id": [2, 1], "max_length": 9});
        std::fs::write(tiny.path("model/generation_config.json"), generation.to_string()).unwrap();
        let file = |copy: &Checkpoint, name: &str| -> Option<Value> {
            let files = copy.travelling_files().unwrap();
            files.iter().find(|(known, _)| known == name).map(|(_, bytes)| serde_json::from_slice(bytes).unwrap())
        };
        let (gguf, back) = there_and_back(&tiny, None);
        for copy in [&gguf, &back] {
            assert_eq!(file(copy, "generation_config.json").as_ref(), Some(&generation));
            assert_eq!(copy.end_tokens().unwrap(), [2, 1]);
            assert_eq!(copy.config().pad_token_id, None);
            let names = file(copy, "tokenizer_config.json").unwrap();
            assert_eq!((&names["eos_token"], &names["pad_token"]), (&json!("</s>"), &Value::Null));
            assert_eq!((&names["add_bos_token"], &names["add_eos_token"]), (&json!(true), &json!(false)));
        }
        let bytes = std::fs::read(tiny.path("tiny.gguf")).unwrap();
        let metadata = gguf::header(&bytes, "tiny.gguf").unwrap().0;
        let number = |key: &str| metadata.number(key).unwrap();
        assert_eq!(number("tokenizer.ggml.eos_token_id"), Some(1.0));
        assert_eq!(number("tokenizer.ggml.eot_token_id"), Some(2.0));
        assert_eq!(number("tokenizer.ggml.padding_token_id"), None);
        assert_eq!(number("general.sampling.top_k"), Some(20.0));
        std::fs::write(tiny.path("model/generation_config.json"), "{").unwrap();
        let error = convert(&tiny.source(), &tiny.path("bad.gguf"), None, Format::Gguf).unwrap_err().to_string();
        assert!(error.contains("generation_config.json"), "{error}");
    }

    #[test]
    fn named_chat_templates_and_special_tokens_come_along() {
        let tiny = Tiny::new(Family::Llama, json!({}), Dtype::F32);
        let write = |name: &str, text: &str| std::fs::write(tiny.path("model").join(name), text).unwrap();
        let listed = json!([{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]);
        write("tokenizer_config.json", &json!({"chat_template": listed, "eos_token": "</s>"}).to_string());
        write("special_tokens_map.json", r#"{"bos_token": {"content": "<s>"}, "mask_token": "<think>"}"#);
        let (gguf, back) = there_and_back(&tiny, None);
        let named = |checkpoint: &Checkpoint| {
            let templates = checkpoint.chat_templates().unwrap().into_iter();
            templates.map(|template| (template.name, template.source)).collect::<Vec<_>>()
        };
        let pairs = |pairs: [(&str, &str); 2]| pairs.map(|(name, text)| (name.to_owned(), text.to_owned()));
        for copy in [&gguf, &back] {
            assert_eq!(named(copy), pairs([("default", "d"), ("tool_use", "t")]));
            let tokens = copy.special_tokens().unwrap();
            assert_eq!((&tokens["bos_token"], &tokens["eos_token"]), (&json!("<s>"), &json!("</s>")));
            let files = copy.travelling_files().unwrap();
            let (_, special) = files.iter().find(|(name, _)| name == "special_tokens_map.json").unwrap();
            assert_eq!(serde_json::from_slice::<Value>(special).unwrap()["mask_token"], "<think>");
        }
        // The other place for templates with a name, where a file holds that by default.
        write("chat_template.jinja", "j");
        assert_eq!(named(&tiny.open()), [("default".to_owned(), "j".to_owned())]);
        std::fs::create_dir(tiny.path("model/additional_chat_templates")).unwrap();
        write("additional_chat_templates/rag.jinja", "r");
        write("additional_chat_templates/README.md", "not one");
        convert(&tiny.source(), &tiny.path("again.gguf"), None, Format::Gguf).unwrap();
        let again = Checkpoint::open(&tiny.named("again.gguf")).unwrap();
        assert_eq!(named(&again), pairs([("default", "j"), ("rag", "r")]));
    }

    /// The tiny model as GGUF, with further keys, opened.
    fn with_keys(tiny: &Tiny, fields: Vec<(&str, Field)>) -> Result<Checkpoint> {
        convert(&tiny.source(), &tiny.path("plain.gguf"), None, Format::Gguf)?;
        let whole = std::fs::read(tiny.path("plain.gguf")).unwrap();
        let fields: Vec<_> = fields.into_iter().map(|(key, field)| (key.to_owned(), field)).collect();
        std::fs::write(tiny.path("keys.gguf"), gguf_writer::with_further(&whole, &fields)).unwrap();
        Checkpoint::open(&tiny.named("keys.gguf"))
    }

    #[test]
    fn keys_that_would_make_it_another_model_are_refused_by_name() {
        let tiny = Tiny::new(Family::Llama, json!({}), Dtype::F32);
        let one = |key, field| with_keys(&tiny, vec![(key, field)]);
        for (key, field) in [
            ("llama.attention.causal", Field::Flag(false)),
            ("llama.attention.clamp_kqv", Field::F32(8.0)),
            ("llama.attention.scale", Field::F32(0.25)),
            ("llama.attn_logit_softcapping", Field::F32(50.0)),
            ("llama.logit_scale", Field::F32(0.0625)),
            ("llama.residual_scale", Field::F32(0.22)),
            ("llama.embedding_scale", Field::F32(12.0)),
            ("llama.expert_count", Field::U32(8)),
            ("llama.nextn_predict_layers", Field::U32(1)),
            ("llama.rope.dimension_sections", Field::I32s(vec![16, 24, 24, 0])),
            ("llama.rope.scaling.attn_factor", Field::F32(1.2)),
            ("llama.rope.scaling.yarn_ext_factor", Field::F32(1.0)),
            ("llama.rope.scaling.type", Field::Text("longrope".into())),
            ("llama.embedding_length_out", Field::U32(4)),
            ("llama.hidden_activation", Field::Text("gelu".into())),
            ("general.type", Field::Text("adapter".into())),
        ] {
            let message = one(key, field).unwrap_err().to_string();
            assert!(message.contains(&format!("keys.gguf: {key}: ")), "{message}");
        }
        for (key, field) in [
            ("llama.attention.causal", Field::Flag(true)),
            ("llama.attention.scale", Field::F32(0.5)),
            ("llama.expert_count", Field::U32(0)),
            ("llama.expert_used_count", Field::U32(2)),
            ("llama.rope.scaling.attn_factor", Field::F32(1.0)),
            ("llama.attention.sliding_window_pattern", Field::U32(4)),
            ("llama.rope.scaling.finetuned", Field::Flag(true)),
            ("llama.hidden_activation", Field::Text("silu".into())),
            ("llama.unheard_of", Field::U32(1)),
            ("general.type", Field::Text("model".into())),
        ] {
            one(key, field).unwrap();
        }
        let window = |pattern| {
            let window = ("llama.attention.sliding_window", Field::U32(8));
            with_keys(&tiny, vec![window, ("llama.attention.sliding_window_pattern", pattern)])
        };
        assert_eq!(window(Field::I32s(vec![1, 1])).unwrap().config().window(1), Some(8));
        assert!(
            window(Field::I32s(vec![1, 0])).unwrap_err().to_string().contains("sliding_window_pattern: [1.0, 0.0]")
        );
        window(Field::U32(2)).unwrap_err();
    }

    #[test]
    fn a_factor_without_a_type_is_that_of_linear_scaling() {
        let tiny = Tiny::new(Family::Qwen2, json!({}), Dtype::F32);
        let scaling = |fields| with_keys(&tiny, fields).unwrap().config().rope.scaling.clone();
        let linear = RopeScaling::Linear { factor: 4.0 };
        assert_eq!(scaling(vec![("qwen2.rope.scaling.factor", Field::F32(4.0))]), linear);
        assert_eq!(scaling(vec![("qwen2.rope.scale_linear", Field::F32(4.0))]), linear);
        assert_eq!(scaling(vec![("qwen2.rope.scaling.factor", Field::F32(1.0))]), RopeScaling::Default);
        let none = ("qwen2.rope.scaling.type", Field::Text("none".into()));
        assert_eq!(scaling(vec![none, ("qwen2.rope.scaling.factor", Field::F32(4.0))]), RopeScaling::Default);
    }

    #[test]
    fn poolings_and_labels_must_be_those_of_the_head() {
        let changes = json!({"architectures": ["Qwen3ForSequenceClassification"], "num_labels": 2});
        let tiny = Tiny::new(Family::Qwen3, changes, Dtype::F32);
        let labels = |names: &[&str]| Field::Texts(names.iter().map(|name| (*name).to_owned()).collect());
        let named = with_keys(&tiny, vec![("qwen3.classifier.output_labels", labels(&["yes", "no"]))]).unwrap();
        assert_eq!(named.config().extra("id2label"), Some(&json!({"0": "yes", "1": "no"})));
        let three = with_keys(&tiny, vec![("qwen3.classifier.output_labels", labels(&["a", "b", "c"]))]);
        assert!(three.unwrap_err().to_string().contains("qwen3.classifier.output_labels: 3 names for the 2 rows"));
        // The mean of all tokens, instead of what the writer says.
        let whole = std::fs::read(tiny.path("plain.gguf")).unwrap();
        let key = b"qwen3.pooling_type";
        let at = whole.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 4;
        let mut mean = whole.clone();
        assert_eq!(std::mem::replace(&mut mean[at], 1), 4);
        std::fs::write(tiny.path("mean.gguf"), mean).unwrap();
        let message = Checkpoint::open(&tiny.named("mean.gguf")).unwrap_err().to_string();
        assert!(message.contains("qwen3.pooling_type: 1 is not supported"), "{message}");
    }

    #[test]
    fn tensors_of_other_architectures_are_refused_by_name() {
        let tiny = Tiny::new(Family::Llama, json!({}), Dtype::F32);
        convert(&tiny.source(), &tiny.path("plain.gguf"), None, Format::Gguf).unwrap();
        let whole = std::fs::read(tiny.path("plain.gguf")).unwrap();
        // Names of the same length, in place of one that can be missing.
        for name in ["cls.aaaaaaaa", "output.bias_", "rope_factors"] {
            let mut bytes = whole.clone();
            let at = bytes.windows(14).position(|window| window == b"\0output.weight").unwrap() + 1;
            bytes[at..at + 13].copy_from_slice(format!("{name}x").as_bytes());
            std::fs::write(tiny.path("odd.gguf"), bytes).unwrap();
            let message = Checkpoint::open(&tiny.named("odd.gguf")).unwrap_err().to_string();
            assert!(message.contains(&format!("tensor \"{name}x\": is not part of this architecture")), "{message}");
        }
    }

    #[test]
    fn an_id_beyond_the_vocabulary_is_no_pad_token() {
        let tiny = Tiny::new(Family::Llama, json!({}), Dtype::F32);
        let copy = with_keys(&tiny, vec![("tokenizer.ggml.padding_token_id", Field::U32(u32::MAX))]).unwrap();
        assert_eq!(copy.config().pad_token_id, None);
        let (_, names) = copy.travelling_files().unwrap().swap_remove(1);
        assert_eq!(serde_json::from_slice::<Value>(&names).unwrap().get("pad_token"), None);
    }

    #[test]
    fn what_makes_a_reward_model_comes_along() {
        let head = json!({"objective": "coral", "levels": 4, "biases": [1.0, 0.5, 0.25]});
        let changes = json!({"architectures": ["LlamaForSequenceClassification"], "num_labels": 1, "wgr": head});
        let tiny = Tiny::new(Family::Llama, changes, Dtype::F32);
        let companions =
            [(companions::TEMPLATE, "{{ query }}\n{{ response }} \u{e9}\n"), (companions::CALIBRATION, "{}")];
        for (name, text) in companions {
            std::fs::write(tiny.path("model").join(name), text).unwrap();
        }
        convert(&tiny.source(), &tiny.path("narrow"), Some(Dtype::BF16), Format::HuggingFace).unwrap();
        let (gguf, back) = there_and_back(&tiny, None);
        let expected = companions.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        for copy in [&gguf, &back, &Checkpoint::open(&tiny.named("narrow")).unwrap()] {
            assert_eq!(copy.config().extra("wgr"), Some(&head));
            assert_eq!(copy.companions().unwrap(), expected);
        }
        std::fs::write(tiny.path("model").join(companions::CALIBRATION), b"\xff").unwrap();
        let error = convert(&tiny.source(), &tiny.path("bad.gguf"), None, Format::Gguf).unwrap_err().to_string();
        assert!(error.contains("calibration.json: is not UTF-8") && !tiny.path("bad.gguf").exists(), "{error}");
    }

    #[test]
    fn sixteen_bits_are_kept_and_put_in_order() {
        let tiny = Tiny::new(Family::Llama, json!({}), Dtype::F16);
        let (gguf, _) = there_and_back(&tiny, None);
        let name = "model.layers.1.self_attn.q_proj.weight";
        assert_eq!(gguf.info(name).unwrap().dtype, Dtype::F16);
        assert_eq!(gguf.read_16(name).unwrap(), tiny.open().read_16(name).unwrap());
        let norm = "model.norm.weight";
        assert_eq!(gguf.info(norm).unwrap().dtype, Dtype::F32);
        assert!(gguf.read_16(norm).unwrap_err().to_string().contains("tensor \"model.norm.weight\""));
    }

    #[test]
    fn eight_bits_lose_little_and_rows_that_do_not_fit_blocks_stay_wide() {
        let tiny = Tiny::new(Family::Llama, json!({"intermediate_size": 64}), Dtype::F32);
        let (gguf, _) = there_and_back(&tiny, Some(Q8_0));
        let wide = "model.layers.0.mlp.down_proj.weight";
        assert_eq!(gguf.info(wide).unwrap().dtype, Q8_0);
        assert_eq!(gguf.info("model.embed_tokens.weight").unwrap().dtype, Dtype::F16);
        let (exact, found) = (tiny.open().read_f32(wide).unwrap(), gguf.read_f32(wide).unwrap());
        assert_ne!(exact, found);
        assert!(exact.iter().zip(found).all(|(a, b)| (a - b).abs() <= 1.0 / 127.0));
    }

    #[test]
    fn the_dtype_of_a_directory_changes_and_is_stated() {
        let tiny = Tiny::new(Family::Qwen3, json!({"mine": 1}), Dtype::F32);
        convert(&tiny.source(), &tiny.path("narrow"), Some(Dtype::BF16), Format::HuggingFace).unwrap();
        let narrow = Checkpoint::open(&tiny.named("narrow")).unwrap();
        same_tensors(&tiny.open(), &narrow);
        assert!(narrow.names().all(|name| narrow.info(name).unwrap().dtype == Dtype::BF16));
        let config: Value = serde_json::from_slice(&std::fs::read(tiny.path("narrow/config.json")).unwrap()).unwrap();
        assert_eq!((&config["dtype"], &config["mine"]), (&json!("bfloat16"), &json!(1)));
        assert_eq!(narrow.travelling_files().unwrap(), tiny.open().travelling_files().unwrap());
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let tiny = Tiny::new(Family::Llama, json!({}), Dtype::F32);
        let refused = |source: &str, dtype, format| {
            let error = convert(source, &tiny.path("out"), dtype, format).unwrap_err();
            assert!(!tiny.path("out").exists());
            error.to_string()
        };
        assert!(refused(&tiny.source(), Some(Q8_0), Format::HuggingFace).contains("`.dtype`"));
        let unwritable = Some(Dtype::Quantized(GgmlType::Q4_0));
        assert!(refused(&tiny.source(), unwritable, Format::Gguf).contains("`.dtype`"));
        assert!(refused(&tiny.named("model/config.json"), None, Format::Gguf).contains("no weights"));
        let mixed = json!({"use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1});
        let mixed = Tiny::new(Family::Qwen2, mixed, Dtype::F32);
        assert!(refused(&mixed.source(), None, Format::Gguf).contains("layer_types"));
    }

    /// The asset is Q4_1; what it converts to must say the same as it does itself.
    #[test]
    fn smollm2_becomes_a_directory() {
        let Some(asset) = crate::model::tiny::smollm2() else { return };
        let out = tempfile::tempdir().unwrap();
        let directory = out.path().join("smollm2");
        convert(&asset, &directory, Some(Dtype::F16), Format::HuggingFace).unwrap();
        let (gguf, back) = (Checkpoint::open(&asset).unwrap(), Checkpoint::open(directory.to_str().unwrap()).unwrap());
        assert_eq!(gguf.config().tensors(), back.config().tensors());
        assert!(back.config().tie_word_embeddings);
        let name = "model.layers.29.self_attn.k_proj.weight";
        let close = |(a, b): (&f32, f32)| (a - b).abs() <= a.abs() / 1024.0 + 1e-7;
        assert!(gguf.read_f32(name).unwrap().iter().zip(back.read_f32(name).unwrap()).all(close));
    }
}
