"""A conversation, against a real gRPC server in memory, without a page."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from netgraft.language import Translator
from netgraft.settings import settings
from netgraft.ui.backend import Backend
from netgraft.ui.chat import messages, plain
from netgraft.ui.conversation import Room, Rooms, is_name, new_name
from netgraft.ui.exchange import Exchange, State, merged
from netgraft.ui.panels import picture
from netgraft.v1 import agent_pb2

TUNED = "c" * 64
ENGLISH = Translator("en")


@pytest.fixture
async def rooms(here: Any) -> AsyncIterator[Rooms]:
    backend = Backend()
    rooms = Rooms(backend)
    yield rooms
    await rooms.close()
    await backend.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.02)


async def settled(room: Room) -> None:
    await until(lambda: not room.is_busy)


def shown(room: Room) -> str:
    return "\n".join(str(message.content) for message in messages(room, ENGLISH))


async def test_a_plan_without_costly_steps_runs_at_once(rooms: Rooms) -> None:
    room = rooms.open("r")
    room.say("show resnet50, retarget to 100 classes", "en")
    await settled(room)
    assert room.model_id == "b" * 64
    assert room.picture == f"/viz/{room.model_id}/"
    assert "25,557,032 → 23,712,932" in shown(room)


async def test_a_picture_is_opened_while_it_is_drawn_and_left_if_it_cannot_be(
    rooms: Rooms, here: Any
) -> None:
    room = rooms.open("r")
    room.say("retarget resnet50", "en")
    await settled(room)
    before = room.picture
    room.say("show something vast", "en")
    while room.is_busy and room.picture == before:
        await room.change(room.version, timeout=5)
    assert room.picture == f"/viz/{'d' * 64}/"
    here.agent.patience.set()
    await settled(room)
    assert room.picture == before
    assert "too vast" in shown(room)


async def test_a_comparison_shows_the_page_with_both_models(rooms: Rooms) -> None:
    room = rooms.open("r")
    room.say("compare resnet50 with the tuned one", "en")
    await settled(room)
    page = f"/viz/compare/{'a' * 64}/{TUNED}/"
    assert room.picture == page
    assert f"]({page})" in shown(room)
    framed = picture(room.picture, ENGLISH)
    assert f'src="{page}"' in framed
    assert 'title="Comparison of the models aaaaaaaaaaaa and cccccccccccc"' in framed


async def test_things_said_quickly_are_taken_up_in_their_order(rooms: Rooms, here: Any) -> None:
    room = rooms.open("r")
    for text in ("retarget it", "which?", "hello"):
        room.say(text, "en")
    await settled(room)
    turns = [turn.text for turn in here.agent.conversation("r").turns]
    assert turns == ["retarget it", "which?", "hello"]


async def test_nothing_costly_runs_without_consent_and_a_new_word_replaces_the_plan(
    rooms: Rooms, here: Any
) -> None:
    room = rooms.open("r")
    room.say("fine-tune it", "en")
    await settled(room)
    assert room.pending is room.exchanges[0]
    room.say("hello", "en")
    room.agree("en")  # too late: it is no longer the newest
    await settled(room)
    assert room.exchanges[0].state is State.REPLACED
    assert "your next message took its place" in shown(room)
    assert not here.tuning.runs
    assert here.seen.languages("Consent") == []


@pytest.mark.parametrize("said", ["yes", " OK. ", "run it!", "好", "好的。", "执行！"])
async def test_a_yes_in_words_runs_the_plan_with_a_consent_of_its_own(
    rooms: Rooms, here: Any, said: str
) -> None:
    room = rooms.open("r")
    room.say("fine-tune it", "en")
    await settled(room)
    here.hold.set()
    room.say(said, "en")
    await until(lambda: room.model_id == TUNED)
    assert len(here.tuning.runs) == len(here.seen.languages("Consent")) == 1
    assert len(here.seen.languages("Plan")) == 1  # the planner is not asked what "yes" means
    assert [message.role for message in messages(room, ENGLISH)][:4] == [
        *("user", "assistant", "user", "assistant")
    ]


@pytest.mark.parametrize(
    "said", ["no", "N", "cancel.", "forget it", "不", "不要！", "取消", "算了"]
)
async def test_a_no_in_words_discards_the_plan_and_the_history_says_so(
    rooms: Rooms, here: Any, said: str
) -> None:
    room = rooms.open("r")
    room.say("fine-tune it", "en")
    await settled(room)
    room.say(said, "en")
    assert room.pending is None
    assert shown(room).endswith("Plan discarded.")
    room.say("hello", "en")
    await settled(room)
    await room.restore("en")
    assert "Plan discarded." in shown(room)
    assert "took its place" not in shown(room)
    assert here.seen.languages("Consent") == []
    assert not here.tuning.runs


async def test_without_a_plan_yes_and_no_are_what_the_planner_makes_of_them(
    rooms: Rooms, here: Any
) -> None:
    room = rooms.open("r")
    for text in ("yes", "no"):
        room.say(text, "en")
    await settled(room)
    assert [turn.text for turn in here.agent.conversation("r").turns] == ["yes", "no"]


async def test_a_cancellation_without_a_job_asks_for_no_consent(rooms: Rooms, here: Any) -> None:
    room = rooms.open("r")
    room.say("stop", "en")
    await settled(room)
    await room.restore("en")
    assert room.pending is None
    assert "There is no training in this conversation yet." in shown(room)


async def test_one_may_talk_while_a_job_trains(rooms: Rooms, here: Any) -> None:
    room = rooms.open("r")
    room.say("fine-tune it", "en")
    await settled(room)
    room.agree("en")
    await until(lambda: bool(room.job_id))
    room.say("hello", "en")
    await settled(room)
    assert "I can show" in shown(room)
    assert "Running" in shown(room)
    here.hold.set()
    await until(lambda: room.model_id == TUNED)


async def test_another_gateway_finds_the_conversation_and_its_running_job(
    rooms: Rooms, here: Any
) -> None:
    room = rooms.open("r")
    room.say("retarget it", "en")
    room.say("fine-tune it", "en")
    await settled(room)
    room.agree("en")
    await until(lambda: bool(room.job_id))

    backend = Backend()
    others = Rooms(backend)
    other = others.open("r")
    await other.restore("en")
    await until(lambda: len(others.jobs.follow(other.job_id, "en").training) == 9)
    assert "Running" in shown(other)
    assert "Linear\\(2048 → 100\\)" in shown(other)

    here.hold.set()
    await until(lambda: bool(others.jobs.follow(other.job_id, "en").result_model))
    await until(lambda: here.agent.conversation("r").model_id == TUNED)
    await other.refresh("en")  # what the page's timer does
    assert other.model_id == TUNED
    assert "accuracy 97" in shown(other)
    await others.close()
    await backend.close()


async def test_a_plan_that_waits_still_waits_after_a_restart(rooms: Rooms) -> None:
    room = rooms.open("r")
    room.say("fine-tune it", "en")
    await settled(room)
    again = Rooms(rooms.backend).open("r")
    await again.restore("en")
    assert again.pending is not None


async def test_a_page_that_is_loaded_again_shows_the_picture_it_showed(rooms: Rooms) -> None:
    room = rooms.open("r")
    for text, page in (
        ("show resnet50, retarget to 100 classes", f"/viz/{'b' * 64}/"),
        ("compare resnet50 with the tuned one", f"/viz/compare/{'a' * 64}/{TUNED}/"),
    ):
        room.say(text, "en")
        await settled(room)
        await room.restore("en")
        assert room.picture == page
        again = Rooms(rooms.backend).open("r")
        await again.restore("en")
        assert (again.picture, again.model_id) == (page, room.model_id)


async def test_an_unreachable_server_is_told_and_found_when_it_comes(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.agent.conversation("r").turns.add(text="hello").reply.kind = "answer"
    monkeypatch.setenv("NETGRAFT_ADDRESS", "127.0.0.1:1")
    settings.cache_clear()
    backend = Backend()
    room = Rooms(backend).open("r")
    await room.restore("en")
    assert "No netgraft server answers" in shown(room)
    room.say("hello", "en")
    await settled(room)
    assert shown(room).count("No netgraft server answers") >= 1

    await backend.close()
    monkeypatch.setenv("NETGRAFT_ADDRESS", f"127.0.0.1:{here.port}")
    settings.cache_clear()
    fresh = Rooms(backend).open("r")
    await fresh.refresh("en")
    assert "No netgraft server" not in shown(fresh)
    assert [exchange.text for exchange in fresh.exchanges] == ["hello"]
    await backend.close()


async def test_a_failed_step_is_a_sentence_and_ends_the_plan(rooms: Rooms) -> None:
    room = rooms.open("r")
    room.say("this fails", "en")
    await settled(room)
    assert "has no edit to undo" in shown(room)
    assert room.exchanges[0].state is State.DONE


async def test_what_only_this_process_knows_outlives_a_look_at_the_agent(here: Any) -> None:
    here_alone = Exchange("broken", problem="no such model")
    declined = Exchange("fine-tune it", state=State.DECLINED)
    turns = here.agent.conversation("r").turns
    for text in ("hello", "fine-tune it"):
        here.agent.Plan(agent_pb2.PlanRequest(text=text, conversation_id="r"), None)
    whole = merged([Exchange("hello"), here_alone, declined], turns, "en")
    assert [exchange.text for exchange in whole] == ["hello", "broken", "fine-tune it"]
    assert whole[1].problem == "no such model"
    assert whole[2].state is State.DECLINED


@pytest.mark.parametrize(
    "text", ["**a**", "<b>a</b>", "[a](http://evil)", "![a](http://evil)", "`a`", "a_b_c", "# a"]
)
def test_text_from_elsewhere_is_never_markup(text: str) -> None:
    shown = plain(text)
    for mark in ("**", "<", "](", "`a"):
        assert mark not in shown.replace("\\" + mark[0], "")


def test_names_of_conversations_are_long_random_and_valid() -> None:
    names = {new_name() for _ in range(100)}
    assert len(names) == 100
    assert all(is_name(name) and len(name) == 32 for name in names)
    for wrong in ("", "a/b", "x" * 65, None, 5, "é"):
        assert not is_name(wrong)
