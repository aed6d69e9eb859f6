"""The compare page in a real Chromium: two pictures that move, open and select as one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect
from tests.graph.site import Site, watched

from netgraft.graph.servicer import GraphsServicer
from netgraft.models.edits.freeze import Freeze
from netgraft.models.edits.retarget import Retarget
from netgraft.models.edits.set_loss import SetLoss
from netgraft.models.recipe import HeadEdit
from netgraft.models.recipes import put_recipe
from netgraft.models.resolve import resolve
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import graph_pb2, surgery_pb2

OUTPUT = Path(__file__).parents[1] / "output"
ADDED, CHANGED, TRAINABLE = "#1b7f4b", "#b45309", "#3f6fa8"
FILL = "node => node.querySelector(':scope > g.node-item > path').dataset.fill || ''"


def edited(graphs: GraphsServicer) -> str:
    """Id of a resnet50 for 100 classes whose layer1.0 is frozen and whose loss is focal."""
    recipe = resolve("resnet50", "none", graphs.store).recipe
    head = HeadEdit("fc", "Linear", 2048, 1000, 100)
    for edit in (
        Retarget(100, (), (head,), (), "0" * 64),
        Freeze(("layer1.0",), trainable=False),
        SetLoss("focal"),
    ):
        recipe = recipe.with_edit(edit)
        put_recipe(graphs.store, recipe)
    return recipe.id


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    with watched(browser, site, viewport={"width": 1500, "height": 1000}) as page:
        yield page


def compare(page: Page, site: Site, a: str, b: str, query: str = "") -> None:
    reply = site.graphs.CompareGraphs(graph_pb2.CompareGraphsRequest(a=a, b=b))
    page.goto(site.origin + reply.page + query)
    expect(page.locator("html")).to_have_attribute("data-compare", "drawn", timeout=60_000)


def views(page: Page) -> list[FrameLocator]:
    return [page.frame_locator("#a"), page.frame_locator("#b")]


def box(view: FrameLocator, name: str) -> str:
    """The colour of a box."""
    fill: str = view.locator(f"[id='node-name-{name}']").first.evaluate(FILL)
    return fill


def scrolled(page: Page, side: str) -> tuple[float, float]:
    """The scroll position of a view, and its zoom."""
    place: list[float] = page.locator(f"#{side}").evaluate(
        """frame => [frame.contentDocument.getElementById('target').scrollTop,
                     frame.contentWindow.netgraft.zoom]"""
    )
    return place[0], place[1]


def test_what_differs_is_coloured_in_both_views_and_listed(page: Page, site: Site) -> None:
    compare(page, site, "resnet50@none", edited(site.graphs))
    for view in views(page):
        assert box(view, "fc") == CHANGED
        assert box(view, "conv1") == ""
        assert box(view, "layer1") not in ("", TRAINABLE)  # around it: a paler tint
        assert box(view, "layer2") == ""
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(10)
    expect(rows.first).to_contain_text("loss focal")
    expect(rows.nth(1)).to_contain_text("layer1.0.conv1")
    expect(rows.nth(1)).to_contain_text("frozen")
    fc = rows.last
    for text in ("Linear(2048 → 1000)", "2,049,000 → 204,900", "weight 1000×2048 → 100×2048"):
        expect(fc).to_contain_text(text)
    expect(fc).to_contain_text("1000 → 100")
    OUTPUT.mkdir(exist_ok=True)
    page.screenshot(path=OUTPUT / "compare.png")


ALL_IN_SIGHT = """() => {
  const inside = (box) => box.left >= 0 && box.top >= 0 && box.right <= innerWidth
    && box.bottom <= innerHeight && box.width > 0 && box.height > 0;
  const cropped = [...document.querySelectorAll('h2, h2 *, iframe, #legend li, #list')]
    .filter((part) => !inside(part.getBoundingClientRect()) || part.matches('h2, h2 *')
      && part.scrollWidth > part.clientWidth && part.clientWidth);
  const { scrollWidth, scrollHeight } = document.documentElement;
  return [scrollWidth <= innerWidth, scrollHeight <= innerHeight,
    cropped.map((part) => part.id || part.tagName)];
}"""


@pytest.mark.parametrize("size", [(1440, 900), (1024, 768), (390, 844)])
def test_nothing_is_cropped_and_only_the_list_scrolls_sideways(
    browser: Browser, site: Site, size: tuple[int, int]
) -> None:
    with watched(browser, site, viewport={"width": size[0], "height": size[1]}) as page:
        compare(page, site, "resnet50@none", edited(site.graphs))
        assert page.evaluate(ALL_IN_SIGHT) == [True, True, []]
        weights = page.locator("tbody tr").last.locator("td").last
        weights.scroll_into_view_if_needed()
        expect(weights).to_be_in_viewport(ratio=0.9)
        expect(page.locator("tbody tr").last.locator("th")).to_be_in_viewport(ratio=0.9)
        assert page.evaluate("[scrollX, scrollY]") == [0, 0]
        page.screenshot(path=OUTPUT / f"compare-{size[0]}.png")


def test_a_row_selects_its_module_in_both_views_and_opens_what_is_around(
    page: Page, site: Site
) -> None:
    compare(page, site, "resnet50@none", edited(site.graphs))
    page.get_by_role("button", name="layer1.0.conv2").click()
    for view in views(page):
        chosen = view.locator("#canvas .graph-node.select")
        expect(chosen).to_have_attribute("id", "node-name-layer1.0.conv2")
        expect(chosen).to_be_in_viewport()
        expect(view.locator(".node-block")).to_have_count(2)
        assert box(view, "layer1.0.conv2") == TRAINABLE
    page.get_by_text("1000 → 100", exact=False).last.click()
    for view in views(page):
        expect(view.locator("[id='node-name-fc'].select")).to_be_in_viewport()
    expect(page.locator("tr[aria-current]")).to_have_count(1)
    page.screenshot(path=OUTPUT / "compare-open.png")


def test_what_one_view_selects_and_opens_the_other_does_too(page: Page, site: Site) -> None:
    compare(page, site, "resnet50@none", edited(site.graphs))
    a, b = views(page)
    for leader, follower in ((a, b), (b, a)):
        leader.get_by_text("+", exact=True).first.click()
        expect(follower.locator(".node-block")).to_have_count(1)
        leader.locator("[id='node-name-layer1.1']").first.click()
        expect(follower.locator("[id='node-name-layer1.1'].select")).to_have_count(1)
        page.keyboard.press("Escape")  # the properties of what was selected
        leader.get_by_text("−", exact=True).first.click()
        expect(follower.locator(".node-block")).to_have_count(0)


def test_scrolling_and_zooming_one_view_moves_the_other(page: Page, site: Site) -> None:
    compare(page, site, "resnet50@none", edited(site.graphs))
    for leader, follower in (("a", "b"), ("b", "a")):
        before, _ = scrolled(page, follower)
        page.locator(f"#{leader}").hover()
        page.mouse.wheel(0, 300)
        page.wait_for_timeout(500)
        assert scrolled(page, leader)[0] > before
        assert scrolled(page, follower) == pytest.approx(scrolled(page, leader), abs=2)
        page.keyboard.down("Shift")
        page.mouse.wheel(0, 100)
        page.keyboard.up("Shift")
        page.wait_for_timeout(500)
        assert scrolled(page, follower) == pytest.approx(scrolled(page, leader), abs=2)
    assert scrolled(page, "a")[1] < 1


def test_a_deeper_model_has_blocks_that_only_its_view_shows(page: Page, site: Site) -> None:
    compare(page, site, "resnet18@none", "resnet34@none")
    a, b = views(page)
    page.get_by_role("button", name="layer3.4.conv1").click()
    expect(b.locator("[id='node-name-layer3.4.conv1'].select")).to_be_in_viewport()
    assert box(b, "layer3.4.conv1") == box(b, "layer3.4.bn2") == ADDED
    expect(a.locator(".node-block")).to_have_count(1)  # layer3; it has no block 4
    expect(a.locator("[id='node-name-layer3.1']").first).to_be_in_viewport()
    page.screenshot(path=OUTPUT / "compare-added.png")


def test_behind_an_appended_head_both_views_still_go_together(page: Page, site: Site) -> None:
    name = "timm/eva02_tiny_patch14_224@none"
    request = surgery_pb2.RetargetModelRequest(model=name, classes=7)
    edit = SurgeryServicer(site.graphs.store).RetargetModel(request)
    compare(page, site, name, edit.model.id)
    a, b = views(page)
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("button", name="head").click()
    expect(b.locator("[id='node-name-head'].select")).to_be_in_viewport()
    assert box(b, "head") == ADDED
    page.locator("#b").evaluate("frame => frame.contentWindow.netgraft.toggle('body', true)")
    page.locator("#b").evaluate("frame => frame.contentWindow.netgraft.toggle('body.blocks', true)")
    expect(a.locator("[id='node-name-blocks.0']").first).to_be_visible()
    a.locator("[id='node-name-blocks.1']").first.click()
    expect(b.locator("[id='node-name-body.blocks.1'].select")).to_be_in_viewport()


CLICK_AS_SOON_AS_THERE = """async () => {
  const side = (id) => document.getElementById(id);
  const target = side('b').contentWindow.netgraft.toggle('layer3', true);
  let box = null;
  while (!box) {
    await new Promise((go) => setTimeout(go, 0));
    box = side('a').contentDocument.getElementById('node-name-layer3.5');
  }
  box.scrollIntoView();
  box.querySelector('g.node-item').dispatchEvent(new MouseEvent('click', { bubbles: true }));
  await target;
}"""


def test_what_is_clicked_while_a_view_still_follows_the_other_is_in_sight_in_both(
    page: Page, site: Site
) -> None:
    compare(page, site, "resnet50@none", edited(site.graphs))
    page.evaluate(CLICK_AS_SOON_AS_THERE)
    for view in views(page):
        expect(view.locator("[id='node-name-layer3.5'].select")).to_be_in_viewport()


def test_equal_models_are_alike_in_the_readers_language(browser: Browser, site: Site) -> None:
    with watched(browser, site, locale="zh-CN", color_scheme="dark") as page:
        compare(page, site, "squeezenet1_1@none", "squeezenet1_1@none")
        expect(page.get_by_role("status")).to_have_text("两个模型相同。")
        compare(page, site, "squeezenet1_1@none", "squeezenet1_0@none")
        expect(page.get_by_role("columnheader").nth(2)).to_have_text("之前")
        page.screenshot(path=OUTPUT / "compare-dark.png")


HEADS = ["模块", "变化", "之前", "之后", "参数量", "权重形状"]


def test_a_chinese_reader_reads_no_english_sentence(browser: Browser, site: Site) -> None:
    with watched(browser, site, locale="zh-CN") as page:
        compare(page, site, "resnet50@none", edited(site.graphs))
        assert page.locator("html").get_attribute("lang") == "zh"
        assert page.locator("thead th").all_inner_texts() == HEADS
        legend = page.locator("#legend li").all_inner_texts()
        assert legend == ["新增 0", "移除 0", "改变 2", "可训练 / 冻结 8", "内有差异"]
        expect(page.locator("#a-parameters")).to_have_text("25,557,032 参数量")
        rows = page.locator("tbody tr")
        loss = ["（模型）", "改变", "任务默认的损失", "损失 focal", "–"]
        assert rows.first.locator("th, td").all_inner_texts()[:5] == loss
        frozen = ["layer1.0.conv1", "冻结", "可训练", "冻结", "4,096"]
        assert rows.nth(1).locator("th, td").all_inner_texts()[:5] == frozen
        page.get_by_role("button", name="layer1.0.conv1").click()
        box = page.frame_locator("#b").locator("[id='node-name-layer1.0.conv1']").first
        expect(box.locator(".netgraft-label")).to_have_text("冻结")


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "The models cannot be compared. It is gone."),
        ("zh", "无法比较这两个模型。It is gone."),
    ],
)
def test_a_comparison_that_fails_says_so_in_the_language_of_the_address(
    browser: Browser, site: Site, language: str, sentence: str
) -> None:
    pair = graph_pb2.CompareGraphsRequest(a="squeezenet1_1@none", b="squeezenet1_0@none")
    address = site.origin + site.graphs.CompareGraphs(pair).page
    page = browser.new_page()
    gone = {"message": "It is gone."}
    page.route("**/diff.json", lambda route: route.fulfill(status=404, json=gone))
    page.goto(f"{address}?language={language}")
    expect(page.get_by_role("status")).to_have_text(sentence)
    page.close()
