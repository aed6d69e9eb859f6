"""The addresses of a job's results: /jobs/JOB, and what it shows."""

import hashlib
import re
from functools import cache
from html import escape
from pathlib import Path
from string import Template

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from netgraft.errors import NetgraftError, NotFound
from netgraft.language import Translator
from netgraft.ui.backend import Backend
from netgraft.ui.messages import language_of
from netgraft.ui.pages import error_response
from netgraft.ui.results.gather import gathered
from netgraft.ui.results.page import name_of, sections
from netgraft.ui.results.pictures import cell_address, gallery, page_address
from netgraft.ui.viewer import IMMUTABLE
from netgraft.v1 import tuning_pb2

HERE = Path(__file__).parent
JOB = re.compile(r"[\w-]{1,64}", re.ASCII)
FILES = {"results.css": "text/css", "results.js": "text/javascript"}
A_DAY = "private, max-age=86400"
SHOWN_AT_ONCE = 48

POLICY = "; ".join(
    [
        "default-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # shares of cells are properties of theirs
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    ]
)

PAGE = Template("""<!doctype html>
<html lang="$language">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title · netgraft</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/results/results.css?$version">
<script src="/results/results.js?$version" defer></script>
<nav class="top"><a href="$back">$back_name</a></nav>
<main$live>
$body
</main>
<dialog aria-label="$dialog"><button data-close aria-label="$close">✕</button><div></div></dialog>
</html>
""")


class ResultsPages:
    """The endpoints. They know the form of a job's id; the services know which there are."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/jobs/{job}", self.page),
            Route("/jobs/{job}/pictures", self.cell),
            Route("/jobs/{job}/picture", self.picture),
            Route("/results/{name}", file_of_page),
        ]

    async def page(self, request: Request) -> Response:
        """Show everything about a job."""
        if not (job := _job(request)):
            return _not_found(request)
        language = language_of(request)
        say = Translator(language)
        try:
            seen = await gathered(self.backend.client(language), job)
        except NetgraftError as error:
            return error_response(request, error)
        title = f"{seen.title} · {name_of(seen.job.spec.data)}"
        body = sections(seen, say)
        return _whole(say, language, title, body, ("/", "netgraft"), live=seen.lives)

    async def cell(self, request: Request) -> Response:
        """Show pictures of one class that were taken for another, some at a time."""
        if not (job := _job(request)):
            return _not_found(request)
        language, query = language_of(request), request.query_params
        say, truth, said = Translator(language), query.get("truth", ""), query.get("said", "")
        start = int(query["start"]) if query.get("start", "").isdecimal() else 0
        asked = tuning_pb2.ListAnswersRequest(
            job=job, truth=truth, said=said, limit=SHOWN_AT_ONCE, offset=min(start, 2**31 - 1)
        )
        try:
            found = await self.backend.client(language).tuning.ListAnswers(asked)
        except NetgraftError as error:
            return error_response(request, error)
        title = _cell_title(say, truth, said, found.total)
        body = f"<h1>{escape(title)}</h1>{gallery(job, found.answers, say)}"
        if (after := start + len(found.answers)) < found.total:
            more = escape(cell_address(job, truth, said, after))
            left = escape(say("{count} more", count=found.total - after))
            body += f'<p><a href="{more}" data-pictures>{left}</a></p>'
        return _whole(say, language, title, body, (page_address(job), say("Results")))

    async def picture(self, request: Request) -> Response:
        """Send one picture of the job's data, small."""
        file = request.query_params.get("file", "")
        if not (job := _job(request)) or not file:
            return _not_found(request)
        client = self.backend.client(language_of(request))
        try:
            found = await client.tuning.GetPicture(tuning_pb2.GetPictureRequest(job=job, file=file))
        except NetgraftError as error:
            return error_response(request, error)
        headers = {"cache-control": A_DAY, "content-security-policy": "sandbox"}
        return Response(found.data, media_type="image/jpeg", headers=headers)


async def file_of_page(request: Request) -> Response:
    """The style sheet or the script."""
    name = request.path_params["name"]
    if name not in FILES:
        return _not_found(request)
    text = (HERE / name).read_text("utf-8")
    return Response(text, media_type=FILES[name], headers={"cache-control": IMMUTABLE})


def _whole(
    say: Translator,
    language: str,
    title: str,
    body: str,
    back: tuple[str, str],
    *,
    live: bool = False,
) -> Response:
    address, name = back
    text = PAGE.substitute(
        language=language,
        title=escape(title),
        body=body,
        version=_version(),
        back=escape(address),
        back_name=f"← {escape(name)}",
        live=" data-live" if live else "",
        dialog=escape(say("Pictures")),
        close=escape(say("Close")),
    )
    headers = {"cache-control": "private, no-cache", "content-security-policy": POLICY}
    return HTMLResponse(text, headers=headers)


def _cell_title(say: Translator, truth: str, said: str, total: int) -> str:
    if truth and said and truth != said:
        return say("{truth} taken for {said}: {times} ×", truth=truth, said=said, times=total)
    if truth and said:
        return say("{truth}, named rightly: {times} ×", truth=truth, times=total)
    if truth:
        return say("Held-out pictures of {truth}: {count}", truth=truth, count=total)
    return say("All {count} held-out pictures", count=total)


def _job(request: Request) -> str:
    """The job's id; "" where it cannot be one."""
    job: str = request.path_params["job"]
    return job if JOB.fullmatch(job) else ""


def _not_found(request: Request) -> Response:
    return error_response(request, NotFound(what=request.url.path))


@cache
def _version() -> str:
    """Changes with the files, which browsers keep."""
    data = b"".join((HERE / name).read_bytes() for name in FILES)
    return hashlib.sha256(data).hexdigest()[:12]
