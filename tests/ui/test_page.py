"""The chat page in a real browser, with the gateway in a process of its own."""

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from netgraft import codes
from netgraft.models.recipes import get_recipe
from netgraft.v1 import tuning_pb2

from .conftest import NAME, Server
from .test_results import keep_answers

RETARGET = f"retarget {NAME} to 10 classes"
OUTPUT = Path(__file__).parents[1] / "output"
POEM = "That is outside what netgraft does"
SLOWLY = 15_000
"""Milliseconds that an expectation may take on a busy machine."""


@pytest.fixture(scope="module")
def site(shared: Server, start_gateway: Any, free_port: Callable[[], int]) -> str:
    """Address of a gateway that all tests of this module share."""
    port = free_port()
    start_gateway(port, shared.port)
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def server(shared: Server) -> Server:
    """The services behind it; their jobs stop half-way until they are let go."""
    shared.fresh()
    return shared


def enter(context: BrowserContext, site: str) -> Page:
    """Open the page as `netgraft up` says."""
    page = context.new_page()
    page.set_default_timeout(SLOWLY)
    page.goto(codes.link(site))
    page.locator("#message-box textarea").wait_for()
    assert page.url == f"{site}/"
    return page


def requests_of(context: BrowserContext) -> set[str]:
    """Origins that the context's pages ask from now on."""
    origins: set[str] = set()
    context.on("request", lambda request: origins.add("/".join(request.url.split("/")[:3])))
    return origins


def say(page: Page, text: str) -> None:
    box = page.locator("#message-box textarea")
    box.fill(text)
    box.press("Enter")
    expect(box).to_have_value("")  # at once, and never again by itself


def curve_points(page: Page) -> int:
    """Points of the training line, as drawn."""
    line = page.locator("#loss-curve svg .mark-line path").first
    return (line.get_attribute("d") or "").count("L")


def test_a_sentence_becomes_a_picture_then_a_job_that_outlives_a_reload(
    server: Server, site: str, browser: Browser
) -> None:
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
    origins = requests_of(context)
    page = enter(context, site)
    chat = page.locator("#chat")

    # an example is there to be clicked; a plan without costly steps runs at once
    page.get_by_role("button", name="show resnet50, retarget to 100 classes").click()
    expect(chat).to_contain_text("fc: Linear(2048 → 1000) → Linear(2048 → 100)")
    expect(chat).to_contain_text("Parameters 25,557,032 → 23,712,932")
    expect(chat).to_contain_text("1/2 · Draw resnet50")
    frame = page.locator("#picture-frame")
    expect(frame).to_have_attribute("src", re.compile(r"^/viz/[0-9a-f]{64}/$"))
    shown = (frame.get_attribute("src") or "").split("/")[2]
    assert get_recipe(server.player.store, shown).classes == 100
    drawn = page.frame_locator("#picture-frame").locator("svg g.node")
    drawn.first.wait_for()  # by the page's own scripts
    assert drawn.count() >= 11
    page.get_by_role("tab", name="Model").click()
    expect(page.locator("#model-facts")).to_contain_text("8.17 G")

    # a costly one waits for consent
    say(page, RETARGET)
    expect(chat).to_contain_text("Conv2d(512 → 10)")
    say(page, "fine-tune it on digits for 2 epochs")
    card = page.locator("#plan-card")
    expect(card).to_contain_text("digits")
    expect(card).to_contain_text("chosen by the tuning service")
    assert server.calls.count("StartTuning") == 0
    page.locator("#consent-cancel").click()
    expect(card).to_be_hidden()
    expect(chat).to_contain_text("Plan discarded.")
    assert server.calls.count("StartTuning") == 0

    say(page, "fine-tune it on digits for 2 epochs")
    page.locator("#consent-run").click()
    expect(page.locator("#job-state [data-state]")).to_have_attribute("data-state", "running")
    bar = page.locator("#training-progress [role=progressbar]")
    expect(bar).to_have_attribute("aria-valuenow", "45")
    expect(page.locator("#training-progress")).to_contain_text("epoch 1 of 2")
    expect(chat).to_contain_text("Running · 40 %")

    # half-way: a reload and a second tab find the job again, with its curve
    page.reload()
    second = enter(context, site)
    for tab in (page, second):
        expect(tab.locator("#chat")).to_contain_text("Running · 40 %")
        expect(tab.locator("#training-progress [role=progressbar]")).to_have_attribute(
            "aria-valuenow", "45"
        )
        tab.locator("#loss-curve svg .mark-line path").first.wait_for()
        assert curve_points(tab) == 8
    second.close()

    server.player.may_end.set()
    expect(page.locator("#job-state [data-state]")).to_have_attribute("data-state", "succeeded")
    expect(page.locator("#job-state")).to_contain_text("95.0 %")
    expect(chat).to_contain_text("accuracy 95.0 %")
    expect(page.locator("#cancel-job")).to_have_count(0)
    [job] = server.player.jobs.newest(limit=1)
    tuned = job.result_model
    expect(page.locator("#picture-frame")).to_have_attribute("src", f"/viz/{tuned}/")
    with page.expect_download() as waiting:
        page.locator("#download-model [data-format=safetensors]").click()
    name = waiting.value.suggested_filename
    assert name == f"squeezenet1_1-{tuned[:12]}.safetensors"
    keep_answers(server, tuning_pb2.Job(id=job.id, result_model=tuned))
    look_at_results(page)
    page.goto(f"{site}/tensorboard/")
    expect(page.locator("tb-webapp")).to_contain_text("TensorBoard")
    assert {origin for origin in origins if origin.startswith("http")} == {site}
    context.close()


