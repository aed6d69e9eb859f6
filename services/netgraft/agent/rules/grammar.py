"""Tokens → items: a few neighbouring words become a slot.

Slots have upper-case tags named after the fields of `agent.proto` (EPOCHS, LR, DATA…). Verbs,
nouns and connectives stay as they are for `clauses`.
"""

from typing import Any

from netgraft.agent.rules.numbers import Match
from netgraft.agent.rules.pattern import Make, Rule, rewrite
from netgraft.agent.rules.tokens import Token, mended

IS = "is|to|of|changeto|change|use|with|has|at|has|lt|gt|from"


def item(tag: str, tokens: list[Token], value: Any = None) -> Token:
    """One item in place of several tokens."""
    text = " ".join(t.text for t in tokens)
    return Token(((tag, ""),), text, tokens[0].start, tokens[-1].end, value, tokens[0].spaced)


def _number(tokens: list[Token]) -> Match | None:
    for token in tokens:
        if isinstance(token.value, Match):
            return token.value
    return None


def _count(tag: str) -> Make:
    """A slot for a whole number; "a" and a missing number are 1."""

    def make(tokens: list[Token]) -> list[Token] | None:
        found = _number(tokens)
        if found and found.percent:
            return None
        return [item(tag, tokens, found.value if found else 1)]

    return make


def _figure(tag: str) -> Make:
    def make(tokens: list[Token]) -> list[Token] | None:
        found = _number(tokens)
        if found is None:
            return None
        value = found.value / 100 if found.percent else found.value
        return [item(tag, tokens, value)]

    return make


def _minutes(tokens: list[Token]) -> list[Token] | None:
    found = _number(tokens)
    if found and found.percent:
        return None
    unit = next(int(t.reading("timeunit")) for t in tokens if t.has("timeunit"))
    return [item("MAX_MINUTES", tokens, float((found.value if found else 1) * unit))]


def _named(tag: str, source: str) -> Make:
    def make(tokens: list[Token]) -> list[Token]:
        return [item(tag, tokens, next(t.reading(source) for t in tokens if t.has(source)))]

    return make


def _devices(device: str) -> Make:
    def make(tokens: list[Token]) -> list[Token]:
        found = _number(tokens)
        count = found.value if found else 1
        return [item("WORKERS", tokens, count), item("DEVICE", tokens[-1:], device)]

    return make


def _constant(tag: str, value: Any) -> Make:
    return lambda tokens: [item(tag, tokens, value)]


def _retag(tag: str, value: str = "") -> Make:
    def make(tokens: list[Token]) -> list[Token]:
        made = item(tag, tokens)
        return [Token(((tag, value),), made.text, made.start, made.end, None, made.spaced)]

    return make


def _keep(*tags: str) -> Make:
    """Only the tokens with one of the tags stay."""
    return lambda tokens: [token for token in tokens if token.has(*tags)]


def _params(tokens: list[Token]) -> list[Token] | None:
    found = _number(tokens)
    said = any(t.has("params") for t in tokens)
    if found is None or found.percent or not (said or found.scaled or found.value >= 10**5):
        return None
    return [item("MAX_PARAMS", tokens, int(found.value))]


def _accuracy(tokens: list[Token]) -> list[Token] | None:
    found = _number(tokens)
    said = any(t.has("accuracy") for t in tokens)
    if found is None or not (said or found.percent) or found.scaled:
        return None
    share = not found.percent and 0 < found.value <= 1
    return [item("MIN_ACCURACY", tokens, found.value * 100 if share else found.value)]


def _unsupported(*needed: str) -> Make:
    def make(tokens: list[Token]) -> list[Token] | None:
        said = any(t.has(*needed) for t in tokens)
        return [item("UNSUPPORTED", tokens)] if said else None

    return make


def _set_loss(tokens: list[Token]) -> list[Token]:
    named = next(t for t in tokens if t.has("lossname"))
    return [tokens[0], item("LOSS", tokens[1:], named.reading("lossname"))]


