"""A conversation, against the real services in this process, without a page."""

import asyncio
import html
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from markdown_it import MarkdownIt

from netgraft.language import Translator
from netgraft.settings import settings
from netgraft.ui.backend import Backend
from netgraft.ui.chat import messages, plain
from netgraft.ui.conversation import Conversation, Conversations, is_name, new_name
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
async def conversations(here: Server) -> AsyncIterator[Conversations]:
    backend = Backend()
    conversations = Conversations(backend)
    yield conversations
    await conversations.close()
    await backend.close()


@pytest.fixture
async def conversation(conversations: Conversations) -> Conversation:
    """A conversation that nobody has begun."""
    return conversations.open(new_name())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.02)


async def settled(conversation: Conversation) -> None:
    await until(lambda: not conversation.is_busy)


async def said(conversation: Conversation, text: str) -> None:
    """Say something, and wait until it is done or waits for consent."""
    conversation.say(text, "en")
    await settled(conversation)


async def training(conversation: Conversation) -> None:
    """Start a job, which stops half-way."""
    await said(conversation, RETARGET)
    await said(conversation, TUNE)
    conversation.agree("en")
    await until(lambda: bool(conversation.job_id))


async def planned(backend: Backend, name: str, text: str) -> None:
    """Say something to the agent, past any conversation."""
    request = agent_pb2.PlanRequest(text=text, conversation_id=name)
    await backend.client("en").agent.Plan(request)


async def turns(conversation: Conversation) -> Sequence[agent_pb2.Turn]:
    """What the agent keeps of a conversation."""
    request = agent_pb2.GetConversationRequest(id=conversation.name)
    return (await conversation.backend.client("en").agent.GetConversation(request)).turns


def finished(conversation: Conversation) -> list[agent_pb2.StepFinished]:
    """The steps that were carried out."""
    events = [event for exchange in conversation.exchanges for event in exchange.events]
    return [event.finished for event in events if event.HasField("finished")]


def tuned(conversation: Conversation, server: Server) -> str:
    """The model that the conversation's job has left; "none" before."""
    return (
        conversation.job_id and server.player.jobs.get(conversation.job_id).result_model
    ) or "none"


def shown(conversation: Conversation) -> str:
    return "\n".join(str(message.content) for message in messages(conversation, ENGLISH))


async def test_a_plan_without_costly_steps_runs_at_once(conversation: Conversation) -> None:
    await said(conversation, "show resnet50, retarget to 100 classes")
    [show, retarget] = finished(conversation)
    assert conversation.model_id == retarget.model_id != show.model_id
    assert conversation.picture == f"/viz/{conversation.model_id}/"
    assert "25,557,032 → 23,712,932" in shown(conversation)


async def test_a_picture_is_opened_while_it_is_drawn_and_left_if_it_cannot_be(
    conversation: Conversation, here: Server
) -> None:
    await said(conversation, RETARGET)
    before, misfit = conversation.picture, here.misfit()
    with here.calls.held("DrawGraph"):
        conversation.say(f"show {misfit[:12]}", "en")
        while conversation.is_busy and conversation.picture == before:
            await conversation.change(conversation.version, timeout=5)
        assert conversation.picture == f"/viz/{misfit}/"
    await settled(conversation)
    assert conversation.picture == before
    assert "cannot be drawn" in shown(conversation)


async def test_a_comparison_shows_the_page_with_both_models(conversation: Conversation) -> None:
    await said(conversation, COMPARE)
    assert conversation.picture == COMPARED
    assert f"]({COMPARED})" in shown(conversation)
    framed = picture(conversation.picture, ENGLISH)
    assert f'src="{COMPARED}"' in framed
    assert f'title="Comparison of the models {BASE[:12]} and {OTHER[:12]}"' in framed


async def test_things_said_quickly_are_taken_up_in_their_order(conversation: Conversation) -> None:
    for text in (RETARGET, "retarget resnet50", "hello"):
        conversation.say(text, "en")
    await settled(conversation)
    assert [turn.text for turn in await turns(conversation)] == [
        RETARGET,
        "retarget resnet50",
        "hello",
    ]


