"""From any mode of 8 bits a channel to RGB.

Transparent pixels lie on one ground, white, as a page shows them: what is stored under them is
nobody's intention, and differs from program to program.
"""

from PIL import Image, ImageChops

GROUND = (255, 255, 255)
"""White: what lies under transparent pixels, in training and in prediction."""


def flat(picture: Image.Image) -> tuple[Image.Image, bool]:
    """Return a picture as RGB, and whether a pixel of it was transparent.

    Raises ValueError for a mode that has no colours.
    """
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture, False
    if picture.has_transparency_data:
        return _on_ground(picture.convert("RGBA"))
    if picture.mode == "LAB":
        return _from_lab(picture), False
    return picture.convert("RGB"), False


def printed(opened: Image.Image) -> Image.Image:
    """Return a decoded CMYK picture with 0 for no ink.

    Pillow takes every CMYK JPEG for one of Adobe's, which are stored inverted. Those without
    Adobe's mark are not.
    """
    is_plain_jpeg = opened.format in ("JPEG", "MPO") and "adobe" not in opened.info
    return ImageChops.invert(opened) if is_plain_jpeg else opened


def _on_ground(picture: Image.Image) -> tuple[Image.Image, bool]:
    alpha = picture.getchannel("A")
    least, _ = alpha.getextrema()
    if least == 255:
        return picture.convert("RGB"), False
    ground = Image.new("RGB", picture.size, GROUND)
    ground.paste(picture.convert("RGB"), mask=alpha)
    return ground, True


def _from_lab(picture: Image.Image) -> Image.Image:
    from PIL import ImageCms

    made = ImageCms.profileToProfile(
        picture, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert made is not None, "it is not done in place"
    return made
