"""Text → tokens. Every visible character belongs to one; unknown words are `unk`."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from netgraft.agent.rules import numbers
from netgraft.agent.rules.lexicon import Reading, match_chinese, match_english, mend
from netgraft.agent.rules.names import ModelNames, NameMatch
from netgraft.agent.rules.text import HAN

MODEL_SUFFIXES = (".pth", ".pt", ".pt2", ".safetensors", ".onnx", ".keras", ".h5", ".ckpt")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FILE_SUFFIXES = (
    *MODEL_SUFFIXES, *IMAGE_SUFFIXES, ".svg", ".zip", ".tar", ".gz", ".tgz", ".csv", ".json",
    ".jsonl", ".parquet", ".npz", ".npy", ".txt", ".yaml", ".yml", ".py", ".h5", ".mp4", ".avi",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A stretch of the text with its readings. Items that the grammar makes are tokens too."""

    readings: tuple[Reading, ...]
    text: str
    start: int
    end: int
    value: Any = field(default=None, compare=False)
    spaced: bool = False
    """Whether a space stands in front of it."""

    @property
    def tag(self) -> str:
        return self.readings[0][0]

    def has(self, *tags: str) -> bool:
        """True if one of its readings has one of the tags."""
        return any(tag in tags for tag, _ in self.readings)

    def reading(self, tag: str) -> str:
        """The value of the reading with a tag."""
        return next(value for name, value in self.readings if name == tag)


_PATH = re.compile(
    rf"(?:\.{{1,2}}/|~/|(?<![\w])/(?=[\w.]))"
    rf"(?:[A-Za-z0-9_./~@%+\-]|\\ |(?<=/)[{HAN}]+?(?=[/\s,.]|上|里|中|$))*"
    rf"|[A-Za-z]:\\[\w\\.\-]+",
    re.ASCII,
)
_URL = re.compile(r"[a-z][a-z0-9+]{1,9}://[^\s,\"'<>\u3000-\u9fff]+", re.IGNORECASE)
_RELATIVE = re.compile(
    r"[A-Za-z0-9_][\w.\-]*(?:/[\w.\-]+)+/?|[A-Za-z0-9_][\w\-]*(?:/)(?![\w])", re.ASCII
)
_FILE = re.compile(
    r"[A-Za-z0-9_][\w\-.]*(?:" + "|".join(map(re.escape, FILE_SUFFIXES)) + r")(?![A-Za-z0-9])",
    re.ASCII | re.IGNORECASE,
)
_HEX = re.compile(
    r"(?:[0-9a-f]{64}|(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{8,63})(?![A-Za-z0-9_\-])"
)
_JOB = re.compile(r"(?:tune|job|run)-[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*|\w+-\d{6,}-\w+", re.ASCII)
_HF = re.compile(r"hf/[\w.\-]+/[\w.\-]+", re.ASCII)
_MODULE = re.compile(
    r"(?!e\.g|i\.e)[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+"
    r"|(?:layer|layers|block|blocks|stage|stages|feature|features|conv|bn|denseblock|transition|"
    r"norm|fc|downsample|stem|encoder_layer|mixed|inception|down|up|level|norm)_?\d+[a-z]?"
    r"|fc|avgpool|maxpool|patch_embed|aux_classifier|conv_head|conv_stem|pre_logits|bn|layernorm"
    r"|roi_heads|rpn|fpn|encoder|decoder|features|stem|blocks|stages|embeddings?|conv_proj",
    re.ASCII,
)
_DATA_NAME = re.compile(
    r"fashion[-_ ]?mnist|k?e?mnist|cifar[-_ ]?100?|stl[-_ ]?10|svhn|imagenette|tiny[-_ ]imagenet|"
    r"caltech[-_ ]?\d+|flowers[-_ ]?\d+|food[-_ ]?101|oxford[-_ ]pets?|"
    r"oxford[-_ ]?iiit[-_ ]?pets?|eurosat|celeba|pascal[-_ ]?voc|"
    r"(?:ms[-_ ]?)?coco|cityscapes|usps|gtsrb",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"\"([^\"\n]+)\"|`([^`\n]+)`|(?<![A-Za-z0-9])'([^'\n]+)'(?![A-Za-z0-9])")
