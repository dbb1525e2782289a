"""Write `objectives.json`: losses and their gradients with respect to the logits, in float64.

    pip install torch==2.15.0
    python tests/golden/objectives.py

Levels are y in 1..K, thresholds k in 1..K-1, targets t_k = [y > k]. Loss values are written from the formulas; every
gradient is automatic and checked against central differences. The script stops if the published check value
(CORAL 0.69204, mean binary cross entropy 0.17301) is missed.

ordinal, coral, corn    per case: logits [B, K-1], labels [B], loss, grad [B, K-1], exceed [B, K-1] = P(y > k),
                        scores [B] = 1 + sum of exceed
regression              logits [B], targets [B], loss = mean of squared differences, grad [B]
pairwise                chosen, rejected, margins [B], loss = mean of -log σ(chosen - rejected - margin),
                        grad_chosen, grad_rejected [B]

Sources: CORAL, Cao, Mirjalili and Raschka, arXiv 1901.07884; CORN, Shi, Cao and Raschka, arXiv 2111.08851, task k is
trained on the rows with y > k - 1; pairwise, Bradley and Terry 1952.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

HERE = Path(__file__).parent


def targets(logits, labels):
    return (labels[:, None] > torch.arange(1, logits.shape[1] + 1)).to(logits.dtype)


def cross_entropies(logits, labels):
    """-[t log σ(z) + (1 - t)(log σ(z) - z)], element by element."""
    t = targets(logits, labels)
    return -(t * F.logsigmoid(logits) + (1 - t) * (F.logsigmoid(logits) - logits))


def ordinal(logits, labels):
    return cross_entropies(logits, labels).mean()


def coral(logits, labels):
    return cross_entropies(logits, labels).sum(1).mean()


def corn(logits, labels):
    in_task = labels[:, None] > torch.arange(logits.shape[1])  # y > k - 1
    return cross_entropies(logits, labels)[in_task].sum() / in_task.sum()


def regression(logits, labels):
    return (logits - labels).pow(2).mean()


def pairwise(chosen, rejected, margins):
    return -F.logsigmoid(chosen - rejected - margins).mean()


def gradients(loss, inputs, constant):
    """Value and gradients of `loss(*inputs, constant)`, the gradients verified by central differences."""
    inputs = [x.clone().requires_grad_() for x in inputs]
    if not torch.autograd.gradcheck(lambda *xs: loss(*xs, constant), inputs, eps=1e-6, atol=1e-6):
        raise SystemExit(f"{loss.__name__}: gradient check failed")
    value = loss(*inputs, constant)
    return float(value.detach()), [g.tolist() for g in torch.autograd.grad(value, inputs)]


# name, logits, labels
THRESHOLD_CASES = [
    (
        "published check value, five levels",
        [[2.1, 1.8, -2.1, -1.8], [1.9, -1.0, -1.5, -1.3], [1.9, 1.8, 1.7, 1.6]],
        [3, 2, 5],
    ),
    (
        "four levels, all seen, thresholds out of order",
        [[0.3, -0.7, -2.2], [1.1, 1.6, -0.4], [-0.2, 0.9, 0.5], [2.5, 0.1, 1.4], [0.0, 0.0, 0.0]],
        [1, 2, 3, 4, 2],
    ),
    ("tied logits", [[0.5, 0.5, 0.5], [-0.25, -0.25, -0.25], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [4, 1, 1, 4]),
    ("every label lowest, later tasks of CORN are empty", [[0.4, -0.3, 1.2], [-1.0, 2.0, 0.1]], [1, 1]),
    ("every label highest", [[0.4, -0.3, 1.2], [-1.0, 2.0, 0.1]], [4, 4]),
    ("one row", [[-0.6, 1.3, 0.2]], [3]),
    ("two levels", [[0.7], [-1.2], [0.0]], [1, 2, 2]),
    ("large logits, right and wrong", [[90.0, 40.0, -90.0], [-90.0, -40.0, 90.0], [200.0, 200.0, 200.0]], [3, 4, 1]),
]
# name, logits, targets
REGRESSION_CASES = [
    ("levels as targets", [1.7, 2.0, -0.5, 3.25], [2.0, 2.0, 1.0, 4.0]),
    ("one row", [0.3], [3.0]),
    ("large error", [-250.0, 4.0], [1.0, 4.0]),
]
# name, chosen, rejected, margins
PAIRWISE_CASES = [
    ("no margin, one tie", [1.2, 0.4, -0.3, 2.0], [0.2, 0.4, 0.9, -1.5], [0.0, 0.0, 0.0, 0.0]),
    ("margins", [1.2, 0.4, -0.3], [0.2, 0.4, 0.9], [0.5, 1.0, 2.0]),
    ("margin that cancels the difference", [1.5], [0.5], [1.0]),
    ("large differences, right and wrong", [120.0, -120.0], [-80.0, 80.0], [0.0, 0.0]),
]


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def threshold_case(loss, name, logits, labels):
    z = tensor(logits)
    value, (grad,) = gradients(loss, [z], torch.tensor(labels))
    exceed = torch.sigmoid(z).cumprod(1) if loss is corn else torch.sigmoid(z)
    return {
        "name": name,
        "logits": logits,
        "labels": labels,
        "loss": value,
        "grad": grad,
        "exceed": exceed.tolist(),
        "scores": (1 + exceed.sum(1)).tolist(),
    }


def regression_case(name, logits, wanted):
    value, (grad,) = gradients(regression, [tensor(logits)], tensor(wanted))
    return {"name": name, "logits": logits, "targets": wanted, "loss": value, "grad": grad}


def pairwise_case(name, chosen, rejected, margins):
    value, (up, down) = gradients(pairwise, [tensor(chosen), tensor(rejected)], tensor(margins))
    return {
        "name": name,
        "chosen": chosen,
        "rejected": rejected,
        "margins": margins,
        "loss": value,
        "grad_chosen": up,
        "grad_rejected": down,
    }


if __name__ == "__main__":
    out = {loss.__name__: [threshold_case(loss, *case) for case in THRESHOLD_CASES] for loss in (ordinal, coral, corn)}
    out["regression"] = [regression_case(*case) for case in REGRESSION_CASES]
    out["pairwise"] = [pairwise_case(*case) for case in PAIRWISE_CASES]
    check = (round(out["coral"][0]["loss"], 5), round(out["ordinal"][0]["loss"], 5))
    if check != (0.69204, 0.17301):
        raise SystemExit(f"the published check value is missed: {check}")
    groups = [f'"{name}": [\n' + ",\n".join(map(json.dumps, cases)) + "\n]" for name, cases in out.items()]
    (HERE / "objectives.json").write_text("{\n" + ",\n".join(groups) + "\n}\n")
