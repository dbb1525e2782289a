"""Log-probabilities of preference pairs under a policy directory, by transformers: do policies saved by `wgr` load
elsewhere, and say the same?

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2 safetensors==0.8.0
    python tests/golden/check_saved_policy.py DIR PAIRS.jsonl

DIR is a model or an adapter, PAIRS.jsonl holds rows of plain `prompt`, `chosen` and `rejected`. Prints the mean log-probability
of each side, as `logps/chosen` and `logps/rejected` of the first step of

    wgr dpo --policy DIR --data PAIRS.jsonl --no-shuffle --batch-size ROWS --max-steps 1 --output OUT

A tensor that DIR does not hold, or that the model does not know, is an error.
"""

import json
import os
import sys

import torch
from peft import PeftConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def load(directory):
    adapter = os.path.exists(f"{directory}/adapter_config.json")
    base = PeftConfig.from_pretrained(directory).base_model_name_or_path if adapter else directory
    model, info = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, output_loading_info=True)
    if info["missing_keys"] or info["unexpected_keys"]:
        raise SystemExit(f"{base}: missing {info['missing_keys']}, unexpected {info['unexpected_keys']}")
    return (PeftModel.from_pretrained(model, directory) if adapter else model).eval()


def main(directory, pairs):
    with open(pairs, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    model, tokenizer = load(directory), AutoTokenizer.from_pretrained(directory)
    for side in ("chosen", "rejected"):
        total = 0.0
        for row in rows:
            prompt = tokenizer(row["prompt"]).input_ids
            completion = tokenizer(row[side], add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
            ids = torch.tensor([prompt + completion])
            with torch.no_grad():
                log_probs = model(input_ids=ids).logits[0, :-1].double().log_softmax(-1)
            total += log_probs.gather(1, ids[0, 1:, None])[len(prompt) - 1 :].sum().item()
        print(json.dumps({f"logps/{side}": total / len(rows)}))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
