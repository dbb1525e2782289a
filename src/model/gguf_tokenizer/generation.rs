//! The generation settings of a GGUF file as a `generation_config.json`, and the reverse.
//!
//! Keys: `general.sampling.*` of `gguf-py/gguf/constants.py`, end-of-sequence tokens as found by `src/llama-vocab.cpp`
//! of llama.cpp. Settings without a key are kept as text under [`KEY`], which other programs do not read.

use serde_json::{Map, Value, json};

use super::kind;
use crate::model::weights::gguf::Metadata;
use crate::model::weights::gguf_field::{Field, NewMetadata};
use crate::{Error, Result};

/// The `generation_config.json` of the model a file was written from, its end tokens filled in.
const KEY: &str = "wgr.generation_config";
/// The tokens that end a sequence, a turn and a message.
const END_KEYS: [&str; 3] =
    ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];
const SUPPRESSED: &str = "tokenizer.ggml.suppress_tokens";
const END_OF_MESSAGE: &str = "<|eom_id|>";

/// Tokens at which llama.cpp ends generation because of their text, those that end a turn first. Left out are those of
/// architectures that the engine does not run.
const END_TEXTS: [&str; 15] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "[EOS]",
    "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
    END_OF_MESSAGE,
];

/// Numbers of `general.sampling`, with their names in `generation_config.json` and whether they are whole. Those that
/// `transformers` has no name for are called as `gguf-py` looks for them there.
const SAMPLING: [(&str, &str, bool); 11] = [
    ("temp", "temperature", false),
    ("top_k", "top_k", true),
    ("top_p", "top_p", false),
    ("min_p", "min_p", false),
    ("penalty_repeat", "repetition_penalty", false),
    ("penalty_last_n", "penalty_last_n", true),
    ("xtc_probability", "xtc_probability", false),
    ("xtc_threshold", "xtc_threshold", false),
    ("mirostat", "mirostat", true),
    ("mirostat_tau", "mirostat_tau", false),
    ("mirostat_eta", "mirostat_eta", false),
];

/// Fields that say nothing a GGUF file would have to keep.
const NEEDLESS: [&str; 6] =
    ["_from_model_config", "transformers_version", "bos_token_id", "eos_token_id", "pad_token_id", "do_sample"];

/// The key of a number of [`SAMPLING`].
fn sampling_key(name: &str) -> String {
    format!("general.sampling.{name}")
}

/// The tokens that end what the model generates. In a file written by wgr those it names, and no others; elsewhere those
/// of the keys and, if there is a chat template, control tokens that llama.cpp knows by their text.
pub(in crate::model) fn end_tokens(metadata: &Metadata) -> Result<Vec<u32>> {
    let stated = match kept(metadata)? {
        Some(json) => ids(&json["eos_token_id"]).map_err(|problem| metadata.error(KEY, problem, ""))?,
        None => Vec::new(),
    };
    if !stated.is_empty() {
        return Ok(stated);
    }
    let tokens = metadata.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
    let mut found = Vec::new();
    for key in END_KEYS {
        let Some(id) = metadata.whole(key)? else { continue };
        if id as usize >= tokens.len() && !tokens.is_empty() {
            return Err(metadata.error(key, format!("{id} is beyond the {} tokens", tokens.len()), ""));
        }
        if !found.contains(&id) {
            found.push(id);
        }
    }
    if metadata.keys().any(|key| key.starts_with("tokenizer.chat_template")) {
        let kinds = metadata.numbers("tokenizer.ggml.token_type")?.unwrap_or_default();
        let by_text = (0..).zip(tokens.iter().zip(kinds)).filter(|(id, (token, kind))| {
            **kind == f64::from(kind::CONTROL) && END_TEXTS.contains(&token.as_str()) && !found.contains(id)
        });
        let by_text: Vec<u32> = by_text.map(|(id, _)| id).collect();
        found.extend(by_text);
    }
    Ok(found)
}

fn kept(metadata: &Metadata) -> Result<Option<Value>> {
    let Some(text) = metadata.text(KEY)? else { return Ok(None) };
    match serde_json::from_str(text) {
        Ok(json @ Value::Object(_)) => Ok(Some(json)),
        _ => Err(metadata.error(KEY, "is not a JSON object", "")),
    }
}

