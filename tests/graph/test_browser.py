"""The viewer in a real Chromium: Netron really draws, and contacts no other host."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.graph.site import Site, watched

from netgraft.models.edits.freeze import Freeze
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.models.resolve import resolve
from netgraft.v1 import graph_pb2


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    with watched(browser, site, viewport={"width": 1000, "height": 1400}) as page:
        yield page


def open_drawn(
    page: Page, site: Site, model: str, focus: str = "", lens: str = "", opened: Sequence[str] = ()
) -> None:
    request = graph_pb2.DrawGraphRequest(model=model, focus=focus, lens=lens, open=opened)
    page.goto(site.origin + site.graphs.DrawGraph(request).page)
    expect(page.locator("html")).to_have_attribute("data-netgraft", "drawn", timeout=60_000)


def test_netron_draws_resnet50_as_eleven_boxes(page: Page, site: Site, tmp_path: Path) -> None:
    open_drawn(page, site, "resnet50")
    boxes = page.locator("#canvas #origin > .nodes > .graph-node")
    expect(boxes).to_have_count(11)
    picture = page.locator("#canvas").text_content() or ""
    for text in ("Conv", "BatchNormalization", "MaxPool", "layer4", "N×2048×7×7", "Gemm"):
        assert text in picture
    assert "3 × Bottleneck · 215,808 parameters" in picture
    assert page.locator(".node-item-type-layer").count() == 2  # Conv and Gemm are coloured
    assert page.title() == "resnet50"
    page.screenshot(path=tmp_path / "resnet50.png")


def parameters(page: Page) -> str:
    """The parameter count in Netron's sidebar, of the graph or of the model shown there."""
    entry = page.locator("#sidebar .sidebar-item").filter(
        has=page.locator("input[value=parameters]")
    )
    return entry.last.locator(".sidebar-item-value-line").inner_text()


@pytest.mark.parametrize(
    ("model", "count", "inside"),
    [
        ("resnet50@none", "25,557,032", "215,808"),
        ("mobilenet_v2@none", "3,504,872", "2,223,872"),
    ],
)
def test_netron_counts_all_parameters_of_the_model_and_of_each_module(
    page: Page, site: Site, model: str, count: str, inside: str
) -> None:
    open_drawn(page, site, model)
    for kind in ("Graph", "Model"):
        page.keyboard.press("Control+Enter")
        expect(page.locator("#sidebar")).to_contain_text(f"{kind} Properties")
        assert parameters(page) == count
    page.keyboard.press("Escape")
    page.get_by_text("+", exact=True).first.click()
    page.locator(".node-block .graph-item-input").first.click()
    expect(page.locator("#sidebar")).to_contain_text("Graph Properties")
    assert parameters(page) == inside


def test_a_module_expands_in_place(page: Page, site: Site) -> None:
    open_drawn(page, site, "resnet50")
    page.get_by_text("+", exact=True).first.click()
    expect(page.locator(".node-block")).to_have_count(1)
    expect(page.get_by_text("Bottleneck", exact=True)).to_have_count(3)
    page.locator(".node-block").get_by_text("+", exact=True).first.click()
    expect(page.locator(".node-block")).to_have_count(2)
    expect(page.locator(".node-block .node-block").get_by_text("Conv", exact=True)).to_have_count(3)


def test_a_focus_opens_the_modules_around_it_and_selects_it(page: Page, site: Site) -> None:
    open_drawn(page, site, "resnet50", focus="layer4.1.conv2")
    selected = page.locator("#canvas .graph-node.select")
    expect(selected).to_have_count(1)
    assert selected.get_attribute("id") == "node-name-layer4.1.conv2"
    expect(selected).to_be_in_viewport()
    assert page.locator(".node-block").count() == 2


def test_a_focus_without_a_box_selects_what_holds_it(page: Page, site: Site) -> None:
    # MultiheadAttention reads out_proj's weights and never calls it.
    path = "encoder.layers.encoder_layer_0.self_attention.out_proj"
    open_drawn(page, site, "vit_b_16", focus=path)
    selected = page.locator("#canvas .graph-node.select")
    expect(selected).to_have_count(1)
    assert "Gemm" in (selected.text_content() or "")


