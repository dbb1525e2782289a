"""What `cargo xtask gpu` measures, with PyTorch: one JSON object per line. The argument is the time that it may take.

    python benches/card.py SECONDS
"""

import json
import statistics
import sys
import time


def say(**line):
    print(json.dumps(line), flush=True)


try:
    import torch
    import transformers
    from torch.nn.functional import scaled_dot_product_attention
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, DynamicCache, LlamaConfig
except ImportError as error:
    say(task="everything", why=str(error))
    sys.exit(0)

STARTED, LIMIT = time.perf_counter(), float(sys.argv[1])
DEVICE = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
STEPS, PROMPT, NEW = 3, 32, 64


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    elif DEVICE == "mps":
        torch.mps.synchronize()


def seconds(run):
    """Median seconds of a few runs, after one that does not count."""
    times = []
    for _ in range(1 + STEPS):
        wait()
        started = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def refused(task, dtype, foretold):
    """Whether a measurement would take more than a tenth of the time, or than what is left."""
    most = min(LIMIT / 10, LIMIT - (time.perf_counter() - STARTED))
    if foretold > most:
        say(task=f"{task}, {dtype}", why=f"it would take about {foretold:.0f} s, and {most:.0f} s are granted")
    return foretold > most


def growing(dtype, cases):
    """Cases are (task, work, prepare), smallest first: the rate of one foretells the time of the next."""
    rate = None
    for task, work, unit, prepare in cases:
        if refused(task, dtype, 0 if rate is None else (1 + STEPS) * work / rate):
            continue
        try:
            rate = work / seconds(prepare())
            say(task=task, dtype=dtype, value=rate / unit)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            say(task=f"{task}, {dtype}", why=str(error).splitlines()[0])


def product(size, dtype):
    def prepare():
        x, w = (torch.randn(size, size, device=DEVICE, dtype=dtype) for _ in range(2))
        return lambda: x @ w.T

    return f"product {size}", 2 * size**3, 1e9, prepare


def attention(tokens, heads, head_dim, dtype, backward):
    def prepare():
        def tensor(heads):
            return torch.randn(1, heads, tokens, head_dim, device=DEVICE, dtype=dtype, requires_grad=backward)

        q, k, v = tensor(heads), tensor(heads // 2), tensor(heads // 2)

        def run():
            out = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            if backward:
                out.backward(out.detach())

        return run

    passes = "forward and backward" if backward else "forward"
    pairs = heads * tokens * (tokens + 1) // 2
    work = pairs * head_dim * (14 if backward else 4)
    return f"attention {passes}, {tokens} tokens, heads of {head_dim}", work, 1e9, prepare


def smollm2(**settings):
    return LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, rms_norm_eps=1e-5, rope_theta=100_000.0, max_position_embeddings=8192,
        tie_word_embeddings=True, pad_token_id=0, **settings,
    )


def training(model, optimizer, sequences, length, dtype):
    def prepare():
        ids = torch.arange(sequences * length, device=DEVICE).view(sequences, length) * 7919 % 40_000 + 3
        labels = torch.ones(sequences, 3, device=DEVICE)

        def run():
            with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
                logits = model(input_ids=ids).logits
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

        return run

    return f"training SmolLM2-135M, {sequences} × {length} tokens", sequences * length, 1, prepare


@torch.inference_mode()
def decoding(model, rows):
    """Seconds per step after the prompt."""
    ids = torch.tensor([[100 + (row * 7919 + i * 31) % 40_000 for i in range(PROMPT)] for row in range(rows)]).to(DEVICE)
    for _ in range(2):
        cache = DynamicCache(config=model.config)
        out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        wait()
        started = time.perf_counter()
        for _ in range(NEW - 1):
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            out = model(input_ids=token, past_key_values=cache, use_cache=True)
        out.logits[:, -1].argmax(-1).cpu()
    return (time.perf_counter() - started) / (NEW - 1)


if __name__ == "__main__":
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else f"{DEVICE}, {torch.get_num_threads()} threads"
    say(pytorch=f"PyTorch {torch.__version__}, transformers {transformers.__version__}, {name}")
    for dtype, kind in (DTYPES | {"float16": torch.float16}).items():
        growing(dtype, [product(size, kind) for size in [1024, 2048, 4096, 8192]])
    for dtype, kind in DTYPES.items():
        for heads, head_dim in [(8, 64), (4, 128)]:
            for backward in [False, True]:
                growing(dtype, [attention(tokens, heads, head_dim, kind, backward) for tokens in [2048, 8192]])
    for dtype in DTYPES:
        model = AutoModelForSequenceClassification.from_config(smollm2(num_labels=3)).to(DEVICE).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
        growing(dtype, [training(model, optimizer, *batch, dtype) for batch in [(1, 128), (4, 256), (8, 512)]])
    for dtype, kind in DTYPES.items():
        model, step = AutoModelForCausalLM.from_config(smollm2()).to(DEVICE, kind).eval(), 0
        for rows in [1, 16, 64]:
            task = f"decoding SmolLM2-135M, batch {rows}"
            if refused(task, dtype, 4 * step * NEW):
                break
            step = decoding(model, rows)
            say(task=task, dtype=dtype, value=rows / step)
