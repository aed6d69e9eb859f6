"""Uploads that hang take nothing from others; against a gateway that listens on a port."""

import asyncio
import functools
import http.client
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, expect
from starlette.types import Message
from uvicorn.server import ServerState

from netgraft import codes
from netgraft.errors import TooSlow, UploadsBusy
from netgraft.ui import guard, upload
from netgraft.ui.body import timely
from netgraft.ui.gateway import application
from netgraft.ui.serve import Http, Streams
from netgraft.ui.slots import MOST, MOST_PER_SESSION, Slots

from .conftest import TOKEN, Server, network

SOON = 0.05
"""Seconds, where a test waits for time to be over."""


def client_that_sends(*pieces: bytes, every: float = 0.0, end: bool = False) -> Callable[[], Any]:
    """An ASGI `receive`: these pieces, then nothing; or the end."""
    left = list(pieces)

    async def receive() -> Message:
        await asyncio.sleep(every)
        if not left and not end:
            await asyncio.sleep(3600)
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left) or not end}

    return receive


async def read(receive: Callable[[], Any]) -> bytes:
    whole = b""
    while True:
        message = await receive()
        whole += message.get("body", b"")
        if not message.get("more_body"):
            return whole


async def test_a_body_that_stops_is_not_waited_for() -> None:
    with pytest.raises(TooSlow):
        await read(timely(client_that_sends(b"x"), seconds=SOON))


async def test_a_byte_now_and_then_does_not_help() -> None:
    dribble = client_that_sends(*[b"x"] * 1000, every=SOON / 5)
    with pytest.raises(TooSlow):
        await read(timely(dribble, seconds=SOON, size=100))


async def test_much_at_the_start_is_no_excuse_for_later() -> None:
    burst = client_that_sends(bytes(10**6), *[b"x"] * 1000, every=SOON / 5)
    with pytest.raises(TooSlow):
        await read(timely(burst, seconds=SOON, size=100))


async def test_a_body_that_keeps_coming_is_read_however_long_it_takes() -> None:
    steady = client_that_sends(*[bytes(100)] * 30, every=SOON / 5, end=True)  # 6 × the time
    assert await read(timely(steady, seconds=20 * SOON, size=100)) == bytes(3000)


async def test_what_is_done_with_the_pieces_takes_nothing_of_the_senders_time() -> None:
    receive = timely(client_that_sends(*[b"x"] * 3, end=True), seconds=2 * SOON, size=100)
    for _ in range(3):
        await receive()
        await asyncio.sleep(2 * SOON)


async def test_nobody_can_take_all_places_and_who_finds_none_is_told_to_come_again() -> None:
    slots = Slots(wait_seconds=SOON)
    async with HeldSlots(slots, "mine", MOST_PER_SESSION):
        with pytest.raises(UploadsBusy):
            async with slots.slot("mine"):
                pytest.fail("that is one too many")
        async with HeldSlots(slots, "hers", MOST - MOST_PER_SESSION):
            with pytest.raises(UploadsBusy):
                async with slots.slot("his"):
                    pytest.fail("all are taken")
        async with slots.slot("his"):
            pass


async def test_a_place_that_becomes_free_goes_to_one_who_waits() -> None:
    slots = Slots(wait_seconds=30)
    async with HeldSlots(slots, "mine", MOST_PER_SESSION):
        waiting = asyncio.create_task(hold(slots, "mine"))
        await asyncio.sleep(SOON)
        assert not waiting.done()
    await waiting


async def hold(slots: Slots, session: str) -> None:
    async with slots.slot(session):
        pass


class HeldSlots:
    """`count` slots of one session, held during the block."""

    def __init__(self, slots: Slots, session: str, count: int) -> None:
        self.held = [slots.slot(session) for _ in range(count)]

    async def __aenter__(self) -> None:
        for place in self.held:
            await place.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        for place in self.held:
            await place.__aexit__(None, None, None)


@pytest.fixture
async def quick(
    shared: Server, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """A program at a gateway that has little time."""
    monkeypatch.setattr(guard, "timely", functools.partial(timely, seconds=SOON))
    app = application()
    right = {"authorization": f"Bearer {TOKEN}"}
    base, transport = "http://127.0.0.1:7860", httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=base, headers=right) as client,
    ):
        yield client


async def stopping() -> AsyncIterator[bytes]:
    yield b"token=x"
    await asyncio.sleep(3600)


