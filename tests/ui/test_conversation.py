"""A conversation, against the real services in this process, without a page."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from netgraft.language import Translator
from netgraft.settings import settings
from netgraft.ui.backend import Backend
from netgraft.ui.chat import messages, plain
from netgraft.ui.conversation import Room, Rooms, is_name, new_name
from netgraft.ui.exchange import Exchange, State, merged
from netgraft.ui.panels import picture
from netgraft.v1 import agent_pb2

from .conftest import BASE, NAME, OTHER, OTHER_NAME, Server

ENGLISH = Translator("en")
RETARGET = f"retarget {NAME} to 10 classes"
TUNE = "fine-tune it on digits for 2 epochs"
COMPARE = f"compare {NAME} with {OTHER_NAME}"
COMPARED = f"/viz/compare/{BASE}/{OTHER}/"


@pytest.fixture
async def rooms(here: Server) -> AsyncIterator[Rooms]:
    backend = Backend()
    rooms = Rooms(backend)
    yield rooms
    await rooms.close()
    await backend.close()


@pytest.fixture
async def room(rooms: Rooms) -> Room:
    """A conversation that nobody has begun."""
    return rooms.open(new_name())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.02)


async def settled(room: Room) -> None:
    await until(lambda: not room.is_busy)


async def said(room: Room, text: str) -> None:
    """Say something, and wait until it is done or waits for consent."""
    room.say(text, "en")
    await settled(room)


async def training(room: Room) -> None:
    """Start a job, which stops half-way."""
    await said(room, RETARGET)
    await said(room, TUNE)
    room.agree("en")
    await until(lambda: bool(room.job_id))


async def planned(backend: Backend, name: str, text: str) -> None:
    """Say something to the agent, past any room."""
    request = agent_pb2.PlanRequest(text=text, conversation_id=name)
    await backend.client("en").agent.Plan(request)


async def turns(room: Room) -> Sequence[agent_pb2.Turn]:
    """What the agent keeps of a conversation."""
    request = agent_pb2.GetConversationRequest(id=room.name)
    return (await room.backend.client("en").agent.GetConversation(request)).turns


def finished(room: Room) -> list[agent_pb2.StepFinished]:
    """The steps that were carried out."""
    events = [event for exchange in room.exchanges for event in exchange.events]
    return [event.finished for event in events if event.HasField("finished")]


def tuned(room: Room, server: Server) -> str:
    """The model that the conversation's job has left; "none" before."""
    return (room.job_id and server.player.jobs.get(room.job_id).result_model) or "none"


def shown(room: Room) -> str:
    return "\n".join(str(message.content) for message in messages(room, ENGLISH))


async def test_a_plan_without_costly_steps_runs_at_once(room: Room) -> None:
    await said(room, "show resnet50, retarget to 100 classes")
    [show, retarget] = finished(room)
    assert room.model_id == retarget.model_id != show.model_id
    assert room.picture == f"/viz/{room.model_id}/"
    assert "25,557,032 → 23,712,932" in shown(room)


async def test_a_picture_is_opened_while_it_is_drawn_and_left_if_it_cannot_be(
    room: Room, here: Server
) -> None:
    await said(room, RETARGET)
    before, misfit = room.picture, here.misfit()
    with here.calls.held("DrawGraph"):
        room.say(f"show {misfit[:12]}", "en")
        while room.is_busy and room.picture == before:
            await room.change(room.version, timeout=5)
        assert room.picture == f"/viz/{misfit}/"
    await settled(room)
    assert room.picture == before
    assert "cannot be drawn" in shown(room)


async def test_a_comparison_shows_the_page_with_both_models(room: Room) -> None:
    await said(room, COMPARE)
    assert room.picture == COMPARED
    assert f"]({COMPARED})" in shown(room)
    framed = picture(room.picture, ENGLISH)
    assert f'src="{COMPARED}"' in framed
    assert f'title="Comparison of the models {BASE[:12]} and {OTHER[:12]}"' in framed


async def test_things_said_quickly_are_taken_up_in_their_order(room: Room) -> None:
    for text in (RETARGET, "retarget resnet50", "hello"):
        room.say(text, "en")
    await settled(room)
    assert [turn.text for turn in await turns(room)] == [RETARGET, "retarget resnet50", "hello"]


async def test_nothing_costly_runs_without_consent_and_a_new_word_replaces_the_plan(
    room: Room, here: Server
) -> None:
    await said(room, TUNE)
    assert room.pending is room.exchanges[0]
    room.say("hello", "en")
    room.agree("en")  # too late: it is no longer the newest
    await settled(room)
    assert room.exchanges[0].state is State.REPLACED
    assert "your next message took its place" in shown(room)
    assert here.calls.count("StartTuning") == here.calls.count("Consent") == 0


@pytest.mark.parametrize("yes", ["yes", " OK. ", "run it!", "好", "好的。", "执行！"])
async def test_a_yes_in_words_runs_the_plan_with_a_consent_of_its_own(
    room: Room, here: Server, yes: str
) -> None:
    await said(room, RETARGET)
    before = len(messages(room, ENGLISH))
    await said(room, TUNE)
    here.player.may_end.set()
    room.say(yes, "en")
    await until(lambda: room.model_id == tuned(room, here))
    assert here.calls.count("StartTuning") == here.calls.count("Consent") == 1
    assert here.calls.count("Plan") == 2  # the planner is not asked what "yes" means
    assert [message.role for message in messages(room, ENGLISH)][before : before + 4] == [
        *("user", "assistant", "user", "assistant")
    ]


