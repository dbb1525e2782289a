"""Run a `transformers` decoder wholly in float64.

Llama-family code in `transformers` casts to float32 inside RMSNorm and inside the rotary tables whatever the
type of the weights. `promote` replaces just these two, so that golden values carry no float32 rounding of the
reference. The inverse frequencies stay those that `transformers` computed (float32 values).
"""

import types

import torch


def _rms_norm(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


@torch.no_grad()
def _rotary(self, x, position_ids):
    angles = position_ids[..., None].double() * self.inv_freq.double()
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos() * self.attention_scaling, angles.sin() * self.attention_scaling


def promote(model):
    """Turn `model` (loaded with `attn_implementation="sdpa"`) into float64, in place, and return it."""
    model.double()
    for module in model.modules():
        name = type(module).__name__
        if name.endswith("RMSNorm"):
            module.forward = types.MethodType(_rms_norm, module)
        elif name.endswith("RotaryEmbedding"):
            module.forward = types.MethodType(_rotary, module)
    return model
