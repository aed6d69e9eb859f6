"""The typed text without its invisible characters, and the language to answer in."""

import re
import unicodedata

MAX_CHARACTERS = 4000
"""Longer texts are not requests; the planner asks for fewer words."""

_TRANSLATE = str.maketrans(
    {
        "。": ". ", "、": "、", "｡": ". ", "…": " ", "—": "-", "–": "-", "−": "-", "‑": "-",
        "×": "x", "“": '"', "”": '"', "「": '"', "」": '"', "『": '"', "』": '"', "《": '"',
        "》": '"', "‘": "'", "’": "'", "→": " to ",
    }
)  # fmt: skip

_WITHOUT = re.compile(r"(?<!\S)w/o(?:\s+|$)", re.IGNORECASE)
_WITH = re.compile(r"(?<!\S)w/(?=\s|\w)\s*", re.IGNORECASE)

HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAN = re.compile(f"[{HAN}]")
_OTHER_SCRIPT = re.compile(
    r"[\u0370-\u03ff\u0400-\u052f\u0590-\u05ff\u0600-\u06ff\u0900-\u0dff\u0e00-\u0e7f"
    r"\u3040-\u30ff\uac00-\ud7af]"
)
_FOREIGN = frozenset(
    [
        "le",
        "la",
        "les",
        "des",
        "une",
        "est",
        "avec",
        "pour",
        "dans",
        "sur",
        "montre",
        "montrez",
        "moi",
        "merci",
        "bonjour",
        "et",
        "der",
        "die",
        "das",
        "und",
        "ist",
        "mit",
        "für",
        "auf",
        "bitte",
        "zeig",
        "zeige",
        "mir",
        "ein",
        "eine",
        "nicht",
        "el",
        "los",
        "las",
        "por",
        "favor",
        "con",
        "para",
        "una",
        "muestra",
        "muestrame",
        "entrena",
        "modelo",
        "gracias",
        "hola",
        "o",
        "os",
        "um",
        "uma",
        "não",
        "mostre",
        "il",
        "lo",
        "gli",
        "di",
        "che",
        "per",
        "mostra",
        "treine",
        "trainieren",
        "entraîner",
    ]
)


def normalise(text: str) -> str:
    """NFKC, plain punctuation, no control or invisible characters; case is kept."""
    plain = unicodedata.normalize("NFKC", text[: MAX_CHARACTERS + 1]).translate(_TRANSLATE)
    plain = "".join(_visible(character) for character in plain)
    return _WITH.sub("with ", _WITHOUT.sub("without ", plain)).strip()


def _visible(character: str) -> str:
    if character == "\n":
        return character
    category = unicodedata.category(character)
    if category == "Cf":  # RTL overrides, zero-width characters
        return ""
    return " " if category[0] in "CZ" else character


def has_han(text: str) -> bool:
    """True if a text contains a Chinese character."""
    return _HAN.search(text) is not None


def language_of(text: str) -> str:
    """ "zh" if the sentence is mainly Chinese, else "en". Quoted text does not count."""
    bare = re.sub(r'"[^"]*"', "", text)
    han = len(_HAN.findall(bare))
    words = len([word for word in re.findall(r"[A-Za-z]{2,}", bare) if word.lower() in _COMMON])
    return "zh" if han and han >= 2 * words else "en"


_COMMON = frozenset(
    [
        "show",
        "me",
        "the",
        "to",
        "on",
        "and",
        "then",
        "with",
        "for",
        "it",
        "as",
        "by",
        "compare",
        "freeze",
        "retarget",
        "train",
        "tune",
        "fine",
        "export",
        "list",
        "classes",
        "class",
        "epochs",
        "please",
        "can",
        "you",
        "what",
        "how",
        "many",
        "is",
        "of",
        "models",
        "named",
        "no",
        "not",
    ]
)


def foreign(text: str) -> bool:
    """True if a text appears to be in a language other than English and Chinese."""
    if len(_OTHER_SCRIPT.findall(text)) > 2:
        return True
    words = re.findall(r"[^\W\d_]+", text.lower())
    return len(words) >= 3 and sum(word in _FOREIGN for word in words) * 3 >= len(words)
