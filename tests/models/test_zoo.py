"""Names become recipes, recipes become modules, weights are read safely or not at all."""

import io
import os
import shutil
from pathlib import Path

import pytest
import torch
import torchvision

from netgraft.errors import OutsideDataRoots, UnknownModel, WeightsUnavailable
from netgraft.models import bases, resolve
from netgraft.models.build import build
from netgraft.models.edits.freeze import Freeze
from netgraft.models.edits.retarget import Retarget
from netgraft.models.notices import said
from netgraft.models.recipe import Base, HeadEdit, Recipe
from netgraft.models.source import source
from netgraft.models.zoo.catalogue import Query, by_name, entries, search
from netgraft.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    # A closed port stands for "no network" on machines that have one.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")


@pytest.fixture
def official(torch_home_with_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(torch_home_with_weights))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")


def test_the_catalogue_lists_every_torchvision_name() -> None:
    names = {entry.name for entry in entries() if entry.source == "torchvision"}
    assert names == set(torchvision.models.list_models())
    assert by_name()["resnet50"].params == 25_557_032
    assert by_name()["resnet50"].weights[0] == "IMAGENET1K_V2"


def test_search_filters_by_words_task_size_and_accuracy() -> None:
    found = search(Query("resnet", "segmentation"))
    assert {entry.name for entry in found} == {
        "deeplabv3_resnet50",
        "deeplabv3_resnet101",
        "fcn_resnet50",
        "fcn_resnet101",
    }
    small = search(Query(max_params=5_000_000, min_accuracy=70))
    assert small
    assert all(e.params <= 5_000_000 and e.accuracy >= 70 for e in small)
    assert [e.accuracy for e in small] == sorted((e.accuracy for e in small), reverse=True)


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("resnet50", "torchvision/resnet50@IMAGENET1K_V2"),
        (" ResNet50 ", "torchvision/resnet50@IMAGENET1K_V2"),
        ("resnet50@IMAGENET1K_V1", "torchvision/resnet50@IMAGENET1K_V1"),
        ("torchvision/vit-b-16@none", "torchvision/vit_b_16@none"),
        ("timm/vit_base_patch16_224", "timm/vit_base_patch16_224@augreg2_in21k_ft_in1k"),
        ("resnet50@default", "torchvision/resnet50@IMAGENET1K_V2"),
    ],
)
def test_a_name_resolves_to_the_base_that_it_means(
    store: Store, no_weights: None, text: str, base: str
) -> None:
    resolved = resolve.resolve(text, "pretrained", store)
    assert str(resolved.recipe.base) == base
    assert resolve.resolve(resolved.recipe.id[:12], "pretrained", store).recipe == resolved.recipe


def test_an_unknown_name_is_never_corrected_but_neighbours_are_named(store: Store) -> None:
    with pytest.raises(UnknownModel, match="resnet50"):
        resolve.resolve("resnet500", "pretrained", store)
    with pytest.raises(UnknownModel, match="IMAGENET1K_V2"):
        resolve.resolve("resnet50@V7", "pretrained", store)
    with pytest.raises(OutsideDataRoots):
        resolve.resolve("/etc/passwd.pth", "pretrained", store)


def test_preferred_weights_fall_back_to_random_ones_and_say_so(
    store: Store, no_weights: None
) -> None:
    resolved = resolve.resolve("resnet18", "preferred", store)
    assert resolved.recipe.base.weights is None
    assert "random weights" in said(resolved.notices[0], "en")


def test_weights_that_are_needed_and_missing_are_an_error_that_says_what_to_do(
    store: Store, no_weights: None
) -> None:
    recipe = resolve.resolve("resnet18", "pretrained", store).recipe
    with pytest.raises(WeightsUnavailable, match="--weights none"):
        build(recipe, store)


@pytest.mark.parametrize(
    ("name", "classes", "first"),
    [
        ("timm/convnext_tiny@in12k", 11821, "benthos"),
        ("timm/beit_base_patch16_224@in22k_ft_in22k", 21841, "organism"),
        ("timm/mobilenetv3_large_100@miil_in21k", 11221, "benthos"),
        ("timm/resnet18@a1_in1k", 1000, "tench"),
        ("resnet18", 1000, "tench"),
    ],
)
def test_classes_of_imagenets_larger_lists_have_names(
    name: str, classes: int, first: str, store: Store
) -> None:
    names = bases.class_names(resolve.resolve(name, "pretrained", store).recipe.base)
    assert (len(names), names[0]) == (classes, first)


def test_weights_on_this_machine_are_used_without_a_network(store: Store, official: None) -> None:
    resolved = resolve.resolve("mobilenet_v2", "preferred", store)
    assert str(resolved.recipe.base) == "torchvision/mobilenet_v2@IMAGENET1K_V1"
    model = build(resolved.recipe, store)
    home = Path(os.environ["TORCH_HOME"])
    official_state = torch.load(home / "hub/checkpoints/mobilenet_v2-b0353104.pth")
    assert all(torch.equal(model.state_dict()[k], v) for k, v in official_state.items())


