"""Pictures as files."""

import builtins
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest
from tests.graph.conftest import Residual, graph_of

from netgraft.errors import CannotDraw
from netgraft.graph import document, lens
from netgraft.graph.capture.capture import parameters
from netgraft.graph.drawings import PICTURE, Drawings
from netgraft.graph.viewer.render import render
from netgraft.graph.viewer.view import View
from netgraft.models.resolve import resolve
from netgraft.store.store import Store

needs_chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")


@needs_chromium
def test_an_svg_shows_what_the_page_shows_and_is_the_same_every_time() -> None:
    data = document.write(graph_of(Residual()), "residual")
    first, second = (render(data, b"", "residual", "svg", View()) for _ in range(2))
    assert first == second
    text = "".join(ET.fromstring(first).itertext())
    assert "2 × Block" in text
    assert "N×4×8×8" in text


@needs_chromium
def test_a_picture_shows_the_lens_and_what_is_open() -> None:
    module = Residual()
    graph = graph_of(module)
    module.blocks.requires_grad_(False)
    data = document.write(graph, "residual")
    numbers = lens.write(graph, parameters(module), {})
    view = View(lens="trainable", open=("blocks",), focus="blocks.0.conv")
    picture = render(data, numbers, "residual", "svg", view)
    text = "".join(ET.fromstring(picture).itertext())
    assert ("frozen" in text, "trains" in text) == (True, True)
    plain = render(data, numbers, "residual", "svg", View())
    assert b"rgb(63, 111, 168)" in picture  # the colour of what is frozen
    assert b"rgb(63, 111, 168)" not in plain
    assert text.count("Conv") > "".join(ET.fromstring(plain).itertext()).count("Conv")


@needs_chromium
def test_a_png_is_kept_once_drawn(store: Store) -> None:
    recipe = resolve("squeezenet1_1", "none", store).recipe
    picture = Drawings(store).picture(recipe, "png", View())
    assert picture.startswith(b"\x89PNG")
    kept = store.files.find(f"{store.root}/pictures")
    assert len(kept) == 1


def test_of_too_many_pictures_the_oldest_go_and_are_drawn_again_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, drawings = resolve("squeezenet1_1", "none", store).recipe, Drawings(store)
    first = drawings.picture(recipe, "html", View(focus="features.0"))
    small = replace(PICTURE, most_bytes=int(2.5 * len(first)))
    monkeypatch.setattr("netgraft.graph.drawings.PICTURE", small)
    folder = f"{store.root}/pictures"
    [oldest] = store.files.find(folder)
    for focus in ("features.3", "features.4"):
        drawings.picture(recipe, "html", View(focus=focus))
    assert len(store.files.find(folder)) == 2
    assert oldest not in store.files.find(folder)
    assert drawings.picture(recipe, "html", View(focus="features.0")) == first


def test_without_playwright_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("playwright"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(CannotDraw, match=r"netgraft\[render\]"):
        render(b"", b"", "resnet50", "svg", View())


@needs_chromium
def test_a_document_that_netron_cannot_read_is_an_error() -> None:
    with pytest.raises(CannotDraw):
        render(b"no onnx", b"", "broken", "svg", View())
