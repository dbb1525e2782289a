//! The changes that `tokenizer_config.json` makes to a `tokenizer.json`, applied as in `transformers` (5.24,
//! `tokenization_utils_tokenizers.py`) when it loads both.

use serde_json::Value;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

use super::chat_template::SpecialTokens;
use super::tokenizer_files::special_token;
use crate::{Error, Result};

/// Applies a configuration, found at `at`, to its tokenizer: tokens that the tokenizer's file lacks or does not keep whole,
/// whether special tokens are split, and which of bos and eos are added to a text. `tokens` are the special tokens by name.
///
/// # Errors
/// The configuration is wrong, or gives a token another id than the tokenizer would.
pub(crate) fn apply(tokenizer: &mut Tokenizer, config: &Value, tokens: &SpecialTokens, at: &str) -> Result<()> {
    add_tokens(tokenizer, config, at)?;
    let failed = |e: tokenizers::Error| Error::input(at, format!("special tokens: {e}"), "");
    let known: Vec<String> = tokens
        .values()
        .flat_map(texts)
        .filter(|text| tokenizer.token_to_id(text).is_some())
        .map(str::to_owned)
        .collect();
    let is_added = |text: &String| tokenizer.get_added_tokens_decoder().values().any(|token| token.content == **text);
    let split: Vec<AddedToken> =
        known.iter().filter(|text| !is_added(text)).map(|text| AddedToken::from(text.clone(), true)).collect();
    tokenizer.add_special_tokens(split).map_err(failed)?;
    if config["split_special_tokens"] == true {
        tokenizer.set_encode_special_tokens(true);
    }
    surround(tokenizer, config, tokens, at)
}

fn texts(token: &Value) -> Vec<&str> {
    match token {
        Value::String(text) => vec![text],
        Value::Array(tokens) => tokens.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    }
}

/// Tokens that only the configuration names, each with its id.
fn add_tokens(tokenizer: &mut Tokenizer, config: &Value, at: &str) -> Result<()> {
    let Some(listed) = config["added_tokens_decoder"].as_object() else { return Ok(()) };
    let field =
        |problem: String| Error::input(format!("{at}: added_tokens_decoder"), problem, "fetch the files of one model");
    let mut missing: Vec<(u32, AddedToken)> = vec![];
    for (id, token) in listed {
        let id: u32 = id.parse().map_err(|_| field(format!("{id:?} is not a token id")))?;
        let Some(text) = token["content"].as_str() else { return Err(field(format!("token {id} has no content"))) };
        let flag = |name: &str| token[name].as_bool().unwrap_or(false);
        let added = AddedToken::from(text, flag("special"))
            .lstrip(flag("lstrip"))
            .rstrip(flag("rstrip"))
            .single_word(flag("single_word"))
            .normalized(flag("normalized"));
        match tokenizer.token_to_id(text) {
            Some(has) if has != id => {
                return Err(field(format!("{text:?} is token {id}, but token {has} in tokenizer.json")));
            }
            _ if tokenizer.get_added_tokens_decoder().contains_key(&id) => {}
            _ => missing.push((id, added)),
        }
    }
    missing.sort_by_key(|(id, _)| *id);
    for (id, token) in missing {
        let text = token.content.clone();
        tokenizer.add_tokens([token]).map_err(|e| field(e.to_string()))?;
        let given = tokenizer.token_to_id(&text);
        if given != Some(id) {
            return Err(field(format!("{text:?} is token {id}, but tokenizer.json has other tokens up to there")));
        }
    }
    Ok(())
}

