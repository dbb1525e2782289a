//! A `tokenizer.json` to GGUF metadata.

use std::collections::HashMap;

use serde_json::Value;
use tokenizers::Tokenizer;

use super::read::{SPECIAL, TOKENS};
use super::{SPACE, Split, WORDS, generation, kind, templates};
use crate::model::config::ModelConfig;
use crate::model::weights::gguf_field::{Field, NewMetadata};
use crate::{Error, Result};

/// The files of a tokenizer.
pub(in crate::model) struct TokenizerFiles<'a> {
    /// `tokenizer.json`.
    pub tokenizer: &'a Value,
    /// `tokenizer_config.json`, null if there is none.
    pub config: &'a Value,
    /// `special_tokens_map.json`, null if there is none.
    pub special: &'a Value,
    /// `generation_config.json`, null if there is none.
    pub generation: &'a Value,
    /// The tokens that end what the model generates.
    pub end_tokens: &'a [u32],
    /// The chat template.
    pub chat_template: Option<&'a str>,
    /// Further chat templates by name.
    pub named_templates: &'a [(String, String)],
    /// The path of the files, for errors.
    pub at: &'a str,
}

/// The metadata of a model's tokenizer, its vocabulary filled up to the rows of the embedding. Errors name the part of
/// `tokenizer.json` that GGUF cannot express.
pub(in crate::model) fn metadata(files: &TokenizerFiles, config: &ModelConfig) -> Result<NewMetadata> {
    let (json, at) = (files.tokenizer, format!("{}/tokenizer.json", files.at));
    let model = &json["model"];
    let (tokens, kinds) = vocabulary(json, config.vocab_size, &at)?;
    let sentence_piece = is_sentence_piece(model);
    let merges = merges(model, &at)?;
    let mut fields = Vec::new();
    let mut add = |name: &str, field: Field| fields.push((format!("tokenizer.ggml.{name}"), field));
    if sentence_piece {
        add("model", Field::Text("llama".into()));
        add("pre", Field::Text("default".into()));
        add("add_space_prefix", Field::Flag(adds_space(json, &at)?));
        add("scores", Field::F32s(scores(&tokens, &merges)));
    } else {
        add("model", Field::Text("gpt2".into()));
        add("pre", Field::Text(words(json, &at)?.into()));
        add("merges", Field::Texts(merges.iter().map(|(a, b)| format!("{a} {b}")).collect()));
    }
    add("token_type", Field::I32s(kinds));
    let id_of = |name: &str| {
        let token = [files.config, files.special].map(|file| &file[name]).into_iter().find(|token| !token.is_null())?;
        let token = token.as_str().or_else(|| token["content"].as_str())?;
        tokens.iter().position(|known| known == token).map(|id| id as u32)
    };
    let bos = id_of("bos_token").or(config.bos_token_id);
    let eos = id_of("eos_token").or(config.eos_token_id.first().copied());
    let (add_bos, add_eos) = surrounds(json, bos, eos, &at)?;
    for (name, key) in SPECIAL {
        let id = match name {
            "bos_token" => bos,
            "eos_token" => eos,
            "pad_token" => id_of(name).or(config.pad_token_id),
            _ => id_of(name),
        };
        fields.extend(id.map(|id| (key.to_owned(), Field::U32(id))));
    }
    let mut add = |name: &str, field: Field| fields.push((format!("tokenizer.ggml.{name}"), field));
    add("add_bos_token", Field::Flag(add_bos));
    add("add_eos_token", Field::Flag(add_eos));
    fields.extend(generation::metadata(files.generation, files.end_tokens, eos, &tokens, files.at)?);
    fields.push((TOKENS.into(), Field::Texts(tokens)));
    fields.extend(templates::metadata(files.chat_template, files.named_templates, files.at)?);
    Ok(fields)
}

/// Every token and its kind, ids without one filled.
fn vocabulary(json: &Value, vocab_size: usize, at: &str) -> Result<(Vec<String>, Vec<i32>)> {
    let model = &json["model"];
    let Some(vocab) = model["vocab"].as_object().filter(|_| model["type"] == "BPE") else {
        return Err(Error::input(format!("{at}: model"), "is not BPE", "GGUF files of decoders hold BPE tokenizers"));
    };
    let sentence_piece = is_sentence_piece(model);
    let mut tokens: Vec<Option<(String, i32)>> = vec![None; vocab_size];
    let mut place = |id: &Value, token: &str, kind: i32| {
        let slot = id.as_u64().and_then(|id| tokens.get_mut(id as usize));
        let slot = slot.ok_or_else(|| {
            let problem = format!("has the id {id}, beyond the {vocab_size} rows of the embedding");
            Error::input(format!("{at}: token {token:?}"), problem, "")
        })?;
        *slot = Some((token.to_owned(), kind));
        Ok::<_, Error>(())
    };
    for (token, id) in vocab {
        let is_byte = sentence_piece && token.len() == 6 && token.starts_with("<0x") && token.ends_with('>');
        place(id, token, if is_byte { kind::BYTE } else { kind::NORMAL })?;
    }
    let mut matched_otherwise = Vec::new();
    for added in json["added_tokens"].as_array().into_iter().flatten() {
        let token = added["content"].as_str().unwrap_or_default();
        let kind = match added["special"].as_bool() {
            _ if model["unk_token"] == token && sentence_piece => kind::UNKNOWN,
            Some(true) => kind::CONTROL,
            _ => kind::USER_DEFINED,
        };
        place(&added["id"], token, kind)?;
        if ["lstrip", "rstrip", "single_word"].iter().any(|how| added[how] == true) {
            matched_otherwise.push(token);
        }
    }
    if !matched_otherwise.is_empty() {
        let count = matched_otherwise.len();
        tracing::warn!(
            "{at}: GGUF cannot say that {count} added tokens strip spaces or match whole words only: \
             {matched_otherwise:?}"
        );
    }
    let filler = |(id, token): (usize, Option<_>)| token.unwrap_or_else(|| (format!("[PAD{id}]"), kind::UNUSED));
    Ok(tokens.into_iter().enumerate().map(filler).unzip())
}

