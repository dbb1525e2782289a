"""Greedy decoding with transformers on the CPU: what `cargo bench --bench generate` measures, with PyTorch.

    wgr convert --model SmolLM2-135M-Instruct.Q4_1.gguf --output smollm2 --dtype f32
    python benches/generate_transformers.py smollm2 [float32|bfloat16]
"""

import statistics
import sys
import time
import warnings

import torch
from transformers import AutoModelForCausalLM, DynamicCache

PROMPT, NEW, ROUNDS = 32, 64, 3


@torch.inference_mode()
def rate(model, batch):
    """Tokens a second after the prompt, which is not part of the time."""
    ids = torch.tensor([[100 + (row * 7919 + i * 31) % 40_000 for i in range(PROMPT)] for row in range(batch)])
    cache = DynamicCache(config=model.config)
    out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    started = time.perf_counter()
    for _ in range(NEW - 1):
        token = out.logits[:, -1].argmax(-1, keepdim=True)
        out = model(input_ids=token, past_key_values=cache, use_cache=True)
    out.logits[:, -1].argmax(-1)
    return batch * (NEW - 1) / (time.perf_counter() - started)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=FutureWarning)  # the cache is about to be called otherwise
    dtype = sys.argv[2] if len(sys.argv) > 2 else "float32"
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=getattr(torch, dtype)).eval()
    print(f"{sys.argv[1]}, {dtype}, {torch.get_num_threads()} threads, {PROMPT} tokens of prompt, {NEW} new ones", flush=True)
    for batch in [1, 16]:
        median = statistics.median(rate(model, batch) for _ in range(ROUNDS))
        print(f"batch {batch:2}: {median:7.1f} tokens/s, {1e3 * batch / median:6.1f} ms a step (median of {ROUNDS})", flush=True)