/// Adds bos and eos to texts where `add_bos_token` and `add_eos_token` say so, and only there; what they leave open stays
/// as the tokenizer's file has it.
fn surround(tokenizer: &mut Tokenizer, config: &Value, tokens: &SpecialTokens, at: &str) -> Result<()> {
    let stated = |name: &str| config[name].as_bool();
    let (bos_flag, eos_flag) = (stated("add_bos_token"), stated("add_eos_token"));
    if bos_flag.is_none() && eos_flag.is_none() {
        return Ok(());
    }
    let failed = |e: String| Error::input(format!("{at}: add_bos_token"), e, "");
    let around = tokenizer.encode_fast("", true).map_err(|e| failed(e.to_string()))?.get_ids().to_vec();
    let token = |name: &str| {
        let text = special_token(tokens, name)?;
        Some((text.to_owned(), tokenizer.token_to_id(text)?))
    };
    let (bos, eos) = (token("bos_token"), token("eos_token"));
    let is =
        |end: Option<&u32>, token: &Option<(String, u32)>| end.zip(token.as_ref()).is_some_and(|(a, (_, b))| a == b);
    let (has_bos, has_eos) = (is(around.first(), &bos), is(around.last(), &eos));
    let others = around.len() - usize::from(has_bos) - usize::from(has_eos && !(has_bos && around.len() == 1));
    let wants_bos = bos_flag.unwrap_or(has_bos) && bos.is_some();
    let wants_eos = eos_flag.unwrap_or(has_eos) && eos.is_some();
    if (has_bos, has_eos, others) == (wants_bos, wants_eos, 0) {
        return Ok(());
    }
    let before = bos.filter(|_| wants_bos);
    let after = eos.filter(|_| wants_eos);
    let piece =
        |token: &Option<(String, u32)>, kind: u32| token.iter().map(|(text, _)| format!("{text}:{kind}")).collect();
    let pieces = |sequence: &str, kind: u32| -> Vec<String> {
        let (first, last): (Vec<String>, Vec<String>) = (piece(&before, kind), piece(&after, kind));
        first.into_iter().chain([format!("${sequence}:{kind}")]).chain(last).collect()
    };
    let (single, second) = (pieces("A", 0), pieces("B", 1));
    let template = TemplateProcessing::builder()
        .try_single(single.clone())
        .and_then(|builder| builder.try_pair([single, second].concat()))
        .map_err(failed)?
        .special_tokens(before.into_iter().chain(after).collect::<Vec<(String, u32)>>())
        .build()
        .map_err(|e| failed(e.to_string()))?;
    tokenizer.with_post_processor(Some(template));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tiny::Tiny;
    use crate::model::{Dtype, Family};
    use serde_json::json;

    /// The tiny tokenizer puts `<s>` (0) before a text; `</s>` is 1, `hello` 262.
    fn encode(changes: Value, text: &str) -> Result<Vec<u32>> {
        let tiny = Tiny::new(Family::Llama, json!({}), Dtype::F32);
        let path = tiny.path("model/tokenizer_config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        std::fs::write(&path, config.to_string()).unwrap();
        Ok(tiny.open().tokenizer()?.encode_fast(text, true).unwrap().get_ids().to_vec())
    }

    #[test]
    fn the_configuration_says_what_surrounds_a_text() {
        for (changes, expected) in [
            (json!({}), &[0, 262][..]),
            (json!({"add_bos_token": true}), &[0, 262]),
            (json!({"add_bos_token": false}), &[262]),
            (json!({"add_eos_token": true}), &[0, 262, 1]),
            (json!({"add_bos_token": false, "add_eos_token": true}), &[262, 1]),
            (json!({"add_bos_token": true, "bos_token": null}), &[262]),
        ] {
            assert_eq!(encode(changes.clone(), "hello").unwrap(), expected, "{changes}");
        }
    }

    #[test]
    fn tokens_of_the_configuration_are_kept_whole() {
        let added = json!({"added_tokens_decoder": {"263": {"content": "<tool>", "special": true}}});
        assert_eq!(encode(added, "<tool>hello").unwrap(), [0, 263, 262]);
        // In the vocabulary, but split by merges unless it is known as a token of its own.
        assert_eq!(encode(json!({"unk_token": "hell"}), "hello").unwrap()[..2], [0, 261]);
        assert_eq!(encode(json!({"split_special_tokens": true}), "</s>").unwrap().len(), 5);
        for (id, problem) in [("7", "tokenizer.json has other tokens"), ("x", "\"x\" is not a token id")] {
            let error = encode(json!({"added_tokens_decoder": {id: {"content": "<new>"}}}), "a").unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
        }
        let error = encode(json!({"added_tokens_decoder": {"3": {"content": "</s>"}}}), "a").unwrap_err();
        assert!(error.to_string().contains("is token 3, but token 1 in tokenizer.json"), "{error}");
    }
}
