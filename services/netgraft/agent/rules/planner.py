"""The planner: one sentence in its conversation becomes one Reply."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from netgraft.agent.rules import classlists, followups, messages
from netgraft.agent.rules.assemble import Assembler
from netgraft.agent.rules.clause import BREAKS, SPECIFIC
from netgraft.agent.rules.clauses import clauses
from netgraft.agent.rules.followups import Draft
from netgraft.agent.rules.grammar import itemise
from netgraft.agent.rules.keeping import reworded
from netgraft.agent.rules.names import ModelNames, catalogue_names
from netgraft.agent.rules.reply import Ask, Reply, Steps
from netgraft.agent.rules.text import MAX_CHARACTERS, foreign, language_of, normalise
from netgraft.agent.rules.tokens import Token, tokenise

_SMALL_TALK = ("hello", "thanks", "yes", "nevermind", "what_can", "correct")
_DANGER = (
    "/etc/", ".ssh", "id_rsa", "passwd", "/root/", ".aws", ".env", "$(", "`;", "rm -", "; rm",
    "drop table", "os.system", "subprocess", "<script", "__import__", "ignore previous",
    "ignore all", "system prompt",
)  # fmt: skip


@dataclass(frozen=True)
class Context:
    """What a conversation has come to: the last plan, and the question that is open."""

    steps: Steps = ()
    """Steps of the last plan, taken as accepted and run."""
    draft: Draft | None = None
    """What was asked about last, when the last reply was a question."""
    language: str = "en"


class Planner:
    """Rules over a catalogue's names. Pure: the same text and context give the same reply."""

    def __init__(self, names: ModelNames) -> None:
        self.names = names

    def plan(self, text: str, context: Context | None = None) -> Reply:
        """What a text becomes in its context."""
        return self.turn(text, context or Context())[0]

    def turn(self, text: str, context: Context) -> tuple[Reply, Context]:
        """The reply, and the context of what is said next."""
        plain = normalise(text)
        language = language_of(plain) if any(c.isalpha() for c in plain) else context.language
        try:
            reply = self._reply(plain, language, context)
        except _Open as opened:
            question = _question(opened.ask, language)
            return question, replace(context, draft=opened.draft, language=language)
        steps = reply.steps if reply.kind == "plan" else context.steps
        return reply, Context(steps, None, language)

    def _reply(self, plain: str, language: str, context: Context) -> Reply:
        if not any(c.isalnum() for c in plain):
            raise _Open(Ask("empty"), None)
        if len(plain) > MAX_CHARACTERS:
            raise _Open(Ask("long"), None)
        if foreign(plain):
            return Reply("answer", text=messages.to_foreigners(language))
        asked = context.draft is not None and context.draft.slot == "classes"
        plain = reworded(plain, self.names)
        tokens = classlists.find(tokenise(plain, self.names), plain, asked=asked)
        if refusal := _refusal(plain, tokens):
            return Reply("refuse", reason=messages.said(messages.REFUSALS[refusal], language))
        items = itemise(tokens)
        if answer := _answer(tokens, items, context):
            return Reply("answer", text=messages.said(messages.ANSWERS[answer], language))
        return self._plan(items, language, context)

    def _plan(self, items: list[Token], language: str, context: Context) -> Reply:
        if context.draft and (completed := followups.complete(items, context.draft)):
            return self._assemble(completed, language, replace(context, draft=None))
        if steps := followups.edited(items, context.steps):
            return Reply("plan", steps, _assumptions(steps, language))
        return self._assemble(items, language, context)

    def _assemble(self, items: list[Token], language: str, context: Context) -> Reply:
        assembler = Assembler(self.names)
        assembler.mentioned = followups.models_of(context.steps)
        assembler.root_before(assembler.mentioned)
        try:
            steps = assembler.build(clauses(items))
        except Ask as ask:
            raise _Open(ask, Draft.of(items, ask)) from None
        if not steps:
            return Reply("answer", text=messages.said(messages.ANSWERS["nevermind"], language))
        named = (messages.said(messages.FILE_NAMED, language, name=n) for n in assembler.file_names)
        return Reply("plan", steps, (*_assumptions(steps, language), *named))


class _Open(Exception):
    """A question, and the draft that an answer to it would complete."""

    def __init__(self, ask: Ask, draft: Draft | None) -> None:
        super().__init__(ask.about)
        self.ask, self.draft = ask, draft


def _question(ask: Ask, language: str) -> Reply:
    question = messages.said(messages.QUESTIONS[ask.about], language, **ask.values)
    return Reply("clarify", question=question, options=ask.options)


def _assumptions(steps: Steps, language: str) -> tuple[str, ...]:
    tuned = any("finetune" in step for step in steps)
    return (messages.said(messages.DEFAULTS, language),) if tuned else ()


def _refusal(plain: str, tokens: Sequence[Token]) -> str:
    """Which refusal a sentence earns; quoted text, names and paths say nothing here."""
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


def _answer(tokens: Sequence[Token], items: Sequence[Token], context: Context) -> str:
    """Which answer a sentence without a request gets."""
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
def default_planner() -> Planner:
    """The planner over the model zoo."""
    return Planner(catalogue_names())