def look_at_results(page: Page) -> None:
    """From the chat to the job's results, and there what needs the page's script."""
    page.locator("#results-page").click()
    expect(page.locator("h1")).to_contain_text("squeezenet1_1")
    assert page.locator(".chart polyline.training").count() == 2
    dialog = page.locator("dialog")
    page.locator(".confusion .wrong a").first.press("Enter")  # by the keyboard
    picture = dialog.locator("img").first
    expect(picture).to_be_visible()
    page.wait_for_function("(image) => image.naturalWidth > 0", arg=picture.element_handle())
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    recall = page.locator(".sortable thead th").nth(2)
    recall.get_by_role("button").click()
    expect(recall).to_have_attribute("aria-sort", "ascending")
    shares = page.locator(".sortable tbody td:nth-child(3)").evaluate_all(
        "(cells) => cells.map((cell) => Number(cell.dataset.value))"
    )
    assert shares == sorted(shares)
    page.locator("#card summary").click()
    expect(page.locator("#card pre")).to_contain_text("Made with netgraft")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(
    ("locale", "ask", "answers"),
    [
        ("en-US", "fine-tune it on digits", {"no": "Plan discarded.", "Yes, run it!": "Running"}),
        (
            "zh-CN",
            "把它在 digits 上微调 1 轮",
            {"取消": "计划已取消。", "好的，执行吧。": "训练中"},
        ),
    ],
)
def test_a_plan_is_discarded_and_run_by_what_is_typed(
    server: Server, site: str, browser: Browser, locale: str, ask: str, answers: dict[str, str]
) -> None:
    context = browser.new_context(locale=locale, viewport={"width": 1280, "height": 800})
    page = enter(context, site)
    chat, card = page.locator("#chat"), page.locator("#plan-card")
    say(page, RETARGET)
    expect(chat).to_contain_text("Conv2d(512 → 10)")
    for answer, outcome in answers.items():
        say(page, ask)
        expect(card).to_contain_text("digits")
        say(page, answer)
        expect(card).to_be_hidden()
        expect(chat).to_contain_text(outcome)
    assert server.calls.count("StartTuning") == 1
    page.reload()  # the history stays as honest as it was
    for text in (*answers, *answers.values()):
        expect(chat).to_contain_text(text)
    OUTPUT.mkdir(exist_ok=True)
    page.screenshot(path=OUTPUT / f"answered-{locale}.png")
    server.player.may_end.set()
    expect(page.locator("#job-state [data-state]")).to_have_attribute("data-state", "succeeded")
    context.close()


FIRST_EVENT_LATE = """
const now = window.fetch;
let isFirst = true;
window.fetch = (address, ...rest) => {
  if (!isFirst || !String(address).includes("queue/join")) return now(address, ...rest);
  isFirst = false;
  return new Promise((go) => { window.letGo = go; }).then(() => now(address, ...rest));
};
"""


