"""Write the golden files of quantised bases: PEFT adapters on a tiny Llama whose GGUF file mixes types of blocks.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2 gguf==0.19.0 safetensors==0.8.0
    python tests/golden/blocks.py

The blocks are random. PEFT adapts the Hugging Face model of the values that the `gguf` package gives for them, with the
rows of queries and keys in the order of `transformers`; the file has them in that of llama.cpp. The model runs in
float64, as in `models.py`. The output is deterministic.

blocks/base.gguf                              without tokenizer or head
blocks/adapter_config.json, adapter_model.safetensors   as PEFT saves them; the base model is `base.gguf`
blocks/golden.safetensors
    ids, offsets, labels                      as for the models
    logits [4, 3], loss [1]
    grad.<parameter>                          d loss / d parameter, for every A, B and the head
    values.<tensor>                           sums of the rows of every quantised matrix, in the order of `transformers`
blocks/losses.json                            three steps of AdamW over adapters and head: loss and gradient norm before each
"""

import gguf
import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Kind, quants
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForSequenceClassification
from transformers.utils.logging import disable_progress_bar

from float64 import promote
from lora import CONFIG, TARGETS, first_step, mark, save_adapter, train
from models import COMMON, HERE, LABELS, make_ids

OUT = HERE / "blocks"
HEADS, KEY_HEADS, HEAD_DIM, HIDDEN, INNER, LAYERS, VOCAB = 4, 2, 16, 256, 32, 2, 40
# Where the f16 scales and offsets of a block lie.
HALVES = {Kind.Q4_K: [0, 2], Kind.Q6_K: [208], Kind.Q8_0: [0], Kind.Q5_1: [0, 2]}
NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
SHAPES = {
    "attn_q": (HEADS * HEAD_DIM, HIDDEN), "attn_k": (KEY_HEADS * HEAD_DIM, HIDDEN),
    "attn_v": (KEY_HEADS * HEAD_DIM, HIDDEN), "attn_output": (HIDDEN, HEADS * HEAD_DIM),
    "ffn_gate": (INNER, HIDDEN), "ffn_up": (INNER, HIDDEN), "ffn_down": (HIDDEN, INNER),
}
# By layer.
KINDS = {
    "attn_q": (Kind.Q4_K, Kind.Q6_K), "attn_k": (Kind.Q6_K, Kind.Q4_K), "attn_v": (Kind.Q6_K, Kind.F16),
    "attn_output": (Kind.Q8_0, Kind.F16), "ffn_gate": (Kind.Q4_K, Kind.Q8_0), "ffn_up": (Kind.Q4_K, Kind.Q6_K),
    "ffn_down": (Kind.Q5_1, Kind.Q8_0),
}


def random(kind, shape, rng):
    """A matrix as stored, and its values, with a standard deviation of one over the root of the row length."""
    wanted = shape[1] ** -0.5
    if kind == Kind.F16:
        stored = (wanted * rng.normal(size=shape)).astype(np.float16)
        return stored, stored.astype(np.float32)
    values, size = GGML_QUANT_SIZES[kind]
    stored = rng.integers(0, 256, (shape[0], shape[1] // values * size), dtype=np.uint8)
    blocks = stored.reshape(-1, size)
    for offset in HALVES[kind]:
        # Offsets that are added have the other sign.
        sign = -8 if kind == Kind.Q5_1 and offset == 2 else 1
        halves = sign * rng.uniform(0.5, 1.5, (len(blocks), 1))
        blocks[:, offset : offset + 2] = halves.astype(np.float16).view(np.uint8)
    deviation = quants.dequantize(stored, kind).std()
    for offset in HALVES[kind]:
        halves = blocks[:, offset : offset + 2].copy().view(np.float16).astype(np.float32) * wanted / deviation
        blocks[:, offset : offset + 2] = halves.astype(np.float16).view(np.uint8)
    return stored, quants.dequantize(stored, kind).astype(np.float32)


def split_pairs(values, heads):
    """The reverse of `permute` in `convert_hf_to_gguf.py` of llama.cpp."""
    rows, columns = values.shape
    return values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write_base():
    """Writes the file and returns the weights of the Hugging Face model."""
    rng = np.random.default_rng(11)
    writer = gguf.GGUFWriter(OUT / "base.gguf", "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500.0)
    weights = {}

    def add(name, hf, kind, shape, heads=None):
        if kind == Kind.F32:
            stored = values = (1 + 0.2 * rng.normal(size=shape)).astype(np.float32)
            writer.add_tensor(name, stored)
        else:
            stored, values = random(kind, shape, rng)
            writer.add_tensor(name, stored, raw_dtype=kind)
        weights[hf] = torch.from_numpy(split_pairs(values, heads) if heads else values).contiguous()

    add("token_embd.weight", "model.embed_tokens.weight", Kind.Q6_K, (VOCAB, HIDDEN))
    for layer in range(LAYERS):
        at, hf = f"blk.{layer}", f"model.layers.{layer}"
        add(f"{at}.attn_norm.weight", f"{hf}.input_layernorm.weight", Kind.F32, HIDDEN)
        add(f"{at}.ffn_norm.weight", f"{hf}.post_attention_layernorm.weight", Kind.F32, HIDDEN)
        for name, module in NAMES.items():
            heads = {"attn_q": HEADS, "attn_k": KEY_HEADS}.get(name)
            add(f"{at}.{name}.weight", f"{hf}.{module}.weight", KINDS[name][layer], SHAPES[name], heads)
    add("output_norm.weight", "model.norm.weight", Kind.F32, HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def adapted(weights, generator):
    """The model in float64 with adapters that leave a clear mark, and a head."""
    config = LlamaConfig(
        **COMMON, vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KEY_HEADS, head_dim=HEAD_DIM, rms_norm_eps=1e-5,
        max_position_embeddings=256, rope_parameters={"rope_type": "default", "rope_theta": 500.0},
    )
    model = LlamaForSequenceClassification(config)
    model.set_attn_implementation("sdpa")
    missing = model.load_state_dict(weights, strict=False)
    assert missing.missing_keys == ["score.weight"] and not missing.unexpected_keys, missing
    model = get_peft_model(promote(model.eval()), LoraConfig(**CONFIG, target_modules=TARGETS)).double().eval()
    mark(model, generator)
    return model


def main():
    OUT.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(400)
    weights = write_base()
    ids, offsets = make_ids(VOCAB, generator)
    model = adapted(weights, generator)
    save_adapter(model, "base.gguf", OUT)
    golden = first_step(model, ids, offsets)
    sums = {f"values.{n}": w.double().sum(1).float().contiguous() for n, w in weights.items() if w.ndim == 2}
    batch = {"ids": ids, "offsets": offsets, "labels": torch.tensor(LABELS)}
    save_file({**golden, **sums, **{k: v.to(torch.int32) for k, v in batch.items()}}, OUT / "golden.safetensors")
    train(model, ids, offsets, 3, OUT)


if __name__ == "__main__":
    torch.set_num_threads(1)
    disable_progress_bar()
    main()