@pytest.mark.parametrize("path", ["/upload?name=a.pth", "/login"])
async def test_a_body_that_stops_is_answered_with_a_sentence(
    quick: httpx.AsyncClient, path: str
) -> None:
    answer = await quick.post(path, content=stopping())
    assert (answer.status_code, answer.json()["reason"]) == (408, "TOO_SLOW")
    assert answer.headers["connection"] == "close"
    chinese = await quick.post(path, content=stopping(), headers={"accept-language": "zh"})
    assert "收到的数据过少" in chinese.json()["message"]


@pytest.fixture(scope="module")
def port(shared: Server) -> Iterator[int]:
    """Where a gateway listens in which an upload waits a second for a slot."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upload, "Slots", functools.partial(Slots, wait_seconds=1.0))
        app = application()
    config = uvicorn.Config(Streams(app), http=Http, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


@pytest.fixture
def hanging(port: int) -> Iterator[str]:
    """The cookie of a session with as many uploads as there are slots; none goes on."""
    cookie = session(port)
    with ExitStack() as stack:
        for index in range(MOST):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            head = f"Host: 127.0.0.1:{port}\r\nCookie: {cookie}\r\nContent-Length: 1000000"
            slow.sendall(f"POST /upload?name={index} HTTP/1.1\r\n{head}\r\n\r\nx".encode())
        yield cookie


def session(port: int) -> str:
    answer = ask(port, "GET", codes.link("").removeprefix("/"), "")
    return (answer.getheader("set-cookie") or "").split(";")[0]


def ask(
    port: int, method: str, path: str, cookie: str, body: bytes | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, f"/{path}", body=body, headers={"Cookie": cookie})
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    return answer


def test_uploads_that_hang_hold_up_no_other_session_and_their_own_is_answered(
    port: int, hanging: str
) -> None:
    other = ask(port, "POST", "upload?name=b.pth", session(port), network(5))
    assert other.status == 200
    own = ask(port, "POST", "upload?name=b.pth", hanging, b"hello")
    assert (own.status, own.getheader("retry-after")) == (429, "5")
    assert json.loads(own.body)["reason"] == "UPLOADS_BUSY"  # type: ignore[attr-defined]


def test_the_page_waits_for_a_place_and_then_sends_the_file(port: int, browser: Browser) -> None:
    """It is told twice that all are taken."""
    page = browser.new_page(locale="en-US")
    page.goto(codes.link(f"http://127.0.0.1:{port}"))
    page.locator("#message-box textarea").wait_for()
    answers = iter([(429, {"retry-after": "1"}), (429, {"retry-after": "1"})])

    def busy(route: Any) -> None:
        status, headers = next(answers, (0, {}))
        if status:
            route.fulfill(status=status, headers=headers, json={"message": "busy"})
        else:
            route.continue_()

    page.route("**/upload?*", busy)
    with page.expect_file_chooser() as chosen:
        page.locator("#attach").click()
    chosen.value.set_files({"name": "net.pth", "mimeType": "", "buffer": network(5)})
    state = page.locator("#attach-state")
    expect(state).to_contain_text("net.pth: waiting until other uploads are done")
    expect(page.locator("#chat")).to_contain_text(re.compile("show [0-9a-f]{12}"), timeout=15_000)
    expect(state).to_be_hidden()
    page.close()


@pytest.mark.parametrize("head", ["", "GET / HTTP/1.1\r\nHost: x\r\nX-Never"])
async def test_a_connection_that_does_not_say_what_it_wants_is_closed(
    head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has no session can open connections, too."""
    monkeypatch.setattr("netgraft.ui.serve.HEAD_SECONDS", SOON)
    assert await said_to(head) == b""


async def test_an_answer_may_take_longer_than_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netgraft.ui.serve.HEAD_SECONDS", SOON)
    answer = await said_to("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"at last" in answer


async def test_a_head_without_end_is_refused_and_not_kept() -> None:
    answer = await said_to("GET / HTTP/1.1\r\nX-Long: " + "x" * 70 * 2**10)
    assert answer.startswith(b"HTTP/1.1 400")


async def said_to(request: str) -> bytes:
    """What the gateway's HTTP says until it closes the connection."""

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(4 * SOON)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"at last"})

    config, state = uvicorn.Config(late, http=Http), ServerState()
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Http(config, state, {}), "127.0.0.1", 0)
    async with server, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(request.encode())
        answer = await reader.read()
        writer.close()
    return answer
