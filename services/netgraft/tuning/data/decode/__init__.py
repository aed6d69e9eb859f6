"""From a picture's bytes to an upright RGB picture, alike for training, evaluation and prediction.

    decode/
    ├── decoder.py   bytes → `Decoded`: a picture, or the fault that it has
    ├── flat.py      every mode to RGB: palettes, CMYK, and transparency on one ground
    ├── deep.py      more than 8 bits a channel
    ├── examine.py   what the checks want to know of a picture
    ├── formats.py   formats that are opened, their endings, and files that are cut short
    └── bounds.py    how large a picture may be

Knows no data set, no file and no class: bytes in, a picture out.
"""

from netgraft.tuning.data.decode.decoder import Decoded, decode, error_for, picture_in
from netgraft.tuning.data.decode.examine import examined

__all__ = ["Decoded", "decode", "error_for", "examined", "picture_in"]
