"""A reward server as they are usually written: FastAPI before `transformers`, one text at a time.

    python3 benches/serve_transformers.py my-reward-model

The yardstick of `benches/serve.py --peer`, on the processor and in f32, as `wgr` computes. It answers `POST /get_reward`
with one number a text and listens on a free port, which it says like `wgr serve` does. Needs `torch`, `transformers`,
`fastapi` and `uvicorn`.
"""

import socket
import sys

import torch
import uvicorn
from fastapi import FastAPI, Request
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
biases = torch.tensor(getattr(model.config, "biases", None) or [0.0] * model.config.num_labels)
app = FastAPI()


def score(text):
    """The expected level, or the logit of a head with a single one."""
    given = tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        logits = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).logits[0]
    if len(logits) == 1:
        return logits.item()
    return 1 + (logits + biases).sigmoid().sum().item()


# An async function that never awaits blocks the event loop, so that one text at a time is on the model.
@app.post("/get_reward")
async def get_reward(request: Request):
    given = await request.json()
    rewards = [score(text) for text in given["query"]]
    return {"rewards": rewards, "scores": rewards, "extra_logs": {}}


listener = socket.create_server(("127.0.0.1", 0))
print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
