//! The padding token of a saved classifier.
//!
//! `transformers` reads a classifier's score from the last token that is not the padding token, so a row that ends with
//! it is read one token early. The engine itself reads the last token by position. Both agree only if no row can end
//! with the padding token, so a base model without one is not given its end-of-sequence token, and one whose padding
//! token ends texts gets another.

use std::collections::BTreeSet;

use crate::Result;
use crate::data::Example;
use crate::data::tokenizer_files::special_token_id;
use crate::model::Checkpoint;

/// Parts of the names of unused tokens, the likeliest first.
const IDLE: [&str; 4] = ["pad", "unk", "reserved", "unused"];

/// Settles the pad token with which a model trained on `examples` is saved, and says what was changed. An adapter has it
/// in its tokenizer; the configuration of its base model stays as it is.
///
/// # Errors
/// The tokenizer cannot be read.
pub(super) fn settle(checkpoint: &mut Checkpoint, examples: &[Example], is_adapter: bool) -> Result<Option<String>> {
    let (tokenizer, tokens) = (checkpoint.tokenizer()?, checkpoint.special_tokens()?);
    let id = |name: &str| special_token_id(&tokens, &tokenizer, name);
    let config = checkpoint.config();
    let mut taken: BTreeSet<u32> = checkpoint.end_tokens()?.into_iter().chain(config.eos_token_id.clone()).collect();
    taken.extend(id("eos_token").into_iter().chain(id("bos_token")).chain(config.bos_token_id));
    taken.extend(examples.iter().flat_map(|example| &example.sequences).filter_map(|tokens| tokens.last()));
    let is_free = |id: &u32| !taken.contains(id) && (*id as usize) < config.vocab_size;
    let mut added: Vec<(u32, String)> =
        tokenizer.get_added_tokens_decoder().into_iter().map(|(id, token)| (id, token.content)).collect();
    added.sort();
    let idle = |part: &str| {
        let holds = |(_, text): &&(u32, String)| text.to_ascii_lowercase().contains(part);
        added.iter().filter(holds).map(|(id, _)| *id).collect::<Vec<_>>()
    };
    let had = config.pad_token_id;
    let named = had.into_iter().chain(id("pad_token")).chain(id("unk_token"));
    let chosen = named.chain(IDLE.into_iter().flat_map(idle)).find(is_free);
    let shown = |id: u32| format!("{} ({id})", tokenizer.id_to_token(id).unwrap_or_default());
    let why = match had {
        Some(had) if had as usize >= config.vocab_size => {
            format!("because the model's own, {had}, is outside its vocabulary of {}", config.vocab_size)
        }
        Some(had) => format!("because rows or texts end with {}, the model's own", shown(had)),
        None => "because the model has none".to_owned(),
    };
    let note = match chosen {
        Some(_) if chosen == had => None,
        Some(chosen) => {
            let (shown, base) =
                (shown(chosen), "; where PEFT loads the adapter, set it as pad_token_id of the base model");
            Some(format!("the padding token is saved as {shown}, {why}{}", if is_adapter { base } else { "" }))
        }
        None => Some(format!(
            "warning: the model is saved without a padding token, {why} and no token is unused; transformers then \
             takes one row at a time"
        )),
    };
    let text = chosen.and_then(|id| tokenizer.id_to_token(id));
    checkpoint.set_pad(chosen, text);
    Ok(note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tiny::Tiny;
    use crate::model::{Dtype, Family};
    use serde_json::{Value, json};

    /// The tiny tokenizer has `<s>` (0), `</s>` (1) and `<think>` (2), and ends texts with `</s>`.
    fn settled(changes: Value, tokenizer: Value, last: u32) -> (Option<u32>, Option<String>, Value) {
        let tiny = Tiny::new(Family::Llama, changes, Dtype::F32);
        let path = tiny.path("model/tokenizer_config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config.as_object_mut().unwrap().extend(tokenizer.as_object().unwrap().clone());
        std::fs::write(&path, config.to_string()).unwrap();
        let mut checkpoint = tiny.open();
        let examples = [Example { id: "a".into(), sequences: vec![vec![5, last]], label: None }];
        let note = settle(&mut checkpoint, &examples, false).unwrap();
        let files = checkpoint.travelling_files().unwrap();
        let written = files.into_iter().find(|(name, _)| name == "tokenizer_config.json").unwrap().1;
        let written: Value = serde_json::from_slice(&written).unwrap();
        (checkpoint.config().pad_token_id, note, written["pad_token"].clone())
    }

    #[test]
    fn no_row_may_end_with_the_pad_token() {
        assert_eq!(settled(json!({"pad_token_id": 7}), json!({}), 1).0, Some(7));
        // A base without a pad token does not get its end token.
        let (pad, note, written) = settled(json!({}), json!({"unk_token": "<think>"}), 1);
        assert_eq!((pad, written), (Some(2), json!("<think>")));
        assert!(note.unwrap().contains("<think> (2), because the model has none"));
        // One whose pad token is its end token gets another, in both files.
        let (pad, note, written) =
            settled(json!({"pad_token_id": 1}), json!({"unk_token": "<think>", "pad_token": "</s>"}), 1);
        assert_eq!((pad, written), (Some(2), json!("<think>")));
        assert!(note.unwrap().contains("end with </s> (1)"));
        // The last tokens of rows matter as much as the model's end-of-sequence tokens.
        let (pad, note, written) = settled(json!({"pad_token_id": 2}), json!({}), 2);
        assert_eq!((pad, written), (None, Value::Null));
        assert!(note.unwrap().starts_with("warning: the model is saved without a padding token"));
    }
}
