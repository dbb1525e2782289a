"""Write the golden files of the tiny models: one directory per architecture beside this script.

    pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
    python tests/golden/models.py

Every model is computed twice with `transformers`: in float64 (stored, as float32), and as published in float32 with
the other attention implementation. The script stops if the two disagree, if a padded batch differs from sequences
run one by one, or if the saved directory loads to other numbers. The output is deterministic.

<name>/config.json, model.safetensors   the …ForSequenceClassification directory, `score.weight` [3, hidden]
<name>/config.v4.json                   the same configuration in the spelling of transformers 4 and of published
                                        checkpoints (`rope_theta`, `rope_scaling`, `torch_dtype`)
<name>/golden.safetensors
    ids [60] i32, offsets [5] i32       four sequences end to end, without padding; the last one ends in the pad id
    labels [4] i32                      1..4, target k is y > k
    hidden [60, hidden]                 output of the final norm, every token
    logits [4, 3], loss [1]             last token of every sequence; binary cross entropy, mean over rows and k
    grad.<parameter>                    d loss / d parameter, for every parameter
    lm_head.weight, lm_logits           llama only: an untied language head on the same body, and its logits
                                        [4, vocab] at the last token of every sequence
<name>/losses.json                      ten steps of AdamW on this one batch: loss and gradient norm before each step
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    MistralConfig,
    MistralForSequenceClassification,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen3Config,
    Qwen3ForSequenceClassification,
)
from transformers.utils.logging import disable_progress_bar

from float64 import promote

HERE = Path(__file__).parent
LENGTHS = [7, 1, 33, 19]
LABELS = [2, 4, 1, 3]
PAD = 2  # the end-of-sequence id too, as in many published models
OPTIMIZER = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01, "max_grad_norm": 1.0}

COMMON = dict(
    num_labels=3,
    id2label={0: "y>1", 1: "y>2", 2: "y>3"},
    label2id={"y>1": 0, "y>2": 1, "y>3": 2},
    problem_type="multi_label_classification",
    bos_token_id=1,
    eos_token_id=PAD,
    pad_token_id=PAD,
    use_cache=False,
)
MODELS = {
    # Wavelengths of the eight frequencies: one is kept, two are smoothed, five are divided by the factor.
    "llama": (
        LlamaForSequenceClassification,
        LlamaConfig(
            **COMMON, vocab_size=53, hidden_size=28, intermediate_size=36, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-5,
            max_position_embeddings=256, tie_word_embeddings=False,
            rope_parameters={
                "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
            },
        ),
    ),
    # As many key as query heads. The ramp of the four frequencies is 0, 0, 1/2, 1.
    "qwen2": (
        Qwen2ForSequenceClassification,
        Qwen2Config(
            **COMMON, vocab_size=64, hidden_size=24, intermediate_size=44, num_hidden_layers=2,
            num_attention_heads=3, num_key_value_heads=3, rms_norm_eps=1e-6,
            max_position_embeddings=512, tie_word_embeddings=True,
            rope_parameters={
                "rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0, "beta_fast": 4.0,
                "original_max_position_embeddings": 128,
            },
        ),
    ),
    # Sizes that no vector width divides.
    "qwen3": (
        Qwen3ForSequenceClassification,
        Qwen3Config(
            **COMMON, vocab_size=101, hidden_size=36, intermediate_size=42, num_hidden_layers=2,
            num_attention_heads=3, num_key_value_heads=1, head_dim=10, rms_norm_eps=1e-6,
            max_position_embeddings=128, tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ),
    ),
    "mistral": (
        MistralForSequenceClassification,
        MistralConfig(
            **COMMON, vocab_size=48, hidden_size=20, intermediate_size=22, num_hidden_layers=3,
            num_attention_heads=4, num_key_value_heads=2, head_dim=12, rms_norm_eps=1e-5,
            max_position_embeddings=128, tie_word_embeddings=False, sliding_window=5,
            rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0},
        ),
    ),
}


def fill(parameters, generator):
    """Random values large enough that every operation and every gradient leaves a clear mark on the result."""
    for name, p in parameters:
        x = torch.randn(p.shape, generator=generator)
        if name.endswith("norm.weight"):
            x = 1 + 0.2 * x
        elif name.endswith("bias"):
            x = 0.3 * x
        elif "embed_tokens" not in name:
            x = x / p.shape[1] ** 0.5
        p.data.copy_(x)


def make_ids(vocab, generator):
    """Packed ids and offsets. The pad id lies inside the third sequence and at the end of the last."""
    offsets = torch.tensor([0, *LENGTHS]).cumsum(0)
    ids = torch.randint(3, vocab, (int(offsets[-1]),), generator=generator)
    ids[offsets[2] + 11] = PAD
    ids[-1] = PAD
    return ids, offsets


def split(ids, offsets):
    return [ids[a:b] for a, b in zip(offsets[:-1], offsets[1:])]


def bodies(model, ids, offsets):
    """Final-norm output of every token, each sequence run alone."""
    return torch.cat([model.model(input_ids=s[None]).last_hidden_state[0] for s in split(ids, offsets)])


def bodies_padded(model, ids, offsets):
    """The same from one right-padded batch with an attention mask."""
    rows = split(ids, offsets)
    batch = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
    mask = torch.arange(batch.shape[1])[None] < torch.tensor([[len(r)] for r in rows])
    hidden = model.model(input_ids=batch, attention_mask=mask.long()).last_hidden_state
    return hidden[mask]


def ordinal_loss(logits):
    targets = torch.tensor(LABELS)[:, None] > torch.arange(1, logits.shape[1] + 1)
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))


def evaluate(model, ids, offsets):
    """Everything the golden file holds, in the type of the model."""
    model.zero_grad()
    hidden = bodies(model, ids, offsets)
    logits = model.score(hidden[offsets[1:] - 1])
    loss = ordinal_loss(logits)
    loss.backward()
    out = {"hidden": hidden, "logits": logits, "loss": loss[None]}
    out.update({f"grad.{name}": p.grad for name, p in model.named_parameters()})
    return {name: x.detach().clone() for name, x in out.items()}


def train(model, ids, offsets, steps=10):
    named = list(model.parameters())
    groups = [
        {"params": [p for p in named if p.ndim > 1], "weight_decay": OPTIMIZER["weight_decay"]},
        {"params": [p for p in named if p.ndim <= 1], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(
        groups, lr=OPTIMIZER["lr"], betas=OPTIMIZER["betas"], eps=OPTIMIZER["eps"], foreach=False
    )
    losses, norms = [], []
    for _ in range(steps):
        adamw.zero_grad()
        loss = ordinal_loss(model.score(bodies(model, ids, offsets)[offsets[1:] - 1]))
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(named, OPTIMIZER["max_grad_norm"])))
        losses.append(float(loss.detach()))
        adamw.step()
    return losses, norms


def require_close(what, a, b, tolerance):
    """Largest difference over the largest value of `b`."""
    error = float((a.double() - b.double()).abs().max() / b.double().abs().max().clamp_min(1e-30))
    if not error <= tolerance:
        raise SystemExit(f"{what}: relative difference {error:.2e}, allowed {tolerance:.0e}")
    return error


def load(directory, attention):
    return AutoModelForSequenceClassification.from_pretrained(
        directory, dtype=torch.float32, attn_implementation=attention
    )


def write_v4_config(directory):
    """The spelling that transformers wrote before version 5."""
    config = json.loads((directory / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    config["torch_dtype"] = config.pop("dtype")
    (directory / "config.v4.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    reread = type(MODELS[directory.name][1]).from_dict(config)
    reread.standardize_rope_params()
    if reread.rope_parameters != MODELS[directory.name][1].rope_parameters:
        raise SystemExit(f"{directory.name}: config.v4.json does not mean the same")


def language_head(directory, ids, offsets, generator):
    """Logits of a causal model that shares the body, at the last token of every sequence."""
    config = LlamaConfig.from_pretrained(directory)
    model = LlamaForCausalLM(config)
    weights = load_file(directory / "model.safetensors")
    weights.pop("score.weight")
    head = torch.randn(config.vocab_size, config.hidden_size, generator=generator) / config.hidden_size**0.5
    model.load_state_dict({**weights, "lm_head.weight": head})
    model.set_attn_implementation("sdpa")
    promote(model).eval()
    with torch.no_grad():
        logits = torch.cat([model(input_ids=s[None]).logits[:, -1] for s in split(ids, offsets)])
    return {"lm_head.weight": head, "lm_logits": logits}


def write(index, name):
    kind, config = MODELS[name]
    directory = HERE / name
    generator = torch.Generator().manual_seed(100 + index)
    model = kind(config)
    fill(model.named_parameters(), generator)
    model.save_pretrained(directory)
    write_v4_config(directory)
    ids, offsets = make_ids(config.vocab_size, generator)

    exact_model = promote(load(directory, "sdpa").eval())
    plain_model = load(directory, "eager").eval()
    exact, plain = evaluate(exact_model, ids, offsets), evaluate(plain_model, ids, offsets)
    worst = max(require_close(f"{name} float32 {k}", plain[k], exact[k], 1e-5) for k in exact)
    with torch.no_grad():
        require_close(f"{name} padded", bodies_padded(exact_model, ids, offsets), exact["hidden"], 1e-12)
        exact_model.config.pad_token_id = None  # else transformers searches for the pad id and misses the last token
        own = torch.cat([exact_model(input_ids=s[None]).logits for s in split(ids, offsets)])
        require_close(f"{name} own logits", own, exact["logits"], 1e-12)

    golden = {"ids": ids, "offsets": offsets, "labels": torch.tensor(LABELS)}
    golden = {k: v.to(torch.int32) for k, v in golden.items()}
    golden.update({k: v.float().contiguous() for k, v in exact.items()})
    if name == "llama":
        golden.update({k: v.float() for k, v in language_head(directory, ids, offsets, generator).items()})
    save_file(golden, directory / "golden.safetensors")

    losses, norms = train(exact_model, ids, offsets)
    plain_losses, plain_norms = train(plain_model, ids, offsets)
    drift = max(
        require_close(f"{name} losses", torch.tensor(plain_losses), torch.tensor(losses), 1e-5),
        require_close(f"{name} gradient norms", torch.tensor(plain_norms), torch.tensor(norms), 1e-5),
    )
    record = {**OPTIMIZER, "losses": losses, "grad_norms": norms}
    (directory / "losses.json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"{name}: float32 differs by {worst:.1e} at most, its training by {drift:.1e}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    disable_progress_bar()
    for index, name in enumerate(MODELS):
        write(index, name)
