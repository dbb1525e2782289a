"""Write `smollm2.json`: what SmolLM2-135M-Instruct (Q4_1 GGUF) answers to two prompts, computed independently.

    pip install torch==2.15.0 transformers==5.23.0 gguf==0.19.0 numpy==2.4.6 accelerate==1.15.0
    python tests/golden/smollm2.py [FILE.gguf]

The default file is smollm2/SmolLM2-135M-Instruct.Q4_1.gguf under $WGR_ASSETS or ~/.cache/wgr-assets. Weights are
dequantised with the `gguf` package; the script stops if the loader of `transformers` reads other weights. Everything
is computed in float64. The tokenizer is built from the metadata of the file, with the digits split one by one, as the
published tokenizer of this model does. The loader of `transformers` leaves that split out, and the second prompt
tells the two apart.

file, sha256     of the GGUF
float32_error    largest absolute difference of the same computation in float32, over all stored values of one kind
prompts[]
    text, ids    the prompt and its token ids, nothing added
    top          [token id, logit], the twenty largest of the last position
    logsumexp    of all logits of the last position
    spaced       logits of the token ids 0, 1536, 3072, … (32 of them)
    hidden       first 16 values of the final norm at the last position
    scores       logits of a three-row head on the last position, weight[k][j] = 0.05 sin(0.37 (k + 1)(j + 1))
tokens[]
    text, ids    further texts for the tokenizer
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

from float64 import promote

HERE = Path(__file__).parent
ASSETS = Path(os.environ.get("WGR_ASSETS", Path.home() / ".cache" / "wgr-assets"))
DEFAULT = ASSETS / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPTS = [
    "The capital of France is Paris, and its largest river",
    "<|im_start|>user\nWhich is larger?\n\n1. 2024 metres\n\n2. 2.5 km\n\n"
    "Don't explain, naïve answers are fine.<|im_end|>\n"
    "<|im_start|>assistant\n",
]
TEXTS = [
    "",
    "  two  spaces,   then 12 and   345\n\n\n6",
    "We're sure they'd've said it isn't I'LL",
    "x² + ½ = ٣, Ⅳ",
    "你好，世界！ Привет 🙂👩‍💻",
    "tab\tend \r\n  <|im_end|>  <|endoftext|><|im_start",
    "def f(x):\n    return x**2  # ok\n",
]
CONTROL = 3  # token type of GGUF
NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def field(reader, name):
    return reader.fields[name].contents()


def read_config(reader):
    return LlamaConfig(
        vocab_size=field(reader, "llama.vocab_size"),
        hidden_size=field(reader, "llama.embedding_length"),
        intermediate_size=field(reader, "llama.feed_forward_length"),
        num_hidden_layers=field(reader, "llama.block_count"),
        num_attention_heads=field(reader, "llama.attention.head_count"),
        num_key_value_heads=field(reader, "llama.attention.head_count_kv"),
        rms_norm_eps=field(reader, "llama.attention.layer_norm_rms_epsilon"),
        max_position_embeddings=field(reader, "llama.context_length"),
        rope_parameters={"rope_type": "default", "rope_theta": field(reader, "llama.rope.freq_base")},
        tie_word_embeddings=True,
    )


def separate_halves(weight, heads):
    """GGUF stores the rows of a rotary head as pairs (0, d/2), (1, d/2 + 1), …; Hugging Face as two halves."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def read_weights(reader, config):
    weights = {}
    for tensor in reader.tensors:
        value = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        parts = tensor.name.removesuffix(".weight").split(".")
        if parts[-1] == "attn_q":
            value = separate_halves(value, config.num_attention_heads)
        elif parts[-1] == "attn_k":
            value = separate_halves(value, config.num_key_value_heads)
        prefix = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
        weights[f"{prefix}{NAMES[parts[-1]]}.weight"] = value
    return weights


def read_tokenizer(reader):
    tokens = field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(m.split(" ")) for m in field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    types = field(reader, "tokenizer.ggml.token_type")
    special = [t for t, kind in zip(tokens, types) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    return tokenizer


def score_head(hidden_size):
    k, j = torch.arange(1, 4, dtype=torch.float64), torch.arange(1, hidden_size + 1, dtype=torch.float64)
    return 0.05 * torch.sin(0.37 * k[:, None] * j[None])


@torch.no_grad()
def last_position(model, ids):
    """Final-norm output, vocabulary logits and head logits of the last token."""
    hidden = model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
    return hidden, model.lm_head(hidden), score_head(hidden.shape[0]).to(hidden.dtype) @ hidden


def describe(text, ids, hidden, logits, scores):
    top = logits.topk(20)
    return {
        "text": text,
        "ids": ids,
        "top": [[int(i), float(v)] for i, v in zip(top.indices, top.values)],
        "logsumexp": float(logits.logsumexp(0)),
        "spaced": logits[:: len(logits) // 32].tolist(),
        "hidden": hidden[:16].tolist(),
        "scores": scores.tolist(),
    }


def check_loader(path, weights):
    """The weights that transformers reads from the file must be the same."""
    other = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).state_dict()
    worst = max(float((other[name] - value).abs().max()) for name, value in weights.items())
    if worst > 1e-6:
        raise SystemExit(f"transformers reads other weights: they differ by {worst:.1e}")
    print(f"{len(weights)} tensors agree with the loader of transformers within {worst:.1e}")


def main(path):
    reader = GGUFReader(path)
    config, tokenizer = read_config(reader), read_tokenizer(reader)
    weights = read_weights(reader, config)

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    check_loader(path, weights)
    plain_tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)

    model = LlamaForCausalLM(config)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if missing != ["lm_head.weight"] or unexpected:
        raise SystemExit(f"missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    all_ids = [encode(text) for text in PROMPTS]
    model.eval().set_attn_implementation("eager")
    rounded = [last_position(model, ids) for ids in all_ids]
    model.set_attn_implementation("sdpa")
    promote(model)
    exact = [last_position(model, ids) for ids in all_ids]

    prompts, error = [], {"hidden": 0.0, "logits": 0.0, "scores": 0.0}
    for text, ids, values, low in zip(PROMPTS, all_ids, exact, rounded):
        prompts.append(describe(text, ids, *values))
        for name, a, b in zip(error, values, low):
            error[name] = max(error[name], float((a - b).abs().max()))
        plain = plain_tokenizer(text, add_special_tokens=False).input_ids
        print(f"{len(ids)} tokens, {'equal to' if plain == ids else 'other than'} those of transformers")
        print("   best:", [tokenizer.decode([i], skip_special_tokens=False) for i, _ in prompts[-1]["top"][:5]])
    print(f"float32 differs by {error}")
    out = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "float32_error": error,
        "prompts": prompts,
        "tokens": [{"text": t, "ids": encode(t)} for t in TEXTS],
    }
    (HERE / "smollm2.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    disable_progress_bar()
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT)
