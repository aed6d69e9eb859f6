"""The page around Netron and the files it loads."""

import re
from html.parser import HTMLParser

import pytest

from netgraft.errors import NotFound
from netgraft.graph.viewer import pages


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts: list[str] = []
        self.metas: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if tag in ("script", "link"):
            self.found.append(given.get("src") or given.get("href", ""))
        if tag == "script":
            self.scripts.append(self.found[-1].rpartition("/")[2])
        if tag == "meta":
            self.metas[given.get("name") or given.get("http-equiv", "")] = given.get("content", "")


def links(title: str = "resnet50") -> Links:
    parser = Links()
    parser.feed(pages.page(title).data.decode())
    return parser


def test_every_file_that_the_page_names_is_handed_out() -> None:
    found = links().found
    assert len(found) >= 4
    assert found.count(pages.DOCUMENT) == 1, "the model itself is asked for early too"
    for link in set(found) - {pages.DOCUMENT}:
        path = re.fullmatch(r"\.\./static/(.+)", link)
        assert path, link
        file = pages.static_file(path[1])
        assert file.data
        assert file.immutable


def test_netrons_script_comes_before_ours() -> None:
    assert links().scripts == [
        "index.js",
        "language.js",
        "nodes.js",
        "netgraft.js",
        "lens.js",
    ]


def test_the_page_keeps_netron_from_talking_to_anyone() -> None:
    metas = links().metas
    assert metas["version"] == "0.0.0"
    assert "connect-src 'self'" in metas["Content-Security-Policy"]
    assert "unsafe-eval" not in metas["Content-Security-Policy"]


def test_a_title_cannot_become_markup() -> None:
    page = pages.page("<script>alert('x')</script>\" onload=\"x").data.decode()
    assert "<script>alert" not in page
    assert '" onload="x' not in page


def test_the_page_may_change_and_the_shared_files_may_not() -> None:
    assert not pages.page("a").immutable
    assert not pages.model_file(pages.DOCUMENT, b"").immutable


@pytest.mark.parametrize("name", ["server.py", "__init__.py", "pytorch.py", "index.html", ""])
def test_what_is_not_listed_is_not_served(name: str) -> None:
    folder = links().found[0].split("/")[2]
    with pytest.raises(NotFound):
        pages.static_file(f"{folder}/{name}")