def test_a_document_that_cannot_be_had_is_said_to_have_failed(browser: Browser, site: Site) -> None:
    page = browser.new_page()
    page.route("**/model.onnx", lambda route: route.abort())
    graph = site.graphs.DrawGraph(graph_pb2.DrawGraphRequest(model="squeezenet1_1"))
    page.goto(site.origin + graph.page)
    expect(page.locator("html")).to_have_attribute("data-netgraft", "failed", timeout=60_000)
    assert page.locator("html").get_attribute("data-netgraft-error")
    page.close()


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [("en-GB", "view.js did not load."), ("zh-CN", "未能加载 view.js。")],
)
def test_a_script_that_does_not_load_is_named_in_the_readers_language(
    browser: Browser, site: Site, locale: str, sentence: str
) -> None:
    graph = site.graphs.DrawGraph(graph_pb2.DrawGraphRequest(model="squeezenet1_1"))
    page = browser.new_page(locale=locale)
    page.route("**/view.js", lambda route: route.abort())
    page.goto(site.origin + graph.page)
    html = page.locator("html")
    expect(html).to_have_attribute("data-netgraft", "failed", timeout=60_000)
    expect(page.locator("#message-text")).to_have_text(sentence)
    assert html.get_attribute("data-netgraft-error") == sentence
    page.close()


def test_the_viewer_needs_no_cookie(page: Page, site: Site) -> None:
    open_drawn(page, site, "squeezenet1_1")
    assert page.context.cookies() == []


