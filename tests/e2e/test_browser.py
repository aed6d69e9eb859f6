"""The chat page in real Chromium against the real services."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
import torchvision
from playwright.sync_api import Browser, Page, expect
from tests.e2e.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SHOTS = Path(__file__).parents[1] / "output"
SECOND = 1000


@pytest.fixture
def page(browser: Browser, system: System) -> Iterator[Page]:
    """A logged-in chat page that fails the test when a request leaves the origin."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
    page = context.new_page()
    outside: list[str] = []
    origin = urlsplit(system.web).netloc
    page.on(
        "request",
        lambda r: (
            outside.append(r.url)
            if urlsplit(r.url).scheme in ("http", "https") and urlsplit(r.url).netloc != origin
            else None
        ),
    )
    page.goto(system.link())
    expect(page.locator("#message-box textarea")).to_be_visible(timeout=60 * SECOND)
    yield page
    context.close()
    assert outside == [], "nothing may be loaded from outside"


def say(page: Page, text: str) -> None:
    box = page.locator("#message-box textarea")
    box.fill(text)
    box.press("Enter")
    expect(box).to_have_value("")


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def expect_drawn(page: Page, boxes: int = 10) -> None:
    """Netron has drawn at least so many boxes in the picture panel.

    The locator is resolved again at each try: the panel goes on to the next picture by itself.
    """
    drawn = page.frame_locator("#picture-frame").locator("svg g.node")
    expect(drawn.nth(boxes - 1)).to_be_attached(timeout=60 * SECOND)


def test_a_page_without_the_token_shows_only_the_login(browser: Browser, system: System) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(system.web)
    assert "/login" in page.url
    for path in ("/viz/0/", "/export/0/onnx", "/gradio_api/info", "/config"):
        reply = context.request.get(system.web + path, max_redirects=0)
        assert reply.status in (302, 303, 307, 401, 403), path
    context.close()


def test_the_link_that_is_printed_logs_in_once_and_the_token_is_not_in_the_output(
    browser: Browser, system: System
) -> None:
    said = system.terminal.read_text()
    assert system.token not in said
    link = re.findall(rf"{system.web}/\?code=\S+", said)[-1]
    for first in (True, False):
        context = browser.new_context(locale="en-US")
        page = context.new_page()
        page.goto(link)
        if first:
            expect(page.locator("#message-box textarea")).to_be_visible(timeout=60 * SECOND)
            assert page.url == f"{system.web}/"
        else:
            expect(page.get_by_role("alert")).to_contain_text("This link was used already")
        context.close()


def test_one_line_shows_the_graph_then_the_new_head(page: Page) -> None:
    say(page, "show resnet50, retarget to 100 classes")
    chat = page.locator("#chat")
    expect(chat).to_contain_text(
        "fc: Linear(2048 → 1000) → Linear(2048 → 100)", timeout=90 * SECOND
    )
    expect(chat).to_contain_text("25,557,032")
    expect(chat).to_contain_text(f"{25_557_032 - 2049 * 900:,}")
    expect_drawn(page)
    page.wait_for_timeout(1500)
    shot(page, "retarget")
    [address] = [frame.url for frame in page.frames if "/viz/" in frame.url]
    picture = page.request.get(address.partition("?")[0] + "graph.svg?lens=flops&open=layer4")
    assert picture.status == 200
    assert picture.headers["content-type"] == "image/svg+xml"
    for text in ("GFLOPs", "Bottleneck", "N×2048×7×7"):
        assert text in picture.text()


