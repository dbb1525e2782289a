"""Load a model directory with `transformers` and print its logits as JSON: do models saved by `wgr` load elsewhere?

    pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0
    python tests/golden/check_saved_model.py DIR INPUTS.json

INPUTS.json holds {"ids": [[…], …]} or {"texts": ["…", …]} or both. Texts are encoded by the tokenizer of DIR. Every
sequence runs alone, in float32, and its logits are those of the last token by position. The output is one object per
sequence: {"ids": […], "logits": […], "score": 1 + the sum of σ(logit)}. A tensor of the model that DIR does not hold,
or one that the model does not know, is an error.
"""

import json
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def load(directory):
    model, report = AutoModelForSequenceClassification.from_pretrained(
        directory, dtype=torch.float32, output_loading_info=True
    )
    problems = {kind: sorted(map(str, names)) for kind, names in report.items() if names}
    if problems:
        raise SystemExit(f"{directory}: {problems}")
    model.config.pad_token_id = None  # with a pad id, transformers searches for it instead of taking the last token
    return model.eval()


def main(directory, inputs):
    with open(inputs, encoding="utf-8") as file:
        wanted = json.load(file)
    sequences = list(wanted.get("ids", []))
    if wanted.get("texts"):
        tokenizer = AutoTokenizer.from_pretrained(directory)
        sequences += [tokenizer(text).input_ids for text in wanted["texts"]]
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
