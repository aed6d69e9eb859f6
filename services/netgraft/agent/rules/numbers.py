"""Numbers as people write them: digits, words, units, Chinese numerals."""

import re
from dataclasses import dataclass

Number = int | float
LARGEST = 2**63 - 1
"""Larger numbers are read as this one, which no field of a plan holds."""

_SCALES = {
    "k": 10**3, "m": 10**6, "mn": 10**6, "b": 10**9, "bn": 10**9,
    "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9,
    "百": 100, "千": 10**3, "万": 10**4, "百万": 10**6, "千万": 10**7, "亿": 10**8,
}  # fmt: skip

_DIGITS = re.compile(
    r"(?P<sign>[-+])?(?P<body>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?P<exponent>[eE][-+]?\d+)?"
    r"(?:\s*(?P<scale>百万|千万|百|千|万|亿|(?:mn|bn|[kKmMbB]|hundred|thousand|million|billion)"
    r"(?![A-Za-z0-9]))(?:s\b)?)?"
    r"(?P<percent>\s*(?:%|percent\b|per cent\b))?",
)
_POWER = re.compile(r"(\d{1,4})(?:\^|\*\*)(\d{1,2})(?!\w)")
_DIMENSIONS = re.compile(r"(\d{2,4})\s*[xX*]\s*(\d{2,4})(?!\w)")

_UNITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13,
    "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18,
    "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_MULTIPLES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "dozen": 12}
_WORD = re.compile(r"[A-Za-z]+")

_HAN_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {
    "〇": 0, "两": 2, "俩": 2, "壹": 1, "贰": 2, "叁": 3,
}  # fmt: skip
_HAN_UNITS = {"十": 10, "百": 100, "千": 1000}
_HAN_RUN = re.compile(
    r"[零〇一二两俩三四五六七八九十百千万亿壹贰叁]+(?:点[零〇一二三四五六七八九]+)?"
)
_PERCENT_OF = re.compile(r"百分之\s*")


@dataclass(frozen=True, slots=True)
class Match:
    """A number found in a text: its value, where it ends, and what was written with it."""

    value: Number
    end: int
    percent: bool = False
    scaled: bool = False
    """Whether a scale such as M or 万 was written: parameters are, epochs seldom."""
    sides: bool = False
    """Whether it was written as 224x224."""


def match(text: str, start: int) -> Match | None:
    """The longest number that begins at `start`, or None."""
    if of := _PERCENT_OF.match(text, start):
        inner = match(text, of.end())
        return Match(inner.value, inner.end, percent=True) if inner else None
    if dims := _DIMENSIONS.match(text, start):
        square = dims[1] == dims[2]
        return Match(int(dims[1]), dims.end(), sides=True) if square else None
    return _digits(text, start) or _han(text, start) or _words(text, start)


def _digits(text: str, start: int) -> Match | None:
    if power := _POWER.match(text, start):
        return Match(min(int(power[1]) ** min(int(power[2]), 20), LARGEST), power.end())
    found = _DIGITS.match(text, start)
    if not found:
        return None
    if found["sign"] and start and re.match(r"[A-Za-z0-9_\-)]", text[start - 1]):
        return None
    value = _plain(
        f"{found['sign'] or ''}{found['body'].replace(',', '')}{found['exponent'] or ''}"
    )
    if found["scale"]:
        scaled = value * _SCALES[found["scale"].lower()]
        value = round(scaled) if abs(scaled - round(scaled)) < 1e-6 else scaled
    percent = bool(found["percent"])
    return Match(value, found.end(), percent, scaled=bool(found["scale"]))


def _plain(text: str) -> Number:
    if re.fullmatch(r"[-+]?\d+", text):
        return max(min(int(text[:40]), LARGEST), -LARGEST)
    value = float(text)
    # 1e3 classes is a whole number that somebody wrote in another way
    whole = "e" in text.lower() and value.is_integer() and abs(value) < 1e18
    return int(value) if whole else value