def test_a_run_asks_first_survives_a_reload_and_ends_with_a_model(
    page: Page, system: System
) -> None:
    say(page, "retarget timm/test_resnet@none to 10 classes")
    expect(page.locator("#chat")).to_contain_text("Linear(96 → 10)", timeout=90 * SECOND)
    say(page, "把它在 digits 上微调 3 轮")
    expect(page.locator("#plan-card")).to_be_visible(timeout=60 * SECOND)
    with system.client() as netgraft:
        from netgraft.v1 import tuning_pb2

        asked = tuning_pb2.ListJobsRequest()
        before = len(netgraft.tuning.ListJobs(asked).jobs)
        page.wait_for_timeout(1500)
        assert len(netgraft.tuning.ListJobs(asked).jobs) == before, "nothing runs before consent"
        shot(page, "plan-card")
        page.locator("#consent-run").click()
        state = page.locator("#job-state [data-state]").first
        expect(state).to_have_attribute(
            "data-state", re.compile("queued|running"), timeout=60 * SECOND
        )
        expect(state).to_have_attribute("data-state", "running", timeout=300 * SECOND)
        page.reload()
        expect(page.locator("#message-box textarea")).to_be_visible(timeout=60 * SECOND)
        expect(page.locator("#chat")).to_contain_text("digits", timeout=30 * SECOND)
        state = page.locator("#job-state [data-state]").first
        expect(state).to_have_attribute(
            "data-state", re.compile("running|succeeded"), timeout=30 * SECOND
        )
        expect(state).to_have_attribute("data-state", "succeeded", timeout=300 * SECOND)
        job = netgraft.tuning.ListJobs(asked).jobs[0]
        assert job.metrics["accuracy"] > 0.5
    expect(page.locator("#panel")).to_contain_text(
        f"{job.metrics['accuracy'] * 100:.1f}", timeout=30 * SECOND
    )
    expect(page.locator("#loss-curve canvas, #loss-curve svg").first).to_be_visible()
    shot(page, "trained")
    with page.expect_download(timeout=60 * SECOND) as download:
        page.locator('#download-model a[data-format="safetensors"]').click()
    from safetensors.torch import load_file

    state_dict = load_file(str(download.value.path()))
    assert state_dict["fc.weight"].shape == (10, 96)


def test_a_tab_that_shows_a_run_comes_back_when_the_page_was_killed_and_cancels_it(
    page: Page, system: System
) -> None:
    say(page, "retarget squeezenet1_1@none to 10 classes")
    expect(page.locator("#chat")).to_contain_text("→ 10)", timeout=90 * SECOND)
    say(page, "fine-tune it on digits for 200 epochs")
    expect(page.locator("#plan-card")).to_be_visible(timeout=60 * SECOND)
    say(page, "yes")
    state = page.locator("#job-state [data-state]").first
    expect(state).to_have_attribute("data-state", "running", timeout=300 * SECOND)
    [gateway] = system.processes("netgraft.ui")
    with page.expect_navigation(timeout=90 * SECOND, wait_until="commit"):
        gateway.kill()
    expect(page.locator("#chat")).to_contain_text("→ 10)", timeout=90 * SECOND)
    expect(state).to_have_attribute("data-state", "running", timeout=90 * SECOND)
    page.locator("#cancel-job").click()
    expect(state).to_have_attribute("data-state", "cancelled", timeout=30 * SECOND)


def test_a_sentence_that_is_not_understood_gets_a_question(page: Page) -> None:
    say(page, "show resnet500")
    expect(page.locator("#chat")).to_contain_text("resnet50", timeout=30 * SECOND)
    expect(page.locator("#chat")).to_contain_text("?", timeout=5 * SECOND)


def test_a_file_that_is_dropped_is_shown_and_one_that_means_harm_is_refused(
    page: Page, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18(num_classes=12), tmp_path / "my net.pth")
    (tmp_path / "evil.pth").write_bytes(b"\x80\x02cposix\nsystem\n(X\x04\x00\x00\x00truetR.")
    box, state = page.locator("#message-box textarea"), page.locator("#attach-state")
    box.fill("what somebody types")
    drop(page, tmp_path / "my net.pth")
    chat = page.locator("#chat")
    expect(chat).to_contain_text("my net.pth", timeout=90 * SECOND)
    expect_drawn(page)
    expect(state).to_be_hidden()
    expect(box).to_have_value("what somebody types")
    expect(box).to_be_focused()
    say(page, "retarget to 7 classes")
    expect(chat).to_contain_text("fc: Linear(512 → 12) → Linear(512 → 7)", timeout=60 * SECOND)
    with page.expect_file_chooser() as chosen:
        page.locator("#attach").click()
    chosen.value.set_files(tmp_path / "evil.pth")
    expect(state).to_contain_text("it asks for posix.system", timeout=60 * SECOND)
    shot(page, "upload")


def drop(page: Page, file: Path) -> None:
    """Let a file fall onto the page, as a person does with the mouse."""
    page.evaluate(
        """() => {
          const picked = document.createElement("input");
          Object.assign(picked, { type: "file", id: "held", hidden: true });
          document.body.append(picked);
        }"""
    )
    page.locator("#held").set_input_files(file)  # as script, megabytes would take half a minute
    transfer = page.evaluate_handle(
        """() => {
          const picked = document.getElementById("held");
          const transfer = new DataTransfer();
          transfer.items.add(picked.files[0]);
          picked.remove();
          return transfer;
        }"""
    )
    for event in ("dragover", "drop"):
        page.locator("#chat").dispatch_event(event, {"dataTransfer": transfer})
