"""What happens on the page: each handler opens the room and shows what is there.

Only what changed is sent: the browser keeps a digest of each part, so a frame with a
picture is not loaded again and a person's open folds stay open.
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
from netgraft.ui.conversation import Room, Rooms, is_name, new_name
from netgraft.ui.messages import language_of
from netgraft.ui.plan_card import plan_card

LIVE_SECONDS = 1.0
"""How often the page looks while something goes on."""
CALM_SECONDS = 4.0
"""How often otherwise: another tab may have said something."""
FRAME_SECONDS = 0.1
"""Least time between two pictures of a plan that is being carried out."""

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
"""What a person may choose to say first."""

Seen = dict[str, str]
"""Part → digest of what the browser shows there."""


class Handlers:
    """What happens on the page. Each handler opens the room and shows what is there."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms

    async def load(self, name: str, seen: Seen, request: gr.Request) -> list[Any]:
        language = language_of(request)
        room = self._room(name)
        await room.restore(language)
        return show(room, {}, language, first=True)

    async def look(self, name: str, seen: Seen, request: gr.Request) -> list[Any]:
        language = language_of(request)
        room = self._room(name)
        await room.refresh(language)
        return show(room, seen, language)

    async def say(
        self, name: str, seen: Seen, text: str, request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        if not text.strip():
            yield [gr.skip()] * len(PARTS)
            return
        room = self._room(name)
        room.say(text.strip(), language_of(request))
        async for changes in follow(room, seen, language_of(request)):
            yield changes

    async def choose(
        self, name: str, seen: Seen, picked: gr.SelectData, request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        value = picked.value
        text = value.get("text", "") if isinstance(value, dict) else str(value)
        room = self._room(name)
        room.say(text, language_of(request))
        async for changes in follow(room, seen, language_of(request)):
            yield changes

    async def agree(self, name: str, seen: Seen, request: gr.Request) -> AsyncIterator[list[Any]]:
        room = self._room(name)
        room.agree(language_of(request))
        async for changes in follow(room, seen, language_of(request)):
            yield changes

    def decline(self, name: str, seen: Seen, request: gr.Request) -> list[Any]:
        room = self._room(name)
        room.decline()
        return show(room, seen, language_of(request))

    async def cancel(self, name: str, seen: Seen, request: gr.Request) -> list[Any]:
        room = self._room(name)
        await room.cancel_job(language_of(request))
        return show(room, seen, language_of(request))

    def _room(self, name: str) -> Room:
        return self.rooms.open(name if is_name(name) else new_name())


async def follow(room: Room, seen: Seen, language: str) -> AsyncIterator[list[Any]]:
    """Show the room again and again until nothing but training goes on in it."""
    while True:
        version, busy = room.version, room.is_busy
        shown = show(room, seen, language)
        seen = shown[-1]
        yield shown
        if not busy:
            return
        await room.change(version, timeout=15)
        await asyncio.sleep(FRAME_SECONDS)


def show(room: Room, seen: Seen, language: str, *, first: bool = False) -> list[Any]:
    """One value for each of PARTS; parts that the browser shows already are skipped."""
    contents = describe(room, Translator(language))
    known = {} if first else seen
    digests = {part: _digest(content) for part, content in contents.items()}
    updates = {
        part: _update(part, content, Translator(language), first=first)
        for part, content in contents.items()
        if digests[part] != known.get(part)
    }
    tab = _tab_to_open(room, known)
    if tab:
        updates["tabs"] = gr.Tabs(selected=tab)
    if updates:
        job = room.job_id if _is_live(room) else known.get("job", "")
        updates["seen"] = {**digests, "job": job, "page": room.picture}
    return [updates.get(part, gr.skip()) for part in PARTS]


def describe(room: Room, say: Translator) -> dict[str, Any]:
    """What each part should show, as plain values."""
    view = room.jobs.view(room.job_id) if room.job_id else None
    pending, live = room.pending, _is_live(room)
    return {
        "chat": [asdict(message) for message in messages(room, say)],
        "card": pending is not None,
        "card_text": plan_card(pending.reply, say) if pending and pending.reply else "",
        "picture": panels.picture(room.picture, say),
        "state": panels.job_state(view, say),
        "progress": panels.progress(view, say),
        "curve": panels.curve(view, say),
        "cancel": live,
        "downloads": panels.downloads(view, say),
        "model": panels.model(room, say),
        "timer": LIVE_SECONDS if live or room.is_busy else CALM_SECONDS,
    }


def _update(part: str, content: Any, say: Translator, *, first: bool) -> Any:
    if part == "chat" and first:
        # Words that gr.I18n does not reach.
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


def _tab_to_open(room: Room, seen: Seen) -> str:
    """The tab that news are on; "" when the person's own choice stands."""
    if _is_live(room):
        return "training" if seen.get("job") != room.job_id else ""
    if not seen and room.exchanges and room.exchanges[-1].job_id:
        return "training"
    if seen.get("page") == room.picture:
        return ""
    view = room.jobs.view(room.job_id) if room.job_id else None
    just_tuned = view and view.result_model and view.result_model in room.picture
    return "" if just_tuned and seen else "picture"


def _is_live(room: Room) -> bool:
    return bool(room.job_id) and panels.can_cancel(room.jobs.view(room.job_id))


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
