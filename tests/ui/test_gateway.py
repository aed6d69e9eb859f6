"""The gateway's routes, against the real services in this process."""

import asyncio
import io
import re
import time
from collections import namedtuple
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import httpx
import pytest
import pytest_asyncio
import safetensors.torch
import torch
from grpc_health.v1 import health_pb2
from starlette.routing import Mount, Route
from tests.serving.test_readiness import health_server

from netgraft import codes
from netgraft.readiness import TENSORS
from netgraft.settings import settings
from netgraft.ui import session
from netgraft.ui.download import _headers
from netgraft.ui.gateway import PROGRESS_SECONDS, QUEUE_SECONDS, application
from netgraft.v1 import models_pb2

from .conftest import BASE, OTHER, TOKEN, Server, network

pytestmark = pytest.mark.asyncio(loop_scope="module")

HTML = {"accept": "text/html"}
OPEN = {"/healthz", "/login"}
OUTSIDE = re.compile(r"""(?:src|href)=["'](?:https?:)?//""")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(shared: Server) -> AsyncIterator[Any]:
    """One gateway for all tests: it reads the settings anew for each request."""
    app = application()
    async with app.router.lifespan_context(app):
        yield app


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without a session."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def friend(stranger: httpx.AsyncClient) -> httpx.AsyncClient:
    """A browser that has opened the address with the token."""
    await stranger.get("/", params={"token": TOKEN})
    return stranger


def exactly(path: str) -> httpx.URL:
    """An address whose dots the client does not resolve by itself."""
    raw = path.replace("..", "%2e%2e").encode()
    return httpx.URL("http://127.0.0.1:7860").copy_with(raw_path=raw)


def every_route(routes: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount):
            yield from every_route(route.routes, prefix + route.path)
        elif hasattr(route, "original_router"):  # how FastAPI keeps a router that was included
            yield from every_route(route.original_router.routes, prefix)
        elif isinstance(route, Route):
            path = re.sub(r"\{.*?\}", "x", prefix + route.path)
            yield from ((method, path) for method in route.methods or {"GET"})


async def test_every_route_but_health_and_login_needs_a_session(
    app: Any, stranger: httpx.AsyncClient
) -> None:
    routes = set(every_route(app.routes))
    assert {("GET", "/viz/x/x"), ("GET", "/export/x/x"), ("GET", "/")} <= routes
    assert ("POST", "/gradio_api/queue/join") in routes  # the walk reaches Gradio's own
    for method, path in sorted(routes):
        if path not in OPEN:
            answer = await stranger.request(method, path)
            assert answer.status_code == 401, (method, path, answer.status_code)