/// Token ids: one, several or null.
fn ids(value: &Value) -> Result<Vec<u32>, String> {
    let listed = match value {
        Value::Null => &[],
        Value::Array(ids) => ids.as_slice(),
        one => std::slice::from_ref(one),
    };
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    listed.iter().map(|value| id(value).ok_or_else(|| format!("{value} is not a token id"))).collect()
}

/// The `generation_config.json` a GGUF file stands for; `None` where it would repeat one end token at most.
pub(in crate::model) fn generation_config(metadata: &Metadata) -> Result<Option<Value>> {
    let kept = kept(metadata)?;
    let mut json = kept.clone().unwrap_or_else(|| json!({}));
    let mut samples = false;
    for (name, field, whole) in SAMPLING {
        let key = sampling_key(name);
        let Some(number) = metadata.number(&key)? else { continue };
        if !number.is_finite() {
            return Err(metadata.error(&key, format!("is {number}"), ""));
        }
        match (name, number) {
            // llama.cpp takes the likeliest token then.
            ("temp", ..=0.0) => json["do_sample"] = json!(false),
            ("penalty_last_n", ..0.0) => {}
            ("top_k", ..0.0) => json[field] = json!(0),
            _ if whole => json[field] = json!(number as i64),
            // The shortest decimal of a number stored as f32.
            _ => json[field] = json!((number as f32).to_string().parse().unwrap_or(number)),
        }
        samples |= !name.starts_with("penalty");
    }
    if let Some(order) = metadata.text(&sampling_key("sequence"))? {
        json["sequence"] = json!(order);
    }
    if let Some(suppressed) = metadata.numbers(SUPPRESSED)? {
        json["suppress_tokens"] = suppressed.iter().map(|id| json!(*id as i64)).collect();
    }
    if samples && kept.is_none() && json["do_sample"].is_null() {
        json["do_sample"] = json!(true);
    }
    let end = end_tokens(metadata)?;
    match end.as_slice() {
        [] => {}
        [one] => json["eos_token_id"] = json!(one),
        several => json["eos_token_id"] = json!(several),
    }
    let says = json.as_object().is_some_and(|fields| fields.keys().any(|field| field != "eos_token_id"));
    Ok(Some(json).filter(|_| says || end.len() > 1))
}

/// A `generation_config.json`, null if there is none, and end tokens as metadata. `at` is where the model is, `eos` what
/// its tokenizer ends a sequence with, `tokens` its vocabulary.
pub(super) fn metadata(
    config: &Value,
    end: &[u32],
    eos: Option<u32>,
    tokens: &[String],
    at: &str,
) -> Result<NewMetadata> {
    let empty = Map::new();
    let fields = match config {
        Value::Null => &empty,
        Value::Object(fields) => fields,
        _ => return Err(Error::input(format!("{at}/generation_config.json"), "is not a JSON object", "")),
    };
    let mut out = end_keys(end, eos, tokens, at);
    // Without sampling `transformers` takes the likeliest token, whatever the other numbers are.
    let greedy = fields.get("do_sample") == Some(&json!(false));
    if greedy {
        out.push((sampling_key("temp"), Field::F32(0.0)));
    }
    for (name, field, whole) in SAMPLING {
        let Some(number) = fields.get(field).and_then(Value::as_f64) else { continue };
        if greedy && !name.starts_with("penalty") {
            continue;
        }
        let field = if whole { Field::I32(number as i32) } else { Field::F32(number as f32) };
        out.push((sampling_key(name), field));
        if name == "penalty_repeat" && !fields.contains_key("penalty_last_n") {
            // The whole text, where llama.cpp would look at 64 tokens.
            out.push((sampling_key("penalty_last_n"), Field::I32(-1)));
        }
    }
    let suppressed = fields.get("suppress_tokens").filter(|ids| ids.is_array()).unwrap_or(&Value::Null);
    let suppressed = ids(suppressed)
        .map_err(|problem| Error::input(format!("{at}/generation_config.json: suppress_tokens"), problem, ""))?;
    if !suppressed.is_empty() {
        out.push((SUPPRESSED.into(), Field::I32s(suppressed.into_iter().map(|id| id as i32).collect())));
    }
    let unsaid: Vec<_> = fields
        .iter()
        .filter(|(field, value)| {
            let known = SAMPLING.iter().any(|(_, known, _)| known == field) || NEEDLESS.contains(&field.as_str());
            !known && *field != "suppress_tokens" && !value.is_null()
        })
        .map(|(field, _)| field.as_str())
        .collect();
    if !unsaid.is_empty() {
        let (count, fields) = (unsaid.len(), unsaid.join(", "));
        tracing::warn!(
            "{at}/generation_config.json: GGUF has no keys for {count} of its fields, which only wgr reads, from \
             {KEY}: {fields}"
        );
    }
    let mut kept = fields.clone();
    if kept.get("eos_token_id").is_none_or(Value::is_null) && !end.is_empty() {
        kept.insert("eos_token_id".into(), json!(end));
    }
    if !kept.is_empty() {
        out.push((KEY.into(), Field::Text(Value::Object(kept).to_string())));
    }
    Ok(out)
}

