"""Write `preference.json`: losses over pairs of completions with their gradients, in float64.

    pip install torch==2.15.0
    python tests/golden/preference.py

The losses are written as TRL's trainers state them (`DPOTrainer.dpo_loss`, `CPOTrainer.cpo_loss` for simpo,
`ORPOTrainer.odds_ratio_loss`), except that orpo's likelihood term and the sft term are means over the tokens of each pair
rather than of the batch. Every gradient is automatic and checked against central differences. The script stops if a
policy that is its reference does not give the known value.

weights     beta, label_smoothing, gamma, sft_weight
cases       chosen, rejected: summed log-probabilities under the policy, chosen_reference, rejected_reference: under the
            reference, chosen_length, rejected_length: numbers of tokens
<loss>      for each case: loss, and its gradient by `chosen` and by `rejected`, with the sft term
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F

HERE = Path(__file__).parent
WEIGHTS = {"beta": 0.3, "label_smoothing": 0.2, "gamma": 0.5, "sft_weight": 0.6}
BETA, SMOOTHING, GAMMA = WEIGHTS["beta"], WEIGHTS["label_smoothing"], WEIGHTS["gamma"]
# chosen, rejected, chosen_reference, rejected_reference, chosen_length, rejected_length
CASES = [
    (-12.0, -15.5, -13.0, -14.0, 7, 9),
    (-20.0, -8.0, -14.0, -9.5, 11, 4),
    (-4.0, -7.5, -4.0, -7.5, 3, 5),
    (-0.01, -0.5, -0.3, -0.2, 1, 2),
    (-3.0, -90.0, -60.0, -10.0, 20, 30),
    (-300.0, -2.0, -20.0, -250.0, 100, 2),
]


class Pair:
    def __init__(self, chosen, rejected, chosen_reference, rejected_reference, chosen_length, rejected_length):
        self.chosen_logps, self.rejected_logps = chosen, rejected
        self.chosen_logratios = chosen - chosen_reference
        self.rejected_logratios = rejected - rejected_reference
        self.chosen_length, self.rejected_length = chosen_length, rejected_length
        self.delta = self.chosen_logratios - self.rejected_logratios


def sigmoid(p):
    return -F.logsigmoid(BETA * p.delta)


def cdpo(p):
    return -F.logsigmoid(BETA * p.delta) * (1 - SMOOTHING) - F.logsigmoid(-BETA * p.delta) * SMOOTHING


def robust(p):
    clean = -F.logsigmoid(BETA * p.delta) * (1 - SMOOTHING)
    flipped = -F.logsigmoid(-BETA * p.delta) * SMOOTHING
    return (clean - flipped) / (1 - 2 * SMOOTHING)


def hinge(p):
    return torch.relu(1 - BETA * p.delta)


def ipo(p):
    chosen = p.chosen_logratios / p.chosen_length
    rejected = p.rejected_logratios / p.rejected_length
    return (chosen - rejected - 1 / (2 * BETA)) ** 2


def simpo(p):
    logits = p.chosen_logps / p.chosen_length - p.rejected_logps / p.rejected_length
    return -F.logsigmoid(BETA * (logits - GAMMA / BETA))


def orpo(p):
    chosen, rejected = p.chosen_logps / p.chosen_length, p.rejected_logps / p.rejected_length
    log_odds = (chosen - rejected) - (torch.log1p(-torch.exp(chosen)) - torch.log1p(-torch.exp(rejected)))
    return -chosen - BETA * F.logsigmoid(log_odds)


def apo_zero(p):
    losses_chosen = 1 - F.sigmoid(BETA * p.chosen_logratios)
    losses_rejected = F.sigmoid(BETA * p.rejected_logratios)
    return losses_chosen + losses_rejected


def nca_pair(p):
    chosen_rewards, rejected_rewards = p.chosen_logratios * BETA, p.rejected_logratios * BETA
    return (
        -F.logsigmoid(chosen_rewards) - 0.5 * F.logsigmoid(-chosen_rewards) - 0.5 * F.logsigmoid(-rejected_rewards)
    )


LOSSES = [sigmoid, cdpo, robust, hinge, ipo, simpo, orpo, apo_zero, nca_pair]
KNOWN = {sigmoid: math.log(2), hinge: 1.0, ipo: 1 / (4 * BETA**2), apo_zero: 1.0}


def evaluate(loss, case):
    chosen, rejected = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in case[:2])

    def of(chosen, rejected):
        return loss(Pair(chosen, rejected, *case[2:])) - WEIGHTS["sft_weight"] * chosen / case[4]

    if not torch.autograd.gradcheck(of, (chosen, rejected), eps=1e-6, atol=1e-6):
        raise SystemExit(f"{loss.__name__}: gradient check failed")
    value = of(chosen, rejected)
    gradients = torch.autograd.grad(value, (chosen, rejected), allow_unused=True)
    return {"loss": float(value.detach()), "gradient": [float(g) for g in gradients]}


if __name__ == "__main__":
    for loss, known in KNOWN.items():
        at_reference = Pair(*(torch.tensor(x, dtype=torch.float64) for x in (-4.0, -7.5)), -4.0, -7.5, 3, 5)
        if abs(float(loss(at_reference)) - known) > 1e-12:
            raise SystemExit(f"{loss.__name__} misses its known value")
    names = ["chosen", "rejected", "chosen_reference", "rejected_reference", "chosen_length", "rejected_length"]
    lists = {"cases": [dict(zip(names, case)) for case in CASES]}
    lists |= {loss.__name__: [evaluate(loss, case) for case in CASES] for loss in LOSSES}
    groups = [f'"{name}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]" for name, rows in lists.items()]
    groups.insert(0, f'"weights": {json.dumps(WEIGHTS)}')
    (HERE / "preference.json").write_text("{\n" + ",\n".join(groups) + "\n}\n")
