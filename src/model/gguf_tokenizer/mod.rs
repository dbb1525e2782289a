//! The tokenizer of a GGUF file: its metadata as a `tokenizer.json`, and the reverse.
//!
//! Keys: `docs/gguf.md` of ggml. GGUF names the rules that split text into words (`tokenizer.ggml.pre`) instead of
//! containing them; the regular expressions are those of the tokenizers that the names refer to.

mod generation;
mod read;
mod templates;
mod write;

pub(super) use generation::{end_tokens, generation_config};
pub(super) use read::{files, minor_special, special_tokens, tokenizer_json};
pub(super) use templates::chat_templates;
pub(super) use write::{TokenizerFiles, metadata};

/// `tokenizer.ggml.token_type`, as `llama.h` numbers them.
mod kind {
    pub(super) const NORMAL: i32 = 1;
    pub(super) const UNKNOWN: i32 = 2;
    pub(super) const CONTROL: i32 = 3;
    pub(super) const USER_DEFINED: i32 = 4;
    pub(super) const UNUSED: i32 = 5;
    pub(super) const BYTE: i32 = 6;
}

/// The symbol for a space in SentencePiece vocabularies.
const SPACE: &str = "\u{2581}";

/// How byte-level BPE cuts text into words before merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    /// The expression of GPT-2, which is part of the `ByteLevel` pre-tokenizer.
    Gpt2,
    /// Every digit by itself, then as GPT-2.
    DigitsThenGpt2,
    /// Another expression.
    Regex(&'static str),
}

/// The rules a `tokenizer.ggml.pre` stands for.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    name: &'static str,
    split: Split,
    /// Whether text is brought to Unicode normal form C first.
    nfc: bool,
    /// Whether a word that is in the vocabulary is taken whole, whatever the merges say.
    ignore_merges: bool,
    /// Whether sequences begin with the bos token where `add_bos_token` is silent.
    add_bos: bool,
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const fn words(name: &'static str, split: Split) -> Words {
    Words { name, split, nfc: false, ignore_merges: false, add_bos: false }
}

