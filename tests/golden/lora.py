"""Write the golden files of LoRA: adapters that PEFT made on the tiny Llama of `models.py`, in `lora/` beside this script.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2 safetensors==0.8.0
    python tests/golden/lora.py

The model runs in float64, as in `models.py`, on the batch of `llama/golden.safetensors`. B is not zero, and the scale is
that of rsLoRA. The output is deterministic.

lora/adapter_config.json, adapter_model.safetensors   as PEFT saves them; the base model is `../llama`
lora/golden.safetensors
    logits [4, 3], loss [1]             as for the models
    grad.<parameter>                    d loss / d parameter, for every A, B and the head
lora/losses.json                        ten steps of AdamW over adapters and head: loss and gradient norm before each step
"""

import json

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers.utils.logging import disable_progress_bar

from float64 import promote
from models import HERE, OPTIMIZER, bodies, load, ordinal_loss

BASE = HERE / "llama"
OUT = HERE / "lora"
CONFIG = dict(task_type="SEQ_CLS", r=3, lora_alpha=5, lora_dropout=0.0, use_rslora=True, modules_to_save=["score"])
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def adapted():
    """The base model in float64 with adapters that leave a clear mark."""
    model = get_peft_model(promote(load(BASE, "sdpa").eval()), LoraConfig(**CONFIG, target_modules=TARGETS))
    model = model.double().eval()
    mark(model, torch.Generator().manual_seed(300))
    return model


def mark(model, generator):
    """Random adapters and head, B such that an adapter adds about a third of what the layer gives."""
    for name, p in sorted(trained(model).items()):
        factor = 0.1 if "lora_B" in name else 1.0
        p.data.copy_(factor * torch.randn(p.shape, generator=generator) / p.shape[1] ** 0.5)


def trained(model):
    """Parameters that are trained, under their names in the file."""

    def name(full):
        full = full.removeprefix("base_model.model.").replace(".default", "")
        return full.replace("modules_to_save.", "")

    return {name(full): p for full, p in model.named_parameters() if p.requires_grad}


def logits(model, ids, offsets):
    inner = model.base_model.model
    return inner.score(bodies(inner, ids, offsets)[offsets[1:] - 1])


def save_adapter(model, base, out):
    """What was saved is the model from here on, float32 rounding included."""
    model.peft_config["default"].base_model_name_or_path = base
    out.mkdir(exist_ok=True)
    model.float().save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    config = json.loads((out / "adapter_config.json").read_text())
    config["target_modules"].sort()
    (out / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    model.double()


def first_step(model, ids, offsets):
    """Logits, loss and gradients, in float32 as they are saved."""
    out = logits(model, ids, offsets)
    loss = ordinal_loss(out)
    loss.backward()
    values = {"logits": out, "loss": loss[None], **{f"grad.{n}": p.grad for n, p in trained(model).items()}}
    return {k: v.detach().float().contiguous() for k, v in values.items()}


def train(model, ids, offsets, steps, out):
    """Steps of AdamW over adapters and head, recorded in `losses.json`."""
    parameters = [p for _, p in sorted(trained(model).items())]
    options = {key: OPTIMIZER[key] for key in ("lr", "betas", "eps", "weight_decay")}
    adamw = torch.optim.AdamW(parameters, **options, foreach=False)
    losses, norms = [], []
    for _ in range(steps):
        adamw.zero_grad()
        loss = ordinal_loss(logits(model, ids, offsets))
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, OPTIMIZER["max_grad_norm"])))
        losses.append(float(loss.detach()))
        adamw.step()
    record = {**OPTIMIZER, "losses": losses, "grad_norms": norms}
    (out / "losses.json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"{out.name}: loss {losses[0]:.4f} to {losses[-1]:.4f}, gradient norm {norms[0]:.3f}")


def main():
    golden = load_file(BASE / "golden.safetensors")
    ids, offsets = golden["ids"].long(), golden["offsets"].long()
    model = adapted()
    save_adapter(model, "../llama", OUT)
    save_file(first_step(model, ids, offsets), OUT / "golden.safetensors")
    train(model, ids, offsets, 10, OUT)


if __name__ == "__main__":
    torch.set_num_threads(1)
    disable_progress_bar()
    main()
