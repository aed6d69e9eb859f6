"""Compile what netgraft's processes import to bytecode: `python -m netgraft.bytecode`.

uv installs no bytecode, and where PYTHONDONTWRITEBYTECODE is set no process ever writes any: each
of the dozen processes of a netgraft then compiles every source again, which is half of its start.

A whole virtual environment holds four times what is imported. The imports are found in the
sources, starting from netgraft's own modules and those that Ray runs as processes.
Imports inside functions are followed in netgraft's modules, which import late to start fast,
but not in libraries, where most of them are rarely needed. A module that is missed is compiled
when it is imported, as usual.

Python checks these files by time and size, like those that it writes itself: git and uv give a
file that they change a new time.
"""

import os
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.machinery import SourceFileLoader
from modulefinder import ModuleFinder
from pathlib import Path
from types import CodeType

OWN = "netgraft"
WHOLE = (OWN, "ray.dashboard", "ray._private")
"""Packages whose modules are all compiled: Ray runs modules of its own as processes."""
LEFT_OUT = frozenset({"keras", "onnxruntime", "peft", "playwright", "psycopg", "transformers"})
"""Large libraries that most people never use: of extras that are not in `netgraft[all]`."""
CHUNK = 8
"""Modules that a process compiles at a time."""


def main() -> None:
    """Compile all that is reachable. Raises SyntaxError for netgraft's own modules only."""
    sources = Sources(sys.path, left_out=LEFT_OUT)
    modules = [module for package in WHOLE for module in sources.below(package)]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), initializer=write_bytecode) as pool:
        while modules:
            imported = pool.map(compile_module, modules, chunksize=CHUNK)
            modules = list(sources.of(set().union(*imported)))


class Sources:
    """The source files of modules, found by name, each returned once. Imports nothing."""

    def __init__(self, path: Iterable[str], left_out: Collection[str]) -> None:
        """`left_out` names top-level packages to skip."""
        self._folders: dict[str, list[str]] = {"": list(path)}
        self._seen = {*left_out, *sys.stdlib_module_names}

    def below(self, package: str) -> Iterator[tuple[str, str]]:
        """Yield the name and file of every module of a package."""
        yield from self.of([package])
        for folder in self._folders.get(package, ()):
            for file in sorted(Path(folder).rglob("*.py")):
                inside = file.relative_to(folder).with_suffix("").parts
                yield from self.of([".".join((package, *inside)).removesuffix(".__init__")])

    def of(self, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield the name and file of those modules, and packages around them, that have sources."""
        for name in names:
            parts = name.split(".")
            for count in range(1, len(parts) + 1):
                part = ".".join(parts[:count])
                if part not in self._seen:
                    self._seen.add(part)
                    if file := self._file(part):
                        yield part, file

    def _file(self, name: str) -> str:
        """Return a module's source file; "" if it has none: a built-in, an extension, a folder."""
        package, _, leaf = name.rpartition(".")
        for place in self._folders.get(package, ()):
            whole = os.path.join(place, leaf)  # noqa: PTH118  # 100,000 times: pathlib takes 2 s
            if os.path.isdir(whole):  # noqa: PTH112
                self._folders.setdefault(name, []).append(whole)
            for file in (os.path.join(whole, "__init__.py"), f"{whole}.py"):  # noqa: PTH118
                if os.path.isfile(file):  # noqa: PTH113
                    return file
        return ""


def write_bytecode() -> None:
    """Let this process write bytecode, even if PYTHONDONTWRITEBYTECODE is set."""
    sys.dont_write_bytecode = False
    warnings.simplefilter("ignore", SyntaxWarning)  # old escape sequences in others' files


def compile_module(module: tuple[str, str]) -> set[str]:
    """Compile a module unless it has bytecode; return the names that it imports."""
    name, file = module
    own = name.partition(".")[0] == OWN
    try:
        code = SourceFileLoader(name, file).get_code(name)
    except (SyntaxError, ValueError):  # such as a file for another version of Python
        if own:
            raise
        return set()
    assert code is not None  # a source has code
    package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
    return set(imports(code, package, functions=own))


def imports(code: CodeType, package: str, *, functions: bool) -> Iterator[str]:
    """Yield the full names that code imports, including x.y of `from x import y`.

    Relative names start at `package`; `functions`: whether to include imports inside functions.
    """
    for kind, found in ModuleFinder().scan_opcodes(code):
        if kind == "absolute_import":
            attributes, base = found
        elif kind == "relative_import":
            level, attributes, rest = found
            above = package.split(".")[: package.count(".") + 2 - level]
            base = ".".join([*above, rest] if rest else above)
        else:
            continue
        yield base
        yield from (f"{base}.{attribute}" for attribute in attributes or ())
    if functions:
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                yield from imports(inner, package, functions=True)


if __name__ == "__main__":
    main()
