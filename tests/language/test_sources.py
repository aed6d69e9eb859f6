"""No source raises an error with an English fragment as a value: such values are messages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from netgraft.errors import every_error

ROOT = Path(__file__).parents[2]
ERRORS = {kind.__name__ for kind in every_error()} - {"RemoteError"}
NAMES = {"name", "path", "variable", "package", "extra", "format", "facts"}
"""Values that are names and never words."""
SAYS = {"Message", "mark", "quoted"}
"""Calls that make a value which exists in every language."""
WORDS = {"str", "join", "format", "strip", "rstrip", "removeprefix", "splitlines", "split"}
"""Calls whose result contains the text of their arguments."""
WORD = re.compile(r"(?<![\w./`-])[a-z]{2,}(?![\w./`-])")
LITERAL = {"python", "data", "dropout", "cpu", "gpu", "px"}
"""Words that a person types as they are, and units."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = Function | ast.Module


def sources() -> Iterator[tuple[str, str]]:
    for root in (ROOT / "services", ROOT / "ui"):
        for path in sorted(root.rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


def called(node: ast.expr) -> str:
    """The last name of what is called, such as "Message" or "join"."""
    function = node.func if isinstance(node, ast.Call) else None
    return getattr(function, "id", getattr(function, "attr", ""))


def assigned(name: str, scope: Scope) -> list[ast.expr]:
    """The values that a scope assigns to a name, anywhere in it."""
    found: list[ast.expr] = []
    for node in ast.walk(scope):
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            if isinstance(target, ast.Name) and target.id == name:
                found.append(node.value)  # type: ignore[attr-defined]
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):  # type: ignore[attr-defined]
                pairs = zip(target.elts, node.value.elts, strict=True)  # type: ignore[attr-defined]
                found += [v for t, v in pairs if isinstance(t, ast.Name) and t.id == name]
    return found


def caught(scope: Scope) -> set[str]:
    """Names of the exceptions that a scope catches."""
    return {n.name for n in ast.walk(scope) if isinstance(n, ast.ExceptHandler) and n.name}


def _parts(node: ast.expr) -> list[ast.expr]:
    """The values that one is put together from; what stands in a collection is a name."""
    match node:
        case ast.IfExp():
            return [node.body, node.orelse]
        case ast.BinOp():
            return [node.left, node.right]
        case ast.BoolOp():
            return node.values
        case ast.NamedExpr():
            return [node.value]
        case ast.Subscript() if not isinstance(getattr(node.slice, "value", None), str):
            return [node.value]
    return []


class Values:
    """Follows a value to the texts that it is made of, in one module."""

    def __init__(self, module: ast.Module) -> None:
        self.module = module
        functions = [node for node in ast.walk(module) if isinstance(node, Function)]
        self.saying = {f.name for f in functions if getattr(f.returns, "id", "") == "Message"}

    def texts(self, node: ast.expr, scope: Scope, seen: frozenset[str] = frozenset()) -> set[str]:
        """English texts that a value may hold, and "‹error›" for a foreign exception's words."""
        if isinstance(node, ast.Constant):
            return {node.value} if isinstance(node.value, str) else set()
        if isinstance(node, ast.Name):
            return self._named(node.id, scope, seen)
        if isinstance(node, ast.Call):
            return self._call(node, scope, seen)
        if isinstance(node, ast.JoinedStr):
            own = "".join(p.value if isinstance(p, ast.Constant) else "_" for p in node.values)  # type: ignore[misc]
            inner = [p.value for p in node.values if isinstance(p, ast.FormattedValue)]
            return {own.replace("_", " "), *self._all(inner, scope, seen)}
        return self._all(_parts(node), scope, seen)

    def _all(self, nodes: list[ast.expr], scope: Scope, seen: frozenset[str]) -> set[str]:
        return {text for node in nodes for text in self.texts(node, scope, seen)}

    def _named(self, name: str, scope: Scope, seen: frozenset[str]) -> set[str]:
        if name in seen:
            return set()
        if name in caught(scope):
            return {"‹error›"}
        known = assigned(name, scope) or assigned(name, self.module)
        return self._all(known, scope, seen | {name})

    def _call(self, node: ast.Call, scope: Scope, seen: frozenset[str]) -> set[str]:
        name = called(node)
        if name in SAYS | ERRORS | {"type", "repr"} | self.saying:
            return set()
        errors = caught(scope)
        inner = [a for a in node.args if name in WORDS or getattr(a, "id", "") in errors]
        if isinstance(node.func, ast.Attribute) and name in WORDS:
            inner.append(node.func.value)
        return self._all(inner, scope, seen)


