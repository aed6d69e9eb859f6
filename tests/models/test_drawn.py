"""The draw: the same values to the bit everywhere, any part of them alone, version 1 for ever."""

import hashlib
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

from netgraft.errors import NewerVersion, TooLarge
from netgraft.models import drawn
from netgraft.models.drawn import CHUNK, Draw, DrawnTensor, must_fit, values
from netgraft.models.initialise import draw_tensors

HEAD = DrawnTensor("fc.weight", (100, 2048), "float32", "uniform", 1 / math.sqrt(2048))
DRAW = Draw(
    "0123456789abcdef",
    (
        HEAD,
        DrawnTensor("fc.bias", (100,), "float32", "uniform", 1 / math.sqrt(2048)),
        DrawnTensor("half", (33, 7), "float16", "uniform", 0.3),
        DrawnTensor("brain", (33, 7), "bfloat16", "uniform", 0.3),
        DrawnTensor("double", (33, 7), "float64", "uniform", 0.3),
        DrawnTensor("prior", (9,), "float32", "constant", -4.59511985013459),
        DrawnTensor("count", (), "int64", "constant", 0.0),
        DrawnTensor("words", (6, 4), "float32", "uniform", math.sqrt(3), zero_rows=(2,)),
    ),
)

GOLDEN = {
    "brain": "3a2e6213675d6ab58838a282fc0d6c6a0834e760565e149e1f1a765fc2fc6600",
    "count": "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc",
    "double": "087d094ec5378a747b6e39cd0ad35465c634d812cdb3ca1ca15e92579bcc58b3",
    "fc.bias": "0154420b69f948716eec9edf460027e6bdef423439a55bb8f05cb8f886266104",
    "fc.weight": "51cb5f09c6a1830ebed9b07ff3804e3c2bb8264cf683778ad1be69e5ac45bae6",
    "half": "799679fbe921662b328e7e9b975cfc81db86604fb14175cbade2234983f1016c",
    "prior": "8785120f30fb04c479999146945b916e8efb0ff0ba070712b14e623188f84476",
    "words": "75cc8250f9bc47026d9309ff9db6075cbb9f2cbd5d6cbb0046bf50cc7c6d490e",
}
"""SHA-256 of each tensor's bytes. One that changes is another model under an old id."""

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_drawn import hashes
print(json.dumps(hashes()))
"""


def hashes() -> dict[str, str]:
    """SHA-256 of each tensor of the draw."""
    tensors = draw_tensors(DRAW, DRAW.names)
    return {
        name: hashlib.sha256(value.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
        for name, value in sorted(tensors.items())
    }


def whole(tensor: DrawnTensor, first: int = 0, seed: str = "seed") -> np.ndarray:
    return np.concatenate([*values(Draw(seed, (tensor,)), tensor, first)])


def test_version_1_draws_what_it_always_drew() -> None:
    assert hashes() == GOLDEN


MASK = 2**64 - 1


def philox(key: int, block: int) -> list[int]:
    """A block of Philox4x64-10, written from the paper: four 64-bit words."""
    c0, c1, c2, c3 = block, 0, 0, 0
    k0, k1 = key & MASK, key >> 64
    for _ in range(10):
        one, two = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (two >> 64) ^ c1 ^ k0, two & MASK, (one >> 64) ^ c3 ^ k1, one & MASK
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
    return [c0, c1, c2, c3]


def test_the_values_are_those_of_the_written_formula() -> None:
    key = int.from_bytes(hashlib.sha256(b"seed\0fc.weight").digest()[:16], "little")
    words = [word for block in range(1, 5) for word in philox(key, block)]
    halves = [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]
    integers = [(half >> 8) - (half >> 31 << 24) for half in halves]
    wanted = [np.float32(i) * np.float32(HEAD.value / 2**23) for i in integers]
    assert whole(HEAD)[: len(wanted)].tolist() == [float(value) for value in wanted]


def switchable() -> str:
    """What numpy uses of this machine's processor and can do without."""
    return " ".join(name for name in __cpu_dispatch__ if __cpu_features__.get(name))


@pytest.mark.parametrize(
    "variables",
    [
        {"ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": switchable()},
        {"ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "1"},
    ],
    ids=" ".join,
)
def test_no_kind_of_processor_draws_otherwise(variables: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == GOLDEN


@pytest.mark.parametrize("first", [0, 1, 7, 8, 2047, 2048, 5 * 2048, CHUNK - 1, CHUNK, CHUNK + 3])
def test_any_rows_can_be_drawn_without_the_others(first: int) -> None:
    tensor = replace(HEAD, shape=(1031, 2049))
    assert np.array_equal(whole(tensor, first), whole(tensor)[first:])


def test_values_are_spread_evenly_between_the_bounds() -> None:
    drawn_values = whole(HEAD)
    bound = np.float32(HEAD.value)
    assert np.abs(drawn_values).max() <= bound
    counts, _ = np.histogram(drawn_values, bins=64, range=(-bound, bound))
    expected = len(drawn_values) / 64
    assert float(((counts - expected) ** 2 / expected).sum()) < 120  # χ², 63 degrees: p < 1e-5
    assert abs(float(np.corrcoef(drawn_values[:-1], drawn_values[1:])[0, 1])) < 0.01


def test_another_seed_and_another_name_give_other_values() -> None:
    drawn_values = whole(HEAD)
    assert not np.isclose(drawn_values, whole(HEAD, seed="other")).mean() > 0.01
    assert not np.isclose(drawn_values, whole(replace(HEAD, name="fc2.weight"))).mean() > 0.01


def test_rows_that_are_padding_are_zero_and_the_others_are_as_without_it() -> None:
    tensor = DrawnTensor("words", (2000, 600), "float32", "uniform", 1.0, zero_rows=(0, 1747, 1999))
    rows = whole(tensor).reshape(2000, 600)
    plain = whole(replace(tensor, zero_rows=())).reshape(2000, 600)
    assert not rows[[0, 1747, 1999]].any()
    others = [row for row in range(2000) if row not in tensor.zero_rows]
    assert np.array_equal(rows[others], plain[others])


def test_what_a_newer_version_drew_is_refused() -> None:
    newer = replace(DRAW, version=2)
    with pytest.raises(NewerVersion, match="pip install -U"):
        draw_tensors(newer, newer.names)


def test_more_than_memory_holds_is_refused_before_it_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    must_fit(DRAW.tensors)
    monkeypatch.setattr(drawn, "COPIES", 2**40)
    with pytest.raises(TooLarge):
        draw_tensors(DRAW, ["fc.weight"])


def test_sizes_are_known_without_torch() -> None:
    for tensor, value in zip(DRAW.tensors, draw_tensors(DRAW, DRAW.names).values(), strict=True):
        assert tensor.nbytes == value.numel() * value.element_size()