/// The first name of equal rules is the one written.
const WORDS: [Words; 9] = [
    words("gpt-2", Split::Gpt2),
    words("default", Split::Gpt2),
    words("smollm", Split::DigitsThenGpt2),
    Words { ignore_merges: true, add_bos: true, ..words("llama-bpe", Split::Regex(LLAMA3)) },
    Words { ignore_merges: true, add_bos: true, ..words("llama3", Split::Regex(LLAMA3)) },
    Words { ignore_merges: true, add_bos: true, ..words("llama-v3", Split::Regex(LLAMA3)) },
    Words { nfc: true, ..words("qwen2", Split::Regex(QWEN2)) },
    words("deepseek-r1-qwen", Split::Regex(QWEN2)),
    Words { ignore_merges: true, add_bos: true, ..words("tekken", Split::Regex(TEKKEN)) },
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokenizers::Tokenizer;

    use super::*;
    use crate::model::weights::Checkpoint;
    use crate::model::weights::gguf::{self, Metadata};
    use crate::model::weights::gguf_field::Field;
    use crate::model::weights::gguf_writer;
    use crate::model::{ModelConfig, tiny};
    use crate::test_files::fetched;

    pub(super) fn written_and_read(fields: &[(String, Field)]) -> Metadata {
        let bytes = gguf_writer::header(fields, &[]).unwrap();
        gguf::header(&bytes, "t.gguf").unwrap().0
    }

    fn config(vocab_size: usize) -> ModelConfig {
        let json = json!({"model_type": "llama", "vocab_size": vocab_size, "hidden_size": 8, "intermediate_size": 8,
                          "num_hidden_layers": 1, "num_attention_heads": 1, "pad_token_id": 7});
        ModelConfig::from_json(&json, "config.json").unwrap()
    }

    /// No more than the vocabulary and the names of its special tokens.
    fn tokenizer_files<'a>(tokenizer: &'a Value, config: &'a Value) -> TokenizerFiles<'a> {
        TokenizerFiles {
            tokenizer,
            config,
            special: &Value::Null,
            generation: &Value::Null,
            end_tokens: &[],
            chat_template: None,
            named_templates: &[],
            at: "t",
        }
    }

    fn built(metadata: &Metadata) -> Tokenizer {
        tokenizer_json(metadata).unwrap().to_string().parse().unwrap()
    }

    fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        tokenizer.encode(text, true).unwrap().get_ids().to_vec()
    }

    /// Expected ids: the same vocabulary and merges in the Python `tokenizers` package, cut as by the tokenizer.json
    /// of the released model (digits apart, then as GPT-2).
    #[test]
    fn smollm2_tokenizes_as_the_released_tokenizer() {
        let Some(asset) = tiny::smollm2() else { return };
        let checkpoint = Checkpoint::open(&asset).unwrap();
        let tokenizer = checkpoint.tokenizer().unwrap();
        for (text, expected) in [
            ("Hello, world!", &[19556, 28, 905, 17][..]),
            (
                "  The year 2024 cost $1,234.50.\n\n",
                &[216, 378, 713, 216, 34, 32, 34, 36, 1708, 1885, 33, 28, 34, 35, 36, 30, 37, 32, 30, 1116],
            ),
            ("<|im_start|>user\nHi<|im_end|>\n", &[1, 4093, 198, 26843, 2, 198]),
            (
                "na\u{ef}ve caf\u{e9} \u{2014} \u{6771}\u{4eac} \u{1f642}",
                &[3546, 46494, 37366, 1841, 17097, 247, 126, 16736, 122, 47526],
            ),
            (
                "def f(x):\n    return x ** 2\t# don't",
                &[1604, 275, 24, 104, 727, 472, 1003, 1792, 1903, 216, 34, 197, 19, 1326, 982],
            ),
            ("", &[]),
        ] {
            assert_eq!(ids(&tokenizer, text), expected, "{text:?}");
            assert_eq!(tokenizer.decode(expected, false).unwrap(), text);
        }
        assert!(checkpoint.chat_template().unwrap().unwrap().source().contains("<|im_start|>"));
    }

    /// Tokenizers of real models through GGUF metadata and back. Expected ids: the Python `tokenizers` package.
    #[test]
    fn llama_3_and_qwen_3_survive_gguf() {
        let cases: [(&str, &str, [&[u32]; 2]); 2] = [
            (
                "qwen3",
                "qwen2",
                [
                    &[9707, 220, 4337, 594, 220, 16, 17, 18, 19, 20, 271, 856],
                    &[3376, 37572, 586, 3958, 60596, 109, 46553, 220, 151645],
                ],
            ),
            (
                "llama3_1",
                "llama-bpe",
                [
                    &[128000, 9906, 220, 4435, 596, 220, 4513, 1774, 271, 865],
                    &[128000, 3458, 38672, 588, 384, 54939, 119109, 83739, 318, 6345, 91, 29],
                ],
            ),
        ];
        for (name, pre, expected) in cases {
            let Some(directory) = fetched("WGR_ASSETS", &format!("tokenizers/{name}")) else { return };
            let json = |file: &str| -> Value {
                serde_json::from_slice(&std::fs::read(directory.join(file)).unwrap()).unwrap()
            };
            let (tokenizer, names) = (json("tokenizer.json"), json("tokenizer_config.json"));
            let files = TokenizerFiles { chat_template: Some("{{ x }}"), ..tokenizer_files(&tokenizer, &names) };
            let metadata = written_and_read(&metadata(&files, &config(151_936)).unwrap());
            assert_eq!(metadata.text("tokenizer.ggml.pre").unwrap(), Some(pre));
            assert!(metadata.whole("tokenizer.ggml.padding_token_id").unwrap().is_some());
            assert_eq!(metadata.text("tokenizer.chat_template").unwrap(), Some("{{ x }}"));
            let tokenizer = built(&metadata);
            let texts = ["Hello  World's 12345\n\n x", "na\u{ef}ve e\u{301} \u{6771}\u{4eac} <|im_end|>"];
            for (text, expected) in texts.into_iter().zip(expected) {
                assert_eq!(ids(&tokenizer, text), expected, "{name}: {text:?}");
            }
        }
    }

    fn sentence_piece() -> Vec<(String, Field)> {
        let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).into();
        tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
        let pieces = "_t he _the in er _a re on _h ell _hell _hello ll the o h e l t a r i n _";
        let pieces: Vec<_> = pieces.split(' ').map(|piece| piece.replace('_', SPACE)).collect();
        let mut kinds = vec![kind::UNKNOWN, kind::CONTROL, kind::CONTROL];
        let mut scores = vec![0.0; 259];
        kinds.extend([kind::BYTE; 256]);
        kinds.extend(pieces.iter().map(|_| kind::NORMAL));
        scores.extend((0..pieces.len()).map(|i| -(i as f32)));
        tokens.extend(pieces);
        tokens.push("<think>".into());
        kinds.push(kind::USER_DEFINED);
        scores.push(0.0);
        [
            ("model", Field::Text("llama".into())),
            ("tokens", Field::Texts(tokens)),
            ("scores", Field::F32s(scores)),
            ("token_type", Field::I32s(kinds)),
            ("unknown_token_id", Field::U32(0)),
            ("bos_token_id", Field::U32(1)),
            ("eos_token_id", Field::U32(2)),
        ]
        .map(|(name, field)| (format!("tokenizer.ggml.{name}"), field))
        .into()
    }

    /// Expected ids: the Python `tokenizers` package with merges by `generate_merges` of `transformers`.
    #[test]
    fn sentence_piece_vocabularies_merge_by_score_and_fall_back_to_bytes() {
        let read = written_and_read(&sentence_piece());
        let tokenizer = built(&read);
        // Again after a round through tokenizer.json.
        let files: Vec<_> = files(&read).unwrap();
        let json = |i: usize| serde_json::from_slice::<Value>(&files[i].1).unwrap();
        let (tokenizer_json, names) = (json(0), json(1));
        let again = tokenizer_files(&tokenizer_json, &names);
        let again = built(&written_and_read(&metadata(&again, &config(290)).unwrap()));
        for (text, expected) in [
            ("hello the other", &[1, 282, 260, 271, 273, 261, 282, 273, 272, 279][..]),
            ("the  inn\n", &[1, 261, 282, 282, 262, 281, 13]),
            ("a\u{e9}</s>hello", &[1, 264, 198, 172, 2, 282, 260, 271, 273]),
            ("<think> on", &[1, 283, 282, 282, 266]),
        ] {
            assert_eq!(ids(&tokenizer, text), expected, "{text:?}");
            assert_eq!(ids(&again, text), expected, "{text:?} after a round");
        }
        assert_eq!(tokenizer.decode(&[261, 282, 282, 262, 198, 172], true).unwrap(), "the  in\u{e9}");
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let broken = |key: &str, field: Option<Field>| {
            let key = format!("tokenizer.ggml.{key}");
            let mut fields = sentence_piece();
            fields.retain(|(name, _)| *name != key);
            fields.extend(field.map(|field| (key.clone(), field)));
            let message = tokenizer_json(&written_and_read(&fields)).unwrap_err().to_string();
            assert!(message.starts_with("t.gguf: tokenizer.ggml."), "{message}");
            message
        };
        assert!(broken("tokens", None).contains("tokens: is missing"));
        assert!(broken("scores", None).contains("scores"));
        assert!(broken("model", Some(Field::Text("t5".into()))).contains("\"t5\" is not supported"));
        assert!(broken("bos_token_id", Some(Field::U32(9999))).contains("bos_token_id: 9999"));
        assert!(broken("token_type", Some(Field::I32s(vec![1]))).contains("token_type"));
        assert!(broken("tokens", Some(Field::Texts(vec!["a".into(); 2]))).contains("\"a\" is both"));
        assert!(broken("remove_extra_whitespaces", Some(Field::Flag(true))).contains("true is not supported"));
        let fields: Vec<_> = [("model", "gpt2"), ("pre", "jais-2")]
            .map(|(name, text)| (format!("tokenizer.ggml.{name}"), Field::Text(text.into())))
            .into_iter()
            .chain([("tokenizer.ggml.tokens".into(), Field::Texts(vec!["a".into()]))])
            .collect();
        let message = tokenizer_json(&written_and_read(&fields)).unwrap_err().to_string();
        assert!(message.contains("tokenizer.ggml.pre: \"jais-2\""), "{message}");
    }
}
