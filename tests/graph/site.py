"""The viewer's pages on a port of this machine, for tests with a browser."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

from netgraft.errors import NetgraftError
from netgraft.graph.servicer import GraphsServicer
from netgraft.v1 import graph_pb2


class Site:
    """The viewer's files, as the gateway relays them."""

    def __init__(self, graphs: GraphsServicer) -> None:
        self.graphs = graphs
        self.missing: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"

    @contextmanager
    def serving(self) -> Iterator["Site"]:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        yield self
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        _, _, model_id, path = urlsplit(request.path).path.split("/", 3)
        other_id = ""
        if model_id == "compare":
            model_id, other_id, path = path.split("/", 2)
        asked_for = graph_pb2.GetViewerFileRequest(model_id=model_id, other_id=other_id, path=path)
        try:
            file = self.graphs.GetViewerFile(asked_for)
        except NetgraftError:
            self.missing.append(request.path)
            request.send_error(404)
            return
        request.send_response(200)
        request.send_header("content-type", file.content_type)
        request.send_header("content-length", str(len(file.data)))
        request.end_headers()
        request.wfile.write(file.data)


@contextmanager
def watched(browser: Browser, site: Site, **context_options: Any) -> Iterator[Page]:
    """A page that fails the test if a request leaves the origin or an error occurs."""
    context = browser.new_context(**context_options)
    page = context.new_page()
    elsewhere: list[str] = []
    wrong: list[str] = []

    def look(url: str) -> None:
        if not url.startswith((f"{site.origin}/", "data:", "blob:")):
            elsewhere.append(url)

    context.on("request", lambda request: look(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    yield page
    context.close()
    assert elsewhere == []
    assert wrong == []
    assert site.missing == []