def test_a_sentence_that_is_sent_while_the_page_loads_is_not_lost(
    server: Server, site: str, browser: Browser
) -> None:
    context = browser.new_context()
    context.add_init_script(FIRST_EVENT_LATE)
    page = enter(context, site)
    say(page, "hello")
    answer = page.locator("#chat").get_by_text("Hello! Tell me what to do with a network")
    expect(answer).to_be_visible()
    with page.expect_response("**/queue/join?*"):
        page.evaluate("window.letGo()")
    page.wait_for_timeout(1000)  # what the first event brings has come by now
    expect(answer).to_be_visible()
    context.close()


def test_what_is_typed_while_something_is_carried_out_stays_and_can_be_sent(
    server: Server, site: str, browser: Browser
) -> None:
    context = browser.new_context()
    page = enter(context, site)
    box, chat = page.locator("#message-box textarea"), page.locator("#chat")
    with server.calls.held("Plan"):
        say(page, RETARGET)
        expect(chat).to_contain_text(RETARGET)
        box.fill("hello you")
    expect(chat).to_contain_text("Parameters 1,235,496 → 727,626")
    page.wait_for_timeout(1000)  # the last news of the first sentence have come by now
    expect(box).to_have_value("hello you")
    box.press("Enter")
    expect(chat).to_contain_text("hello you")
    expect(chat).to_contain_text("Hello! Tell me what to do with a network")

    with server.calls.held("Plan"):
        for text in ("write a poem", "retarget resnet50", "list models"):
            say(page, text)  # one upon the other
    for text in (POEM, "How many classes shall the new head have?", "list models"):
        expect(chat).to_contain_text(text)
    context.close()


def test_the_page_speaks_chinese_asks_back_fails_in_sentences_and_cancels(
    server: Server, site: str, browser: Browser
) -> None:
    context = browser.new_context(locale="zh-CN", viewport={"width": 390, "height": 844})
    page = enter(context, site)
    chat = page.locator("#chat")
    expect(page.locator("#send")).to_have_text("发送")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    send = page.locator("#send").bounding_box()
    assert send and send["x"] + send["width"] <= 390 - 8, "the button is whole"

    say(page, f"retarget {NAME}")
    page.get_by_role("button", name="10", exact=True).click()
    expect(chat).to_contain_text("Conv2d(512 → 10)")
    say(page, "write a poem")
    expect(chat).to_contain_text(POEM)
    say(page, "显示 <b>0123456789ab</b> *here*")
    expect(chat).to_contain_text("<b>0123456789ab</b> *here*")
    say(page, "显示 0123456789ab")
    expect(chat).to_contain_text("没有名为 '0123456789ab' 的模型")
    say(page, f"显示 {NAME}，撤销")
    expect(chat).to_contain_text("没有可撤销的修改：它是基础模型")
    assert "Traceback" not in chat.inner_text()

    say(page, RETARGET)
    expect(page.locator("#plan-card")).to_be_hidden()
    say(page, "把它在 digits 上微调 1 轮")
    expect(page.locator("#plan-card")).to_contain_text("微调")
    page.locator("#consent-run").click()
    expect(page.locator("#job-state")).to_contain_text("训练中")
    page.locator("#cancel-job").click()
    expect(page.locator("#job-state [data-state]")).to_have_attribute("data-state", "cancelled")
    assert "zh" in server.calls.languages("CancelJob")

    page.get_by_role("button", name="新对话").click()
    expect(page.get_by_role("button", name="显示 resnet50，改成 100 类")).to_be_visible()
    expect(chat).not_to_contain_text("poem")
    context.close()


def test_the_gateway_names_a_port_in_use_ends_cleanly_and_an_idle_page_outlives_it(
    server: Server, site: str, browser: Browser, start_gateway: Any
) -> None:
    context = browser.new_context()
    page = enter(context, site)  # its event streams are open when the signal comes
    box, gone = page.locator("#message-box textarea"), page.locator("#server-gone")
    box.fill("half a sen")
    port = int(site.rpartition(":")[2])
    second = start_gateway(port, server.port)
    assert second.process.wait(30) == 1
    assert second.said() == (
        f"Port {port} is in use. Stop what uses it, or choose another with NETGRAFT_WEB_PORT=PORT."
    )
    first = start_gateway.started[0]
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(15) == 0
    assert "Traceback" not in first.said()
    expect(gone).to_contain_text("does not answer")  # though nobody has clicked
    box.press("Enter")  # is not sent into the void
    expect(box).to_have_value("half a sen")
    start_gateway(port, server.port)
    expect(gone).to_be_hidden()
    expect(box).to_have_value("half a sen")
    context.close()
