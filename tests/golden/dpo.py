"""Write `dpo/<name>/`: tiny causal models, and six steps of DPO on three pairs.

    pip install torch==2.15.0 transformers==5.24.0 safetensors==0.8.0
    python tests/golden/dpo.py

Everything is computed in float64, sequence by sequence, without padding; losses are written from the formulas. The
script stops if one batch with an attention mask gives other log-probabilities. The output is deterministic.

<name>/config.json, model.safetensors   the …ForCausalLM directory
<name>/golden.safetensors
    tokens, offsets, prompts i32        chosen and rejected of each pair in turn, end to end; tokens of each prompt
    references [sequences]              log-probabilities under the reference: those of the model as it is, plus SHIFTS
    grad.<parameter>                    d loss / d parameter of the first step with the sigmoid loss
<name>/steps.json                       for each loss, a row a step: loss, rewards/chosen, rewards/rejected,
                                        logps/chosen, logps/rejected, entropy, grad_norm, all before its update
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM
from transformers.utils.logging import disable_progress_bar

from float64 import promote
from models import fill, require_close

HERE = Path(__file__).parent / "dpo"
# (prompt, chosen, rejected): one completion of one token, and one that begins like its rival.
PAIRS = [(7, 5, 9), (1, 12, 1), (4, 6, 6)]
SHIFTS = [0.0, 0.0, 0.3, -1.1, -0.7, 0.4]
BETA, LR, STEPS = 0.3, 5e-4, 6
PAD = 2
COMMON = dict(bos_token_id=1, eos_token_id=PAD, pad_token_id=PAD, use_cache=False)
MODELS = {
    "llama": (
        LlamaForCausalLM,
        LlamaConfig(
            **COMMON, vocab_size=53, hidden_size=20, intermediate_size=28, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, head_dim=8, rms_norm_eps=1e-5,
            max_position_embeddings=128, tie_word_embeddings=False,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ),
    ),
    # More than one chunk of the vocabulary in the tests, and sizes that no vector width divides.
    "qwen3": (
        Qwen3ForCausalLM,
        Qwen3Config(
            **COMMON, vocab_size=101, hidden_size=18, intermediate_size=22, num_hidden_layers=2,
            num_attention_heads=3, num_key_value_heads=1, head_dim=10, rms_norm_eps=1e-6,
            max_position_embeddings=128, tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ),
    ),
}


def sigmoid(c, r, n_w, n_l):
    return -F.logsigmoid(BETA * (c - r))


def ipo(c, r, n_w, n_l):
    return (c / n_w - r / n_l - 1 / (2 * BETA)) ** 2


def apo_zero(c, r, n_w, n_l):
    return 1 - torch.sigmoid(BETA * c) + torch.sigmoid(BETA * r)


LOSSES = [sigmoid, ipo, apo_zero]


def make_sequences(vocab, generator):
    """Token ids and prompt length of every sequence; every completion ends with the end-of-sequence id."""
    draw = lambda count: torch.randint(3, vocab, (count,), generator=generator)
    end = torch.tensor([PAD])
    sequences = []
    for index, (prompt, chosen, rejected) in enumerate(PAIRS):
        tokens = draw(prompt)
        better, worse = (torch.cat([draw(count - 1), end]) for count in (chosen, rejected))
        if index == 2:
            worse[:2] = better[:2]
        sequences += [(torch.cat([tokens, better]), prompt), (torch.cat([tokens, worse]), prompt)]
    return sequences


def rate(model, tokens, prompt):
    """Sum of the log-probabilities of the completion's tokens, and of the entropies behind them."""
    log_probs = model(input_ids=tokens[None]).logits[0, prompt - 1 : -1].log_softmax(-1)
    chosen = log_probs.gather(1, tokens[prompt:, None]).sum()
    return chosen, -(log_probs.exp() * log_probs).sum()