def _from_source(tokens: list[Token]) -> list[Token] | None:
    name = next(t for t in tokens if t.has("MODEL"))
    source = next(t.reading("source") for t in tokens if t.has("source"))
    return [item("FROM_" + source.upper(), tokens, name.value or name.text)]


def _data(tokens: list[Token]) -> list[Token] | None:
    named = [
        t for t in tokens if t.has("path", "dataname", "quoted", "unk", "image_file", "model_file")
    ]
    return [item("DATA", tokens, _spoken(named))]


def _spoken(tokens: list[Token]) -> str:
    first = tokens[0]
    if first.has("dataname"):
        return first.reading("dataname") or str(first.value)
    if len(tokens) == 1:
        return str(first.value) if first.value is not None else first.text
    return " ".join(t.text for t in tokens)


def _input(tokens: list[Token]) -> list[Token]:
    named = next(t for t in tokens if t.has("image_file"))
    return [item("INPUT", tokens, named.value)]


def _layer(tokens: list[Token]) -> list[Token] | None:
    found = _number(tokens)
    if found is None or found.percent or not isinstance(found.value, int):
        return None
    noun = next(t.text.lower().rstrip("s") for t in tokens if t.has("layer"))
    if noun not in ("layer", "block", "stage"):
        return None
    return [item("MODULE", tokens, f"{noun}{found.value}")]


def _module(tokens: list[Token]) -> list[Token]:
    named = next(t for t in tokens if t.has("module"))
    return [item("MODULE", tokens, named.value)]


def _probe(tokens: list[Token]) -> list[Token]:
    verb = next(t for t in tokens if t.has("train"))
    return [verb, item("STRATEGY", [t for t in tokens if t is not verb], "probe")]


def _only(token: Token, tag: str) -> Token:
    """The token with one of its readings."""
    reading = (tag, token.reading(tag))
    return Token((reading,), token.text, token.start, token.end, token.value, token.spaced)


DATA_WORDS = "path|dataname|quoted|model_file"

