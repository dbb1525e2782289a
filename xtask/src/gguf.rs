//! A model of Qwen3's shape with random blocks in Q4_K_M, to measure memory and speed with: what a file of that size needs
//! does not depend on its values. Scales are such that the weights have a standard deviation near 0.02, as trained ones do.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use half::f16;
use wgr::model::Dtype;
use wgr::model::weights::quantized::GgmlType;
use wgr::model::weights::{Field, GGUF_ALIGNMENT, NewTensor, gguf_header};

const Q4_K: Dtype = Dtype::Quantized(GgmlType::Q4_K);
const Q6_K: Dtype = Dtype::Quantized(GgmlType::Q6_K);

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

/// Turns random bytes into a block with sensible scales.
fn finish(dtype: Dtype, block: &mut [u8]) {
    match dtype {
        // d · scale · q − dmin · minimum; scales and minima are 6 bits, q is 4 bits.
        Q4_K => {
            block[..2].copy_from_slice(&f16::from_f32(8e-5).to_le_bytes());
            block[2..4].copy_from_slice(&f16::from_f32(6e-4).to_le_bytes());
        }
        // d · scale · (q − 32); scales are signed bytes, q is 6 bits.
        Q6_K => block[208..].copy_from_slice(&f16::from_f32(1.5e-5).to_le_bytes()),
        _ => block.copy_from_slice(&1_f32.to_le_bytes()),
    }
}

/// Writes the file.
pub(crate) fn run(size: Size, layers: Option<usize>, seed: u64, output: &Path) -> Result<()> {
    let shape = size.shape();
    let shape = Shape { layers: layers.unwrap_or(shape.layers), ..shape };
    let tensors = tensors(shape);
    let file = File::create(output).with_context(|| output.display().to_string())?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&gguf_header(&metadata(shape), &tensors)?)?;
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for tensor in &tensors {
        let (values, bytes) = tensor.dtype.block();
        let (mut block, blocks) = (vec![0; bytes], tensor.count() / values);
        for _ in 0..blocks {
            random.fill(&mut block);
            finish(tensor.dtype, &mut block);
            out.write_all(&block)?;
        }
        let size = blocks * bytes;
        out.write_all(&vec![0; size.next_multiple_of(GGUF_ALIGNMENT) - size])?;
    }
    out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    println!("{}: {} layers, {} tensors", output.display(), shape.layers, tensors.len());
    Ok(())
}

/// All tensors, stored as llama.cpp stores Q4_K_M: values and half of the down projections, and the output, in Q6_K.
fn tensors(shape: Shape) -> Vec<NewTensor> {
    const HEAD: usize = 128;
    let Shape { hidden, intermediate, layers, heads, key_heads, vocabulary, tied } = shape;
    let finer = |layer: usize| layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
    let mut all = vec![];
    let mut add = |name: String, shape: &[usize], dtype| all.push(NewTensor { name, shape: shape.to_vec(), dtype });
    add("token_embd.weight".into(), &[vocabulary, hidden], if tied { Q6_K } else { Q4_K });
    for layer in 0..layers {
        let mixed = if finer(layer) { Q6_K } else { Q4_K };
        for (name, shape, dtype) in [
            ("attn_norm", &[hidden][..], Dtype::F32),
            ("attn_q", &[heads * HEAD, hidden], Q4_K),
            ("attn_k", &[key_heads * HEAD, hidden], Q4_K),
            ("attn_v", &[key_heads * HEAD, hidden], mixed),
            ("attn_q_norm", &[HEAD], Dtype::F32),
            ("attn_k_norm", &[HEAD], Dtype::F32),
            ("attn_output", &[hidden, heads * HEAD], Q4_K),
            ("ffn_norm", &[hidden], Dtype::F32),
            ("ffn_gate", &[intermediate, hidden], Q4_K),
            ("ffn_up", &[intermediate, hidden], Q4_K),
            ("ffn_down", &[hidden, intermediate], mixed),
        ] {
            add(format!("blk.{layer}.{name}.weight"), shape, dtype);
        }
    }
    add("output_norm.weight".into(), &[hidden], Dtype::F32);
    if !tied {
        add("output.weight".into(), &[vocabulary, hidden], Q6_K);
    }
    all
}

fn metadata(shape: Shape) -> Vec<(String, Field)> {
    let count = |value: usize| Field::U32(value as u32);
    let text = |value: &str| Field::Text(value.to_owned());
    let tokens = vocabulary(shape.vocabulary);
    // Normal tokens are 1, control tokens 3, unused ones 5.
    let kinds = tokens.iter().map(|token| match token.as_str() {
        END => 3,
        token if token.starts_with(UNUSED) => 5,
        _ => 1,
    });
    let kinds = Field::I32s(kinds.collect());
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
        ("qwen3.attention.layer_norm_rms_epsilon", Field::F32(1e-6)),
        ("qwen3.rope.freq_base", Field::F32(1e6)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("qwen2")),
        ("tokenizer.ggml.token_type", kinds),
        ("tokenizer.ggml.tokens", Field::Texts(tokens)),
        ("tokenizer.ggml.merges", Field::Texts(vec![])),
        ("tokenizer.ggml.eos_token_id", count(256)),
        ("tokenizer.ggml.padding_token_id", count(256)),
    ];
    pairs.map(|(key, field)| (key.to_owned(), field)).into()
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
