"""Numbers as people write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netgraft.agent.rules.numbers import han_value, match


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100", 100), ("1,000", 1000), ("a hundred", 100), ("two hundred and fifty", 250),
        ("twenty-five", 25), ("a dozen", 12), ("10k", 10_000), ("10M", 10_000_000),
        ("1.5 million", 1_500_000), ("1e-3", 0.001), ("3e-4", 0.0003), ("3.5e7", 35_000_000),
        ("10^9", 10**9), ("-5", -5), ("80%", 80), ("80 percent", 80), ("224x224", 224),
        ("一百二十", 120), ("一百零五", 105), ("一百五", 150), ("两", 2), ("十二", 12),
        ("二十五", 25), ("两千五", 2500), ("一万二", 12_000), ("三千万", 30_000_000),
        ("1.5亿", 150_000_000), ("3千万", 30_000_000), ("三点五", 3.5), ("百分之八十", 80),
        ("八成", 80),
    ],
)  # fmt: skip
def test_a_number_is_read_whole(text: str, value: float) -> None:
    found = match(text, 0)
    assert found is not None
    assert found.value == value
    assert found.end == len(text)


@pytest.mark.parametrize("text", ["half", "a class", "and", "类", "x10", "万"])
def test_what_is_no_number_is_left_alone(text: str) -> None:
    assert match(text, 0) is None


def in_han(number: int) -> str:
    """A whole number below 10^8 in the usual Chinese spelling."""
    digits = "零一二三四五六七八九"
    if number >= 10_000:
        high, low = divmod(number, 10_000)
        return in_han(high) + "万" + (("零" if low < 1000 else "") + in_han(low) if low else "")
    for size, unit in ((1000, "千"), (100, "百"), (10, "十")):
        if number >= size:
            lead, rest = divmod(number, size)
            gap = "零" if rest and rest < size // 10 else ""
            return digits[lead] + unit + (gap + in_han(rest) if rest else "")
    return digits[number]


@settings(deadline=None)  # a busy machine is no slow code
@given(st.integers(1, 10**8 - 1))
def test_every_chinese_numeral_is_read_back(number: int) -> None:
    assert han_value(in_han(number)) == number
