"""Download one file over HTTP: with reports of progress, resumed where it broke, and hashed.

What has arrived lies in a `.part` file beside the place of the file, and a later call goes on
from it by HTTP Range (RFC 9110, section 14). Proxies are those of $HTTP_PROXY, $HTTPS_PROXY and
$NO_PROXY, which urllib reads. Knows nothing of models.
"""

import fcntl
import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path

from netgraft.language import Message

SECONDS = 10
"""Longest silence of a server, also at the beginning: "no network" is noticed soon."""
ATTEMPTS = 5
"""Connections that may break one after another without one byte between them."""
PAUSE_SECONDS = 0.2
"""Before the second attempt; doubled before each further one."""
CHUNK = 2**18
REPORT_SECONDS = 0.1
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class WrongContent(OSError):
    """The content that arrived is not the one that the file's name promises."""

    def __init__(self, problem: Message) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True)
class Progress:
    """The progress of a download."""

    file: str
    """The file's name."""
    done: int
    """Bytes that are here."""
    total: int
    """Bytes of the whole file; 0 when the server does not say."""
    resumed: int = 0
    """Bytes that were here before this connection."""


@dataclass
class _Partial:
    """The part of a file that has arrived."""

    out: BufferedRandom
    total: int = 0
    etag: str = ""
    """The server's tag for the version of these bytes; "" where this process does not know it."""

    @property
    def done(self) -> int:
        return self.out.seek(0, 2)

    @property
    def whole(self) -> bool:
        return bool(self.total) and self.done >= self.total

    def drop(self) -> None:
        self.out.truncate(0)
        self.total, self.etag = 0, ""


def download(url: str, file: Path, sha256: str = "") -> Iterator[Progress]:
    """Bring `url` to `file`, and report the progress; `sha256` is the beginning of its hash.

    Raises OSError (URLError and WrongContent among them); what has arrived is kept.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    with _alone(part) as out:
        if file.is_file():  # another process brought it while we waited
            return
        arrived = _Partial(out)
        if not sha256:
            arrived.drop()  # without a hash nobody would know whether it fits what comes now
        kept = arrived.done
        if not (kept and _fits(out, sha256)):
            yield from _get(url, file.name, arrived)
        if kept and not _fits(out, sha256):
            arrived.drop()  # the bytes of an earlier call were of another version, or torn
            yield from _get(url, file.name, arrived)
        if not _fits(out, sha256):
            arrived.drop()
            problem = Message(
                "what {url} gave has another SHA-256 than {hash}…", url=url, hash=sha256
            )
            raise WrongContent(problem)
        out.flush()
        part.replace(file)


def sparse(progress: Iterator[Progress]) -> Iterator[Progress]:
    """The first report, the last, and one every REPORT_SECONDS in between."""
    reported, held = -REPORT_SECONDS, None
    for held in progress:
        now = time.monotonic()
        if now - reported >= REPORT_SECONDS:
            reported = now
            yield held
            held = None  # noqa: PLW2901
    if held is not None:
        yield held


@contextmanager
def _alone(part: Path) -> Iterator[BufferedRandom]:
    """The part file, locked against other writers; an empty one is not left behind."""
    with part.open("a+b") as out:
        fcntl.flock(out, fcntl.LOCK_EX)
        try:
            yield out
        finally:
            if not out.seek(0, 2):
                part.unlink(missing_ok=True)


def _get(url: str, name: str, arrived: _Partial) -> Iterator[Progress]:
    """Connect as often as is needed. Raises OSError when that brings nothing more."""
    failed = 0
    while not arrived.whole:
        before = arrived.done
        problem: OSError = ConnectionError("the server ends the connection too early")
        try:
            yield from _connect(url, name, arrived)
            if not arrived.total:  # the server did not say how long: its end is the end
                return
        except urllib.error.HTTPError as error:
            if error.code < http.client.INTERNAL_SERVER_ERROR:
                raise  # asking again would not help
            problem = error
        except http.client.HTTPException as error:
            problem = ConnectionError(str(error) or type(error).__name__)
        except (TimeoutError, ConnectionError) as error:
            problem = error
        failed = 0 if arrived.done > before else failed + 1
        if failed == ATTEMPTS:
            raise problem
        if not arrived.whole:
            time.sleep(PAUSE_SECONDS * 2**failed)


def _connect(url: str, name: str, arrived: _Partial) -> Iterator[Progress]:
    """One connection: append what it gives."""
    with _answer(url, arrived) as answer:
        began = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status != http.client.PARTIAL_CONTENT or not began:
            arrived.drop()
            arrived.total = int(answer.headers.get("Content-Length") or 0)
        else:
            arrived.out.truncate(int(began[1]))
            arrived.total = int(began[2])
        arrived.etag = answer.headers.get("ETag", "")
        resumed = done = arrived.done
        yield Progress(name, done, arrived.total, resumed)
        while data := answer.read(CHUNK):
            arrived.out.write(data)
            done += len(data)
            yield Progress(name, done, arrived.total, resumed)


def _answer(url: str, arrived: _Partial) -> http.client.HTTPResponse:
    """The server's answer: the missing bytes alone, if it can send those."""
    headers = {"User-Agent": "netgraft"}
    if done := arrived.done:
        headers["Range"] = f"bytes={done}-"
        # A weak tag (W/…) may not be compared so; the hash of the whole decides then.
        if arrived.etag.startswith('"'):
            headers["If-Range"] = arrived.etag
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # a library's own URL
    # An opener of its own: the one behind `urlopen` keeps the proxies of its first call.
    opener = urllib.request.build_opener()
    try:
        answer: http.client.HTTPResponse = opener.open(request, timeout=SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not done:
            raise
        arrived.drop()  # it holds more than the file has
        return _answer(url, arrived)
    return answer


def _fits(out: BufferedRandom, sha256: str) -> bool:
    """True if the file's SHA-256 begins with the given digits."""
    out.seek(0)
    return hashlib.file_digest(out, "sha256").hexdigest().startswith(sha256)