async def test_nothing_costly_runs_without_consent_and_a_new_word_replaces_the_plan(
    conversation: Conversation, here: Server
) -> None:
    await said(conversation, TUNE)
    assert conversation.pending is conversation.exchanges[0]
    conversation.say("hello", "en")
    conversation.agree("en")  # too late: it is no longer the newest
    await settled(conversation)
    assert conversation.exchanges[0].state is State.REPLACED
    assert "your next message took its place" in shown(conversation)
    assert here.calls.count("StartTuning") == here.calls.count("Consent") == 0


@pytest.mark.parametrize("yes", ["yes", " OK. ", "run it!", "好", "好的。", "执行！"])
async def test_a_yes_in_words_runs_the_plan_with_a_consent_of_its_own(
    conversation: Conversation, here: Server, yes: str
) -> None:
    await said(conversation, RETARGET)
    before = len(messages(conversation, ENGLISH))
    await said(conversation, TUNE)
    here.player.may_end.set()
    conversation.say(yes, "en")
    await until(lambda: conversation.model_id == tuned(conversation, here))
    assert here.calls.count("StartTuning") == here.calls.count("Consent") == 1
    assert here.calls.count("Plan") == 2  # the planner is not asked what "yes" means
    assert [message.role for message in messages(conversation, ENGLISH)][before : before + 4] == [
        *("user", "assistant", "user", "assistant")
    ]


@pytest.mark.parametrize("no", ["no", "N", "cancel.", "forget it", "不", "不要！", "取消", "算了"])
async def test_a_no_in_words_discards_the_plan_and_the_history_says_so(
    conversation: Conversation, here: Server, no: str
) -> None:
    await said(conversation, TUNE)
    conversation.say(no, "en")
    assert conversation.pending is None
    assert shown(conversation).endswith("Plan discarded.")
    await said(conversation, "hello")
    await conversation.restore("en")
    assert "Plan discarded." in shown(conversation)
    assert "took its place" not in shown(conversation)
    assert here.calls.count("StartTuning") == here.calls.count("Consent") == 0


async def test_without_a_plan_yes_and_no_are_what_the_planner_makes_of_them(
    conversation: Conversation,
) -> None:
    for text in ("yes", "no"):
        conversation.say(text, "en")
    await settled(conversation)
    assert [turn.text for turn in await turns(conversation)] == ["yes", "no"]


async def test_a_cancellation_without_a_job_asks_for_no_consent(conversation: Conversation) -> None:
    await said(conversation, "stop")
    await conversation.restore("en")
    assert conversation.pending is None
    assert "There is no training in this conversation yet." in shown(conversation)


async def test_one_may_talk_while_a_job_trains(conversation: Conversation, here: Server) -> None:
    await training(conversation)
    await said(conversation, "what can you do?")
    assert "I show neural networks" in shown(conversation)
    assert "Running" in shown(conversation)
    here.player.may_end.set()
    await until(lambda: conversation.model_id == tuned(conversation, here))


async def test_another_gateway_finds_the_conversation_and_its_running_job(
    conversation: Conversation, here: Server
) -> None:
    await training(conversation)
    backend = Backend()
    others = Conversations(backend)
    other = others.open(conversation.name)
    await other.restore("en")
    await until(lambda: len(others.jobs.follow(other.job_id, "en").training) == 9)
    assert "Running" in shown(other)
    assert "Conv2d\\(512 → 10\\)" in shown(other)

    here.player.may_end.set()
    await until(lambda: bool(others.jobs.follow(other.job_id, "en").result_model))
    await until(lambda: conversation.model_id == tuned(conversation, here))
    await other.refresh("en")  # what the page's timer does
    assert other.model_id == tuned(conversation, here)
    assert "accuracy 95" in shown(other)
    await others.close()
    await backend.close()