def fills(page: Page) -> dict[str, str]:
    """The colour of every box that a lens has painted, by the name of the box."""
    found: dict[str, str] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('g.graph-node')].map((node) => [
            node.id.replace('node-name-', ''),
            node.querySelector(':scope > g.node-item > path')?.dataset.fill
        ]).filter(([, fill]) => fill))"""
    )
    return found


def frozen_but_the_head(site: Site) -> str:
    """The id of a resnet18 whose backbone is frozen."""
    recipe = resolve("resnet18", "none", site.graphs.store).recipe
    edits = (Freeze(("",), trainable=False), Freeze(("fc",), trainable=True))
    frozen = Recipe(recipe.base, edits)
    put_recipe(site.graphs.store, Recipe(recipe.base, edits[:1]))
    put_recipe(site.graphs.store, frozen)
    return frozen.id


def test_the_lens_of_training_colours_exactly_what_trains(page: Page, site: Site) -> None:
    open_drawn(page, site, frozen_but_the_head(site), lens="trainable", opened=["layer1.0"])
    painted = fills(page)
    trains, frozen, nothing = "#1b7f4b", "#3f6fa8", "#d5d9de"
    assert painted["fc"] == trains
    assert painted["conv1"] == painted["layer1"] == painted["layer1.0.conv2"] == frozen
    assert painted["maxpool"] == painted["layer1.0.relu"] == nothing
    assert [name for name, fill in painted.items() if fill == trains] == ["fc"]
    expect(page.get_by_text("frozen", exact=True).first).to_be_visible()


def test_a_lens_is_chosen_on_the_page_and_the_address_remembers_all(page: Page, site: Site) -> None:
    open_drawn(page, site, "resnet18")
    assert fills(page) == {}
    page.locator("#netgraft-bar select").select_option("flops")
    expect(page.get_by_text("236 MFLOPs")).to_be_visible()  # 2 · 64·112·112 · 3·7·7
    page.locator("#netgraft-bar input").fill("10")
    page.locator("#netgraft-bar input").press("Enter")
    expect(page.get_by_text("2.4 GFLOPs").first).to_be_visible()
    page.get_by_text("+", exact=True).first.click()
    expect(page.locator(".node-block")).to_have_count(1)
    pool = page.locator("[id='node-name-maxpool']")
    expect(pool).to_have_count(1)  # while it opens a module, Netron has two pictures
    pool.click()
    expect(page.locator("#canvas .graph-node.select")).to_have_count(1)
    painted = fills(page)

    again = page.context.new_page()
    again.set_viewport_size({"width": 1000, "height": 1400})
    again.goto(page.url)
    expect(again.locator("html")).to_have_attribute("data-netgraft", "drawn", timeout=60_000)
    assert fills(again) == painted
    assert again.locator(".node-block").count() == 1
    selected = again.locator("#canvas .graph-node.select")
    assert selected.get_attribute("id") == "node-name-maxpool"
    assert again.locator("#netgraft-bar input").input_value() == "10"


def bar(page: Page) -> list[str]:
    """The lenses that the bar offers, and its other words."""
    select = page.locator("#netgraft-bar select")
    named = select.get_attribute("aria-label") or ""
    return [named, *select.locator("option").all_inner_texts()]


ENGLISH = ["Colour boxes by", "what boxes do", "what trains", "parameters", "FLOPs", "activations"]
CHINESE = ["着色方式", "按算子", "可训练", "参数量", "FLOPs", "激活内存"]


def test_the_bar_and_the_labels_are_in_the_readers_language(browser: Browser, site: Site) -> None:
    model = frozen_but_the_head(site)
    with watched(browser, site, locale="zh-CN") as page:
        open_drawn(page, site, model, lens="trainable")
        assert bar(page) == CHINESE
        fc = page.locator("[id='node-name-fc']").first
        expect(fc.locator(".netgraft-label")).to_have_text("训练")
        expect(page.get_by_text("冻结", exact=True).first).to_be_visible()
        page.locator("#netgraft-bar select").select_option("flops")
        expect(page.locator("#netgraft-bar label")).to_have_text("批量 ")
        address = page.url.partition("?")[0]
        page.goto(f"{address}?language=en&lens=trainable")
        expect(page.get_by_text("frozen", exact=True).first).to_be_visible()
        assert bar(page) == ENGLISH
    with watched(browser, site, locale="en-GB") as page:
        page.goto(f"{address}?language=zh")
        expect(page.locator("html")).to_have_attribute("data-netgraft", "drawn", timeout=60_000)
        assert bar(page) == CHINESE


def test_the_page_as_one_file_opens_offline(browser: Browser, site: Site, tmp_path: Path) -> None:
    graph = site.graphs.DrawGraph(graph_pb2.DrawGraphRequest(model="resnet18"))
    request = graph_pb2.GetViewerFileRequest(
        model_id=graph.model_id, path="graph.html", query="lens=parameters&open=layer4"
    )
    file = tmp_path / "resnet18.html"
    file.write_bytes(site.graphs.GetViewerFile(request).data)
    context = browser.new_context(offline=True)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition(":")[0]))
    page.goto(file.as_uri())
    expect(page.locator("html")).to_have_attribute("data-netgraft", "drawn", timeout=60_000)
    assert set(asked) <= {"file", "data"}
    assert page.locator(".node-block").count() == 1
    assert "layer4.0" in fills(page)
    assert bar(page)[:2] == ENGLISH[:2]
    page.goto(f"{file.as_uri()}?language=zh&lens=parameters")
    expect(page.locator("html")).to_have_attribute("data-netgraft", "drawn", timeout=60_000)
    assert bar(page) == CHINESE
    context.close()


def test_a_picture_inside_another_page_takes_no_focus_by_itself(page: Page, site: Site) -> None:
    address = site.graphs.DrawGraph(graph_pb2.DrawGraphRequest(model="squeezenet1_1")).page
    around = f'<textarea autofocus></textarea><iframe src="{address}"></iframe>'
    page.route("**/around", lambda route: route.fulfill(body=around, content_type="text/html"))
    page.goto(f"{site.origin}/around")
    box, inside = page.locator("textarea"), page.frame_locator("iframe")
    expect(box).to_be_focused()
    expect(inside.locator("html")).to_have_attribute("data-netgraft", "drawn", timeout=60_000)
    expect(box).to_be_focused()
    inside.locator("#target").click()
    expect(inside.locator("#target")).to_be_focused()