/// The keys of the end tokens besides eos; warns of tokens at which other programs will not stop.
fn end_keys(end: &[u32], eos: Option<u32>, tokens: &[String], at: &str) -> NewMetadata {
    let text = |id: &u32| tokens.get(*id as usize).map_or("", String::as_str);
    let mut rest: Vec<u32> = end.iter().copied().filter(|id| Some(*id) != eos).collect();
    let eom = rest.iter().position(|id| text(id) == END_OF_MESSAGE).map(|place| rest.remove(place));
    // The token that ends a turn, else one that llama.cpp would not stop at without a key.
    let rank = |id: &u32| match END_TEXTS.iter().position(|known| *known == text(id)) {
        Some(place) if place < 8 => place,
        None => 8,
        Some(place) => place + 1,
    };
    let eot = rest.iter().enumerate().min_by_key(|(_, id)| rank(id)).map(|(place, _)| place);
    let eot = eot.map(|place| rest.remove(place));
    let unknown = rest.iter().position(|id| !END_TEXTS.contains(&text(id)));
    let eom = eom.or_else(|| unknown.map(|place| rest.remove(place)));
    let unsaid: Vec<_> = rest.iter().map(text).filter(|text| !END_TEXTS.contains(text)).collect();
    if !unsaid.is_empty() {
        tracing::warn!(
            "{at}: GGUF has keys for three end-of-sequence tokens; only wgr will stop at {} more: {unsaid:?}",
            unsaid.len()
        );
    }
    let keyed = [(END_KEYS[1], eot), (END_KEYS[2], eom)];
    keyed.into_iter().filter_map(|(key, id)| Some((key.to_owned(), Field::U32(id?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::written_and_read;
    use super::*;

    fn text(key: &str, text: &str) -> (String, Field) {
        (key.to_owned(), Field::Text(text.into()))
    }

    fn vocabulary() -> Vec<(String, Field)> {
        let tokens = ["a", "<s>", "</s>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<stop>"].map(String::from);
        let kinds = vec![1, 3, 3, 3, 1, 3, 3];
        [("tokens", Field::Texts(tokens.into())), ("token_type", Field::I32s(kinds))]
            .map(|(name, field)| (format!("tokenizer.ggml.{name}"), field))
            .into()
    }

    fn with(further: impl IntoIterator<Item = (String, Field)>) -> Metadata {
        written_and_read(&vocabulary().into_iter().chain(further).collect::<Vec<_>>())
    }

    #[test]
    fn end_tokens_are_those_of_the_keys_and_of_llama_cpp() {
        let keys = |ids: &[u32]| -> Vec<_> {
            END_KEYS.iter().zip(ids).map(|(key, id)| ((*key).to_owned(), Field::U32(*id))).collect()
        };
        let template = || text("tokenizer.chat_template", "x");
        assert!(end_tokens(&with([])).unwrap().is_empty());
        assert_eq!(end_tokens(&with(keys(&[2]))).unwrap(), [2]);
        assert_eq!(end_tokens(&with(keys(&[3, 2, 2]))).unwrap(), [3, 2]);
        // "<|eot_id|>" is an ordinary token here.
        assert_eq!(end_tokens(&with(keys(&[3]).into_iter().chain([template()]))).unwrap(), [3, 2, 5]);
        let stated = text(KEY, r#"{"eos_token_id": [6, 3]}"#);
        assert_eq!(end_tokens(&with(keys(&[2]).into_iter().chain([template(), stated]))).unwrap(), [6, 3]);
        let refused = |fields: Vec<_>| end_tokens(&with(fields)).unwrap_err().to_string();
        assert!(refused(keys(&[1, 7])).contains("tokenizer.ggml.eot_token_id: 7 is beyond the 7 tokens"));
        assert!(refused(vec![text(KEY, "[]")]).contains("wgr.generation_config: is not a JSON object"));
        assert!(refused(vec![text(KEY, r#"{"eos_token_id": "</s>"}"#)]).contains("\"</s>\" is not a token id"));
    }

    #[test]
    fn sampling_is_read() {
        let read = |fields: Vec<(&str, Field)>| {
            let fields = fields.into_iter().map(|(name, field)| (sampling_key(name), field));
            generation_config(&with(fields)).unwrap()
        };
        assert_eq!(read(vec![]), None);
        assert_eq!(
            read(vec![
                ("temp", Field::F32(0.6)),
                ("top_k", Field::I32(20)),
                ("penalty_repeat", Field::F32(1.05)),
                ("penalty_last_n", Field::I32(-1)),
            ]),
            Some(json!({"temperature": 0.6, "top_k": 20, "repetition_penalty": 1.05, "do_sample": true}))
        );
        assert_eq!(read(vec![("temp", Field::F32(0.0))]), Some(json!({"do_sample": false})));
        let penalty = vec![("penalty_repeat", Field::F32(1.5)), ("penalty_last_n", Field::I32(64))];
        assert_eq!(read(penalty), Some(json!({"repetition_penalty": 1.5, "penalty_last_n": 64})));
        let broken = with([(sampling_key("top_p"), Field::F32(f32::NAN))]);
        assert!(generation_config(&broken).unwrap_err().to_string().contains("general.sampling.top_p: is NaN"));
    }

    fn there_and_back(config: &Value, end: &[u32], eos: Option<u32>) -> (Metadata, Option<Value>) {
        let Field::Texts(tokens) = &vocabulary()[0].1 else { unreachable!() };
        let mut fields = metadata(config, end, eos, tokens, "m").unwrap();
        fields.extend(eos.map(|id| (END_KEYS[0].to_owned(), Field::U32(id))));
        let read = with(fields.into_iter().chain([text("tokenizer.chat_template", "x")]));
        let back = generation_config(&read).unwrap();
        (read, back)
    }

    #[test]
    fn a_generation_config_survives() {
        let config = json!({
            "do_sample": true, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.1,
            "eos_token_id": [3, 0], "pad_token_id": 1, "max_new_tokens": 5, "suppress_tokens": [4],
        });
        let (read, back) = there_and_back(&config, &[3, 0], Some(3));
        assert_eq!(back, Some(config));
        assert_eq!(read.number("general.sampling.temp").unwrap(), Some(f64::from(0.7_f32)));
        assert_eq!(read.number("general.sampling.penalty_last_n").unwrap(), Some(-1.0));
        assert_eq!(read.whole(END_KEYS[1]).unwrap(), Some(0));
        let greedy = json!({"do_sample": false, "temperature": 0.7, "eos_token_id": 3});
        let (read, back) = there_and_back(&greedy, &[3], Some(3));
        assert_eq!((back, read.number("general.sampling.temp").unwrap()), (Some(greedy), Some(0.0)));
        // If there was no file, none comes back, and no further end-of-sequence token is added.
        let (read, back) = there_and_back(&Value::Null, &[3], Some(3));
        assert_eq!((back, end_tokens(&read).unwrap()), (None, vec![3]));
        assert_eq!(there_and_back(&Value::Null, &[6, 3], Some(3)).1, Some(json!({"eos_token_id": [6, 3]})));
        assert_eq!(there_and_back(&Value::Null, &[], None).0.text(KEY).unwrap(), None);
    }

    #[test]
    fn end_tokens_get_the_keys_that_fit() {
        let Field::Texts(tokens) = &vocabulary()[0].1 else { unreachable!() };
        let keys = |end: &[u32], eos| {
            let keys = end_keys(end, eos, tokens, "m");
            keys.into_iter().map(|(key, id)| (key[15..18].to_owned(), id)).collect::<Vec<_>>()
        };
        let key = |name: &str, id| (name.to_owned(), Field::U32(id));
        assert_eq!(keys(&[3], Some(3)), []);
        assert_eq!(keys(&[2, 4, 5], Some(2)), [key("eot", 4), key("eom", 5)]);
        // Llama.cpp stops at "</s>" by its text, at "<stop>" only by a key.
        assert_eq!(keys(&[3, 2, 6], Some(3)), [key("eot", 6)]);
        assert_eq!(keys(&[3, 6, 0], Some(3)), [key("eot", 6), key("eom", 0)]);
    }
}
