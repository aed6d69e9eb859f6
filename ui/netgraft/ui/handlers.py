"""The handlers of the page's events: each acts on the conversation, and shows its new state.

Only what has changed is sent: the browser keeps a digest of each part, so a frame with a
picture is not loaded again, and sections that a person has unfolded stay unfolded.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import gradio as gr
from gradio.components.chatbot import ExampleMessage

from netgraft.language import Translator, mark
from netgraft.ui import panels
from netgraft.ui.chat import messages
from netgraft.ui.conversation import Conversation, Conversations, is_name, new_name
from netgraft.ui.messages import language_of
from netgraft.ui.plan_card import plan_card

LIVE_SECONDS = 1.0
"""Time between two refreshes of the page while something is running."""
CALM_SECONDS = 4.0
"""Time between two refreshes otherwise: another tab may have changed the conversation."""
FRAME_SECONDS = 0.1
"""Least time between two updates while a plan is carried out."""

PARTS = (
    "chat",
    "card",
    "card_text",
    "tabs",
    "picture",
    "state",
    "progress",
    "curve",
    "cancel",
    "downloads",
    "model",
    "timer",
    "seen",
)
"""The parts of the page that handlers write to, in the order in which they return them."""

EXAMPLES = (
    mark("show resnet50, retarget to 100 classes"),
    mark("inspect mobilenet_v2"),
    mark("show mobilenet_v2, retarget to 10 classes, fine-tune on digits for 2 epochs"),
    mark("list classification models under 10M parameters"),
)
"""Examples that a person can choose as the first message."""

Seen = dict[str, str]
"""Part → digest of what the browser shows there."""


class Handlers:
    """The handlers. Each returns, or yields, one value for each of PARTS."""

    def __init__(self, conversations: Conversations) -> None:
        self.conversations = conversations

    async def load(self, name: str, seen: Seen, request: gr.Request) -> list[Any]:
        language = language_of(request)
        conversation = self._conversation(name)
        await conversation.restore(language)
        return show(conversation, {}, language, first=True)

    async def refresh(self, name: str, seen: Seen, request: gr.Request) -> list[Any]:
        language = language_of(request)
        conversation = self._conversation(name)
        await conversation.refresh(language)
        return show(conversation, seen, language)

    async def say(
        self, name: str, seen: Seen, text: str, request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        if not text.strip():
            yield [gr.skip()] * len(PARTS)
            return
        conversation = self._conversation(name)
        conversation.say(text.strip(), language_of(request))
        async for changes in follow(conversation, seen, language_of(request)):
            yield changes

    async def choose(
        self, name: str, seen: Seen, picked: gr.SelectData, request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        value = picked.value
        text = value.get("text", "") if isinstance(value, dict) else str(value)
        conversation = self._conversation(name)
        conversation.say(text, language_of(request))
        async for changes in follow(conversation, seen, language_of(request)):
            yield changes

    async def agree(self, name: str, seen: Seen, request: gr.Request) -> AsyncIterator[list[Any]]:
        conversation = self._conversation(name)
        conversation.agree(language_of(request))
        async for changes in follow(conversation, seen, language_of(request)):
            yield changes

    def decline(self, name: str, seen: Seen, request: gr.Request) -> list[Any]:
        conversation = self._conversation(name)
        conversation.decline()
        return show(conversation, seen, language_of(request))

    async def cancel(self, name: str, seen: Seen, request: gr.Request) -> list[Any]:
        conversation = self._conversation(name)
        await conversation.cancel_job(language_of(request))
        return show(conversation, seen, language_of(request))

    def _conversation(self, name: str) -> Conversation:
        return self.conversations.open(name if is_name(name) else new_name())


async def follow(conversation: Conversation, seen: Seen, language: str) -> AsyncIterator[list[Any]]:
    """Show every change of the conversation, until nothing but training is running in it."""
    while True:
        version, busy = conversation.version, conversation.is_busy
        shown = show(conversation, seen, language)
        seen = shown[-1]
        yield shown
        if not busy:
            return
        await conversation.change(version, timeout=15)
        await asyncio.sleep(FRAME_SECONDS)


def show(
    conversation: Conversation, seen: Seen, language: str, *, first: bool = False
) -> list[Any]:
    """Return a value for each of PARTS; parts that the browser already shows are skipped."""
    contents = describe(conversation, Translator(language))
    known = {} if first else seen
    digests = {part: _digest(content) for part, content in contents.items()}
    updates = {
        part: _update(part, content, Translator(language), first=first)
        for part, content in contents.items()
        if digests[part] != known.get(part)
    }
    tab = _tab_to_open(conversation, known)
    if tab:
        updates["tabs"] = gr.Tabs(selected=tab)
    if updates:
        job = conversation.job_id if _is_live(conversation) else known.get("job", "")
        updates["seen"] = {**digests, "job": job, "page": conversation.picture}
    return [updates.get(part, gr.skip()) for part in PARTS]


def describe(conversation: Conversation, say: Translator) -> dict[str, Any]:
    """Return what each part should show, as plain values."""
    view = conversation.jobs.view(conversation.job_id) if conversation.job_id else None
    pending, live = conversation.pending, _is_live(conversation)
    return {
        "chat": [asdict(message) for message in messages(conversation, say)],
        "card": pending is not None,
        "card_text": plan_card(pending.reply, say) if pending and pending.reply else "",
        "picture": panels.picture(conversation.picture, say),
        "state": panels.job_state(view, say),
        "progress": panels.progress(view, say),
        "curve": panels.curve(view, say),
        "cancel": live,
        "downloads": panels.downloads(view, say),
        "model": panels.model(conversation, say),
        "timer": LIVE_SECONDS if live or conversation.is_busy else CALM_SECONDS,
    }


def _update(part: str, content: Any, say: Translator, *, first: bool) -> Any:
    if part == "chat" and first:
        # Texts that gr.I18n cannot translate.
        examples = [ExampleMessage(text=say(text)) for text in EXAMPLES]
        welcome = say(
            "### See a network, graft a new head on it, grow it.\n"
            "Say in plain words what you want, or choose an example."
        )
        return gr.Chatbot(value=content, placeholder=welcome, examples=examples)
    if part == "curve" and first:
        return gr.LinePlot(value=content, x_title=say("Step"), y_title=say("Loss"))
    if part == "card":
        return gr.Column(visible=content)
    if part == "cancel":
        return gr.Button(visible=content)
    if part == "timer":
        return gr.Timer(content)
    return content


def _tab_to_open(conversation: Conversation, seen: Seen) -> str:
    """Return the tab with something new; "" to keep the tab that the person chose."""
    if _is_live(conversation):
        return "training" if seen.get("job") != conversation.job_id else ""
    if not seen and conversation.exchanges and conversation.exchanges[-1].job_id:
        return "training"
    if seen.get("page") == conversation.picture:
        return ""
    view = conversation.jobs.view(conversation.job_id) if conversation.job_id else None
    just_tuned = view and view.result_model and view.result_model in conversation.picture
    return "" if just_tuned and seen else "picture"


def _is_live(conversation: Conversation) -> bool:
    return bool(conversation.job_id) and panels.can_cancel(
        conversation.jobs.view(conversation.job_id)
    )


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
