"""Lists of class names: "cats, dogs and birds", 猫、狗和鸟."""

from netgraft.agent.rules.tokens import Token

SEPARATORS = ("comma", "and", "slash", "or", "compare")
PLAIN = ("unk", "quoted", "family", "nomodel")
ARTICLES = ("a", "filler")
ENDS = ("stop", "then", "question")
LONGEST_NAME = 4
TRIGGERS = ("to", "for", "between", "changeto", "retarget", "predict", "from")


def find(tokens: list[Token], text: str, *, asked: bool = False) -> list[Token]:
    """The tokens with each list of class names made one CLASS_NAMES item.

    With `asked`, class names were asked for, so the text may begin with a list.
    """
    position = 0
    while position < len(tokens):
        start, explicit = _list_start(tokens, position)
        if asked and position == 0 and start is None:
            start = 0
        if start is not None:
            end, names = _read(tokens, start, text, explicit)
            if len(names) >= 2:
                made = Token(
                    (("CLASS_NAMES", ""),),
                    text[tokens[start].start : tokens[end - 1].end],
                    tokens[start].start,
                    tokens[end - 1].end,
                    tuple(names),
                )
                tokens = [*tokens[:start], made, *tokens[end:]]
                position = start
        position += 1
    return tokens


def _list_start(tokens: list[Token], at: int) -> tuple[int | None, bool]:
    """The index after the token at `at` where a list may start, and whether it was announced."""
    token = tokens[at]
    if token.has("classnames", "classes"):
        after = at + 1
        while after < len(tokens) and tokens[after].has("is", "classnames", "of"):
            after += 1
        announced = token.has("classnames") or after > at + 1
        return (after, announced) if after < len(tokens) else (None, False)
    if token.has(*TRIGGERS):
        after = at + 1
        while after < len(tokens) and tokens[after].has(
            "predict", "retarget", "between", "to", "for"
        ):
            after += 1
        return (after, False) if after < len(tokens) else (None, False)
    return None, False


def _read(tokens: list[Token], start: int, text: str, explicit: bool) -> tuple[int, list[str]]:
    """The names from `start` on, and where the list ends."""
    names: list[str] = []
    end = position = start
    while position < len(tokens):
        stop = _element(tokens, position, explicit)
        name = _name(tokens[position:stop], text)
        if not name:
            break
        names.append(name)
        end = position = stop
        while position < len(tokens) and tokens[position].has(*SEPARATORS):
            position += 1
        if position == end:
            break
    return end, names


def _element(tokens: list[Token], start: int, explicit: bool) -> int:
    position = start
    while position < len(tokens) and position - start < LONGEST_NAME:
        token = tokens[position]
        if token.tag in PLAIN or (
            token.has(*ARTICLES) and token.tag in ARTICLES and position == start
        ):
            position += 1
            continue
        if explicit and position == start and _between(tokens, position):
            return position + 1
        break
    return position


def _between(tokens: list[Token], at: int) -> bool:
    """True if an ordinary word stands alone between two separators, as a name does."""
    if tokens[at].has(*ENDS, *SEPARATORS, "num"):
        return False
    follows = at + 1 == len(tokens) or tokens[at + 1].has(*SEPARATORS, *ENDS)
    return follows and tokens[at - 1].has(*SEPARATORS, "is", "classnames")


def _name(tokens: list[Token], text: str) -> str:
    kept = [t for t in tokens if not (t.has("a", "filler") and t is tokens[0] and len(tokens) > 1)]
    if not kept or (len(kept) == 1 and kept[0].tag in ARTICLES):
        return ""
    if len(kept) == 1 and kept[0].tag == "quoted":
        return str(kept[0].value)
    return text[kept[0].start : kept[-1].end]
