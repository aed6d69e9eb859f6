"""The planner: one sentence in its conversation becomes one Reply."""

from collections.abc import Sequence
from functools import lru_cache

from netgraft.agent.planner import Context, Reply
from netgraft.agent.rules import classlists, draft, followups, forecasts, messages
from netgraft.agent.rules.ask import Ask
from netgraft.agent.rules.assemble import assemble
from netgraft.agent.rules.builder import Builder
from netgraft.agent.rules.clause import BREAKS, SPECIFIC
from netgraft.agent.rules.clauses import clauses
from netgraft.agent.rules.draft import Draft
from netgraft.agent.rules.grammar import itemise
from netgraft.agent.rules.keeping import reworded
from netgraft.agent.rules.names import ModelNames, catalogue_names
from netgraft.agent.rules.numbers import Match
from netgraft.agent.rules.text import MAX_CHARACTERS, foreign, language_of, normalise
from netgraft.agent.rules.tokens import Token, tokenise
from netgraft.agent.rules.weights import without_weights
from netgraft.agent.steps import LARGEST, Finetune, Steps

_SMALL_TALK = ("hello", "thanks", "yes", "nevermind", "what_can", "correct")
_DANGER = (
    "/etc/", ".ssh", "id_rsa", "passwd", "/root/", ".aws", ".env", "$(", "`;", "rm -", "; rm",
    "drop table", "os.system", "subprocess", "<script", "__import__", "ignore previous",
    "ignore all", "system prompt",
)  # fmt: skip


NOTHING_SAID = Context()


class RulePlanner:
    """Rules over a catalogue's names. Pure: the same text and context give the same reply."""

    def __init__(self, names: ModelNames) -> None:
        self.names = names

    def plan(self, text: str, context: Context = NOTHING_SAID) -> tuple[Reply, Context]:
        """The reply, and the context of what is said next."""
        plain = normalise(text)
        language = language_of(plain) if any(c.isalpha() for c in plain) else context.language
        asked = draft.read(context.question)
        try:
            reply = self._reply(plain, language, asked, context.steps)
        except _Open as opened:
            question = opened.draft.json() if opened.draft else None
            reply = _question(opened.ask, language)
            return reply, Context(context.steps, question, language)
        steps = reply.steps if reply.kind == "plan" else context.steps
        return reply, Context(steps, None, language)

    def _reply(self, plain: str, language: str, asked: Draft | None, before: Steps) -> Reply:
        if not any(c.isalnum() for c in plain):
            raise _Open(Ask("empty"), None)
        if len(plain) > MAX_CHARACTERS:
            raise _Open(Ask("long"), None)
        if foreign(plain):
            return Reply("answer", text=messages.to_foreigners(language))
        plain = reworded(asked.chosen(plain) if asked else plain, self.names)
        names_asked = asked is not None and asked.slot == "classes"
        tokens = classlists.find(tokenise(plain, self.names), plain, asked=names_asked)
        if large := next((token for token in tokens if _is_too_large(token)), None):
            raise _Open(Ask("word", {"word": large.text}), None)
        if refusal := _refusal(plain, tokens):
            return Reply("refuse", reason=messages.said(messages.REFUSALS[refusal], language))
        items = itemise(without_weights(tokens, self.names))
        if answer := _answer(tokens, items):
            return Reply("answer", text=messages.said(messages.ANSWERS[answer], language))
        if asked and (completed := asked.complete(items)):
            return self._assemble(completed, language, before)
        follow = forecasts.of_last if forecasts.asked(items) else followups.edited
        if steps := follow(items, before):
            return Reply("plan", steps, _assumptions(steps, language))
        return self._assemble(items, language, before)

    def _assemble(self, items: list[Token], language: str, before: Steps) -> Reply:
        plan = Builder(self.names, followups.models_of(before))
        forecast = forecasts.asked(items)
        try:
            assemble(clauses(forecasts.trained(items) if forecast else items), plan)
        except Ask as ask:
            raise _Open(ask, Draft.of(items, ask)) from None
        if not plan.steps:
            return Reply("answer", text=messages.said(messages.ANSWERS["nevermind"], language))
        named = (messages.said(messages.FILE_NAMED, language, name=n) for n in plan.file_names)
        steps = forecasts.instead(plan.steps) if forecast else tuple(plan.steps)
        return Reply("plan", steps, (*_assumptions(steps, language), *named))


class _Open(Exception):
    """A question, and the draft that an answer to it would complete."""

    def __init__(self, ask: Ask, draft: Draft | None) -> None:
        super().__init__(ask.about)
        self.ask, self.draft = ask, draft


def _question(ask: Ask, language: str) -> Reply:
    question = messages.said(messages.QUESTIONS[ask.about], language, **ask.values)
    return Reply("clarify", question=question, options=ask.options)


def _is_too_large(token: Token) -> bool:
    """True if a token is a number too large for every field of a plan."""
    return isinstance(token.value, Match) and abs(token.value.value) > LARGEST


def _assumptions(steps: Steps, language: str) -> tuple[str, ...]:
    tuned = any(isinstance(step, Finetune) for step in steps)
    return (messages.said(messages.DEFAULTS, language),) if tuned else ()


def _refusal(plain: str, tokens: Sequence[Token]) -> str:
    """The refusal that a sentence gets; quoted text, names and paths do not count here."""
    low = plain.lower()
    if any(sign in low for sign in _DANGER):
        return "outside"
    for number, token in enumerate(tokens):
        if token.tag == "destroy" and not any(
            t.has("lr", "lossname", "batch") for t in tokens[number : number + 4]
        ):
            return "destroy"
        if token.tag == "outside":
            return "outside"
    return ""


def _answer(tokens: Sequence[Token], items: Sequence[Token]) -> str:
    """The answer to a sentence without a request."""
    asked = [t for t in tokens if t.tag.startswith("ask_") or t.tag == "what_can"]
    if any(t.has("howto") for t in items):
        return "howto"
    rest = [t for t in items if not t.has(*_SMALL_TALK, *BREAKS) and not t.tag.startswith("ask_")]
    meaningful = [
        t
        for t in rest
        if not t.has(
            "model",
            "it",
            "in",
            "for",
            "on",
            "to",
            "of",
            "is",
            "all",
            "use",
            "onend",
            "export",
            "and",
        )
    ]
    if asked and not meaningful and not any(t.has(*SPECIFIC) and not t.has("export") for t in rest):
        return asked[0].tag
    if rest:
        return ""
    for kind in ("nevermind", "thanks", "what_can", "yes", "hello"):
        if any(t.has(kind) for t in tokens):
            return kind
    return ""


@lru_cache(maxsize=1)
def default_planner() -> RulePlanner:
    """The planner over the model zoo."""
    return RulePlanner(catalogue_names())
