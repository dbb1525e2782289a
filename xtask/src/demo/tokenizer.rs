//! A tokenizer for synthetic texts, which have few different words.

use anyhow::{Error, Result};
use tokenizers::models::wordlevel::{WordLevel, WordLevelTrainer};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer, TokenizerImpl,
};

/// A word-level tokenizer that knows every word of `texts`, whatever its case: runs of word characters, each character of
/// Chinese on its own, and runs of punctuation.
///
/// Ids 0..4 are `<pad>`, `<s>`, `</s>` and `<unk>`, then words by falling frequency. Its own special tokens are one
/// `</s>` at the end, so that the last position, where the score is read, always holds the same token.
pub(crate) fn tokenizer<'a>(texts: impl Iterator<Item = &'a str> + Send) -> Result<Tokenizer> {
    trained(texts).map_err(Error::from_boxed)
}

type Untrained = TokenizerImpl<WordLevel, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

fn trained<'a>(texts: impl Iterator<Item = &'a str> + Send) -> tokenizers::Result<Tokenizer> {
    let special = ["<pad>", "<s>", "</s>", "<unk>"];
    let mut tokenizer = Untrained::new(WordLevel::builder().unk_token("<unk>".into()).build()?);
    tokenizer.with_normalizer(Some(BertNormalizer::new(true, true, Some(false), true)))?;
    tokenizer.with_pre_tokenizer(Some(Whitespace));
    let mut trainer = WordLevelTrainer::builder()
        .show_progress(false)
        .special_tokens(special.map(|token| AddedToken::from(token, true)).to_vec())
        .build()?;
    tokenizer.train(&mut trainer, texts)?;
    let end = TemplateProcessing::builder().try_single("$A </s>")?.special_tokens(vec![("</s>", 2)]).build()?;
    tokenizer.with_post_processor(Some(end));
    Ok(tokenizer.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokenizer_knows_the_sample_and_ends_every_text() {
        let tokenizer = tokenizer(["try bread.", "garlic, or bread?"].into_iter()).unwrap();
        for (id, token) in ["<pad>", "<s>", "</s>", "<unk>"].into_iter().enumerate() {
            assert_eq!(tokenizer.token_to_id(token), Some(id as u32));
        }
        let encoding = tokenizer.encode("Garlic bread", true).unwrap();
        assert_eq!(encoding.get_tokens(), ["garlic", "bread", "</s>"]);
        let unknown = tokenizer.encode("zebra, garlic", false).unwrap();
        assert_eq!(unknown.get_tokens(), ["<unk>", ",", "garlic"]);
        let reloaded: Tokenizer = tokenizer.to_string(false).unwrap().parse().unwrap();
        assert_eq!(
            reloaded.encode("try bread.", true).unwrap().get_ids(),
            tokenizer.encode("try bread.", true).unwrap().get_ids()
        );
    }

    #[test]
    fn case_says_nothing_and_chinese_is_read_character_by_character() {
        let tokenizer = tokenizer(["Try bread.", "先切大蒜。"].into_iter()).unwrap();
        let tokens = |text: &str| tokenizer.encode(text, false).unwrap().get_tokens().to_vec();
        assert_eq!(tokens("BREAD, 大先"), ["bread", "<unk>", "大", "先"]);
    }
}
