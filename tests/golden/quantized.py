"""Writes quantized.json: random blocks of every quantised kind and their values by the `gguf` Python package."""

import json
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

rng = np.random.default_rng(7)
# Where the f16 scales and offsets of a block lie: random bytes there could be infinite or not a number.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
          "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": []}
# Exponents of MXFP4: subnormal scales, ordinary ones, and those that overflow with the larger numbers.
EXPONENTS = [0, 1, 2, 120, 127, 128, 253, 254, 255]

golden = {}
for name, offsets in HALVES.items():
    kind = GGMLQuantizationType[name]
    values, size = GGML_QUANT_SIZES[kind]
    count = len(EXPONENTS) if name == "MXFP4" else max(1, 64 // values)
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    if name == "MXFP4":
        blocks[:, 0] = EXPONENTS
    for offset in offsets:
        blocks[:, offset : offset + 2] = rng.normal(size=(len(blocks), 1)).astype(np.float16).view(np.uint8)
    values = quants.dequantize(blocks, kind).astype("<f4")
    golden[name] = {"blocks": blocks.tobytes().hex(), "values": values.tobytes().hex()}

values = rng.normal(size=(3, 32)).astype("<f4")
values[1] = 0
blocks = quants.quantize(values, GGMLQuantizationType.Q8_0)
golden["quantize Q8_0"] = {"values": values.tobytes().hex(), "blocks": blocks.tobytes().hex()}

# The root mean square of what the package's own rounding leaves, over that of the values.
place = np.arange(2048)
values = ((place * 7919 % 2003 - 1001).astype("<f4") / np.float32(1001)) ** 3
errors = {}
for name in ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]:
    kind = GGMLQuantizationType[name]
    left = values - quants.dequantize(quants.quantize(values.reshape(-1, 32), kind), kind).ravel()
    errors[name] = round(float(np.sqrt((left**2).sum() / (values**2).sum())), 6)
golden["errors"] = errors
Path(__file__).with_suffix(".json").write_text(json.dumps(golden, indent=1) + "\n")
