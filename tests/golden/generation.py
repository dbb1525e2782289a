"""Write generation.safetensors: greedy continuations by the tiny models beside this script, as causal models.

    pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
    python tests/golden/generation.py

The body of each model gets its embedding as output matrix. Continuations are those of `generate` of `transformers` in
float32; the logits are of the full forward pass in float64, without a cache. The script stops if the most likely token
of the two differs anywhere, or is close to the second.

<name>.ids i32, <name>.offsets i32 [5]   four sequences end to end, each a prompt and its continuation
<name>.prompts i32 [4]                   tokens of each prompt
<name>.logits f32 [48, vocab]            after the prompt and after each token of the continuation but the last
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from float64 import promote

HERE = Path(__file__).parent
MODELS = ["llama", "qwen2", "qwen3", "mistral"]
PROMPTS = [37, 1, 18, 5]
NEW = 12


def causal(name, attention):
    config = AutoConfig.from_pretrained(HERE / name)
    config.tie_word_embeddings = True
    config.use_cache = True
    # A continuation that stops early would test less.
    config.eos_token_id = config.pad_token_id = None
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    weights = load_file(HERE / name / "model.safetensors")
    weights.pop("score.weight")
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    return model.eval()


@torch.no_grad()
def write(index, name, golden):
    generator = torch.Generator().manual_seed(200 + index)
    plain, exact = causal(name, "eager"), promote(causal(name, "sdpa"))
    sequences, logits, margin = [], [], float("inf")
    for length in PROMPTS:
        prompt = torch.randint(0, plain.config.vocab_size, (length,), generator=generator)
        ids = plain.generate(prompt[None], do_sample=False, max_new_tokens=NEW, use_cache=True)[0]
        rows = exact(input_ids=ids[None]).logits[0, length - 1 : -1]
        if not torch.equal(rows.argmax(-1), ids[length:]):
            raise SystemExit(f"{name}: the continuation is not that of the full forward pass")
        top = rows.topk(2).values
        margin = min(margin, float((top[:, 0] - top[:, 1]).min() / rows.abs().max()))
        sequences.append(ids)
        logits.append(rows)
    if margin < 1e-3:
        raise SystemExit(f"{name}: two tokens are only {margin:.1e} apart")
    ends = torch.tensor([len(s) for s in sequences]).cumsum(0)
    golden[f"{name}.ids"] = torch.cat(sequences).to(torch.int32)
    golden[f"{name}.offsets"] = torch.cat([torch.zeros(1), ends]).to(torch.int32)
    golden[f"{name}.prompts"] = torch.tensor(PROMPTS, dtype=torch.int32)
    golden[f"{name}.logits"] = torch.cat(logits).float().contiguous()
    print(f"{name}: the most likely token leads by {margin:.1e} of the largest logit at least")


if __name__ == "__main__":
    torch.set_num_threads(1)
    disable_progress_bar()
    golden = {}
    for index, name in enumerate(MODELS):
        write(index, name, golden)
    save_file(golden, HERE / "generation.safetensors")