def _han(text: str, start: int) -> Match | None:
    found = _HAN_RUN.match(text, start)
    if not found:
        return None
    value = han_value(found[0])
    if value is None:
        return None
    end = found.end()
    if text.startswith("成", end) and len(found[0]) == 1 and value < 10:
        return Match(value * 10, end + 1, percent=True)
    return Match(value, end, scaled=any(c in found[0] for c in "万亿"))


def han_value(text: str) -> Number | None:
    """The value of a Chinese numeral such as 一百二十, 两千五, 三点五; None for any other text."""
    whole, point, fraction = text.partition("点")
    if point:
        left = han_value(whole)
        digits = "".join(str(_HAN_DIGITS[c]) for c in fraction)
        return None if left is None else float(f"{left}.{digits}")
    if all(c in _HAN_DIGITS for c in whole):
        return int("".join(str(_HAN_DIGITS[c]) for c in whole)) if whole else None
    for sign, scale in (("亿", 10**8), ("万", 10**4)):
        if sign in whole:
            high, _, low = whole.rpartition(sign)
            left = han_value(high)
            right = _tail(low, scale)
            return None if left is None or right is None else left * scale + right
    return _below_ten_thousand(whole)


def _tail(low: str, scale: int) -> Number | None:
    if not low:
        return 0
    if len(low) == 1 and low in _HAN_DIGITS:  # 一万二 is 12,000
        return _HAN_DIGITS[low] * scale // 10
    return han_value(low.lstrip("零〇"))


def _below_ten_thousand(text: str) -> int | None:
    total, digit, last = 0, None, 10
    for character in text:
        if character in _HAN_UNITS:
            unit = _HAN_UNITS[character]
            total += (1 if digit is None else digit) * unit
            digit, last = None, unit
        elif _HAN_DIGITS[character] == 0:
            last = 10
        elif digit is not None:
            return None
        else:
            digit = _HAN_DIGITS[character]
    # 一百五 is 150, 一百零五 is 105
    return total + (digit or 0) * (last // 10 if last > 10 else 1)


def _words(text: str, start: int) -> Match | None:
    """English number words: "a hundred", "two hundred and fifty", "twenty-five"."""
    total, current, end, seen, scaled = 0, 0, start, False, False
    position = start
    while word := _WORD.match(text, position):
        low = word[0].lower()
        if low in _UNITS and not (seen and current % 10 and _UNITS[low] < 10):
            current += _UNITS[low]
        elif low in _MULTIPLES and (seen or low != "dozen"):
            multiple = _MULTIPLES[low]
            current = max(current, 1) * multiple
            scaled = scaled or multiple >= 10**6
            if multiple >= 1000:
                total, current = total + current, 0
        elif low in ("a", "an") and not seen and _multiple_next(text, word.end()):
            position = word.end() + _gap(text, word.end())
            current = 1
            seen = True
            continue
        elif low == "and" and seen and _unit_next(text, word.end(), current):
            position = word.end() + _gap(text, word.end())
            continue
        else:
            break
        seen, end = True, word.end()
        position = end + _gap(text, end)
    if end == start:
        return None
    percent = re.compile(r"\s*(?:%|percent\b|per cent\b)").match(text, end)
    end = percent.end() if percent else end
    return Match(total + current, end, percent=bool(percent), scaled=scaled)


def _gap(text: str, position: int) -> int:
    return 1 if text[position : position + 1] in ("-", " ") else 0


def _multiple_next(text: str, position: int) -> bool:
    word = _WORD.match(text, position + 1)
    return word is not None and word[0].lower() in _MULTIPLES


def _unit_next(text: str, position: int, current: int) -> bool:
    word = _WORD.match(text, position + 1)
    known = word is not None and word[0].lower() in _UNITS
    return known and (current == 0 or current >= 100)
