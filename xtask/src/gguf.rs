//! A model of Qwen3's shape with random blocks in Q4_K_M, to measure memory and speed with: what a file of that size needs
//! does not depend on its values. Scales are such that the weights have a standard deviation near 0.02, as trained ones do.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use half::f16;

/// Bytes to which GGUF aligns tensors.
const ALIGNMENT: usize = 32;

/// Values of the metadata by type (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const TEXT: u32 = 8;
const LIST: u32 = 9;

/// The sizes of a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    hidden: usize,
    intermediate: usize,
    layers: usize,
    heads: usize,
    key_heads: usize,
    vocabulary: usize,
    tied: bool,
}

/// Published sizes of Qwen3 (`config.json` on the hub).
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Size {
    /// Qwen3-0.6B
    #[value(name = "0.6b")]
    Smallest,
    /// Qwen3-1.7B
    #[value(name = "1.7b")]
    Small,
    /// Qwen3-4B
    #[value(name = "4b")]
    Medium,
    /// Qwen3-8B
    #[value(name = "8b")]
    Large,
    /// Qwen3-14B
    #[value(name = "14b")]
    Largest,
}

impl Size {
    fn shape(self) -> Shape {
        let shape = |hidden, intermediate, layers, heads, tied| Shape {
            hidden,
            intermediate,
            layers,
            heads,
            key_heads: 8,
            vocabulary: 151_936,
            tied,
        };
        match self {
            Self::Smallest => shape(1024, 3072, 28, 16, true),
            Self::Small => shape(2048, 6144, 28, 16, true),
            Self::Medium => shape(2560, 9728, 36, 32, true),
            Self::Large => shape(4096, 12288, 36, 32, false),
            Self::Largest => shape(5120, 17408, 40, 40, false),
        }
    }
}

/// How the values of a tensor are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Storage {
    F32,
    Q4K,
    Q6K,
}

impl Storage {
    /// ggml's number of the type, values and bytes of a block.
    fn block(self) -> (u32, usize, usize) {
        match self {
            Self::F32 => (0, 1, 4),
            Self::Q4K => (12, 256, 144),
            Self::Q6K => (14, 256, 210),
        }
    }

    /// Turns random bytes into a block with sensible scales.
    fn finish(self, block: &mut [u8]) {
        match self {
            Self::F32 => block.copy_from_slice(&1_f32.to_le_bytes()),
            // d · scale · q − dmin · minimum; scales and minima are 6 bits, q is 4 bits.
            Self::Q4K => {
                block[..2].copy_from_slice(&f16::from_f32(8e-5).to_le_bytes());
                block[2..4].copy_from_slice(&f16::from_f32(6e-4).to_le_bytes());
            }
            // d · scale · (q − 32); scales are signed bytes, q is 6 bits.
            Self::Q6K => block[208..].copy_from_slice(&f16::from_f32(1.5e-5).to_le_bytes()),
        }
    }
}

struct Tensor {
    name: String,
    /// In ggml's order: the row length first.
    shape: Vec<usize>,
    storage: Storage,
}

impl Tensor {
    fn bytes(&self) -> usize {
        let (_, values, bytes) = self.storage.block();
        self.shape.iter().product::<usize>() / values * bytes
    }
}

/// Writes the file.
pub(crate) fn run(size: Size, layers: Option<usize>, seed: u64, output: &Path) -> Result<()> {
    let shape = size.shape();
    let shape = Shape { layers: layers.unwrap_or(shape.layers), ..shape };
    let tensors = tensors(shape);
    let file = File::create(output).with_context(|| output.display().to_string())?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let header = header(shape, &tensors);
    out.write_all(&header)?;
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for tensor in &tensors {
        let (_, _, bytes) = tensor.storage.block();
        let mut block = vec![0; bytes];
        for _ in 0..tensor.bytes() / bytes {
            random.fill(&mut block);
            tensor.storage.finish(&mut block);
            out.write_all(&block)?;
        }
        out.write_all(&vec![0; tensor.bytes().next_multiple_of(ALIGNMENT) - tensor.bytes()])?;
    }
    out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    println!("{}: {} layers, {} tensors", output.display(), shape.layers, tensors.len());
    Ok(())
}