@pytest.mark.parametrize(
    ("kept", "here"),
    [
        ("refs/main", False),  # of another revision
        ("snapshots/1/config.json", False),
        ("snapshots/1/pytorch_model.bin", True),
    ],
)
def test_weights_of_the_hub_are_found_without_its_library_where_that_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str, here: bool
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--timm--resnet18.a1_in1k"
    for name in ("refs/main", "snapshots/2/model.safetensors", kept):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("1" if name == "refs/main" else "")
    base = Base("timm", "resnet18", "a1_in1k")
    assert (bases.on_disk(base), source("timm").has_file(base)) == (here, here)


def test_torchvisions_weights_are_found_without_it_where_it_looks(official: None) -> None:
    for name, weights in (("mobilenet_v2", "IMAGENET1K_V1"), ("resnet18", "IMAGENET1K_V1")):
        base = Base("torchvision", name, weights)
        assert (
            bases.on_disk(base) == source("torchvision").has_file(base) == (name == "mobilenet_v2")
        )
    assert not bases.on_disk(Base("torchvision", "mobilenet_v2", None))


def test_a_weights_file_that_holds_code_is_refused_before_anything_runs(
    store: Store, no_weights: None, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(marker),)

    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"conv1.weight": Hostile()}, folder / "resnet18-f37072fd.pth")
    recipe = resolve.resolve("resnet18", "pretrained", store).recipe
    with pytest.raises(WeightsUnavailable, match="damaged"):
        build(recipe, store)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["resnet18", "regnet_y_400mf", "inception_v3", "raft_small"])
def test_a_module_on_meta_has_the_structure_and_no_memory(store: Store, name: str) -> None:
    recipe = resolve.resolve(name, "pretrained", store).recipe
    on_meta = build(recipe, store, device="meta")
    real = bases.base_module(recipe.base, load_weights=False)
    assert {t.device.type for t in on_meta.state_dict().values()} == {"meta"}
    shapes = {k: v.shape for k, v in on_meta.state_dict().items()}
    assert shapes == {k: v.shape for k, v in real.state_dict().items()}


def test_building_on_meta_leaves_other_threads_alone(store: Store) -> None:
    from concurrent.futures import ThreadPoolExecutor

    recipe = resolve.resolve("resnet18", "pretrained", store).recipe
    with ThreadPoolExecutor(4) as pool:
        metas = [pool.submit(build, recipe, store, device="meta") for _ in range(4)]
        reals = [pool.submit(torch.nn.Linear, 50, 50) for _ in range(200)]
    assert all(not linear.result().weight.is_meta for linear in reals)
    assert all(next(meta.result().parameters()).is_meta for meta in metas)


def test_random_weights_are_the_same_every_time(store: Store) -> None:
    recipe = resolve.resolve("squeezenet1_1@none", "pretrained", store).recipe
    before = torch.random.get_rng_state()
    one, two = (build(recipe, store).state_dict() for _ in range(2))
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert torch.equal(before, torch.random.get_rng_state()), "the global RNG is not touched"


def test_edits_are_applied_in_order_and_only_where_they_say(store: Store) -> None:
    head = {"fc.weight": torch.randn(7, 512), "fc.bias": torch.randn(7)}
    edit = Retarget(7, (), (HeadEdit("fc", "Linear", 512, 1000, 7),), (), store.put_tensors(head))
    base = Recipe(Base("torchvision", "resnet18", None))
    recipe = base.with_edit(Freeze(("",), False)).with_edit(Freeze(("fc",), True)).with_edit(edit)
    model = build(recipe, store)
    plain = build(base, store).state_dict()
    assert torch.equal(model.fc.weight, head["fc.weight"])
    assert model.fc.out_features == 7
    assert [n for n, p in model.named_parameters() if p.requires_grad] == ["fc.weight", "fc.bias"]
    assert all(torch.equal(v, plain[k]) for k, v in model.state_dict().items() if k not in head)
    assert build(recipe, store, device="meta").fc.weight.shape == (7, 512)
    assert build(recipe.parent.parent.parent, store)(torch.zeros(2, 3, 64, 64)).shape == (2, 1000)


def test_weights_of_a_broken_download_are_reported_as_damaged(
    store: Store, no_weights: None, tmp_path: Path
) -> None:
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    whole = io.BytesIO()
    torch.save({"a": torch.zeros(1000)}, whole)
    (folder / "resnet18-f37072fd.pth").write_bytes(whole.getvalue()[:600])
    with pytest.raises(WeightsUnavailable, match="damaged"):
        build(resolve.resolve("resnet18", "pretrained", store).recipe, store)
    shutil.rmtree(folder)
