"""SVG and PNG: exactly the picture of the page, drawn by Netron in a headless Chromium.

Nothing listens on a port: the browser's requests are answered from memory, and any
that is not for the viewer's own files fails. Needs the extra `render` and a Chromium,
which are not installed by default. The browser is started once and kept.
"""

import base64
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from netgraft.errors import CannotDraw, NotFound
from netgraft.graph.viewer import pages
from netgraft.graph.viewer.view import View
from netgraft.language import Message, quoted

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

ORIGIN = "http://netgraft.invalid"
PATIENCE = 60_000
"""Milliseconds that Netron may take to draw."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = Message(
    "a picture file needs a browser: `pip install 'netgraft[render]'`, "
    "and Chromium (`apt-get install chromium`, or `playwright install chromium`)."
)

EXPORT = """async (name) => {
    const view = window.__view__;
    const blob = await new Promise((resolve, reject) => {
        view.host.export = async (_, blob) => resolve(blob);
        view.export(name).catch(reject);
    });
    const bytes = new Uint8Array(await blob.arrayBuffer());
    let text = '';
    for (let i = 0; i < bytes.length; i += 32768) {
        text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    }
    return btoa(text);
}"""
"""Intercepts the file that Netron would download (through unofficial handles, as netgraft.js)."""


def render(
    document: bytes,
    lens: bytes,
    title: str,
    kind: str,
    view: View,
    name: str = pages.DOCUMENT,
) -> bytes:
    """Return the picture of a document as "svg" or "png". Raises CannotDraw.

    `lens` is the JSON by which boxes are coloured; see `lens.py`. `name` is the document's.
    """
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError as error:
        raise CannotDraw(model=title, problem=INSTALL) from error
    page = pages.page(title, name).data
    files = {"": page, name: document, pages.LENS: lens}
    return _studio.run(lambda browser: _picture(browser, files, title, kind, view), title)


class _Studio:
    """A browser and the one thread that may use it; Playwright is bound to its thread."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Callable[[Browser], bytes], str, Future[bytes]]]
        self._queue = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def run(self, work: "Callable[[Browser], bytes]", title: str) -> bytes:
        """Let `work` use the browser. Raises CannotDraw."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                # A daemon: when the process ends, so does its browser.
                self._thread = threading.Thread(target=self._serve, name="render", daemon=True)
                self._thread.start()
        result: Future[bytes] = Future()
        self._queue.put((work, title, result))
        return result.result()

    def _serve(self) -> None:
        """Serve requests until the browser fails; the next request starts another."""
        from playwright.sync_api import Error, sync_playwright

        work, title, result = self._queue.get()
        try:
            with sync_playwright() as playwright:
                # Chromium's sandbox does not work for root, the user of many containers.
                arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
                found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
                browser = playwright.chromium.launch(executable_path=found, args=arguments)
                while browser.is_connected():
                    try:
                        result.set_result(work(browser))
                    except CannotDraw as error:
                        result.set_exception(error)
                    work, title, result = self._queue.get()
                self._queue.put((work, title, result))
        except Error as error:
            missing = "Executable doesn't exist" in error.message
            problem = INSTALL if missing else quoted(error.message.splitlines()[0])
            result.set_exception(_cannot(title, problem, error))


def _cannot(title: str, problem: Message, cause: Exception) -> CannotDraw:
    error = CannotDraw(model=title, problem=problem)
    error.__cause__ = cause
    return error


_studio = _Studio()


def _picture(
    browser: "Browser", files: dict[str, bytes], title: str, kind: str, view: View
) -> bytes:
    page = browser.new_page(color_scheme="light", viewport={"width": 1200, "height": 900})
    try:

        def answer(route: "Route") -> None:
            _answer(route, files)

        page.route("**/*", answer)
        query = "&".join(filter(None, (view.query(), "bar=none", "language=en")))
        page.goto(f"{ORIGIN}/viz/model/?{query}")
        done = page.wait_for_selector(
            "html[data-netgraft=drawn], html[data-netgraft=failed]",
            state="attached",
            timeout=PATIENCE,
        )
        if done is None or done.get_attribute("data-netgraft") == "failed":
            report = done.get_attribute("data-netgraft-error") if done else None
            problem = quoted(report) if report else Message("the browser does not answer.")
            raise CannotDraw(model=title, problem=problem)
        encoded: Any = page.evaluate(EXPORT, f"graph.{kind}")
        return base64.b64decode(encoded)
    finally:
        page.close()


def _answer(route: "Route", files: dict[str, bytes]) -> None:
    _, _, owner, path = route.request.url.removeprefix(ORIGIN).partition("?")[0].split("/", 3)
    try:
        if owner == pages.STATIC:
            file = pages.static_file(path)
        elif path in files:
            file = pages.model_file(path or "index.html", files[path])
        else:
            raise NotFound(what=path)
    except NotFound:
        route.abort()
    else:
        route.fulfill(body=file.data, content_type=file.content_type)
