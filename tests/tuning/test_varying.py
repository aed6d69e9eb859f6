"""How pictures are varied and classes balanced where nobody says so, and what is refused."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from netgraft.errors import InvalidValue
from netgraft.store.store import Store
from netgraft.tuning.data import open_data
from netgraft.tuning.data.containers.memory import Memory
from netgraft.tuning.data.manifest import Manifest
from netgraft.tuning.data.pixels import PictureExamples
from netgraft.tuning.jobs.sides import small
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.jobs.varying import Varying, varying
from netgraft.tuning.results.varied import SHOWN, keep_sheet, varied_sheet
from netgraft.tuning.tasks.classification import TASK
from netgraft.tuning.train.strategies import Defaults, Facts, is_imbalanced


def data(class_names: tuple[str, ...], side: int = 28, **changed: object) -> Manifest:
    """Two pictures of each class, in memory."""
    stream = io.BytesIO()
    Image.new("RGB", (side, side + 4)).save(stream, "PNG")
    names = tuple(f"{index}.png" for index in range(2 * len(class_names)))
    made = Manifest(
        reference="made",
        kind="folder",
        options=Request("m", "made").options,
        task="classification",
        class_names=class_names,
        names=names,
        labels=tuple(index // 2 for index in range(len(names))),
        parts=("train", "held_out") * len(class_names),
        container=Memory(dict.fromkeys(names, stream.getvalue())),
    )
    return replace(made, **changed)


def defaults(**changed: object) -> Defaults:
    facts = {"examples": 500, "classes": 2, "pretrained": True, "batch_norm": True}
    return TASK.defaults(Facts(**(facts | {"gpu": False, "workers": 1} | changed)))


def resolved(made: Manifest, loss: str = "cross_entropy", **said: object) -> Varying:
    usual = said.pop("defaults", defaults())
    classifies = bool(said.pop("classifies", True))
    request = Request("m", "made", **said)
    return varying(request, made, loss, usual, classifies=classifies)


def test_photographs_are_cropped_and_whether_mirrored_the_probe_says() -> None:
    found = resolved(data(("ants", "bees")))
    assert (found.augment, found.mirror, found.balance) == ("light", None, "none")
    assert (found.label_smoothing, found.mixup) == (0.0, 0.0)
    whole = resolved(data(("ants", "bees")), defaults=defaults(pretrained=False))
    assert whole.mirror is True, "no probe is made that could say"


def test_what_must_stay_whole_is_not_varied_and_names_can_forbid_mirrors() -> None:
    found = resolved(open_data("digits"))
    assert (found.augment, found.mirror) == ("none", False)
    assert [line.partition(":")[0] for line in map(str, found.because)] == ["augment none"]
    assert resolved(open_data("digits"), augment="light").mirror is False
    turned = resolved(data(("left", "right")))
    assert turned.mirror is False
    assert any(str(line).startswith("mirror off") for line in turned.because)
    assert resolved(data(("left", "right")), mirror=True).mirror is True


def test_what_was_said_is_kept_and_not_explained() -> None:
    said = {"augment": "strong", "mirror": False, "balance": "weights"}
    said |= {"label_smoothing": 0.1, "mixup": 0.2}
    found = resolved(data(("ants", "bees")), **said)
    assert {name: getattr(found, name) for name in said} == said
    assert found.because == ()


@pytest.mark.parametrize(
    ("said", "loss", "classifies"),
    [
        ({"label_smoothing": 0.1}, "mse", True),
        ({"balance": "weights"}, "dice", True),
        ({"balance": "sampling"}, "squared", False),
        ({"mixup": 0.2}, "squared", False),
    ],
)
def test_what_does_not_fit_is_refused(said: dict[str, object], loss: str, classifies: bool) -> None:
    with pytest.raises(InvalidValue, match=next(iter(said))):
        resolved(data(("ants", "bees")), loss, classifies=classifies, **said)


@pytest.mark.parametrize(
    "said", [{"mixup": -1.0}, {"mixup": 11.0}, {"label_smoothing": 0.6}, {"balance": "odd"}]
)
def test_values_out_of_bounds_are_refused(said: dict[str, object]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(said))):
        Request("m", "made", **said).check()


def test_imbalance_is_a_class_far_above_the_mean() -> None:
    assert not is_imbalanced([50, 60, 70])
    assert is_imbalanced([900, 20, 30, 10])


def test_imbalanced_classes_weigh_in_the_loss_and_that_is_said() -> None:
    found = resolved(data(("ants", "bees")), defaults=defaults(imbalanced=True))
    assert found.balance == "weights"
    assert any(str(line).startswith("balance weights") for line in found.because)
    assert (
        resolved(data(("a", "b")), "dice", defaults=defaults(imbalanced=True)).balance == "sampling"
    )


@pytest.mark.parametrize(
    ("side", "probes", "expected"),
    [(28, True, 112), (28, False, 56), (3, True, 48), (300, True, 1200)],
)
def test_small_pictures_are_enlarged(side: int, probes: bool, expected: int) -> None:
    assert small(data(("a", "b"), side), probes=probes) == expected


def test_pictures_that_cannot_be_read_say_nothing_of_their_side() -> None:
    made = data(("a", "b"))
    broken = replace(made, container=Memory(dict.fromkeys(made.names, b"no picture")))
    assert small(broken, probes=True) is None


def test_a_sheet_shows_varied_pictures_and_there_is_none_where_nothing_trained(
    store: Store,
) -> None:
    made = data(tuple("abcdefghij"))
    examples = PictureExamples(made, range(len(made.names)), 24)
    assert varied_sheet(store, "tune-1") is None
    keep_sheet(store, "tune-1", examples, range(len(made.names)), 0)
    found = varied_sheet(store, "tune-1")
    assert found is not None
    assert Image.open(io.BytesIO(found)).size[0] > 4 * 100
    assert SHOWN == 16
