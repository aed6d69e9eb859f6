"""How long a 200-billion-parameter decoder takes to open in Chromium, and to be drawn.

    .venv/bin/python tests/bench/bench_huge.py [--repeat N]

The decoder, and the process that draws it without weights, are those of
`tests/graph/test_huge.py`. What is opened is its picture as one file.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[2]


def opened(browser: Browser, file: Path) -> float:
    """Seconds until Netron has drawn the file in a fresh page."""
    page = browser.new_page()
    start = time.perf_counter()
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-netgraft=drawn]", state="attached", timeout=120_000)
    spent = time.perf_counter() - start
    page.close()
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.graph.test_huge import SCRIPT

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        script, file = Path(folder) / "draw.py", Path(folder) / "decoder.html"
        script.write_text(SCRIPT)
        command = [sys.executable, str(script), str(file)]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        drawn = time.perf_counter() - start
        method, parameters, size, peak = done.stdout.split()
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        opened(browser, file)  # the browser's own first page is not counted
        times = [opened(browser, file) for _ in range(options.repeat)]
        browser.close()
    print(f"{int(parameters):,} parameters, by {method}: drawn in {drawn:.1f} s, imports included,")  # noqa: T201
    print(f"in {peak} MB of memory; a document of {int(size) / 1e3:.0f} kB;")  # noqa: T201
    print(f"opened in {median(times):.2f} s ({min(times):.2f} to {max(times):.2f})")  # noqa: T201


if __name__ == "__main__":
    main()
