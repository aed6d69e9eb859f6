"""prefetch: weights from a real server on loopback that breaks, lies, or is not there."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load

from netgraft.settings import settings

from .conftest import Run
from .server import serving

MODEL = "mobilenet_v2@IMAGENET1K_V1"
FILE = "mobilenet_v2-b0353104.pth"
CLOSED = "http://127.0.0.1:9"
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


class Server:
    """Serves one file's bytes under every path, or several by name; breaks off on request."""

    def __init__(self, content: bytes | dict[str, bytes]) -> None:
        self.content = content
        self.cuts = 0
        """How many answers end in the middle of what was asked for."""
        self.status = 0
        """Instead of the file, when not 0."""
        self.asked: list[tuple[str, str, str]] = []
        """Method, path and Range of each request."""
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    @property
    def ranges(self) -> list[str]:
        return [wanted for method, _, wanted in self.asked if method == "GET"]

    def at(self, path: str) -> bytes | None:
        """What lies at a path."""
        several = isinstance(self.content, dict)
        return self.content.get(path.rpartition("/")[2]) if several else self.content

    def handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range", "")
                server.asked.append((self.command, self.path, wanted))
                if server.status:
                    self.send_error(server.status)
                    return
                content = server.at(self.path)
                if content is None:
                    self.send_response(404)
                    self.send_header("X-Error-Code", "EntryNotFound")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                size = len(content)
                begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
                self.send_response(206 if wanted else 200)
                if wanted:
                    self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
                digest = hashlib.sha256(content).hexdigest()
                self.send_header("Content-Length", str(size - begin))
                self.send_header("ETag", f'"{digest}"')
                self.send_header("X-Repo-Commit", "1" * 40)  # as the hub does
                self.send_header("Connection", "close")
                self.end_headers()
                if self.command == "HEAD":
                    return
                end = size
                if server.cuts:
                    server.cuts -= 1
                    end = begin + (size - begin) // 2
                self.wfile.write(content[begin:end])
                self.close_connection = True

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def serve() -> Iterator[Callable[[bytes | dict[str, bytes]], Server]]:
    running: list[Server] = []

    def start(content: bytes | dict[str, bytes]) -> Server:
        running.append(Server(content))
        threading.Thread(target=running[-1].http.serve_forever, args=(0.02,)).start()
        return running[-1]

    yield start
    for server in running:
        server.http.shutdown()
        server.http.server_close()


@pytest.fixture
def weights(torch_home_with_weights: Path) -> bytes:
    return (torch_home_with_weights / "hub" / "checkpoints" / FILE).read_bytes()


