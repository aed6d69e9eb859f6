"""The code that asks a rebuilt model about a picture: its preprocessing, and its probabilities."""

from netgraft.models.answers import answering
from netgraft.models.recipe import Recipe

CODE = '''

def preprocess(picture):
    """A picture of Pillow's as x_1CHW: the square in its middle, normalised."""
    import numpy as np
    from PIL import Image, ImageOps

    bilinear = Image.Resampling.BILINEAR
    picture = ImageOps.exif_transpose(picture).convert("RGB")
    scale = {resize} / min(picture.size)
    if scale < 1:
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, bilinear, reducing_gap=2)
    if min(picture.size) == {resize}:
        left, top = (picture.width - {side}) // 2, (picture.height - {side}) // 2
        square = picture.crop((left, top, left + {side}, top + {side}))
    else:
        bleed = (1 - {side} / {resize}) / 2
        square = ImageOps.fit(picture, ({side}, {side}), bilinear, bleed=bleed)
    x_CHW = torch.from_numpy(np.array(square)).permute(2, 0, 1) / 255
    mean_C11 = torch.tensor({mean})[:, None, None]
    deviation_C11 = torch.tensor({deviation})[:, None, None]
    return ((x_CHW - mean_C11) / deviation_C11)[None]


@torch.no_grad()
def predict(picture):
    """The probability of each class in a picture."""
    return (model(preprocess(picture)) / {temperature}).softmax(1)[0]
'''


def asking(recipe: Recipe) -> str:
    """Return the code; "" for a model that was not tuned, which the tutorials show how to ask."""
    if recipe.training is None or recipe.training.answering is None:
        return ""
    found = answering(recipe)
    return CODE.format(
        side=found.side,
        resize=found.resize,
        mean=list(found.mean),
        deviation=list(found.deviation),
        temperature=found.temperature,
    )
