"""Load an adapter directory with PEFT and print its logits as JSON: do adapters saved by `wgr` load elsewhere?

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2 safetensors==0.8.0
    python tests/golden/check_saved_adapter.py DIR INPUTS.json

As `check_saved_model.py`, on the base model that DIR names. The head of a classifier must come from DIR. A tensor of the
adapter that DIR does not hold, or one that the model does not know, is an error.
"""

import json
import sys

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification


def load(directory):
    saved = load_file(f"{directory}/adapter_model.safetensors")
    outputs = saved["base_model.model.score.weight"].shape[0]
    base = PeftConfig.from_pretrained(directory).base_model_name_or_path
    model = AutoModelForSequenceClassification.from_pretrained(base, dtype=torch.float32, num_labels=outputs)
    model.config.pad_token_id = None  # with a pad id, transformers searches for it instead of taking the last token
    model = PeftModel.from_pretrained(model, directory)
    loaded = get_peft_model_state_dict(model)
    if loaded.keys() != saved.keys() or any(not torch.equal(loaded[name], saved[name]) for name in saved):
        raise SystemExit(f"{directory}: PEFT holds other tensors: {sorted(loaded.keys() ^ saved.keys())}")
    return model.eval()


def main(directory, inputs):
    with open(inputs, encoding="utf-8") as file:
        sequences = json.load(file)["ids"]
    model = load(directory)
    with torch.no_grad():
        for ids in sequences:
            logits = model(input_ids=torch.tensor([ids])).logits[0]
            score = 1 + logits.sigmoid().sum()
            print(json.dumps({"ids": ids, "logits": logits.tolist(), "score": score.item()}))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