async def test_a_plan_that_waits_still_waits_after_a_restart(
    conversations: Conversations, conversation: Conversation
) -> None:
    await said(conversation, TUNE)
    again = Conversations(conversations.backend).open(conversation.name)
    await again.restore("en")
    assert again.pending is not None


async def test_a_page_that_is_loaded_again_shows_the_picture_it_showed(
    conversations: Conversations, conversation: Conversation
) -> None:
    for text in (f"show {NAME}, retarget to 100 classes", COMPARE):
        await said(conversation, text)
        page = COMPARED if text == COMPARE else f"/viz/{conversation.model_id}/"
        assert conversation.picture == page
        await conversation.restore("en")
        assert conversation.picture == page
        again = Conversations(conversations.backend).open(conversation.name)
        await again.restore("en")
        assert (again.picture, again.model_id) == (page, conversation.model_id)


async def test_an_unreachable_server_is_told_and_found_when_it_comes(
    here: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, name = Backend(), new_name()
    await planned(backend, name, "hello")
    await backend.close()
    monkeypatch.setenv("NETGRAFT_ADDRESS", "127.0.0.1:1")
    settings.cache_clear()
    conversation = Conversations(backend).open(name)
    await conversation.restore("en")
    assert "No netgraft server answers" in shown(conversation)
    before = shown(conversation).count("No netgraft server answers")
    await said(conversation, "hello")
    assert shown(conversation).count("No netgraft server answers") == before + 1

    await backend.close()
    monkeypatch.setenv("NETGRAFT_ADDRESS", f"127.0.0.1:{here.port}")
    settings.cache_clear()
    fresh = Conversations(backend).open(name)
    await fresh.refresh("en")
    assert "No netgraft server" not in shown(fresh)
    assert [exchange.text for exchange in fresh.exchanges] == ["hello"]
    await backend.close()


async def test_a_text_that_cannot_be_planned_is_a_sentence(conversation: Conversation) -> None:
    await said(conversation, "show resnet50 " * 10_000)
    assert "text is too large: at most 100,000 bytes" in shown(conversation)
    assert conversation.pending is None


async def test_a_failed_step_is_a_sentence_and_ends_the_plan(conversation: Conversation) -> None:
    await said(conversation, f"show {NAME}, undo")
    assert "has no edit to undo" in shown(conversation)
    assert conversation.exchanges[0].state is State.DONE


async def test_what_only_this_process_knows_outlives_a_look_at_the_agent(
    conversation: Conversation,
) -> None:
    here_alone = Exchange("broken", problem="no such model")
    declined = Exchange(TUNE, state=State.DECLINED)
    for text in ("hello", TUNE):
        await planned(conversation.backend, conversation.name, text)
    whole = merged([Exchange("hello"), here_alone, declined], await turns(conversation), "en")
    assert [exchange.text for exchange in whole] == ["hello", "broken", TUNE]
    assert whole[1].problem == "no such model"
    assert whole[2].state is State.DECLINED


@pytest.mark.parametrize(
    "text",
    [
        *("**a**", "<b>a</b>", "[a](http://evil)", "![a](http://evil)", "`a`", "_a_b_", "# a"),
        *(
            "- a",
            "> a",
            "1. a",
            "2) a",
            "a\n===",
            "a\n---",
            "~~a~~",
            "&lt;b>",
            "a | b",
            "<http://evil>",
            "\\*a*",
        ),
    ],
)
def test_text_from_elsewhere_is_never_markup(text: str) -> None:
    drawn = MarkdownIt("gfm-like", {"linkify": False}).render(plain(text))
    assert drawn == f"<p>{html.escape(text, quote=False)}</p>\n"


def test_names_of_conversations_are_long_random_and_valid() -> None:
    names = {new_name() for _ in range(100)}
    assert len(names) == 100
    assert all(is_name(name) and len(name) == 32 for name in names)
    for wrong in ("", "a/b", "x" * 65, None, 5, "é"):
        assert not is_name(wrong)