async def test_a_person_without_a_session_is_led_to_the_login(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/", headers=HTML)).headers["location"] == "/login"
    picture = await stranger.get(f"/viz/{BASE}/", headers=HTML)
    assert picture.status_code == 303
    assert picture.headers["location"] == f"/login?next=%2Fviz%2F{BASE}%2F"
    form = await stranger.get("/login", headers=HTML)
    assert '<label for="token">' in form.text


async def test_health_answers_anybody_under_any_name(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/healthz", headers={"host": "10.1.2.3:7860"})
    assert answer.json() == {"status": "ok"}


async def test_health_says_that_the_services_are_warming(
    stranger: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with health_server() as (address, servicer):
        monkeypatch.setenv("NETGRAFT_ADDRESS", address)
        settings.cache_clear()
        await servicer.set(TENSORS, health_pb2.HealthCheckResponse.NOT_SERVING)
        answer = await stranger.get("/healthz")
        assert (answer.status_code, answer.json()) == (200, {"status": "warming"})
        await servicer.set(TENSORS, health_pb2.HealthCheckResponse.SERVING)
        assert (await stranger.get("/healthz")).json() == {"status": "ok"}


async def test_gradio_still_has_the_pauses_that_an_idle_page_needs() -> None:
    queue = gr.Blocks()._queue
    assert queue.sleep_when_free < QUEUE_SECONDS
    assert queue.progress_update_sleep_when_free < PROGRESS_SECONDS


async def test_an_address_with_the_token_begins_a_programs_session_and_becomes_clean(
    stranger: httpx.AsyncClient,
) -> None:
    answer = await stranger.get("/", params={"token": TOKEN, "__theme": "dark"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?__theme=dark"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert (await stranger.get("/")).status_code == 200


async def test_a_link_logs_in_once_and_becomes_clean(
    stranger: httpx.AsyncClient, app: Any, state: Path
) -> None:
    link = codes.link("http://127.0.0.1:7860", f"/viz/{BASE}/?focus=fc")
    assert TOKEN not in link
    answer = await stranger.get(link, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/viz/{BASE}/?focus=fc")
    assert (await stranger.get("/")).status_code == 200
    again = await stranger.get(link, headers=HTML)  # by its cookie, as any other page
    assert again.headers["location"] == f"/viz/{BASE}/?focus=fc"

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as other:
        spent = await other.get(link, headers=HTML)
        assert spent.headers["location"] == f"/login?next=%2Fviz%2F{BASE}%2F&link=old"
        assert "set-cookie" not in spent.headers
        told = await other.get(spent.headers["location"], headers=HTML)
        assert "This link was used already, or is older than ten minutes." in told.text
        assert "<code>netgraft token --link</code>" in told.text
        assert (await other.get(link)).status_code == 401
    [used] = (state / "codes").iterdir()
    assert used.stat().st_mode & 0o777 == 0o600
    assert (state / "codes").stat().st_mode & 0o777 == 0o700


async def test_a_code_of_another_token_of_no_token_or_too_old_logs_nobody_in(
    stranger: httpx.AsyncClient, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = codes.new_code(now=time.time() - codes.LIFETIME - 1)
    good = codes.new_code()
    expires, rest = good.split(".", 1)
    forged = [late, f"{int(expires) + 60}.{rest}", good[:-1], good + "A", ".", "é", "a.b.c", "\0"]
    monkeypatch.setenv("NETGRAFT_TOKEN", "another")
    settings.cache_clear()
    forged.append(codes.new_code())
    monkeypatch.setenv("NETGRAFT_TOKEN", TOKEN)
    settings.cache_clear()
    for code in forged:
        answer = await stranger.get("/", params={"code": code})
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False), code
    answer = await stranger.post("/", params={"code": good})  # a link is opened, not sent
    assert answer.status_code == 401
    assert (await stranger.get("/", params={"code": good})).status_code == 303


async def test_no_code_is_spent_twice_however_many_try_at_once(state: Path) -> None:
    code = codes.new_code()
    tries = await asyncio.gather(*(asyncio.to_thread(codes.spend, code) for _ in range(16)))
    assert tries.count(True) == 1


async def test_what_is_remembered_of_codes_is_forgotten_when_they_expire(state: Path) -> None:
    begin = time.time()
    assert codes.spend(codes.new_code(begin), begin)
    assert codes.spend(codes.new_code(begin + 300), begin + 301)
    assert len(list((state / "codes").iterdir())) == 2
    assert codes.spend(codes.new_code(begin + 700), begin + 700)
    assert len(list((state / "codes").iterdir())) == 2


async def test_a_doubled_slash_does_not_lead_to_another_host(stranger: httpx.AsyncClient) -> None:
    url = f"http://127.0.0.1:7860//evil.example/?token={TOKEN}"
    answer = await stranger.get(url)
    assert answer.headers["location"] == "/evil.example/"


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "ünïcode", "\0"])
async def test_a_wrong_token_opens_nothing(stranger: httpx.AsyncClient, token: str) -> None:
    assert (await stranger.get("/", params={"token": token})).status_code == 401
    form = await stranger.post("/login", data={"token": token})
    assert form.status_code == 403
    assert "set-cookie" not in form.headers


async def test_no_token_at_all_opens_nothing(
    stranger: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NETGRAFT_TOKEN")
    settings.cache_clear()
    assert settings().read_token() == ""
    assert (await stranger.get("/", params={"token": ""})).status_code == 401
    assert (await stranger.post("/login", data={"token": ""})).status_code == 403
    assert not session.is_session(session.new_session())


@pytest.mark.parametrize(
    ("wish", "target"),
    [
        ("/viz/x/", "/viz/x/"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\r\nset-cookie: x", "/"),
    ],
)
async def test_the_login_leads_back_to_a_path_of_this_server(
    stranger: httpx.AsyncClient, wish: str, target: str
) -> None:
    answer = await stranger.post("/login", params={"next": wish}, data={"token": TOKEN})
    assert answer.status_code == 303
    assert answer.headers["location"] == target
    assert (await stranger.get("/")).status_code == 200


async def test_a_large_login_form_is_not_read(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post("/login", content=b"token=" + b"x" * 10_000_000)
    assert answer.status_code == 403


async def test_sessions_expire_cannot_be_forged_and_end_with_their_token(
    shared: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = session.new_session()
    assert session.is_session(value)
    assert not session.is_session(value, now=time.time() + session.LIFETIME + 1)
    expires, rest = value.split(".", 1)
    assert not session.is_session(f"{int(expires) + 1}.{rest}")
    for forged in ("", ".", "..", "1.2.3", value[:-1], value + "0", "é.é.é"):
        assert not session.is_session(forged)
    monkeypatch.setenv("NETGRAFT_TOKEN", "another")
    settings.cache_clear()
    assert not session.is_session(value)


async def test_a_program_may_show_the_token_in_a_header(stranger: httpx.AsyncClient) -> None:
    right = {"authorization": f"Bearer {TOKEN}"}
    assert (await stranger.get(f"/viz/{BASE}/", headers=right)).status_code == 200
    wrong = {"authorization": "Bearer nonsense"}
    refused = await stranger.get(f"/viz/{BASE}/", headers=wrong)
    assert refused.status_code == 401
    assert refused.json()["reason"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[", "10.0.0.1"])
async def test_a_foreign_name_is_refused_even_with_a_session(
    friend: httpx.AsyncClient, host: str
) -> None:
    for path in ("/", "/login", f"/viz/{BASE}/"):
        assert (await friend.get(path, headers={"host": host})).status_code == 421


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1:1234", "[::1]:7860", "Graft.Lab:80"])
async def test_loopback_and_configured_names_are_welcome(
    friend: httpx.AsyncClient, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_WEB_HOSTS", "graft.lab, other.lab")
    settings.cache_clear()
    assert (await friend.get("/login", headers={"host": host})).status_code == 200


async def test_bound_to_all_interfaces_addresses_are_welcome_and_names_are_not(
    friend: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_HOST", "0.0.0.0")
    settings.cache_clear()
    assert (await friend.get("/login", headers={"host": "10.0.0.1:7860"})).status_code == 200
    assert (await friend.get("/login", headers={"host": "evil.example"})).status_code == 421


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:8888", "null", "http://[", "http://a]b"]
)
async def test_another_origin_is_refused_even_on_this_machine(
    friend: httpx.AsyncClient, origin: str
) -> None:
    joining = await friend.post("/gradio_api/queue/join", json={}, headers={"origin": origin})
    assert joining.status_code == 403
    own = {"origin": "http://127.0.0.1:7860"}
    assert (await friend.get(f"/viz/{BASE}/", headers=own)).status_code == 200


async def test_a_click_on_another_site_is_asked_again_from_here(
    stranger: httpx.AsyncClient,
) -> None:
    clicked = {**HTML, "sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}
    answer = await stranger.get("/", headers=clicked)
    assert 'content="0;url=/"' in answer.text
    elsewhere = await stranger.get(f"/export/{BASE}/onnx", headers=clicked)
    assert elsewhere.status_code == 303


async def test_every_answer_has_the_headers_that_protect_it(friend: httpx.AsyncClient) -> None:
    for path in ("/", "/login", "/healthz", f"/viz/{BASE}/", f"/export/{BASE}/python", "/nothing"):
        headers = (await friend.get(path)).headers
        assert "frame-ancestors 'self'" in headers["content-security-policy"], path
        assert "default-src 'self'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "same-origin", path


async def test_the_page_loads_nothing_from_outside(friend: httpx.AsyncClient) -> None:
    page = await friend.get("/", headers=HTML)
    assert page.status_code == 200
    assert "message-box" in page.text
    assert not OUTSIDE.search(page.text)


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/hostname",
        "/gradio_api/file=pyproject.toml",
        "/gradio_api/file/pyproject.toml",
        "/gradio_api/proxy=http://127.0.0.1:9000/",
        "/gradio_api/stream/a/b/1/playlist.m3u8",
        "/gradio_api/upload_progress",
        "/gradio_api/runs",
        "/monitoring",
    ],
)
async def test_gradio_serves_no_files_and_no_extras(friend: httpx.AsyncClient, path: str) -> None:
    assert (await friend.get(path)).status_code == 404


async def test_gradio_takes_no_uploads(friend: httpx.AsyncClient) -> None:
    answer = await friend.post("/gradio_api/upload", files={"files": ("a.txt", b"a")})
    assert answer.status_code == 404


async def test_a_viewer_page_is_relayed_with_a_policy_of_its_own(
    friend: httpx.AsyncClient,
) -> None:
    page = await friend.get(f"/viz/{BASE}/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!DOCTYPE html>")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src" not in policy  # so scripts fall under default-src: self, none inline
    assert page.headers["cache-control"] == "private, no-cache"
    assert (await friend.get(f"/viz/{BASE}")).headers["location"] == f"/viz/{BASE}/"


async def script_of(friend: httpx.AsyncClient) -> str:
    """The address of a script that all models' pages share."""
    page = await friend.get(f"/viz/{BASE}/")
    [name, *_] = re.findall(r'src="\.\./static/([^"]+\.js)"', page.text)
    return f"/viz/static/{name}"


async def test_immutable_viewer_files_are_kept_for_ever(friend: httpx.AsyncClient) -> None:
    address = await script_of(friend)
    script = await friend.get(address)
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert script.headers["cache-control"] == "private, max-age=31536000, immutable"
    again = {"if-none-match": script.headers["etag"]}
    known = await friend.get(address, headers=again)
    assert known.status_code == 304
    assert known.content == b""
    assert known.headers["etag"] == script.headers["etag"]


async def test_files_that_all_pages_share_are_asked_of_the_service_once(
    friend: httpx.AsyncClient, shared: Server
) -> None:
    address = await script_of(friend)
    first = await friend.get(address)
    asked = shared.calls.count("GetViewerFile")
    second = await friend.get(address)
    assert first.content == second.content != b""
    assert shared.calls.count("GetViewerFile") == asked > 0


@pytest.mark.parametrize(
    "path",
    [
        "../../../etc/passwd",
        "..%2f..%2fetc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "a/../../b",
        "a//b",
        "/etc/passwd",
        ".hidden",
        "a/.git/config",
        "a\\..\\b",
        "a%00b",
        "a%0d%0ab",
        "x" * 300,
    ],
)
async def test_paths_that_climb_never_reach_the_server(
    app: Any, friend: httpx.AsyncClient, shared: Server, path: str
) -> None:
    shared.calls.seen.clear()
    for start in (f"/viz/{BASE}/", "/viz/static/"):
        assert (await friend.get(exactly(start + path))).status_code == 404
    assert shared.calls.seen == []


@pytest.mark.parametrize("model", ["resnet50", "A" * 64, "a" * 63, "..", "static2"])
async def test_only_model_ids_have_a_viewer(
    friend: httpx.AsyncClient, shared: Server, model: str
) -> None:
    shared.calls.seen.clear()
    assert (await friend.get(exactly(f"/viz/{model}/"))).status_code == 404
    assert shared.calls.seen == []


async def test_a_compare_page_is_relayed_with_both_ids(friend: httpx.AsyncClient) -> None:
    pair = f"/viz/compare/{BASE}/{OTHER}"
    assert (await friend.get(pair)).headers["location"] == f"{pair}/"
    page = await friend.get(f"{pair}/")
    assert page.text.startswith("<!doctype html>")
    assert BASE in page.text
    assert OTHER in page.text
    diff = (await friend.get(f"{pair}/diff.json")).json()
    assert diff["a"]["parameters"] == 1_235_496
    assert diff["b"]["parameters"] == 11_689_512


@pytest.mark.parametrize(
    "path", [f"{BASE}/resnet50/", f"../{BASE}/", f"{BASE}/static/", f"{BASE}/{BASE}/../x", BASE]
)
async def test_only_two_ids_have_a_compare_page(
    friend: httpx.AsyncClient, shared: Server, path: str
) -> None:
    shared.calls.seen.clear()
    assert (await friend.get(exactly(f"/viz/compare/{path}"))).status_code == 404
    assert shared.calls.seen == []


async def test_an_export_is_a_download_of_exactly_the_file(friend: httpx.AsyncClient) -> None:
    file = network(12)
    sent = await friend.post("/upload", params={"name": "../résnet 1.pth"}, content=file)
    answer = await friend.get(f"/export/{sent.json()['id']}/safetensors")
    assert answer.status_code == 200
    tensors = safetensors.torch.load(answer.content)
    state = torch.load(io.BytesIO(file), weights_only=False).state_dict()
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[name], state[name]) for name in state)
    assert len(answer.content) > 2 * 2**20  # several chunks
    assert answer.headers["content-length"] == str(len(answer.content))
    named = f"résnet 1-{sent.json()['id'][:12]}.safetensors"
    disposition = f"attachment; filename*=UTF-8''{quote(named)}"
    assert answer.headers["content-disposition"] == disposition


@pytest.mark.parametrize("name", ["../résnet50.onnx", "..\\résnet50.onnx", "/etc/résnet50.onnx"])
def test_a_download_has_no_folder_in_its_name(name: str) -> None:
    disposition = _headers(models_pb2.FileChunk(name=name))["content-disposition"]
    assert disposition == "attachment; filename*=UTF-8''r%C3%A9snet50.onnx"


@pytest.mark.parametrize("path", ["resnet50/onnx", f"{BASE}/on.nx", f"{BASE}/ONNX", "../x/onnx"])
async def test_an_export_takes_ids_and_plain_formats_only(
    friend: httpx.AsyncClient, shared: Server, path: str
) -> None:
    shared.calls.seen.clear()
    assert (await friend.get(exactly(f"/export/{path}"))).status_code == 404
    assert shared.calls.seen == []


async def test_a_file_is_sent_on_and_answered_with_the_sentence_that_shows_it(
    friend: httpx.AsyncClient,
) -> None:
    sent = {"params": {"name": "网络 1.pth"}, "content": network(7)}
    assert len(sent["content"]) > 2 * 2**20  # several chunks
    done = await friend.post("/upload", **sent)  # type: ignore[arg-type]
    assert done.status_code == 200
    model = done.json()["id"]
    assert done.json() == {"id": model, "title": "网络 1.pth", "say": f"show {model[:12]}"}
    assert (await friend.get(f"/viz/{model}/")).status_code == 200
    done = await friend.post("/upload", headers={"accept-language": "zh"}, **sent)  # type: ignore[arg-type]
    assert done.json()["say"] == f"显示 {model[:12]}"


async def test_a_file_that_is_refused_is_told_with_the_reason(friend: httpx.AsyncClient) -> None:
    refused = await friend.post("/upload", params={"name": "x.pth"}, content=b"bad")
    assert (refused.status_code, refused.json()["reason"]) == (400, "UNSUPPORTED_FILE")
    assert refused.json()["message"].startswith("x.pth cannot be opened as a model: ")
    nameless = await friend.post("/upload", content=b"x")
    assert (nameless.status_code, nameless.json()["reason"]) == (400, "INVALID_VALUE")


async def test_a_file_above_the_limit_is_not_read(
    friend: httpx.AsyncClient, shared: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_FILE_MIB", "1")
    settings.cache_clear()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(2**18)

    shared.calls.seen.clear()
    try:
        for content in (bytes(2**20 + 1), endless()):  # one says its length, one does not
            answer = await friend.post("/upload", params={"name": "x.pth"}, content=content)
            assert (answer.status_code, answer.json()["reason"]) == (507, "TOO_LARGE")
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert shared.calls.seen == []


async def test_a_file_for_which_the_disk_has_no_room_is_not_read(
    friend: httpx.AsyncClient, shared: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly_full = namedtuple("usage", "total used free")(100, 93, 7)
    monkeypatch.setattr("netgraft.ui.upload.shutil.disk_usage", lambda _: nearly_full)
    shared.calls.seen.clear()
    answer = await friend.post("/upload", params={"name": "x.pth"}, content=b"12345678")
    assert (answer.status_code, answer.json()["reason"]) == (507, "DISK_FULL")
    assert shared.calls.seen == []


async def test_no_other_origin_and_no_stranger_may_send_a_file(
    friend: httpx.AsyncClient, app: Any
) -> None:
    foreign = {"origin": "http://127.0.0.1:8888"}
    answer = await friend.post("/upload?name=x", content=b"x", headers=foreign)
    assert answer.status_code == 403
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as other:
        assert (await other.post("/upload?name=x", content=b"x")).status_code == 401


async def test_errors_are_sentences_in_the_readers_language(friend: httpx.AsyncClient) -> None:
    unknown = f"/export/{'d' * 64}/onnx"
    english = await friend.get(unknown)
    assert english.status_code == 404
    assert english.json()["reason"] == "UNKNOWN_MODEL"
    assert english.json()["message"].startswith("There is no model")
    chinese = await friend.get(unknown, headers={**HTML, "accept-language": "zh-CN,zh;q=0.9"})
    assert "没有名为" in chinese.text
    assert '<html lang="zh">' in chinese.text
    assert "Traceback" not in chinese.text


async def test_a_server_that_does_not_answer_is_said_in_a_sentence(
    shared: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_ADDRESS", "127.0.0.1:1")
    settings.cache_clear()
    transport = httpx.ASGITransport(application())
    right = {"authorization": f"Bearer {TOKEN}"}
    base = "http://127.0.0.1:7860"
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=right) as client:
        answer = await client.get(f"/viz/{BASE}/")
    assert answer.status_code == 503
    assert answer.json()["message"].startswith("No netgraft server answers at 127.0.0.1:1.")