@pytest.fixture
def folder(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch keeps weights; empty. No proxy is named."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "huggingface"))
    monkeypatch.setattr("netgraft.models.fetch.http.PAUSE_SECONDS", 0.01)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def mirror(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def use(url: str) -> None:
        monkeypatch.setenv("NETGRAFT_TORCH_MIRROR", url)
        settings.cache_clear()

    return use


@pytest.fixture
def server(
    serve: Callable[[bytes], Server], weights: bytes, mirror: Callable[[str], None]
) -> Server:
    """Serves mobilenet_v2's official weights in place of torch's own server."""
    started = serve(weights)
    mirror(started.url)
    return started


def output(run: Run, *words: str) -> list[dict[str, Any]]:
    result = run("prefetch", *words, "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_download_that_breaks_goes_on_where_it_broke(
    run: Run, server: Server, folder: Path, weights: bytes
) -> None:
    server.cuts = 1
    lines = output(run, MODEL)
    assert lines[-1] == {
        "base": "torchvision/mobilenet_v2@IMAGENET1K_V1",
        "file": FILE,
        "done_bytes": len(weights),
        "total_bytes": len(weights),
    }
    assert server.ranges == ["", f"bytes={len(weights) // 2}-"]
    assert server.asked[0][1] == f"/models/{FILE}"
    assert [file.name for file in folder.iterdir()] == [FILE]
    assert (folder / FILE).read_bytes() == weights


def test_what_is_there_is_not_asked_for_again(run: Run, server: Server) -> None:
    first = run("prefetch", MODEL).stdout
    again = run("prefetch", MODEL, MODEL).stdout.splitlines()
    assert "14.2 MB" in first
    assert "downloaded" in first
    assert [line.endswith("was there already") for line in again] == [True, True]
    assert len(server.asked) == 1


def test_a_later_call_goes_on_from_what_an_earlier_one_got(
    run: Run, server: Server, folder: Path, weights: bytes
) -> None:
    folder.mkdir(parents=True)
    (folder / f".{FILE}.part").write_bytes(weights[:1_000_000])
    lines = output(run, MODEL)
    assert server.ranges == ["bytes=1000000-"]
    assert lines[0]["resumed_bytes"] == 1_000_000
    assert (folder / FILE).read_bytes() == weights


def test_pieces_that_do_not_fit_together_are_thrown_away(
    run: Run, server: Server, folder: Path, weights: bytes
) -> None:
    folder.mkdir(parents=True)
    (folder / f".{FILE}.part").write_bytes(b"another version" * 1000)
    output(run, MODEL)
    assert server.ranges == ["bytes=15000-", ""]
    assert (folder / FILE).read_bytes() == weights


def test_what_has_another_hash_than_its_name_says_gets_no_name(
    run: Run, serve: Callable[[bytes], Server], mirror: Callable[[str], None], folder: Path
) -> None:
    mirror(serve(b"not these weights").url)
    result = run("prefetch", MODEL)
    assert result.exit_code == 1
    assert "another SHA-256 than b0353104" in result.stderr
    assert "(CANNOT_PREFETCH)" in result.stderr
    assert list(folder.iterdir()) == []


def test_a_server_that_never_comes_to_the_end_is_given_up_and_its_bytes_are_kept(
    run: Run, server: Server, folder: Path, weights: bytes
) -> None:
    folder.mkdir(parents=True)
    part = folder / f".{FILE}.part"
    part.write_bytes(weights[:1000])
    server.status = 503
    assert "Service Unavailable" in run("prefetch", MODEL).stderr
    assert len(server.asked) == 5
    assert part.read_bytes() == weights[:1000]
    server.status = 404
    assert "Not Found" in run("prefetch", MODEL).stderr
    assert len(server.asked) == 6, "what is not there is not asked for again"


def test_without_a_network_it_says_what_is_on_disk(
    run: Run, mirror: Callable[[str], None], folder: Path, torch_home_with_weights: Path
) -> None:
    folder.mkdir(parents=True)
    shutil.copy(torch_home_with_weights / "hub" / "checkpoints" / FILE, folder)
    mirror(CLOSED)
    result = run("prefetch", MODEL, "resnet18")
    assert result.exit_code == 1
    assert "mobilenet_v2@IMAGENET1K_V1" in result.stderr
    assert "resnet18-f37072fd.pth" in result.stderr
    assert "HTTPS_PROXY" in result.stderr
    assert "本机已有：" in run("prefetch", "resnet18", "--language", "zh").stderr


@pytest.mark.parametrize(
    ("model", "reason"), [("resnet18@none", "INVALID_VALUE"), ("resnet500", "UNKNOWN_MODEL")]
)
def test_what_has_no_weights_is_refused(run: Run, folder: Path, model: str, reason: str) -> None:
    result = run("prefetch", model)
    assert result.exit_code == 1
    assert f"({reason})" in result.stderr


def test_the_usual_variables_name_the_proxy(
    run: Run,
    server: Server,
    mirror: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("http_proxy", server.url)
    mirror("http://weights.invalid/torch")
    output(run, MODEL)
    assert server.asked[0][1] == f"http://weights.invalid/torch/models/{FILE}"


def test_a_server_brings_weights_to_its_own_disk(
    run: Run, server: Server, folder: Path, state: Path
) -> None:
    server.cuts = 1
    with serving() as address:
        lines = output(run, MODEL, "--server", address)
        assert lines[-1]["done_bytes"] == lines[-1]["total_bytes"]
        assert (folder / FILE).is_file()
        server.status = 404
        refused = run("prefetch", "resnet18", "--server", address)
    assert "resnet18@IMAGENET1K_V1 could not be downloaded (Not Found)" in refused.stderr


def test_a_mirror_of_the_hub_is_used_and_a_broken_download_mended(
    serve: Callable[[bytes], Server], folder: Path, tmp_path: Path
) -> None:
    """In a process of its own: huggingface_hub reads its variables when it is first imported."""
    import timm
    from safetensors.torch import save

    content = save(timm.create_model("test_resnet").state_dict())
    hub = serve(content)
    hub.cuts = 1
    line = [Path(sys.executable).with_name("netgraft"), "prefetch", "timm/test_resnet", "--json"]
    named = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(line, env=named, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["done_bytes"] == last["total_bytes"] == len(content)
    assert len(hub.ranges) == 2
    (kept,) = (tmp_path / "huggingface").glob("models--*/snapshots/*/model.safetensors")
    assert kept.read_bytes() == content


@pytest.fixture
def serve_hub(
    serve: Callable[[dict[str, bytes]], Server],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[dict[str, bytes]], Server]:
    """Serves files as the hub, to the huggingface_hub of this process."""
    pytest.importorskip("transformers")
    from huggingface_hub import close_session, constants

    def start(files: dict[str, bytes]) -> Server:
        hub = serve(files)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        address = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        return hub

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "huggingface"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()  # of another test, which may have known a proxy
    return start


def tiny_vit(folder: Path, *, shards: bool) -> dict[str, bytes]:
    """The files of a small model of transformers."""
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_labels": 3}
    config = transformers.ViTConfig(**sizes, intermediate_size=64, image_size=32, patch_size=8)
    model = transformers.ViTForImageClassification(config)
    model.save_pretrained(folder, max_shard_size="20KB" if shards else "1GB")
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("shards", [False, True])
def test_a_model_of_the_hub_is_fetched_listed_and_then_needs_no_network(
    run: Run, serve_hub: Callable[[dict[str, bytes]], Server], tmp_path: Path, shards: bool
) -> None:
    files = tiny_vit(tmp_path / "made", shards=shards)
    assert ("model.safetensors" in files) is not shards
    hub = serve_hub(files)
    hub.cuts = 1
    last = output(run, "hf/acme/tiny-ViT")[-1]
    assert last["base"] == "hf/acme/tiny-ViT"
    assert last["done_bytes"] == last["total_bytes"] == len(files[last["file"]])
    asked = len(hub.asked)
    shown = run("show", "hf/acme/tiny-ViT", "--json")
    assert len(hub.asked) == asked, "what is there is not asked for again"
    assert json.loads(shown.stdout)["title"] == "hf/acme/tiny-ViT", shown.stderr
    (entry,) = json.loads(run("models", "acme", "--json").stdout)["entries"]
    assert (entry["name"], entry["task"]) == ("hf/acme/tiny-ViT", "classification")
    assert entry["image_size"] == 32
    if not shards:
        assert entry["on_disk"] == ["main"]
        tensors = load(files["model.safetensors"])
        assert entry["params"] == sum(value.numel() for value in tensors.values())


def test_an_error_of_the_hub_shows_no_path_of_this_machine(
    run: Run, serve_hub: Callable[[dict[str, bytes]], Server], tmp_path: Path
) -> None:
    serve_hub({})
    done = run("prefetch", "hf/acme/other")
    assert done.exit_code == 1
    assert "(CANNOT_PREFETCH)" in done.stderr
    assert "the hub answers 404" in " ".join(done.stderr.split())
    assert str(tmp_path) not in done.output


@pytest.mark.parametrize("model", ["hf/acme/tiny@../../x", "hf/a/b/c", "hf/", "hf/a@"])
def test_what_is_no_name_of_the_hub_is_refused(run: Run, folder: Path, model: str) -> None:
    pytest.importorskip("transformers")
    result = run("prefetch", model)
    assert result.exit_code == 1
    assert "(UNSUPPORTED_FILE)" in result.stderr
    assert "hf/ORG/NAME@REVISION" in " ".join(result.stderr.split())


def test_a_model_of_the_hub_that_is_too_large_is_refused_before_it_fills_the_disk(
    run: Run,
    serve_hub: Callable[[dict[str, bytes]], Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NETGRAFT_HF_MIB", "1")
    settings.cache_clear()
    serve_hub({"config.json": b"{}", "model.safetensors": bytes(2**22)})
    done = run("prefetch", "hf/acme/large")
    assert done.exit_code == 1
    assert "at most 1 MiB (NETGRAFT_HF_MIB)" in " ".join(done.stderr.split())
    kept = [file for file in (tmp_path / "huggingface").rglob("*") if file.is_file()]
    assert "config.json" in {file.name for file in kept}, "the hub was asked"
    assert sum(file.stat().st_size for file in kept) < 2**20