/// Only vocabularies made by SentencePiece fall back to bytes.
fn is_sentence_piece(model: &Value) -> bool {
    model["byte_fallback"] == true
}

/// Merges are pairs, or in older files strings with a space between.
fn merges<'a>(model: &'a Value, at: &str) -> Result<Vec<(&'a str, &'a str)>> {
    let pair = |merge: &'a Value| match merge {
        Value::String(text) => text.split_once(' '),
        _ => Some((merge[0].as_str()?, merge[1].as_str()?)),
    };
    let merges = model["merges"].as_array().map(Vec::as_slice).unwrap_or_default();
    let merges: Option<Vec<_>> = merges.iter().map(pair).collect();
    merges.ok_or_else(|| Error::input(format!("{at}: model.merges"), "holds something that is not a pair", ""))
}

/// Scores that put the merges in their order again: what is merged first scores highest.
fn scores(tokens: &[String], merges: &[(&str, &str)]) -> Vec<f32> {
    let mut ranks = HashMap::new();
    for (rank, (a, b)) in merges.iter().enumerate() {
        ranks.entry(format!("{a}{b}")).or_insert(rank);
    }
    tokens.iter().map(|token| -(*ranks.get(token).unwrap_or(&merges.len()) as f32)).collect()
}

/// The steps of a pre-tokenizer or normalizer, be it one or a sequence.
fn steps<'a>(value: &'a Value, list: &str) -> Vec<&'a Value> {
    match value[list].as_array() {
        Some(steps) => steps.iter().collect(),
        None if value.is_null() => Vec::new(),
        None => vec![value],
    }
}

/// The name of the rules by which byte-level BPE finds words.
fn words(json: &Value, at: &str) -> Result<&'static str> {
    let (normalizers, pre) =
        (steps(&json["normalizer"], "normalizers"), steps(&json["pre_tokenizer"], "pretokenizers"));
    let nfc = match normalizers.as_slice() {
        [] => Some(false),
        [one] => (one["type"] == "NFC").then_some(true),
        _ => None,
    };
    let is_gpt2 = |step: &Value| step["type"] == "ByteLevel" && step["use_regex"] != false;
    let is_bytes = |step: &Value| step["type"] == "ByteLevel" && step["use_regex"] == false;
    let found = WORDS.iter().find(|words| {
        let cuts_alike = match (words.split, pre.as_slice()) {
            (Split::Gpt2, [bytes]) => is_gpt2(bytes),
            (Split::DigitsThenGpt2, [digits, bytes]) => {
                digits["type"] == "Digits" && digits["individual_digits"] == true && is_gpt2(bytes)
            }
            (Split::Regex(regex), [split, bytes]) => {
                split["pattern"]["Regex"] == regex && split["behavior"] == "Isolated" && is_bytes(bytes)
            }
            _ => false,
        };
        let plain = pre.iter().all(|step| step["add_prefix_space"] != true);
        let ignores = json["model"]["ignore_merges"] == true;
        cuts_alike && plain && nfc == Some(words.nfc) && ignores == words.ignore_merges
    });
    found.map(|words| words.name).ok_or_else(|| {
        let problem = "splits text in a way that has no name in GGUF files";
        Error::input(format!("{at}: pre_tokenizer"), problem, "keep the model as a directory")
    })
}

/// Whether a SentencePiece tokenizer puts a space before text.
fn adds_space(json: &Value, at: &str) -> Result<bool> {
    let pre = steps(&json["pre_tokenizer"], "pretokenizers");
    let normalizers = steps(&json["normalizer"], "normalizers");
    let replaces =
        |step: &&Value| step["type"] == "Replace" && step["pattern"]["String"] == " " && step["content"] == SPACE;
    match (normalizers.as_slice(), pre.as_slice()) {
        ([], [only]) if only["type"] == "Metaspace" => Ok(only["prepend_scheme"] != "never"),
        ([prepend, replace], []) if prepend["type"] == "Prepend" && replaces(replace) => Ok(true),
        ([replace], []) if replaces(replace) => Ok(false),
        _ => {
            let problem = "treats spaces in a way GGUF cannot express";
            Err(Error::input(format!("{at}: normalizer"), problem, "keep the model as a directory"))
        }
    }
}

/// Whether bos comes before and eos behind a sequence, seen on the empty one.
fn surrounds(json: &Value, bos: Option<u32>, eos: Option<u32>, at: &str) -> Result<(bool, bool)> {
    let fail =
        |problem: String| Error::input(format!("{at}: post_processor"), problem, "keep the model as a directory");
    let tokenizer: Tokenizer = json.to_string().parse().map_err(|error| fail(format!("no tokenizer: {error}")))?;
    let encoding = tokenizer.encode("", true).map_err(|error| fail(error.to_string()))?;
    match *encoding.get_ids() {
        [] => Ok((false, false)),
        [first] if Some(first) == bos => Ok((true, false)),
        [last] if Some(last) == eos => Ok((false, true)),
        [first, last] if Some(first) == bos && Some(last) == eos => Ok((true, true)),
        ref other => Err(fail(format!("surrounds sequences with the tokens {other:?}, which are not bos and eos"))),
    }
}