_WORD = re.compile(r"[^\W_](?:[^\W]|[-'](?=[^\W]))*")
_LATIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_]*(?:[-'][A-Za-z0-9_]+)*")
_HAN = re.compile(f"[{HAN}]")
_ASCII_LETTERS = re.compile(r"[A-Za-z]{2}")
_PLACE = re.compile(
    r"(?:\b(?:on|in|from|with|using|at|folder|data|dataset|use|under)|[用在拿是为对])\s*$",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"[两三四五六七八九十百千万]+个?(?:类|种|轮|块|张|遍|分类)")
_SINGLES = frozenset("的和、与跟上里中类轮在用把将并再到成为是或了,种")

_MARKS: dict[str, str] = {
    ",": "comma", ";": "stop", "!": "stop", "?": "question", "\n": "stop", ":": "is", "=": "is",
    "/": "slash", "&": "and", "+": "and", "|": "slash", "、": "and",
}  # fmt: skip
_OPERATORS = {
    "->": "to",
    "=>": "to",
    "<=": "lt",
    ">=": "gt",
    "<": "lt",
    ">": "gt",
    "==": "is",
    "≤": "lt",
    "≥": "gt",
}


def tokenise(text: str, names: ModelNames) -> list[Token]:
    """The tokens of a normalised text."""
    return list(_Scanner(text, names).tokens())


class _Scanner:
    def __init__(self, text: str, names: ModelNames) -> None:
        self.text, self.names = text, names

    def tokens(self) -> Iterator[Token]:
        position, spaced = 0, False
        while position < len(self.text):
            if self.text[position] == " ":
                position, spaced = position + 1, True
                continue
            token = self._next(position)
            yield Token(token.readings, token.text, token.start, token.end, token.value, spaced)
            position, spaced = token.end, False

    def _make(self, start: int, end: int, tag: str, value: Any = None, reading: str = "") -> Token:
        return Token(((tag, reading),), self.text[start:end], start, end, value)

    def _next(self, at: int) -> Token:
        steps: tuple[Callable[[int], Token | None], ...] = (
            self._quoted, self._path, self._identifier, self._number,
            self._latin, self._han, self._mark,
        )  # fmt: skip
        for step in steps:
            if token := step(at):
                return token
        return self._make(at, at + 1, "filler")

    def _quoted(self, at: int) -> Token | None:
        found = _QUOTED.match(self.text, at)
        if not found:
            return None
        inner = (found[1] or found[2] or found[3]).strip()
        token = self._classify(inner, at, found.end())
        return token or self._make(at, found.end(), "quoted", inner)

    def _classify(self, inner: str, at: int, end: int) -> Token | None:
        """The reading of quoted text as a whole name or path; never as a command."""
        named = self.names.match(inner, 0)
        if named and named.canonical and named.end == len(inner):
            return self._make(at, end, "model", named.canonical)
        if inner.lower() == "digits":
            return self._make(at, end, "dataname", "digits")
        if inner.lower().endswith(FILE_SUFFIXES) or "/" in inner or "\\" in inner:
            return self._file(inner, at, end)
        return None

    def _file(self, path: str, at: int, end: int) -> Token:
        low = path.lower().partition("?")[0]
        if low.endswith(IMAGE_SUFFIXES):
            return self._make(at, end, "image_file", path)
        return self._make(at, end, "model_file" if low.endswith(MODEL_SUFFIXES) else "path", path)

    def _path(self, at: int) -> Token | None:
        text = self.text
        for pattern in (_URL, _PATH):
            if found := pattern.match(text, at):
                path = found[0].rstrip(".,;:!?")
                if len(path) > 1:
                    return self._file(path.replace("\\ ", " "), at, at + len(path))
        if hf := _HF.match(text, at):
            return self._make(at, hf.end(), "model", hf[0])
        if found := _RELATIVE.match(text, at) or _FILE.match(text, at):
            return self._relative(found[0].rstrip(".,;:!?"), at)
        return None

    def _relative(self, path: str, at: int) -> Token | None:
        named = self.names.match(self.text, at)
        if named and named.end >= at + len(path) and not path.lower().endswith(FILE_SUFFIXES):
            return None
        parts = path.split("/")
        spoken = not path.lower().endswith(FILE_SUFFIXES)
        if spoken and named and named.canonical:
            return None
        if spoken and all(match_whole(p) for p in parts) and not _PLACE.search(self.text[:at]):
            return None  # "and/or", "train/eval": words, not folders
        if spoken and re.fullmatch(r"[\d.]+(/[\d.]+)+", path):
            return None
        return self._file(path, at, at + len(path))

    def _identifier(self, at: int) -> Token | None:
        if at and re.match(r"[A-Za-z0-9_]", self.text[at - 1]):
            return None
        if (found := _HEX.match(self.text, at)) and not re.fullmatch(r"\d+e\d+", found[0]):
            return self._make(at, found.end(), "model", found[0])
        if (found := _JOB.match(self.text, at)) and re.search(r"\d", found[0]):
            return self._make(at, found.end(), "jobid", found[0])
        if (found := _DATA_NAME.match(self.text, at)) and not self._goes_on(found.end()):
            return self._make(at, found.end(), "dataname", found[0])
        return None

    def _goes_on(self, end: int) -> bool:
        return bool(re.match(r"[A-Za-z0-9_]", self.text[end : end + 1]))

    def _number(self, at: int) -> Token | None:
        text = self.text
        inside = at and _ASCII_LETTERS.match(text, at - 1)
        found = None if inside else numbers.match(text, at)
        if not found:
            return None
        if han := match_chinese(text, at):
            if han[0] > found.end:
                return None
        elif text[at].isalpha() and (english := match_english(text, at)) and english[0] > found.end:
            return None
        end = found.end
        if text[at].isdigit() and (after := re.match(r"(?:st|nd|rd|th|d)\b", text[end:])):
            return self._make(at, end + after.end(), "unk")
        readings: tuple[Reading, ...] = (("num", ""),)
        if text[at:end].lower() == "one" or (
            text[at:end] == "一" and text[end : end + 1] in "个张份次种"
        ):
            readings = (("num", ""), ("one", ""))
        return Token(readings, text[at:end], at, end, found)

    def _latin(self, at: int) -> Token | None:
        text = self.text
        if not (text[at].isascii() and (text[at].isalpha() or text[at] == "_" or text[at] == "'")):
            return None
        known = match_english(text, at)
        named = self.names.match(text, at)
        module = _MODULE.match(text, at)
        if module and (self._goes_on(module.end()) or text[module.end() : module.end() + 1] == "-"):
            module = None
        known_end, named_end = known[0] if known else at, named.end if named else at
        word = _LATIN.match(text, at)
        word_end = word.end() if word else at
        if module and module.end() > max(known_end, named_end):
            return self._make(at, module.end(), "module", module[0])
        if named and named_end > known_end:
            return self._name(named, at)
        if known and not (word_end > known_end and text[known_end] not in "-'_"):
            return Token(known[1], text[at:known_end], at, known_end)
        if word_end == at:
            return None
        tag = "module" if module and module.end() == word_end else "unk"
        return self._make(at, word_end, tag, module[0] if tag == "module" and module else None)

    def _name(self, named: NameMatch, at: int) -> Token:
        if named.canonical:
            return self._make(at, named.end, "model", named.canonical)
        return self._make(at, named.end, "family" if named.family else "nomodel", named.options)

    def _han(self, at: int) -> Token | None:
        text = self.text
        if not _HAN.match(text[at]):
            return None
        if known := match_chinese(text, at):
            return Token(known[1], text[at : known[0]], at, known[0])
        end = at + 1
        while end < len(text) and _HAN.match(text[end]) and not self._breaks(end):
            end += 1
        return self._make(at, end, "unk")

    def _breaks(self, at: int) -> bool:
        if _COUNTED.match(self.text, at):
            return True
        known = match_chinese(self.text, at)
        return known is not None and (known[0] - at > 1 or self.text[at] in _SINGLES)

    def _mark(self, at: int) -> Token | None:
        text = self.text
        for operator, tag in _OPERATORS.items():
            if text.startswith(operator, at):
                return self._make(at, at + len(operator), tag)
        if text[at] in _MARKS:
            return self._make(at, at + 1, _MARKS[text[at]])
        if text[at] == "." and (at + 1 == len(text) or text[at + 1] in ' \n."'):
            return self._make(at, at + 1, "stop")
        if word := _WORD.match(text, at):
            return self._make(at, word.end(), "unk")
        return None


def match_whole(word: str) -> bool:
    """True if a word as a whole is in the lexicon."""
    known = match_english(word, 0)
    return known is not None and known[0] == len(word)


def mended(token: Token) -> Token:
    """The token with the readings of the ordinary word that it misspells, if it does."""
    readings = mend(token.text) if token.tag == "unk" else ()
    return (
        Token(readings, token.text, token.start, token.end, token.value, token.spaced)
        if readings
        else token
    )