def rate_padded(model, sequences):
    """The log-probabilities from one right-padded batch."""
    batch = torch.nn.utils.rnn.pad_sequence([s for s, _ in sequences], batch_first=True, padding_value=PAD)
    lengths = torch.tensor([len(s) for s, _ in sequences])
    mask = torch.arange(batch.shape[1])[None] < lengths[:, None]
    log_probs = model(input_ids=batch, attention_mask=mask.long()).logits[:, :-1].log_softmax(-1)
    taken = log_probs.gather(2, batch[:, 1:, None])[..., 0]
    places = torch.arange(1, batch.shape[1])[None]
    prompts = torch.tensor([prompt for _, prompt in sequences])
    return (taken * ((places >= prompts[:, None]) & (places < lengths[:, None]))).sum(1)


def step(model, loss, sequences, references):
    """One backward pass: the metrics, with gradients left in the model."""
    model.zero_grad()
    rated = [rate(model, tokens, prompt) for tokens, prompt in sequences]
    log_probs = torch.stack([of[0] for of in rated])
    lengths = torch.tensor([len(tokens) - prompt for tokens, prompt in sequences], dtype=torch.float64)
    ratios = log_probs - references
    value = loss(ratios[::2], ratios[1::2], lengths[::2], lengths[1::2]).mean()
    value.backward()
    rewards = BETA * ratios.detach()
    return {
        "loss": float(value.detach()),
        "rewards/chosen": float(rewards[::2].mean()),
        "rewards/rejected": float(rewards[1::2].mean()),
        "logps/chosen": float(log_probs[::2].mean().detach()),
        "logps/rejected": float(log_probs[1::2].mean().detach()),
        "entropy": float(sum(of[1].detach() for of in rated) / lengths.sum()),
    }


def new_model(name):
    kind, config = MODELS[name]
    model = kind(config)
    fill(model.named_parameters(), torch.Generator().manual_seed(7))
    model.set_attn_implementation("sdpa")
    return model.eval()


def train(name, loss, sequences, references):
    model = promote(new_model(name))
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=LR, betas=[0.9, 0.999], eps=1e-8, foreach=False)
    rows, gradients = [], None
    for _ in range(STEPS):
        row = step(model, loss, sequences, references)
        gradients = gradients or {f"grad.{n}": p.grad.clone() for n, p in model.named_parameters()}
        row["grad_norm"] = float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        adamw.step()
        rows.append(row)
    return rows, gradients


def write(name):
    directory = HERE / name
    new_model(name).save_pretrained(directory)
    (directory / "generation_config.json").unlink()
    sequences = make_sequences(MODELS[name][1].vocab_size, torch.Generator().manual_seed(11))
    model = promote(new_model(name))
    with torch.no_grad():
        own = torch.stack([rate(model, tokens, prompt)[0] for tokens, prompt in sequences])
        require_close(f"{name} padded", rate_padded(model, sequences), own, 1e-12)
    # As float32, so that both sides start from the same numbers.
    references = (own + torch.tensor(SHIFTS, dtype=torch.float64)).float()
    runs = {loss.__name__: train(name, loss, sequences, references.double()) for loss in LOSSES}
    lengths = torch.tensor([0] + [len(tokens) for tokens, _ in sequences])
    golden = {
        "tokens": torch.cat([tokens for tokens, _ in sequences]).int(),
        "offsets": lengths.cumsum(0).int(),
        "prompts": torch.tensor([prompt for _, prompt in sequences]).int(),
        "references": references,
    }
    golden.update({k: v.float().contiguous() for k, v in runs["sigmoid"][1].items()})
    save_file(golden, directory / "golden.safetensors")
    lines = {loss: "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]" for loss, (rows, _) in runs.items()}
    text = ",\n".join(f'"{loss}": {rows}' for loss, rows in lines.items())
    (directory / "steps.json").write_text("{\n" + text + "\n}\n")
    print(name, {loss: [round(row["loss"], 4) for row in rows] for loss, (rows, _) in runs.items()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    disable_progress_bar()
    for name in MODELS:
        write(name)
