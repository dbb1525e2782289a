"""Writes metrics.json: inputs with many and few ties, and what scikit-learn and SciPy make of them.

Run from anywhere: `python tests/golden/metrics.py` (needs numpy, scipy and scikit-learn).
"""

import json
import math
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    mean_absolute_error,
    mean_squared_error,
    roc_auc_score,
)


def finite(value):
    """JSON has no NaN: what is undefined becomes null."""
    return None if math.isnan(value) else float(value)


def case(name, levels, probabilities, labels, other):
    scores = 1 + probabilities.sum(axis=1)
    rounded = np.clip(np.floor(scores + 0.5), 1, levels).astype(int)
    positives = labels > max(levels - 2, 1)
    targets = labels[:, None] > np.arange(1, levels)
    counts = np.bincount(labels, minlength=levels + 1)
    majority = np.full_like(labels, counts.argmax())
    expected = {
        "roc_auc": roc_auc_score(positives, scores) if 0 < positives.sum() < len(labels) else math.nan,
        "spearman": spearmanr(scores, labels).statistic,
        "spearman_other": spearmanr(scores, other).statistic,
        "kendall_tau_b": kendalltau(scores, labels).statistic,
        "kendall_tau_b_other": kendalltau(scores, other).statistic,
        "quadratic_weighted_kappa": cohen_kappa_score(
            rounded, labels, labels=range(1, levels + 1), weights="quadratic"
        ),
        "accuracy": accuracy_score(labels, rounded),
        "mae": mean_absolute_error(labels, scores),
        "rmse": math.sqrt(mean_squared_error(labels, scores)),
        "ordinal_bin_acc": accuracy_score(targets.ravel(), (probabilities > 0.5).ravel()),
        "pairwise_accuracy": (scores > other).mean(),
        "majority_accuracy": accuracy_score(labels, majority),
        "majority_mae": mean_absolute_error(labels, majority),
        "majority_rmse": math.sqrt(mean_squared_error(labels, majority)),
        "majority_ordinal_bin_acc": accuracy_score(
            targets.ravel(), (majority[:, None] > np.arange(1, levels)).ravel()
        ),
    }
    return {
        "name": name,
        "levels": levels,
        "scores": scores.tolist(),
        "other": other.tolist(),
        "probabilities": probabilities.tolist(),
        "labels": labels.tolist(),
        "expected": {key: finite(value) for key, value in expected.items()},
    }


def main():
    rng = np.random.default_rng(20240607)
    cases = []
    for n, levels in [(2, 2), (7, 4), (40, 4), (60, 5), (33, 10)]:
        labels = rng.integers(1, levels + 1, n)
        labels[:2] = 1, levels
        drift = (labels[:, None] - np.arange(1, levels) - 0.5) * 0.8
        smooth = 1 / (1 + np.exp(-(drift + rng.normal(size=drift.shape))))
        # Halves are exact in binary, so their sums tie exactly.
        for style, probabilities in [("smooth", smooth), ("ties", np.round(smooth * 2) / 2)]:
            other = np.round(1 + (levels - 1) * rng.random(n), 1 if style == "ties" else 12)
            cases.append(case(f"{style}-{n}x{levels}", levels, probabilities, labels, other))
    constant = np.full((6, 3), 0.25)
    cases.append(case("constant-score", 4, constant, np.array([1, 2, 3, 4, 4, 4]), np.arange(6.0)))
    one_class = np.round(rng.random((6, 3)), 3)
    cases.append(case("one-class", 4, one_class, np.full(6, 4), np.arange(6.0)))
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps({"made_by": "tests/golden/metrics.py", "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
