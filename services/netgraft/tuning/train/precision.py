"""The number format that trains faster here, by a fixed rule.

bf16 pays where the hardware multiplies it: CPUs with AMX (5 × fp32 measured on resnet50)
and GPUs from Ampere on. A CPU without it emulates bf16, 10 to 70 times slower than fp32
(measured on an AVX2 EPYC), and fp32 in channels_last is no faster than NCHW there. A rule,
not a measured pilot: the same seed must give the same numbers, and a pilot on a busy
machine decides differently from one day to the next.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Choice:
    """A number format and why it was chosen."""

    precision: str
    because: str


def fastest(device: str) -> Choice:
    """The rule's choice for "cpu" or "gpu", judged by the machine it is called on."""
    if device == "gpu":
        if not torch.cuda.is_available() or torch.cuda.is_bf16_supported(including_emulation=False):
            return Choice("bf16", "GPUs since Ampere compute it fastest")
        return Choice("fp16", "this GPU has no bf16")
    if _has_amx():
        return Choice("bf16", "this CPU computes it fastest (AMX)")
    return Choice("fp32", "this CPU has no AMX, without which bf16 is slower")


def channels_last_pays(precision: str) -> bool:
    """True if convolutions run faster in channels_last memory."""
    return precision != "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a forward pass runs."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision != "fp32")


def _has_amx() -> bool:
    # Private in torch since 2.4; if it is missing, AMX is not detected, so bf16 is not used.
    asked = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(asked and asked())