def is_english(text: str) -> bool:
    bare = re.sub(r"`[^`]*`", "", text)
    return text == "‹error›" or bool(set(WORD.findall(bare)) - LITERAL)


def passed_on(module: ast.Module) -> dict[str, dict[str, int]]:
    """Functions that put arguments into an error: the names and places of those arguments."""
    found: dict[str, dict[str, int]] = {}
    for function in ast.walk(module):
        if isinstance(function, Function):
            names = [each.arg for each in function.args.args]
            given = {value.id for value in raised(function, {}) if isinstance(value, ast.Name)}
            found[function.name] = {name: names.index(name) for name in names if name in given}
    return found


def raised(scope: Scope, helpers: dict[str, dict[str, int]]) -> Iterator[ast.expr]:
    """The values of the errors that a scope makes, itself or through helpers of its module."""
    for node in ast.walk(scope):
        if not isinstance(node, ast.Call):
            continue
        name = called(node)
        if name in ERRORS:
            yield from (k.value for k in node.keywords if k.arg not in NAMES)
        elif isinstance(node.func, ast.Name) and name in helpers:
            yield from (node.args[at] for at in helpers[name].values() if at < len(node.args))
            yield from (k.value for k in node.keywords if k.arg in helpers[name])


def fragments(source: str) -> list[str]:
    """English texts that a module puts into an error's sentence."""
    module = ast.parse(source)
    values, helpers = Values(module), passed_on(module)
    functions = [node for node in ast.walk(module) if isinstance(node, Function)]
    found = {
        text
        for function in functions
        for value in raised(function, helpers)
        for text in values.texts(value, function)
    }
    return sorted(text for text in found if is_english(text))


def test_every_value_that_is_words_is_a_message() -> None:
    found = {file: fragments(source) for file, source in sources()}
    assert {file: texts for file, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    "body",
    [
        'raise InvalidValue(name="x", value=1, expected="above 0")',
        'raise InvalidValue(name="x", value="empty", expected=Message("a number"))',
        'raise NotPossible(problem=f"{path} is gone.")',
        'problem = "it is empty."\n    raise NotPossible(problem=problem)',
        'a, problem = 1, f"{path} is gone."\n    raise NotPossible(problem=problem)',
        "raise NotPossible(problem=f\"{path or 'nothing'}\")",
        'raise InvalidValue(name="x", value=1, expected=" or ".join(words))',
        "raise NotPossible(problem=GONE)",
        'raise failed("it is empty.")',
        'raise NotPossible(problem="it is " + path)',
        "try:\n        pass\n    except OSError as error:\n"
        "        raise NotPossible(problem=str(error)) from error",
        "try:\n        pass\n    except OSError as error:\n"
        "        raise NotPossible(problem=first_line(error)) from error",
    ],
)
def test_a_planted_fragment_is_found(body: str) -> None:
    helper = "def failed(problem):\n    return NotPossible(problem=problem)\n"
    assert fragments(f'GONE = "it is gone."\n{helper}def f(path, words):\n    {body}\n')


@pytest.mark.parametrize(
    "body",
    [
        'raise InvalidValue(name="batch_size", value=repr(path), expected=Message("a number"))',
        'raise NotPossible(problem=Message("it is empty."))',
        'raise TooLarge(what=path, limit=f"{size // 2**20:,} MiB")',
        "raise UnknownModule(path=path, nearest=', '.join(words))",
        "try:\n        pass\n    except OSError as error:\n"
        "        raise NotPossible(problem=quoted(error)) from error",
        'raise EditFailed(model=path, what=f"LoRA {words}", problem=failed)',
    ],
)
def test_what_every_language_can_say_is_no_fragment(body: str) -> None:
    assert fragments(f"def f(path, words, size):\n    {body}\n") == []
