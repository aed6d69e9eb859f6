""" "Keep cat and dog, add fox", 保留猫和狗，增加狐狸: said of classes, it is a list of class names.

A retarget keeps the weights of every class whose name the model knows, so which classes stay and
which are new makes no difference.
"""

import re

from netgraft.agent.rules.classlists import ARTICLES, PLAIN, SEPARATORS
from netgraft.agent.rules.names import ModelNames
from netgraft.agent.rules.text import HAN
from netgraft.agent.rules.tokens import tokenise

_ENGLISH = re.compile(
    r"\b(?:keep|retain)(?:ing)?(?: (?:the )?class(?:es)?)? (?P<kept>[^.;!?\n]+?)"
    r"(?P<add>\s*,?\s*(?:(?:and|but|then)\s+)?\badd(?:ing)?(?: (?:an?|the|new|class(?:es)?))* )",
    re.IGNORECASE,
)
_CHINESE = re.compile(
    r"保留(?:类别)?(?P<kept>[^。；！？\n]+?)"
    r"(?P<add>\s*[,，]?\s*[并再]?(?:且|然后)?(?:增加|添加|加上|加入|新增)(?:类别|新类别|一类)?)"
)
_NEXT = re.compile(rf"[\w{HAN}]+")


def reworded(text: str, names: ModelNames) -> str:
    """The text with "keep A, add B" said as "retarget to the classes A, B"."""
    for pattern, change, between in (
        (_ENGLISH, "retarget to the classes ", ", "),
        (_CHINESE, "改成类别", "、"),
    ):
        found = pattern.search(text)
        if found and _lists(found["kept"], names) and _lists(_next(text, found.end()), names):
            kept = found["kept"].strip()
            text = f"{text[: found.start()]}{change}{kept}{between}{text[found.end() :]}"
    return text


def _next(text: str, at: int) -> str:
    found = _NEXT.match(text, at)
    return found[0] if found else ""


def _lists(text: str, names: ModelNames) -> bool:
    """True if a text consists only of names that have no other meaning here."""
    tokens = tokenise(text, names)
    allowed = (*PLAIN, *SEPARATORS, *ARTICLES)
    return any(t.tag in PLAIN for t in tokens) and all(t.tag in allowed for t in tokens)
