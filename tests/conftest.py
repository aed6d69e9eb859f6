"""The basis of every test: a state folder that is not the user's, and real weights."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SHARED = {"browser", "system"}
"""Fixtures that start Chromium or a whole netgraft, once for all."""
BESIDE = {"e2e", "graph", "ui"}
"""Folders whose tests use them: `make suite` looks nowhere else for those."""
CHROMIUM = "/usr/bin/chromium"
WEIGHTS = Path(sys.prefix) / "share" / "netgraft-test-weights"


def pytest_configure(config: pytest.Config) -> None:
    """No test may read the user's settings or write into ~/.netgraft, whatever it forgets."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell ignores Ctrl-C in what it runs in the background, and children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("NETGRAFT_")]:
        del os.environ[name]
    os.environ["NETGRAFT_STATE"] = tempfile.mkdtemp(prefix="netgraft-test-state-")
    # Ray reads its variables once, when any test first imports it; set later, a test's
    # own Ray would ask for a token that this process does not send.
    from netgraft.app.ray import RAY_ENVIRONMENT

    os.environ.update(RAY_ENVIRONMENT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what shares a netgraft or Chromium, and put it last: the more it needs, the later."""
    for item in items:
        if SHARED.intersection(getattr(item, "fixturenames", ())):
            if item.path.relative_to(Path(__file__).parent).parts[0] not in BESIDE:
                raise pytest.UsageError(f"{item.nodeid} belongs into a folder of {BESIDE}")
            item.add_marker(pytest.mark.serial)
    items.sort(key=_place)


def pytest_collection_finish() -> None:
    """Exempt what all tests import from garbage collection, which took a sixth of their time."""
    gc.collect()
    gc.freeze()


def _place(item: pytest.Item) -> int:
    """The place of a test among the others, which keep the order of their files.

    What shares one Chromium comes after all else: Playwright holds the main thread's event loop
    from then on, which tests of asyncio need. What shares one netgraft stands together, so that
    it is ended before Chromium's other tests, which are quicker without it. Ray comes last.
    """
    uses = set(getattr(item, "fixturenames", ()))
    if "on_ray" in uses:
        return 6 if "ended_on_ray" in uses else 5
    if "ended" in uses:
        return 3
    if "browser" in uses:
        return 2 if "system" in uses else 4
    return 1 if "system" in uses else 0


def pytest_unconfigure(config: pytest.Config) -> None:
    gc.unfreeze()  # or nanobind counts, at the end, what was not collected
    shutil.rmtree(os.environ["NETGRAFT_STATE"], ignore_errors=True)


def _forget() -> None:
    from netgraft.settings import settings
    from netgraft.store.store import default_store

    settings.cache_clear()
    default_store.cache_clear()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh, empty NETGRAFT_STATE for one test; settings and default store are reset."""
    folder = tmp_path / "state"
    monkeypatch.setenv("NETGRAFT_STATE", str(folder))
    _forget()
    yield folder
    monkeypatch.undo()
    _forget()


@pytest.fixture(scope="session")
def torch_home_with_weights() -> Path:
    """A TORCH_HOME that holds torchvision's official mobilenet_v2 IMAGENET1K_V1 weights.

    `tests/prepare.py` fills it. Pass it on as the environment variable TORCH_HOME.
    """
    if not (WEIGHTS / "hub" / "checkpoints" / "mobilenet_v2-b0353104.pth").is_file():
        pytest.fail("the test weights are missing: run `.venv/bin/python tests/prepare.py`")
    return WEIGHTS


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """The one Chromium of a session; `tests/prepare.py` installs it."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=15_000)  # of a busy machine
    arguments = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()
