"""The number formats in which a network can run here.

bf16 pays where the hardware multiplies it: GPUs from Ampere on, CPUs with AMX (5 × fp32 measured
on resnet50) or AVX512_BF16 (2.9 × on mobilenet_v2 at 224 pixels, but slower than fp32 at 64). A
CPU without either emulates it, 10 to 70 times slower than fp32 (measured on an AVX2 EPYC). So the
hardware says what is worth measuring, and a pilot at the run's own side and batch decides. What a
pilot chose is kept with the run: the same numbers must come out on a busy day.
"""

import torch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def worth_measuring(device: torch.device) -> tuple[str, ...]:
    """The formats that may be faster than fp32 on a device."""
    if device.type == "cuda":
        return ("bf16",) if torch.cuda.is_bf16_supported(including_emulation=False) else ("fp16",)
    return ("bf16",) if _bf16_units() else ()


def dtype(precision: str) -> torch.dtype:
    """The type of the numbers of "fp32", "bf16" or "fp16"."""
    return DTYPES[precision]


def is_channels_last(layout: str, precision: str) -> bool:
    """True for channels_last memory; of "", where convolutions usually run faster in it."""
    return layout == "channels_last" if layout else precision != "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a forward pass runs."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision != "fp32")


def _bf16_units() -> bool:
    """True if this CPU multiplies bf16."""
    # Private in torch since 2.4; where one is missing, its units are not detected.
    asked = (
        getattr(torch.cpu, name, None)
        for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )
    return any(each and each() for each in asked)
