"""Both word lists as look-up tables, and ordinary typos in ordinary words."""

import re
from functools import lru_cache
from importlib import resources

from rapidfuzz.distance import OSA

from netgraft.agent.rules.text import has_han

Reading = tuple[str, str]
"""A tag and its value, such as ("lossname", "focal"); the value is mostly ""."""

_ATOM = re.compile(r"[A-Za-z0-9]+(?:'[A-Za-z]+)?|'s\b")
_JOINT = re.compile(r"[-_ ]?")
LONGEST_PHRASE = 8
LONGEST_HAN = 14
_NEVER_TYPOS = frozenset(
    [
        "truck",
        "house",
        "mouse",
        "horse",
        "plane",
        "rose",
        "roses",
        "bread",
        "cars",
        "boats",
        "books",
        "shoes",
        "trees",
        "birds",
    ]
)


def _readings(file: str) -> dict[str, tuple[Reading, ...]]:
    table: dict[str, tuple[Reading, ...]] = {}
    source = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    for line in source.splitlines():
        if not line or line.startswith("#"):
            continue
        label, _, forms = line.partition(":")
        tag, _, value = label.strip().partition("=")
        for form in (part.strip() for part in forms.split(" | ")):
            for word in _inflections(form) if form.startswith("~") else (form,):
                known = table.get(word, ())
                if word and tag not in [reading[0] for reading in known]:
                    table[word] = (*known, (tag, value))
    return table


def _inflections(form: str) -> list[str]:
    verb, _, rest = form[1:].strip().partition(" ")
    tail = f" {rest}" if rest else ""
    stem = verb[:-1] if verb.endswith("e") else verb
    past = f"{verb[:-1]}ied" if re.search(r"[^aeiou]y$", verb) else f"{stem}ed"
    third = f"{verb}es" if re.search(r"(?:s|x|z|ch|sh)$", verb) else f"{verb}s"
    if re.search(r"[^aeiou]y$", verb):
        third = f"{verb[:-1]}ies"
    if verb == "fine" and rest:  # fine tune: the second word is inflected
        return [f"fine {word}" for word in _inflections(f"~{rest}")]
    return [f"{verb}{tail}", f"{third}{tail}", f"{past}{tail}", f"{stem}ing{tail}"]


@lru_cache(maxsize=1)
def english() -> dict[str, tuple[Reading, ...]]:
    """English phrases, words separated by one space."""
    table = _readings("english.words")
    for phrase, readings in list(table.items()):
        joined = phrase.replace(" ", "")
        if " " in phrase and len(joined) > 5:
            table.setdefault(joined, readings)
    return table


@lru_cache(maxsize=1)
def chinese() -> dict[str, tuple[Reading, ...]]:
    """Chinese words."""
    return {w: r for w, r in _readings("chinese.words").items() if has_han(w) or w == "、"}


def match_english(text: str, start: int) -> tuple[int, tuple[Reading, ...]] | None:
    """The longest phrase that begins at `start`: its end and its readings."""
    table, best, key, position = english(), None, "", start
    for _ in range(LONGEST_PHRASE):
        atom = _ATOM.match(text, position)
        if not atom:
            break
        word = atom[0].lower()
        bare, _, clitic = word.partition("'")
        if clitic == "s" and f"{key}{word}" not in table:
            if f"{key}{bare}" in table:
                best = (position + len(bare), table[f"{key}{bare}"])
            if not any(phrase.startswith(f"{key}{word} ") for phrase in _contracted()):
                break
        key += word
        if key in table:
            best = (atom.end(), table[key])
        joint = _JOINT.match(text, atom.end())
        if not joint or not joint[0]:
            break
        key += " "
        position = joint.end()
    return best


@lru_cache(maxsize=1)
def _contracted() -> tuple[str, ...]:
    return tuple(phrase for phrase in english() if "'s " in phrase)


def match_chinese(text: str, start: int) -> tuple[int, tuple[Reading, ...]] | None:
    """The longest Chinese word that begins at `start`: its end and its readings."""
    table = chinese()
    for length in range(min(LONGEST_HAN, len(text) - start), 0, -1):
        if readings := table.get(text[start : start + length]):
            return start + length, readings
    return None


@lru_cache(maxsize=1)
def _mendable() -> tuple[str, ...]:
    kept = {"filler", "outside", "destroy", "hello", "thanks", "nevermind", "yes", "source"}
    return tuple(
        word
        for word, readings in english().items()
        if len(word) >= 4 and word.isalpha() and not kept.intersection(r[0] for r in readings)
    )


@lru_cache(maxsize=4096)
def mend(word: str) -> tuple[Reading, ...]:
    """Readings of the ordinary word that a misspelt one means; () when it is not clear which."""
    low = word.lower()
    if len(low) < 4 or not low.isalpha() or low in _NEVER_TYPOS:
        return ()
    limit = 2 if len(low) >= 8 else 1
    near: dict[int, set[tuple[Reading, ...]]] = {}
    for known in _mendable():
        if abs(len(known) - len(low)) <= limit and known[0] == low[0]:
            distance = OSA.distance(low, known, score_cutoff=limit)
            if distance <= limit:
                near.setdefault(distance, set()).add(english()[known])
    best = near[min(near)] if near else set()
    return next(iter(best)) if len(best) == 1 else ()