SLOTS: tuple[Rule, ...] = (
    Rule("a one|num", lambda tokens: tokens[1:]),
    Rule("binary", _constant("CLASSES", 2)),
    Rule("not trainable", _retag("freeze")),
    Rule("trainable", _retag("unfreeze")),
    # a noun in front of its number
    Rule(f"lr {IS}? {IS}? num", _figure("LR")),
    Rule(f"batch {IS}? {IS}? num batchunit?", _count("BATCH_SIZE")),
    Rule(f"seed {IS}? {IS}? num", _count("SEED")),
    Rule(f"image {IS}? {IS}? num image?", _count("IMAGE_SIZE")),
    Rule(f"inputsize {IS}? {IS}? num image?", _count("IMAGE_SIZE")),
    Rule("epochs is|changeto|to|of|equal change? num", _count("EPOCHS")),
    Rule("classes is|changeto|to|of change? num classes?", _count("CLASSES")),
    Rule("workers is|changeto|to|of num", _count("WORKERS")),
    # ceilings
    Rule("for? lt|for|in num|one|a timeunit ltsuffix?", _minutes),
    Rule("num|one|a timeunit ltsuffix|in?", _minutes),
    Rule("for? lt|for num|one|a money ltsuffix?", _figure("MAX_COST")),
    Rule("num money ltsuffix|in?", _figure("MAX_COST")),
    # search bounds
    Rule("accuracy is|has|of|at|to? lt|ltsuffix num", _unsupported("accuracy")),
    Rule("accuracy is|has|of|at|to|on? gt|gtsuffix of? num gtsuffix?", _accuracy),
    Rule("accuracy is|of|at|to|on|has? num gtsuffix", _accuracy),
    Rule("gt num accuracy", _accuracy),
    Rule("gt num of|on|in? accuracy", _accuracy),
    Rule("num gtsuffix of|in|on? accuracy", _accuracy),
    Rule("num gtsuffix", _accuracy),
    Rule("num accuracy gtsuffix", _accuracy),
    Rule("gt accuracy of? num", _accuracy),
    Rule("lt accuracy of? num", _unsupported("accuracy")),
    Rule("lt num accuracy", _unsupported("accuracy")),
    Rule("params is|has|of|to|at|with? lt num params?", _params),
    Rule("params is|of|has? num ltsuffix", _params),
    Rule("lt num params", _params),
    Rule("lt num of|in? params", _params),
    Rule("lt params of? num", _params),
    Rule("num ltsuffix of|in? params?", _params),
    Rule("num params ltsuffix", _params),
    Rule("params is|has|of? gt num", _unsupported("params")),
    Rule("gt num params", _unsupported("params")),
    Rule("num gtsuffix params", _unsupported("params")),
    Rule("params num gtsuffix", _unsupported("params")),
    Rule("gt num", _accuracy),
    Rule("lt num", _params),
    # a number in front of its noun
    Rule("vague of? classes|epochs|workers|gpu|params|lr|seed|image|cpu|batchunit", _retag("unk")),
    Rule("vague model", _keep("model")),
    Rule("num|one|a epochs", _count("EPOCHS")),
    Rule("num|one|a classes of|in? classes?", _count("CLASSES")),
    Rule("num|one batchunit gpu", _devices("gpu")),
    Rule("num|one|a gpu workers", _devices("gpu")),
    Rule("num|one gpuworkers", _devices("gpu")),
    Rule("num|one|a cpu workers", _devices("cpu")),
    Rule("num|one|a gpu", _devices("gpu")),
    Rule("num|one|a cpu", _devices("cpu")),
    Rule("num|one|a workers", _count("WORKERS")),
    Rule("num batchunit? batch", _count("BATCH_SIZE")),
    Rule("num batchunit is? batch", _count("BATCH_SIZE")),
    Rule("num of|for? lr", _figure("LR")),
    Rule("num image", _count("IMAGE_SIZE")),
    Rule("num seed", _count("SEED")),
    Rule("epochs num", _count("EPOCHS")),
    Rule("classes num", _count("CLASSES")),
    Rule("gpuworkers num", _devices("gpu")),
    Rule("workers num", _count("WORKERS")),
    Rule("gpu num", _devices("gpu")),
    # choices
    Rule(f"optimizer {IS}? {IS}? optimizername", _named("OPTIMIZER", "optimizername")),
    Rule("optimizername optimizer?", _named("OPTIMIZER", "optimizername")),
    Rule("not use? gpu", _constant("DEVICE", "cpu")),
    Rule(f"precision {IS}? {IS}? precisionname", _named("PRECISION", "precisionname")),
    Rule("precisionname precision?", _named("PRECISION", "precisionname")),
    Rule(f"device {IS}? {IS}? gpu", _constant("DEVICE", "gpu")),
    Rule(f"device {IS}? {IS}? cpu", _constant("DEVICE", "cpu")),
    Rule(f"strategy {IS}? {IS}? strategyname", _named("STRATEGY", "strategyname")),
    Rule("only train? all", _constant("STRATEGY", "full")),
    Rule("train only head|headinfo|task only?", _probe),
    Rule("only train head|headinfo|task", _probe),
    Rule("train head|headinfo|task only", _probe),
    Rule("only of? head only?", _constant("STRATEGY", "probe")),
    Rule("head only", _constant("STRATEGY", "probe")),
    Rule("strategyname strategy", _named("STRATEGY", "strategyname")),
    Rule("augmentname", _named("AUGMENT", "augmentname")),
    Rule("balancename", _named("BALANCE", "balancename")),
    Rule("not freeze anything", _retag("UNFREEZE_ALL")),
    Rule("frozen nothing", _retag("UNFREEZE_ALL")),
    Rule(f"setloss {IS}? {IS}? lossname loss?", _set_loss),
    Rule(f"loss {IS}? {IS}? lossname loss?", _named("LOSS", "lossname")),
    Rule("lossname loss?", _named("LOSS", "lossname")),
    Rule(f"format {IS}? {IS}? formatname", _named("FORMAT", "formatname")),
    Rule("formatname format?", _named("FORMAT", "formatname")),
    Rule("gpu", _constant("DEVICE", "gpu")),
    Rule("cpu", _constant("DEVICE", "cpu")),
    Rule("job of|is? jobid", lambda t: [item("JOB", t, t[-1].text)]),
    Rule("jobid", lambda t: [item("JOB", t, t[0].text)]),
    Rule("top num model?", _count("LIMIT")),
    Rule("layer num", _layer),
    Rule("module layer?", _module),
)