/// All tensors, stored as llama.cpp stores Q4_K_M: values and half of the down projections, and the output, in Q6_K.
fn tensors(shape: Shape) -> Vec<Tensor> {
    const HEAD: usize = 128;
    let Shape { hidden, intermediate, layers, heads, key_heads, vocabulary, tied } = shape;
    let finer = |layer: usize| layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
    let mut all = vec![];
    let mut add = |name: String, shape: &[usize], storage| all.push(Tensor { name, shape: shape.to_vec(), storage });
    let embedding = if tied { Storage::Q6K } else { Storage::Q4K };
    add("token_embd.weight".into(), &[hidden, vocabulary], embedding);
    for layer in 0..layers {
        let mixed = if finer(layer) { Storage::Q6K } else { Storage::Q4K };
        for (name, shape, storage) in [
            ("attn_norm", &[hidden][..], Storage::F32),
            ("attn_q", &[hidden, heads * HEAD], Storage::Q4K),
            ("attn_k", &[hidden, key_heads * HEAD], Storage::Q4K),
            ("attn_v", &[hidden, key_heads * HEAD], mixed),
            ("attn_q_norm", &[HEAD], Storage::F32),
            ("attn_k_norm", &[HEAD], Storage::F32),
            ("attn_output", &[heads * HEAD, hidden], Storage::Q4K),
            ("ffn_norm", &[hidden], Storage::F32),
            ("ffn_gate", &[hidden, intermediate], Storage::Q4K),
            ("ffn_up", &[hidden, intermediate], Storage::Q4K),
            ("ffn_down", &[intermediate, hidden], mixed),
        ] {
            add(format!("blk.{layer}.{name}.weight"), shape, storage);
        }
    }
    add("output_norm.weight".into(), &[hidden], Storage::F32);
    if !tied {
        add("output.weight".into(), &[hidden, vocabulary], Storage::Q6K);
    }
    all
}

/// Everything before the first tensor.
fn header(shape: Shape, tensors: &[Tensor]) -> Vec<u8> {
    let number = |kind: u32, value: [u8; 4]| [kind.to_le_bytes(), value].concat();
    let count = |value: usize| number(U32, (value as u32).to_le_bytes());
    let real = |value: f32| number(F32, value.to_le_bytes());
    let text = |value: &str| [&TEXT.to_le_bytes()[..], &string(value)].concat();
    let list = |kind: u32, values: Vec<Vec<u8>>| {
        let length = (values.len() as u64).to_le_bytes();
        [&LIST.to_le_bytes()[..], &kind.to_le_bytes(), &length, &values.concat()].concat()
    };
    let tokens = vocabulary(shape.vocabulary);
    // Normal tokens are 1, control tokens 3, unused ones 5.
    let kinds = tokens.iter().map(|token| match token.as_str() {
        END => 3_i32,
        token if token.starts_with(UNUSED) => 5,
        _ => 1,
    });
    let end = count(256);
    let pairs = [
        ("general.architecture", text("qwen3")),
        ("general.name", text("random blocks")),
        ("qwen3.block_count", count(shape.layers)),
        ("qwen3.context_length", count(40960)),
        ("qwen3.embedding_length", count(shape.hidden)),
        ("qwen3.feed_forward_length", count(shape.intermediate)),
        ("qwen3.attention.head_count", count(shape.heads)),
        ("qwen3.attention.head_count_kv", count(shape.key_heads)),
        ("qwen3.attention.key_length", count(128)),
        ("qwen3.attention.value_length", count(128)),
        ("qwen3.attention.layer_norm_rms_epsilon", real(1e-6)),
        ("qwen3.rope.freq_base", real(1e6)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("qwen2")),
        ("tokenizer.ggml.token_type", list(I32, kinds.map(|kind| kind.to_le_bytes().to_vec()).collect())),
        ("tokenizer.ggml.tokens", list(TEXT, tokens.iter().map(|token| string(token)).collect())),
        ("tokenizer.ggml.merges", list(TEXT, vec![])),
        ("tokenizer.ggml.eos_token_id", end.clone()),
        ("tokenizer.ggml.padding_token_id", end),
    ];
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((pairs.len() as u64).to_le_bytes());
    for (key, value) in pairs {
        out.extend(string(key));
        out.extend(value);
    }
    let mut offset = 0;
    for tensor in tensors {
        out.extend(string(&tensor.name));
        out.extend((tensor.shape.len() as u32).to_le_bytes());
        tensor.shape.iter().for_each(|size| out.extend((*size as u64).to_le_bytes()));
        out.extend(tensor.storage.block().0.to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset += tensor.bytes().next_multiple_of(ALIGNMENT);
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    out
}

const END: &str = "<|im_end|>";
const UNUSED: &str = "[unused";

/// A token for each byte, in the letters that byte-level BPE writes them with, and room up to the size of the vocabulary.
fn vocabulary(size: usize) -> Vec<String> {
    let is_itself = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut shifted = 0x100..;
    let letters = (0..256).map(|byte| if is_itself(byte) { byte } else { shifted.next().unwrap_or(byte) });
    let bytes = letters.filter_map(char::from_u32).map(String::from);
    let room = (257..size).map(|id| format!("{UNUSED}{id}]"));
    bytes.chain([END.to_owned()]).chain(room).collect()
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Xorshift (<https://doi.org/10.18637/jss.v008.i14>): fast, and good enough for weights that nobody reads.
struct Random(u64);

impl Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            part.copy_from_slice(&self.0.to_le_bytes()[..part.len()]);
        }
    }
}
