"""`netgraft --help` is there at once, and no command pays for what it does not use."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netgraft.cli.program import COMMANDS

from .server import serving_apart

NETGRAFT = str(Path(sys.executable).with_name("netgraft"))
HEAVY = {"torch", "ray", "grpc", "pydantic", "sqlalchemy", "rich", "google.protobuf"}

WORKERS = {
    *("torch", "ray", "numpy", "sqlalchemy", "rapidfuzz", "fsspec"),
    *("netgraft.serving.servicers", "netgraft.store.store", "netgraft.surgery", "netgraft.graph"),
}
"""What a server loads, so that its clients need not."""


def cpu_seconds(*words: str) -> float:
    """What a call costs, whatever else the machine does meanwhile."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([NETGRAFT, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_costs_less_than_four_tenths_of_a_second() -> None:
    assert min(cpu_seconds("--help") for _ in range(3)) < 0.4


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["retarget", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from netgraft.cli import main; "
        f"main({words!r}, standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


def loaded(*words: str, state: Path) -> set[str]:
    """Modules that a process has loaded when a command has ended in it."""
    code = (
        "import sys; from netgraft.cli import main; "
        f"main({words!r}, standalone_mode=False); print(*sys.modules)"
    )
    environment = {**os.environ, "NETGRAFT_STATE": str(state)}
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert words[1].partition("@")[0] in done.stdout
    return set(done.stdout.splitlines()[-1].split())


@pytest.fixture(scope="module")
def imports() -> set[str]:
    """Modules that `import torch, torchvision` loads."""
    line = [sys.executable, "-c", "import sys, torch, torchvision; print(*sys.modules)"]
    return set(subprocess.run(line, capture_output=True, text=True, check=True).stdout.split())


FOREIGN = {"timm", "transformers", "sklearn", "scipy", "pandas", "ray", "gradio", "onnxruntime"}
"""Needed for no model of torchvision, and heavy."""
COMPUTING = {"torch", "torchvision", "numpy", "sympy", "onnx", "PIL", "safetensors"}
"""Needed to find something out, not to say what was found out before."""


def test_the_zoo_is_searched_without_torch(tmp_path: Path) -> None:
    assert (COMPUTING | FOREIGN) & loaded("models", "resnet50", state=tmp_path) == set()


def test_a_model_that_was_drawn_is_shown_without_torch(tmp_path: Path) -> None:
    first = loaded("show", "resnet18@none", state=tmp_path)
    assert FOREIGN & first == set()
    again = loaded("show", "resnet18@none", state=tmp_path)
    assert (COMPUTING | FOREIGN) & again == set()


def test_a_model_that_was_inspected_is_inspected_without_torch(tmp_path: Path) -> None:
    loaded("inspect", "resnet18@none", state=tmp_path)
    again = loaded("inspect", "resnet18@none", state=tmp_path)
    assert (COMPUTING | FOREIGN) & again == set()


def test_a_head_is_replaced_without_torch_after_the_first_of_its_model(
    tmp_path: Path, imports: set[str]
) -> None:
    first = loaded("retarget", "resnet18@none", "--classes", "7", state=tmp_path)
    assert FOREIGN & first == set()
    compiler = ("torch._inductor", "torch._functorch", "torch.export", "torch._export", "networkx")
    assert {name for name in first - imports if name.startswith(compiler)} == set()
    again = loaded("retarget", "resnet18@none", "--classes", "8", state=tmp_path)
    assert (COMPUTING | FOREIGN) & again == set()
    named = loaded("retarget", "resnet18@none", "--class-names", "cat,dog", state=tmp_path)
    assert (COMPUTING | FOREIGN) & named == set()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of commands for which a netgraft runs."""
    state = tmp_path_factory.mktemp("served")
    with serving_apart(state, state):
        yield {**os.environ, "NETGRAFT_STATE": str(state)}


@pytest.mark.parametrize(
    "line",
    [
        "retarget squeezenet1_1@none --classes 3",
        "inspect squeezenet1_1@none",
        "show squeezenet1_1@none",
        "plan hello",
        "models squeezenet",
        "jobs",
    ],
)
def test_with_a_server_a_command_loads_nothing_that_works(
    served: dict[str, str], line: str
) -> None:
    code = (
        "import sys; from netgraft.cli import main; "
        f"main({line.split()!r}, standalone_mode=False); print(*sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=served, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"grpc", "netgraft.client"} <= loaded
    assert WORKERS & loaded == set()


@pytest.mark.parametrize("word", COMMANDS)
def test_every_command_has_help_and_examples(word: str) -> None:
    from click.testing import CliRunner

    from netgraft.cli import main

    result = CliRunner().invoke(main, [word, "--help"])
    assert result.exit_code == 0, result.output
    examples = result.output.partition("Examples:")[2]
    assert f"netgraft {word}" in examples


def test_help_names_every_command_in_both_languages() -> None:
    for language, heading in (("en_GB.UTF-8", "Commands"), ("zh_CN.UTF-8", "命令")):
        environment = {**os.environ, "LC_ALL": language, "PYTHONUTF8": "1"}
        done = subprocess.run(
            [NETGRAFT, "--help"], env=environment, capture_output=True, text=True, check=True
        )
        assert heading in done.stdout
        assert all(f"  {word} " in done.stdout for word in COMMANDS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str) -> None:
    done = subprocess.run(
        [NETGRAFT, "completion", shell], capture_output=True, text=True, check=True
    )
    assert "_NETGRAFT_COMPLETE" in done.stdout
    assert f"{shell}_complete" in done.stdout


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("netgraft ret", "retarget"),
        ("netgraft inspect resnet15", "resnet152"),
        ("netgraft show timm/convnext_tin", "timm/convnext_tiny"),
        ("netgraft diff resnet18 resnet3", "resnet34"),
        ("netgraft finetune --epo", "--epochs"),
        ("netgraft set-loss resnet18 fo", "focal"),
        ("netgraft export resnet18 --format saf", "safetensors"),
    ],
)
def test_the_shell_completes(line: str, expected: str) -> None:
    environment = {
        **os.environ,
        "_NETGRAFT_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    done = subprocess.run([NETGRAFT], env=environment, capture_output=True, text=True, check=True)
    assert f"plain,{expected}" in done.stdout.splitlines()


def test_no_word_at_all_prints_the_help() -> None:
    done = subprocess.run([NETGRAFT], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: netgraft")
