//! GGUF metadata to `tokenizer.json` and the files beside it.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::generation::generation_config;
use super::templates::chat_templates;
use super::{SPACE, Split, WORDS, Words, kind};
use crate::Result;
use crate::model::weights::gguf::Metadata;

/// The vocabulary.
pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
/// Special tokens by their name in `tokenizer_config.json`; what stands around a sequence first.
pub(super) const SPECIAL: [(&str, &str); 7] = [
    ("bos_token", "tokenizer.ggml.bos_token_id"),
    ("eos_token", "tokenizer.ggml.eos_token_id"),
    ("unk_token", "tokenizer.ggml.unknown_token_id"),
    ("pad_token", "tokenizer.ggml.padding_token_id"),
    // Spelled so in every file.
    ("sep_token", "tokenizer.ggml.seperator_token_id"),
    ("cls_token", "tokenizer.ggml.cls_token_id"),
    ("mask_token", "tokenizer.ggml.mask_token_id"),
];

/// The vocabulary of a file.
struct Vocabulary<'a> {
    metadata: &'a Metadata,
    tokens: &'a [String],
    ids: HashMap<&'a str, usize>,
    kinds: Vec<i32>,
}

/// The `tokenizer.json` a GGUF file stands for.
pub(in crate::model) fn tokenizer_json(metadata: &Metadata) -> Result<Value> {
    let vocabulary = Vocabulary::new(metadata)?;
    // Text would be changed before it is cut.
    for flag in ["remove_extra_whitespaces", "normalizer.lowercase", "normalizer.strip_accents"] {
        if vocabulary.flag(flag, false)? {
            return Err(metadata.error(&format!("tokenizer.ggml.{flag}"), "true is not supported", ""));
        }
    }
    let mut json = match metadata.text("tokenizer.ggml.model")?.unwrap_or_default() {
        "gpt2" => vocabulary.byte_level(words(metadata)?)?,
        "llama" => vocabulary.sentence_piece()?,
        other => {
            let hint = "wgr supports gpt2 and llama";
            return Err(metadata.error("tokenizer.ggml.model", format!("{other:?} is not supported"), hint));
        }
    };
    json["version"] = json!("1.0");
    json["added_tokens"] = vocabulary.added_tokens();
    json["post_processor"] = vocabulary.post_processor()?;
    Ok(json)
}

/// The id of a special token that neither begins nor ends text. Files that have none say so by an id beyond the
/// vocabulary, often that of -1, which counts as absent.
pub(in crate::model) fn minor_special(metadata: &Metadata, key: &str) -> Result<Option<u32>> {
    let tokens = metadata.texts(TOKENS)?.map_or(0, <[_]>::len);
    Ok(metadata.whole(key)?.filter(|id| (*id as usize) < tokens || tokens == 0 && *id != u32::MAX))
}

/// The special tokens by their names in `tokenizer_config.json`.
pub(in crate::model) fn special_tokens(metadata: &Metadata) -> Result<Map<String, Value>> {
    let vocabulary = Vocabulary::new(metadata)?;
    let mut special = Map::new();
    for (i, (name, key)) in SPECIAL.into_iter().enumerate() {
        let id = if i < 2 { vocabulary.special(key)? } else { minor_special(metadata, key)?.map(|id| id as usize) };
        if let Some(id) = id {
            special.insert(name.into(), json!(vocabulary.tokens[id]));
        }
    }
    Ok(special)
}

/// `tokenizer.json` and the two small files that name its special tokens and hold the chat template.
pub(in crate::model) fn files(metadata: &Metadata) -> Result<Vec<(String, Vec<u8>)>> {
    let special = special_tokens(metadata)?;
    let mut config = special.clone();
    config.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
    config.insert("clean_up_tokenization_spaces".into(), json!(false));
    for flag in ["add_bos_token", "add_eos_token"] {
        let stated = metadata.flag(&format!("tokenizer.ggml.{flag}"))?;
        config.extend(stated.map(|stated| (flag.into(), json!(stated))));
    }
    let template = match chat_templates(metadata)?.as_slice() {
        [] => Value::Null,
        [(name, text)] if name == "default" => json!(text),
        several => several.iter().map(|(name, text)| json!({"name": name, "template": text})).collect(),
    };
    if !template.is_null() {
        config.insert("chat_template".into(), template);
    }
    let file = |name: &str, json: Value| (name.to_owned(), format!("{json:#}\n").into_bytes());
    let mut files = vec![
        file("tokenizer.json", tokenizer_json(metadata)?),
        file("tokenizer_config.json", Value::Object(config)),
        file("special_tokens_map.json", Value::Object(special)),
    ];
    files.extend(generation_config(metadata)?.map(|json| file("generation_config.json", json)));
    Ok(files)
}

