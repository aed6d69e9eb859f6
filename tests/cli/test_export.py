"""models and export, in this process."""

import json
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision

from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipes import get_recipe, put_recipe
from netgraft.settings import hugging_face_cache, torch_checkpoints
from netgraft.store.store import default_store

from .conftest import Run

Reply = Callable[..., Any]


def test_the_zoo_is_searched_by_words_and_bounds(run: Run, reply: Reply) -> None:
    found = reply("models", "resnet", "--max-params", "12000000", "--task", "classification")
    names = [entry["name"] for entry in found["entries"]]
    assert "resnet18" in names
    assert "resnet50" not in names
    shown = run("models", "resnet18").stdout
    row = next(line for line in shown.splitlines() if line.split()[:1] == ["resnet18"])
    assert row.split()[:6] == ["resnet18", "classification", "11.7M", "3.63G", "69.8", "224"]


def test_the_zoo_is_searched_by_flops_input_size_and_licence(reply: Reply) -> None:
    cheap = reply("models", "--max-flops", "1000000000", "--limit", "100")["entries"]
    assert {"mobilenet_v2", "squeezenet1_1"} <= {entry["name"] for entry in cheap}
    assert all(0 < entry["flops"] <= 1e9 for entry in cheap)
    sized = reply("models", "vit", "--image-size", "384", "--limit", "200")["entries"]
    assert {entry["image_size"] for entry in sized} == {384}
    free = reply("models", "resnet", "--licence", "Apache", "--limit", "200")["entries"]
    assert {entry["licence"] for entry in free} == {"apache-2.0"}
    assert "timm/resnet50" in {entry["name"] for entry in free}


def test_names_are_sorted_by_similarity_and_then_in_natural_order(reply: Reply) -> None:
    names = [entry["name"] for entry in reply("models", "resnet", "--limit", "200")["entries"]]
    assert names[:5] == ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
    assert names.index("timm/resnet50") < names.index("deeplabv3_resnet50")
    assert reply("models", "resnet50", "--limit", "2")["entries"][1]["name"] == "timm/resnet50"


def test_the_zoo_says_which_weights_are_on_disk(
    run: Run,
    reply: Reply,
    torch_home_with_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(torch_home_with_weights))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    kept = tmp_path / "hub" / "models--timm--resnet18.a1_in1k" / "snapshots" / "1"
    kept.mkdir(parents=True)
    (kept / "model.safetensors").touch()
    here = {entry["name"]: entry["on_disk"] for entry in reply("models", "--on-disk")["entries"]}
    assert here["mobilenet_v2"] == ["IMAGENET1K_V1"]
    assert here["timm/resnet18"] == ["a1_in1k"]
    assert "resnet50" not in here
    shown = run("models", "mobilenet_v2").stdout.splitlines()
    row = next(line for line in shown if line.split()[:1] == ["mobilenet_v2"])
    assert row.split()[-1] == "IMAGENET1K_V1"


