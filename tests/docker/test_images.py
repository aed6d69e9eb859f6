"""The Dockerfile and the compose file, read as their tools read them."""

import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from netgraft.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
COMPOSE = ROOT / "docker" / "compose.yaml"
IMAGES = ("services", "ui")


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage → its instructions and those of the stages of this file that it builds on."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = list(found.get(base, [("FROM", base)]))
        elif word and not word.startswith("#"):
            found[name].append((word, rest))
    return found


def values(stage: str, word: str) -> list[str]:
    return [rest for instruction, rest in stages()[stage] if instruction == word]


def test_hadolint_finds_nothing() -> None:
    done = tool("hadolint", DOCKERFILE)
    assert done.returncode == 0, done.stdout


def test_hadolint_finds_a_planted_fault(tmp_path: Path) -> None:
    planted = tmp_path / "Dockerfile"
    planted.write_text(DOCKERFILE.read_text().replace("uv==${UV_VERSION}", "uv"))
    done = tool("hadolint", planted)
    assert done.returncode != 0
    assert "DL3013" in done.stdout


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_numbered_user_of_no_privilege(image: str) -> None:
    assert values(image, "USER")[-1] == "10001:10001"
    assert [word for word, _ in stages()[image]][-1] == "CMD"
    assert values(image, "FROM") == ["python:3.11-slim-bookworm"]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_says_how_it_is_and_what_it_is(image: str) -> None:
    assert f'CMD ["netgraft-health", "{image}"]' in values(image, "HEALTHCHECK")[-1]
    labels = " ".join(values(image, "LABEL"))
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in labels


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_its_environment_and_no_build_tool(image: str) -> None:
    copied = values(image, "COPY")
    assert f"--from={image}-dependencies /opt/netgraft /opt/netgraft" in copied
    assert "--from=code /opt/code /opt/netgraft" in copied
    for command in values(image, "RUN"):
        assert not re.search(r"\b(pip|uv|apt-get|gcc|make|curl|wget)\b", command), command


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_gets_its_own_extras_pinned_by_the_constraints(image: str) -> None:
    [command] = values(f"{image}-dependencies", "RUN")[-1:]
    assert command.startswith(f"uv pip install -c constraints.txt --extra {image} ")
    assert command.endswith("-r pyproject.toml")
    models = {"hf", "keras", "lora"} if image == "services" else set()
    assert set(re.findall(r"--extra (\w+)", command)) == {image, *models}
    [code] = [command for command in values("code", "RUN") if command.endswith(" .")]
    assert "--no-deps --build-constraints constraints.txt" in code


def needed(extra: str) -> set[str]:
    """Names of all distributions that netgraft[extra] brings, as they are installed here."""
    seen = {("netgraft", frozenset({extra}))}
    waiting = list(seen)
    for name, extras in waiting:
        for wanted in map(Requirement, distribution(name).requires or []):
            marker = wanted.marker
            if marker and not any(marker.evaluate({"extra": e}) for e in extras or {""}):
                continue
            found = (wanted.name.lower(), frozenset(wanted.extras))
            if found not in seen:
                seen.add(found)
                waiting.append(found)
    return {name for name, _ in seen}


def test_the_ui_image_carries_neither_torch_nor_ray() -> None:
    assert "gradio" in needed("ui")
    assert not needed("ui") & {"torch", "torchvision", "timm", "ray", "onnx", "sqlalchemy"}
    assert {"torch", "ray"} <= needed("services")


def test_the_build_sends_only_what_is_copied() -> None:
    ignore = (DOCKERFILE.with_name("Dockerfile.dockerignore")).read_text().splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    copied = {
        source.rstrip("/")
        for stage in stages()
        for line in values(stage, "COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    }
    assert copied == sent
    assert all((ROOT / source).exists() for source in copied)


def compose() -> dict[str, dict[str, object]]:
    services: dict[str, dict[str, object]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


def test_the_compose_file_follows_the_compose_specification() -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert done.returncode == 0, done.stdout


def test_the_compose_schema_finds_a_planted_fault(tmp_path: Path) -> None:
    planted = tmp_path / "compose.yaml"
    planted.write_text(COMPOSE.read_text().replace("depends_on:", "depend_on:"))
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", planted)
    assert done.returncode == 1
    assert "depend_on" in done.stdout


@pytest.mark.parametrize("image", IMAGES)
def test_a_composed_service_is_built_hardened_and_reached_from_this_machine_only(
    image: str,
) -> None:
    service = compose()[image]
    build = {"context": "..", "dockerfile": "docker/Dockerfile", "target": image}
    assert service["build"] == build
    assert service["cap_drop"] == ["ALL"]
    [port] = service["ports"]  # type: ignore[misc]
    assert port.startswith("127.0.0.1:")
    assert port.rpartition(":")[2] == values(image, "EXPOSE")[-1]


def test_both_services_share_one_token_that_nobody_has_written_down() -> None:
    tokens = {str(service["environment"]["NETGRAFT_TOKEN"]) for service in compose().values()}  # type: ignore[index]
    assert len(tokens) == 1
    assert tokens.pop().startswith("${NETGRAFT_TOKEN:?")


def test_every_variable_is_a_setting() -> None:
    """A misspelt NETGRAFT_ variable would be ignored in silence."""
    known = {f"NETGRAFT_{field.upper()}" for field in Settings.model_fields}
    used = set(re.findall(r"NETGRAFT_[A-Z_]+", DOCKERFILE.read_text() + COMPOSE.read_text()))
    assert used - known == {"NETGRAFT_DATA"}  # the compose file's own
