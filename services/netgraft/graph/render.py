"""SVG and PNG: the very picture of the page, drawn by Netron in a headless Chromium.

Nothing listens on a port: the browser's requests are answered from memory, and any
that is not for the viewer's own files fails. Needs the extra `render` and a Chromium,
which are not installed by default.
"""

import base64
import os
import shutil
from typing import TYPE_CHECKING, Any

from netgraft.errors import CannotDraw, NotFound
from netgraft.graph import viewer

if TYPE_CHECKING:
    from playwright.sync_api import Playwright, Route

ORIGIN = "http://netgraft.invalid"
PATIENCE = 60_000
"""Milliseconds that Netron may take to draw."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = (
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
"""Takes what Netron would download (its unofficial handles; see netgraft.js)."""


def render(document: bytes, title: str, kind: str, focus: str = "") -> bytes:
    """The picture of a document as "svg" or "png". Raises CannotDraw.

    With `focus`, the modules around that module are open, as on the page.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise CannotDraw(model=title, problem=INSTALL) from error
    try:
        with sync_playwright() as playwright:
            return _picture(playwright, document, title, kind, focus)
    except Error as error:
        problem = INSTALL if "Executable doesn't exist" in error.message else error.message
        raise CannotDraw(model=title, problem=problem.splitlines()[0]) from error


def _picture(playwright: "Playwright", document: bytes, title: str, kind: str, focus: str) -> bytes:
    # Chromium's sandbox does not work for root, as whom containers often run.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    browser = playwright.chromium.launch(executable_path=found, args=arguments)
    page = browser.new_page()

    def answer(route: "Route") -> None:
        _answer(route, document, title)

    page.route("**/*", answer)
    page.goto(f"{ORIGIN}/viz/model/" + (f"?focus={focus}" if focus else ""))
    done = page.wait_for_selector(
        "html[data-netgraft=drawn], html[data-netgraft=failed]", state="attached", timeout=PATIENCE
    )
    if done is None or done.get_attribute("data-netgraft") == "failed":
        problem = done.get_attribute("data-netgraft-error") if done else "no answer"
        raise CannotDraw(model=title, problem=problem)
    encoded: Any = page.evaluate(EXPORT, f"graph.{kind}")
    browser.close()
    return base64.b64decode(encoded)


def _answer(route: "Route", document: bytes, title: str) -> None:
    _, _, owner, path = route.request.url.removeprefix(ORIGIN).partition("?")[0].split("/", 3)
    try:
        if owner == viewer.STATIC:
            file = viewer.static_file(path)
        elif path == "":
            file = viewer.page(title)
        elif path == viewer.DOCUMENT:
            file = viewer.model_file(path, document)
        else:
            raise NotFound(what=path)
    except NotFound:
        route.abort()
    else:
        route.fulfill(body=file.data, content_type=file.content_type)
