"""Varied training pictures: by their seed alone, and never into another class."""

import pytest
from PIL import Image, ImageOps

from netgraft.tuning.data.augment import Augment, mirrored_by_name

SIDE = 24


def picture() -> Image.Image:
    """Dark on the left, bright on the right, so that a mirror shows."""
    return Image.linear_gradient("L").rotate(90).convert("RGB").resize((48, 40))


def is_mirrored(made: Image.Image) -> bool:
    left, right = (made.getpixel((x, SIDE // 2))[0] for x in (1, SIDE - 2))
    plain = picture()
    return (left < right) != (plain.getpixel((1, 20))[0] < plain.getpixel((46, 20))[0])


@pytest.mark.parametrize("name", ["light", "strong"])
def test_the_same_seed_gives_the_same_picture_and_others_differ(name: str) -> None:
    augment = Augment(name)
    made = [augment.varied(picture(), SIDE, seed).tobytes() for seed in range(20)]
    again = [augment.varied(picture(), SIDE, seed).tobytes() for seed in range(20)]
    assert made == again
    assert len(set(made)) >= 19, "small crops may be alike"


def test_half_are_mirrored_and_none_where_that_would_hurt() -> None:
    made = [Augment("light").varied(picture(), SIDE, seed) for seed in range(60)]
    assert 20 < sum(map(is_mirrored, made)) < 40
    plain = [Augment("light", mirror=False).varied(picture(), SIDE, seed) for seed in range(60)]
    assert not any(map(is_mirrored, plain))
    same = [m if not is_mirrored(m) else ImageOps.mirror(m) for m in made]
    assert [m.tobytes() for m in same] == [p.tobytes() for p in plain], "the crops are the same"


def test_strong_changes_colours_and_light_does_not() -> None:
    gray = Image.new("RGB", (40, 40), (120, 60, 90))
    light = {Augment("light").varied(gray, SIDE, seed).getpixel((12, 12)) for seed in range(9)}
    strong = {Augment("strong").varied(gray, SIDE, seed).getpixel((12, 12)) for seed in range(9)}
    assert light == {(120, 60, 90)}
    assert len(strong) == 9


@pytest.mark.parametrize("seed", range(20))
def test_of_what_must_stay_whole_nearly_all_is_kept(seed: int) -> None:
    black = Image.new("RGB", (40, 40))
    black.paste("white", (8, 8, 32, 32))
    made = Augment("light", whole=True).varied(black, 40, seed)
    assert all(made.getpixel(at) == (0, 0, 0) for at in ((0, 20), (39, 20), (20, 0), (20, 39)))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (700, 3)])
def test_pictures_of_any_shape_can_be_varied(size: tuple[int, int]) -> None:
    for seed in range(5):
        assert Augment("strong").varied(Image.new("RGB", size), SIDE, seed).size == (SIDE, SIDE)


@pytest.mark.parametrize(
    ("names", "speak"),
    [
        (["ants", "bees"], False),
        (["arrow_left", "arrow-right"], True),
        (["Turn Left", "stop"], True),
        (["leftovers", "bright"], False),
        (list("0123456789"), True),
        (["a", "b", "longer"], True),
        (["左转", "右转"], True),
        (["00001", "00002"], False),
    ],
)
def test_names_speak_against_a_mirror(names: list[str], speak: bool) -> None:
    assert mirrored_by_name(names) is speak