@pytest.mark.parametrize("no", ["no", "N", "cancel.", "forget it", "不", "不要！", "取消", "算了"])
async def test_a_no_in_words_discards_the_plan_and_the_history_says_so(
    room: Room, here: Server, no: str
) -> None:
    await said(room, TUNE)
    room.say(no, "en")
    assert room.pending is None
    assert shown(room).endswith("Plan discarded.")
    await said(room, "hello")
    await room.restore("en")
    assert "Plan discarded." in shown(room)
    assert "took its place" not in shown(room)
    assert here.calls.count("StartTuning") == here.calls.count("Consent") == 0


async def test_without_a_plan_yes_and_no_are_what_the_planner_makes_of_them(room: Room) -> None:
    for text in ("yes", "no"):
        room.say(text, "en")
    await settled(room)
    assert [turn.text for turn in await turns(room)] == ["yes", "no"]


async def test_a_cancellation_without_a_job_asks_for_no_consent(room: Room) -> None:
    await said(room, "stop")
    await room.restore("en")
    assert room.pending is None
    assert "There is no training in this conversation yet." in shown(room)


async def test_one_may_talk_while_a_job_trains(room: Room, here: Server) -> None:
    await training(room)
    await said(room, "what can you do?")
    assert "I show neural networks" in shown(room)
    assert "Running" in shown(room)
    here.player.may_end.set()
    await until(lambda: room.model_id == tuned(room, here))


async def test_another_gateway_finds_the_conversation_and_its_running_job(
    room: Room, here: Server
) -> None:
    await training(room)
    backend = Backend()
    others = Rooms(backend)
    other = others.open(room.name)
    await other.restore("en")
    await until(lambda: len(others.jobs.follow(other.job_id, "en").training) == 9)
    assert "Running" in shown(other)
    assert "Conv2d\\(512 → 10\\)" in shown(other)

    here.player.may_end.set()
    await until(lambda: bool(others.jobs.follow(other.job_id, "en").result_model))
    await until(lambda: room.model_id == tuned(room, here))
    await other.refresh("en")  # what the page's timer does
    assert other.model_id == tuned(room, here)
    assert "accuracy 95" in shown(other)
    await others.close()
    await backend.close()


async def test_a_plan_that_waits_still_waits_after_a_restart(rooms: Rooms, room: Room) -> None:
    await said(room, TUNE)
    again = Rooms(rooms.backend).open(room.name)
    await again.restore("en")
    assert again.pending is not None


async def test_a_page_that_is_loaded_again_shows_the_picture_it_showed(
    rooms: Rooms, room: Room
) -> None:
    for text in (f"show {NAME}, retarget to 100 classes", COMPARE):
        await said(room, text)
        page = COMPARED if text == COMPARE else f"/viz/{room.model_id}/"
        assert room.picture == page
        await room.restore("en")
        assert room.picture == page
        again = Rooms(rooms.backend).open(room.name)
        await again.restore("en")
        assert (again.picture, again.model_id) == (page, room.model_id)


async def test_an_unreachable_server_is_told_and_found_when_it_comes(
    here: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, name = Backend(), new_name()
    await planned(backend, name, "hello")
    await backend.close()
    monkeypatch.setenv("NETGRAFT_ADDRESS", "127.0.0.1:1")
    settings.cache_clear()
    room = Rooms(backend).open(name)
    await room.restore("en")
    assert "No netgraft server answers" in shown(room)
    await said(room, "hello")
    assert shown(room).count("No netgraft server answers") >= 1

    await backend.close()
    monkeypatch.setenv("NETGRAFT_ADDRESS", f"127.0.0.1:{here.port}")
    settings.cache_clear()
    fresh = Rooms(backend).open(name)
    await fresh.refresh("en")
    assert "No netgraft server" not in shown(fresh)
    assert [exchange.text for exchange in fresh.exchanges] == ["hello"]
    await backend.close()


async def test_a_text_that_cannot_be_planned_is_a_sentence(room: Room) -> None:
    await said(room, "show resnet50 " * 10_000)
    assert "text is too large: at most 100,000 bytes" in shown(room)
    assert room.pending is None


async def test_a_failed_step_is_a_sentence_and_ends_the_plan(room: Room) -> None:
    await said(room, f"show {NAME}, undo")
    assert "has no edit to undo" in shown(room)
    assert room.exchanges[0].state is State.DONE


async def test_what_only_this_process_knows_outlives_a_look_at_the_agent(room: Room) -> None:
    here_alone = Exchange("broken", problem="no such model")
    declined = Exchange(TUNE, state=State.DECLINED)
    for text in ("hello", TUNE):
        await planned(room.backend, room.name, text)
    whole = merged([Exchange("hello"), here_alone, declined], await turns(room), "en")
    assert [exchange.text for exchange in whole] == ["hello", "broken", TUNE]
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