REFERENCES: tuple[Rule, ...] = (
    Rule("MODEL from|of|in source", _from_source),
    Rule("source of? MODEL", _from_source),
    Rule("on|with|from|in|for|use|to? samedata", _retag("SAMEDATA")),
    Rule(f"dataset {IS}? {IS}? {DATA_WORDS}|unk", _data),
    Rule(f"on|with|use|from|in|for on|in|from? dataset? {DATA_WORDS} dataset? onend?", _data),
    Rule("on|with|use|from image_file dataset", _data),
    Rule("on unk unk? unk? dataset onend?", _data),
    Rule("use|with|in|from|for unk dataset onend?", _data),
    Rule("unk dataset onend", _data),
    Rule("on unk onend?", _data),
    Rule(f"{DATA_WORDS} dataset? onend?", _data),
    Rule("picture? image_file", _input),
)

VERBS: tuple[Rule, ...] = (
    Rule("state job", lambda tokens: [_only(tokens[0], "state"), tokens[1]]),
    Rule("job is|has|of? state", lambda tokens: [*tokens[:-1], _only(tokens[-1], "state")]),
    Rule("cancel freeze", _retag("unfreeze")),
    Rule("undo of? freeze|unfreeze|retarget|setloss|train|frozen", _keep("undo")),
    Rule("cancel|resume|status of? train", _keep("cancel", "resume", "status")),
    Rule("train status_noun", _keep("status_noun")),
    Rule("status_noun of train", _keep("status_noun")),
    Rule("train job", _keep("job")),
    Rule(
        "run train|evaluate|predict|export|compare",
        _keep("train", "evaluate", "predict", "export", "compare"),
    ),
    Rule(
        "setloss change? is|to|of? LOSS",
        lambda t: [
            Token((("setloss", ""),), t[0].text, t[0].start, t[0].end, None, t[0].spaced),
            t[-1],
        ],
    ),
)


def itemise(tokens: list[Token]) -> list[Token]:
    """Items of a sentence's tokens, words without meaning left out."""
    tokens = _with_files([_with_model_value(token) for token in tokens if _means(token)])
    tokens = rewrite(tokens, REFERENCES)
    tokens = [mended(token) for token in tokens]
    tokens = [token for token in tokens if _means(token)]
    tokens = rewrite(tokens, SLOTS)
    return [t for t in rewrite(tokens, VERBS) if not t.has("a", "please")]


def _with_files(tokens: list[Token]) -> list[Token]:
    """A model's file is a model, but where it is written to, or trained on."""
    comparing = any(token.has("compare") for token in tokens)
    formatted = any(token.has("formatname") for token in tokens)
    elsewhere = ["on", *([] if comparing else ["to"]), *([] if formatted else ["export"])]
    found: list[Token] = []
    for token in tokens:
        other = bool(found) and found[-1].has(*elsewhere)
        found.append(token if other else _file_as_model(token))
    return found


def _file_as_model(token: Token) -> Token:
    if token.tag != "model_file" or "://" in str(token.value):
        return token
    return Token((("MODEL", ""),), token.text, token.start, token.end, token.value, token.spaced)


def _with_model_value(token: Token) -> Token:
    if token.tag == "model" and token.value is not None:
        return Token(
            (("MODEL", ""),), token.text, token.start, token.end, token.value, token.spaced
        )
    return token


def _means(token: Token) -> bool:
    return token.tag not in ("filler", "please", "netgraft") or len(token.readings) > 1
