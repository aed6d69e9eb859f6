"""Generate the Python stubs (and .pyi) beside the .proto files, or check that they are fresh.

python proto/generate.py            write them
python proto/generate.py --check    exit 1 and name the stale ones
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / "netgraft" / "v1"


def generate(out: Path) -> None:
    """Write the stubs of every .proto under `out`, in the package's layout."""
    protos = [str(path) for path in sorted(PACKAGE.glob("*.proto"))]
    include = Path(protoc.__file__).parent / "_proto"
    status = protoc.main(
        [
            "protoc",
            f"-I{ROOT}",
            f"-I{include}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            *protos,
        ]
    )
    if status != 0:
        sys.exit(status)
    made = out / "netgraft" / "v1"
    (made / "__init__.py").write_text('"""Generated from the .proto files beside it."""\n')


def stale(fresh: Path) -> list[str]:
    """Names that differ between the generated stubs and the committed ones."""
    names = {p.name for p in fresh.glob("*.py*")} | {p.name for p in PACKAGE.glob("*.py*")}

    def differs(name: str) -> bool:
        a, b = fresh / name, PACKAGE / name
        return not (a.is_file() and b.is_file() and a.read_bytes() == b.read_bytes())

    return sorted(filter(differs, names))


def main() -> int:
    # The plug-ins protoc-gen-mypy and protoc-gen-mypy_grpc are found through PATH.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = Path(folder) / "netgraft" / "v1"
        names = stale(fresh)
        if "--check" in sys.argv[1:]:
            if names:
                print("stale stubs, run `make proto`:", *names)  # noqa: T201
            return 1 if names else 0
        for name in names:
            if (fresh / name).is_file():
                shutil.copy(fresh / name, PACKAGE / name)
            else:
                (PACKAGE / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
