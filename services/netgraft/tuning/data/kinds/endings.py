"""Which files are pictures: by the ending where that is known, else by the first bytes."""

from collections.abc import Callable

DECODED = """jpg jpeg jpe jfif jif png apng bmp dib webp gif tif tiff ppm pgm pbm pnm heic heif
hif avif avifs jp2 j2k jxl tga"""
PICTURES = frozenset(DECODED.split())
"""Endings of pictures. One that is not decoded is a fault to be named, not passed over here."""
KNOWN = """txt md rst csv tsv json jsonl ndjson xml yaml yml toml ini cfg html htm css js pdf doc
docx xls xlsx parquet arrow feather npy npz mat pkl pt pth h5 hdf5 db sqlite py ipynb sh bat log
lock cache zip tar gz tgz bz2 xz zst 7z rar mp3 wav mp4 avi mov mkv svg url lnk exe dll sha256 md5
part tmp crdownload bak old orig swp"""
OTHERS = frozenset(KNOWN.split())
"""Endings of other files, which are not looked into."""
SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"\0\0\0\x0cjP  ",
    b"\xff\x0a",
)
BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1")
"""Of files in ISO boxes (AVIF, HEIF)."""


def is_picture(name: str, head: Callable[[str], bytes]) -> bool:
    """True if a file is a picture; `head` gives its first bytes where the ending says nothing."""
    ending = name.rpartition("/")[2].rpartition(".")[2].lower()
    if ending in PICTURES:
        return True
    return ending not in OTHERS and ending[-1:] != "~" and looks_like_picture(head(name))


def looks_like_picture(head: bytes) -> bool:
    """True if the first bytes of a file are those of a picture."""
    if head[4:8] == b"ftyp":
        return head[8:12] in BRANDS
    return head.startswith(SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
