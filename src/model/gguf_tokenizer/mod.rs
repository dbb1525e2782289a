//! The tokenizer of a GGUF file: its metadata as a `tokenizer.json`, and the reverse.
//!
//! Keys: `docs/gguf.md` of ggml. GGUF names the rules that cut text into words (`tokenizer.ggml.pre`) instead of
//! stating them; the regular expressions are those of the tokenizers the names were given for.

mod read;
mod write;

pub(super) use read::{files, tokenizer_json};
pub(super) use write::{TokenizerFiles, metadata};

/// `tokenizer.ggml.token_type`, as `llama.h` numbers them.
mod kind {
    pub const NORMAL: i32 = 1;
    pub const UNKNOWN: i32 = 2;
    pub const CONTROL: i32 = 3;
    pub const USER_DEFINED: i32 = 4;
    pub const UNUSED: i32 = 5;
    pub const BYTE: i32 = 6;
}

/// What stands for a space in SentencePiece vocabularies.
const SPACE: &str = "\u{2581}";

/// How byte-level BPE cuts text into words before merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    /// The expression of GPT-2, which the `ByteLevel` pre-tokenizer brings along.
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