fn words(metadata: &Metadata) -> Result<&'static Words> {
    let key = "tokenizer.ggml.pre";
    let name = metadata.text(key)?.unwrap_or("default");
    WORDS.iter().find(|words| words.name == name).ok_or_else(|| {
        let known: Vec<_> = WORDS.iter().map(|words| words.name).collect();
        let hint = format!("wgr supports {}; a model directory with tokenizer.json works with any", known.join(", "));
        metadata.error(key, format!("{name:?} is not supported"), &hint)
    })
}

impl<'a> Vocabulary<'a> {
    fn new(metadata: &'a Metadata) -> Result<Self> {
        let Some(tokens) = metadata.texts(TOKENS)? else {
            return Err(metadata.error(TOKENS, "is missing", "the file has no tokenizer"));
        };
        let mut ids = HashMap::new();
        for (id, token) in tokens.iter().enumerate() {
            if let Some(first) = ids.insert(token.as_str(), id) {
                return Err(metadata.error(TOKENS, format!("{token:?} is both token {first} and token {id}"), ""));
            }
        }
        let kinds = match metadata.numbers("tokenizer.ggml.token_type")? {
            None => vec![kind::NORMAL; tokens.len()],
            Some(kinds) => kinds.iter().map(|kind| *kind as i32).collect(),
        };
        if kinds.len() != tokens.len() {
            let problem = format!("{} entries for {} tokens", kinds.len(), tokens.len());
            return Err(metadata.error("tokenizer.ggml.token_type", problem, ""));
        }
        Ok(Self { metadata, tokens, ids, kinds })
    }

