"""Writes four_bit.safetensors: matrices in 4 bits as bitsandbytes saves them, and their values as `NAME.values`.

The values are computed here from the description of the format (arXiv 2305.14314), not by bitsandbytes, whose backends round
products differently, and compared with its own within one rounding.
"""

import json
from pathlib import Path

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from safetensors.torch import save_file

torch.manual_seed(3)


def values(tensors, name, state):
    packed = tensors[name].flatten().view(torch.uint8).long()
    numbers = torch.stack([packed >> 4, packed & 15], 1).flatten()
    factors = tensors[f"{name}.absmax"]
    if "nested_blocksize" in state:
        nested = tensors[f"{name}.nested_absmax"].repeat_interleave(state["nested_blocksize"])[: len(factors)]
        factors = tensors[f"{name}.nested_quant_map"][factors.long()] * nested + state["nested_offset"]
    count = torch.Size(state["shape"]).numel()
    factors = factors.repeat_interleave(state["blocksize"])[:count]
    exact = tensors[f"{name}.quant_map"][numbers[:count]] * factors
    return exact.to(getattr(torch, state["dtype"])).view(state["shape"])


tensors = {}
for name, shape, dtype, kind, block, nested, storage in [
    # The usual form: more than one group of 256 factors, and a last block that is not full.
    ("usual", (131, 127), torch.bfloat16, "nf4", 64, True, torch.uint8),
    ("plain", (24, 20), torch.float16, "nf4", 64, False, torch.uint8),
    ("fp4", (16, 40), torch.float32, "fp4", 128, False, torch.uint8),
    ("sharded", (8, 64), torch.bfloat16, "nf4", 64, True, torch.bfloat16),
]:
    original = torch.randn(shape, dtype=dtype)
    packed, state = quantize_4bit(original, blocksize=block, compress_statistics=nested, quant_type=kind, quant_storage=storage)
    tensors[name] = packed
    tensors |= {f"{name}.{key}": value for key, value in state.as_dict(packed=True).items()}
    description = json.loads(bytes(tensors[f"{name}.quant_state.bitsandbytes__{kind}"].tolist()))
    own = values(tensors, name, description)
    theirs = dequantize_4bit(packed, state)
    torch.testing.assert_close(own.float(), theirs.float(), rtol=2**-7, atol=2e-3)
    tensors[f"{name}.values"] = own
save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, Path(__file__).with_suffix(".safetensors"))
