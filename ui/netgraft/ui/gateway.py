"""The web application: everything that a browser gets, under one origin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import gradio as gr
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from netgraft.readiness import is_warming
from netgraft.settings import settings
from netgraft.ui import page, theme
from netgraft.ui.backend import Backend
from netgraft.ui.board import Board
from netgraft.ui.conversation import Conversations
from netgraft.ui.download import Download
from netgraft.ui.guard import HEALTH, LOGIN, Guard
from netgraft.ui.login import login
from netgraft.ui.results.endpoints import ResultsPages
from netgraft.ui.upload import Upload
from netgraft.ui.viewer import Viewer

QUEUE_SECONDS = 0.04
"""Between two looks of Gradio's for an event, which waits for half of it on average."""
PROGRESS_SECONDS = 0.5


def application() -> Starlette:
    """Return the ASGI application. It connects to the gRPC server when it first needs it."""
    backend = Backend()
    conversations = Conversations(backend)
    viewer, board = Viewer(backend), Board(backend)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await conversations.close()
        await backend.close()

    routes = [
        Route(HEALTH, healthz),
        Route(LOGIN, login, methods=["GET", "POST"]),
        Route("/viz/compare/{a}/{b}", viewer.redirect),
        Route("/viz/compare/{a}/{b}/{path:path}", viewer.comparison),
        Route("/viz/{model}", viewer.redirect),
        Route("/viz/{model}/{path:path}", viewer.file),
        Route("/export/{model}/{format}", Download(backend).__call__),
        Route("/tensorboard", board.redirect),
        Route("/tensorboard/{path:path}", board.__call__, methods=["GET", "POST"]),
        Route("/font-roboto/{file}", board.font),
        *ResultsPages(backend).routes,
        Route("/upload", Upload().__call__, methods=["POST"]),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Guard)], lifespan=lifespan)
    _mount_page(app, conversations)
    return app


async def healthz(request: Request) -> Response:
    """Answer that this process is running, whatever the gRPC server does.

    The status is "warming" while calls that need torch would wait, else "ok".
    """
    warming = await is_warming(settings().server)
    return JSONResponse({"status": "warming" if warming else "ok"})


def _mount_page(app: Any, conversations: Conversations) -> None:
    blocks = page.build(conversations)
    gr.mount_gradio_app(
        app,
        blocks,
        "/",
        server_name=settings().host,
        server_port=settings().web_port,
        i18n=page.i18n(),
        theme=theme.theme(),
        css_paths=theme.STYLE,
        head=theme.HEAD + page.NAMING + page.scripts(),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        allowed_paths=[],
        show_error=False,
        enable_monitoring=False,
    )
    # Gradio looks for events, and for progress that nothing here reports through it, hundreds of
    # times a second: an idle page took 2.5 % of a core.
    blocks._queue.sleep_when_free = QUEUE_SECONDS
    blocks._queue.progress_update_sleep_when_free = PROGRESS_SECONDS