    /// The id stored at `key`, which must be that of a token.
    fn special(&self, key: &str) -> Result<Option<usize>> {
        let Some(id) = self.metadata.whole(key)? else { return Ok(None) };
        if id as usize >= self.tokens.len() {
            let problem = format!("{id} is beyond the {} tokens", self.tokens.len());
            return Err(self.metadata.error(key, problem, ""));
        }
        Ok(Some(id as usize))
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.metadata.flag(&format!("tokenizer.ggml.{name}"))?.unwrap_or(default))
    }

    fn ids(&self) -> Value {
        self.tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect::<Map<_, _>>().into()
    }

    fn stated_merges(&self) -> Result<Option<Vec<(&'a str, &'a str)>>> {
        let key = "tokenizer.ggml.merges";
        let Some(merges) = self.metadata.texts(key)? else { return Ok(None) };
        let pair = |merge: &'a String| {
            merge.split_once(' ').ok_or_else(|| self.metadata.error(key, format!("{merge:?} is not a pair"), ""))
        };
        merges.iter().map(pair).collect::<Result<_>>().map(Some)
    }

    /// BPE over bytes written as printable characters, as GPT-2 introduced it.
    fn byte_level(&self, words: &Words) -> Result<Value> {
        let Some(merges) = self.stated_merges()? else {
            return Err(self.metadata.error("tokenizer.ggml.merges", "is missing", ""));
        };
        let bytes = json!({
            "type": "ByteLevel", "trim_offsets": true, "use_regex": !matches!(words.split, Split::Regex(_)),
            "add_prefix_space": self.flag("add_space_prefix", false)?,
        });
        let steps = match words.split {
            Split::Gpt2 => vec![bytes],
            Split::DigitsThenGpt2 => vec![json!({"type": "Digits", "individual_digits": true}), bytes],
            Split::Regex(regex) => vec![
                json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false}),
                bytes,
            ],
        };
        Ok(json!({
            "normalizer": if words.nfc { json!({"type": "NFC"}) } else { Value::Null },
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {
                "type": "BPE", "fuse_unk": false, "byte_fallback": false, "ignore_merges": words.ignore_merges,
                "vocab": self.ids(), "merges": merges,
            },
        }))
    }

    /// BPE over characters with bytes for those the vocabulary lacks, as in the SentencePiece models of Llama 2.
    fn sentence_piece(&self) -> Result<Value> {
        let merges = match self.stated_merges()? {
            Some(merges) => merges,
            None => self.merges_by_score()?,
        };
        let prefix = self.flag("add_space_prefix", true)?;
        let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
        let mut normalizers = vec![spaces];
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if prefix {
            normalizers.insert(0, json!({"type": "Prepend", "prepend": SPACE}));
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        let unknown = minor_special(self.metadata, "tokenizer.ggml.unknown_token_id")?;
        Ok(json!({
            "normalizer": {"type": "Sequence", "normalizers": normalizers},
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": {
                "type": "BPE", "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
                "unk_token": unknown.map(|id| &self.tokens[id as usize]), "vocab": self.ids(), "merges": merges,
            },
        }))
    }

    /// SentencePiece joins the neighbours whose union scores highest: every way of splitting a token in two is a merge,
    /// and those of better tokens come first.
    fn merges_by_score(&self) -> Result<Vec<(&'a str, &'a str)>> {
        let key = "tokenizer.ggml.scores";
        let scores = self.metadata.numbers(key)?.unwrap_or_default();
        if scores.len() != self.tokens.len() {
            let problem = format!("{} entries for {} tokens", scores.len(), self.tokens.len());
            return Err(self.metadata.error(key, problem, ""));
        }
        let mut best: Vec<usize> = (0..self.tokens.len()).filter(|id| self.kinds[*id] == kind::NORMAL).collect();
        best.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let mut merges = Vec::new();
        for id in best {
            let token = self.tokens[id].as_str();
            let splits = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
            merges.extend(splits.filter(|(a, b)| self.ids.contains_key(a) && self.ids.contains_key(b)));
        }
        Ok(merges)
    }

    /// Tokens that are found in text before anything else is done to it.
    fn added_tokens(&self) -> Value {
        let added = self.tokens.iter().zip(&self.kinds).enumerate().filter_map(|(id, (token, kind))| {
            let special = match *kind {
                kind::UNKNOWN | kind::CONTROL => true,
                kind::USER_DEFINED => false,
                _ => return None,
            };
            Some(json!({
                "id": id, "content": token, "special": special, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            }))
        });
        added.collect()
    }

    /// Puts bos before and eos behind a sequence where the file says so.
    fn post_processor(&self) -> Result<Value> {
        let by_default = match self.metadata.text("tokenizer.ggml.model")? {
            Some("llama") => true,
            _ => words(self.metadata)?.add_bos,
        };
        let wanted = |flag: &str, default: bool, key: &str| -> Result<Option<usize>> {
            if self.flag(flag, default)? { self.special(key) } else { Ok(None) }
        };
        let bos = wanted("add_bos_token", by_default, "tokenizer.ggml.bos_token_id")?;
        let eos = wanted("add_eos_token", false, "tokenizer.ggml.eos_token_id")?;
        if bos.is_none() && eos.is_none() {
            return Ok(Value::Null);
        }
        let around = |sequence: &str, type_id: u32| {
            let special = |id: &usize| json!({"SpecialToken": {"id": self.tokens[*id], "type_id": type_id}});
            let middle = json!({"Sequence": {"id": sequence, "type_id": type_id}});
            bos.iter().map(special).chain([middle]).chain(eos.iter().map(special)).collect::<Vec<_>>()
        };
        let tokens = bos.iter().chain(&eos).map(|id| {
            let token = &self.tokens[*id];
            (token.clone(), json!({"id": token, "ids": [id], "tokens": [token]}))
        });
        let (single, second) = (around("A", 0), around("B", 1));
        Ok(json!({
            "type": "TemplateProcessing",
            "single": single,
            "pair": single.iter().chain(&second).collect::<Vec<_>>(),
            "special_tokens": tokens.collect::<Map<_, _>>(),
        }))
    }
}