@pytest.mark.parametrize(
    "named", [{}, {"XDG_CACHE_HOME": "/x"}, {"TORCH_HOME": "/t", "HF_HOME": "/h"}]
)
def test_what_is_on_disk_is_looked_for_where_the_libraries_look(
    named: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, folder in named.items():
        monkeypatch.setenv(variable, folder)
    assert str(hugging_face_cache()) == hub_constants().HF_HUB_CACHE
    assert torch_checkpoints() == Path(torch.hub.get_dir()) / "checkpoints"


def hub_constants() -> Any:
    """huggingface_hub's constants as a process that starts now would have them."""
    spec = find_spec("huggingface_hub.constants")
    assert spec is not None
    assert spec.loader is not None
    constants = module_from_spec(spec)
    spec.loader.exec_module(constants)
    return constants


@pytest.mark.parametrize("bound", ["--limit", "--max-flops", "--image-size", "--min-accuracy"])
def test_a_negative_bound_is_refused(run: Run, bound: str) -> None:
    result = run("models", bound, "-1")
    assert result.exit_code == 1
    assert "(INVALID_VALUE)" in result.stderr


def test_entries_that_are_not_shown_are_counted(run: Run) -> None:
    assert "3 of " in run("models", "resnet", "--limit", "3").stdout


def test_a_model_is_exported_completely(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    result = run("export", "resnet18", "-o", str(file), "--weights", "none", "--json")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown == {"file": str(file), "format": "safetensors", "bytes": file.stat().st_size}
    from safetensors import safe_open

    with safe_open(str(file), "pt") as tensors:
        assert tensors.get_slice("fc.weight").get_shape() == [1000, 512]
    assert [path.name for path in tmp_path.iterdir() if path.name != "state"] == [file.name]


def test_code_that_rebuilds_the_model_is_named_by_the_server(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    result = run("export", "resnet18", "--format", "python", "--weights", "none")
    assert result.exit_code == 0, result.output
    (file,) = here.iterdir()
    assert file.suffix == ".py"
    compile(file.read_text(), str(file), "exec")


def test_an_existing_file_is_kept_unless_forced(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text("mine")
    words = ("export", "resnet18", "-o", str(file), "--weights", "none")
    refused = run(*words)
    assert (refused.exit_code, file.read_text()) == (1, "mine")
    assert refused.stderr.endswith("(WOULD_OVERWRITE)\n")
    assert run(*words, "--force").exit_code == 0
    assert file.read_text() != "mine"


def test_a_missing_folder_is_reported(run: Run, tmp_path: Path) -> None:
    result = run("export", "resnet18", "-o", str(tmp_path / "no" / "m.py"), "--weights", "none")
    assert result.exit_code == 1
    assert "No such file or directory" in result.stderr
    assert "Traceback" not in result.output


def test_unavailable_weights_are_reported_and_nothing_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # nobody listens: no network
    file = tmp_path / "model.safetensors"
    result = run("export", "resnet18", "-o", str(file))
    assert result.exit_code == 1, result.output
    assert "--weights none" in result.stderr
    assert "(WEIGHTS_UNAVAILABLE)" in result.stderr
    assert not file.exists()


def test_code_and_cards_are_printed_for_a_dash(run: Run, tmp_path: Path) -> None:
    words = ("export", "resnet18", "--weights", "none", "--format")
    code = run(*words, "python", "-o", "-")
    assert code.exit_code == 0, code.output
    compile(code.stdout, "rebuild.py", "exec")
    assert "# resnet18" in run(*words, "card", "-o", "-").stdout
    file = tmp_path / "README.md"
    assert run("export", "resnet18", "--weights", "none", "-o", str(file)).exit_code == 0
    assert file.read_text().startswith("---\nlibrary_name")
    assert not Path("-").exists()


def test_a_detector_is_refused_in_formats_that_cannot_hold_it(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "d.onnx"
    words = ("export", "ssdlite320_mobilenet_v3_large", "--weights", "none", "-o", str(file))
    refused = run(*words)
    assert refused.exit_code == 1
    assert refused.stderr.endswith("(DETECTOR_FORMAT)\n")
    assert not file.exists()


@pytest.mark.parametrize(
    "config",
    [
        "{",
        '{"architectures": 5, "model_type": "vit"}',
        '{"architectures": ["BertForMaskedLM"], "model_type": "bert"}',
        '{"architectures": ["ViTForImageClassification"], "model_type": "vit", "image_size": -1}',
        '{"architectures": ["ViTForImageClassification"], "model_type": "vit"}',
    ],
)
def test_damaged_models_of_the_hub_do_not_break_the_search(
    config: str, reply: Reply, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--acme--odd"
    snapshot = repository / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("1")
    (snapshot / "config.json").write_text(config)
    header = b'{"a": {"dtype": "F32"}}'
    (snapshot / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert not reply("models", "acme").get("entries")
    assert reply("models", "resnet18")["total"] == 7


def test_a_search_that_finds_nothing_says_so(run: Run) -> None:
    assert "No model matches" in run("models", "no-such-model").stdout
    assert "没有符合条件的模型" in run("models", "no-such-model", "--language", "zh").stdout


def test_files_that_were_opened_and_models_that_were_trained_are_found_by_their_titles(
    run: Run, reply: Reply, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(torchvision.models.resnet18(num_classes=4), tmp_path / "petals.pth")
    opened = reply("show", "./petals.pth")["model_id"]
    reply("retarget", opened, "--classes", "9")
    recipe = get_recipe(
        default_store(), reply("retarget", "resnet18@none", "--classes", "7")["model"]["id"]
    )
    trained = recipe.with_edit(Tuned("j", default_store().put_tensors({}), ("a",) * 7))
    put_recipe(default_store(), trained)
    found = reply("models", "--source", "local")["entries"]
    assert [entry["name"] for entry in found] == [trained.id[:12], opened[:12]]
    assert found[0]["title"] == "resnet18 · random weights · 7 classes · tuned"
    assert (found[1]["title"], found[1]["task"]) == ("petals.pth", "classification")
    assert reply("models", "petals", "--on-disk")["entries"] == [found[1]]
    assert reply("inspect", found[1]["name"])["heads"][0]["classes"] == 4
    assert "petals.pth" in run("models", "petals").stdout
    assert reply("models", "--source", "timm", "--limit", "1")["total"] == 1371
