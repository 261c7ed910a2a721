"""Pictures from files: whatever Pillow reads, as upright RGB of bounded size.

    path -> Picture: pixels (H, W, 3) uint8, and where they lie in the original

Files come from anywhere, so: only raster formats whose decoders run nothing, the number
of pixels is read before any is decoded, and JPEGs beyond the limit are decoded at 1/2,
1/4 or 1/8 (their format allows it without ever holding the whole); other formats must
be decoded whole, and are refused. Coordinates stay those of the picture in its full
size, turned as its EXIF data say.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxflow.runs.errors import UserError

# Decoding takes about 7 bytes a pixel: 4 in Pillow, 3 in the array.
MEGAPIXELS = 100.0
MIN_SIDE = 16  # px; nobody can be told in less
SUFFIXES = tuple(
    ".jpg .jpeg .jfif .png .bmp .webp .tif .tiff .gif .ppm .pgm .avif .jp2".split()
)
_FORMATS = "PNG BMP WEBP TIFF GIF PPM AVIF JPEG2000".split()
_ORIENTATION = 0x0112  # the EXIF tag
_PHOTOMETRIC, _WHITE_IS_ZERO = 0x0106, 0  # a TIFF tag
_JPEG = b"\xff\xd8\xff"
_REDUCTIONS = (1, 2, 4, 8)
_LIMIT = threading.Lock()  # while Pillow's own is away
# No JPEG holds more in a byte: a block of 64 pixels takes a bit or two.
_MOST_PER_BYTE = 1024


class PictureError(UserError):
    """A file that is no picture, a damaged one, or one that is too large or small."""


class Picture(NamedTuple):
    """A picture, perhaps reduced while it was read.

    Attributes:
      pixels: (H, W, 3) uint8, RGB, upright.
      width: of the original, px.
      height: of the original, px.
      step: how many pixels of the original one of these spans, along either axis.
      offset: (x, y) of pixel (0, 0) in the original: pixel i is at offset + step i.
    """

    pixels: np.ndarray
    width: int
    height: int
    step: int = 1
    offset: tuple[float, float] = (0.0, 0.0)


def from_array(pixels: np.ndarray) -> Picture:
    """A picture that is in memory already.

    Args:
      pixels: (H, W, 3) uint8, RGB, or (H, W), grey.

    Raises:
      PictureError: another shape or dtype, or too small.
    """
    pixels = np.asarray(pixels)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
        raise PictureError(
            "expected a picture (height, width, 3) of uint8; got "
            f"{pixels.shape} of {pixels.dtype}"
        )
    height, width = pixels.shape[:2]
    _check_small(width, height)
    return Picture(pixels, width, height)


def reduced(picture: Picture, block: int) -> Picture:
    """The picture of the means over so many pixels along either axis, at most."""
    if block <= 1:
        return picture
    from PIL import Image

    pixels = np.asarray(Image.fromarray(picture.pixels).reduce(block))
    step, shift = picture.step * block, picture.step * (block - 1) / 2
    x, y = picture.offset
    return picture._replace(pixels=pixels, step=step, offset=(x + shift, y + shift))


def read(path: str | os.PathLike[str], megapixels: float = MEGAPIXELS) -> Picture:
    """A picture file; of several pictures in one file the first.

    Grey, palette, CMYK and 16-bit pictures become 8-bit RGB; what is transparent shows
    white.

    Args:
      path: JPEG, PNG, BMP, WebP, TIFF, GIF, PPM, AVIF or JPEG 2000.
      megapixels: decode at most so many; memory grows with it, by about 7 MB each.

    Raises:
      FileNotFoundError: no such file.
      PictureError: no picture, damaged, cut short, too large, or below 16 pixels wide
        or high; the file is named.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such picture: {path}")
    try:
        # Pillow warns of what is checked here, and of odd metadata.
        with warnings.catch_warnings(action="ignore"), _open(path) as image:
            width, height = image.size
            _check_small(width, height)
            step = _reduce(image, megapixels)
            pixels = _rgb(image)
            # Now, as Pillow turns TIFFs when it loads them, and then forgets the tag.
            turn = _orientation(image)
            if image.format == "TIFF":
                width, height = image.size
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from error
    except Exception as error:
        # Damaged files make Pillow's decoders raise errors of many kinds.
        raise PictureError(f"{path}: damaged or cut short ({error})") from error
    return _upright(pixels, width, height, step, turn)


def list_folder(folder: str | os.PathLike[str]) -> list[pathlib.Path]:
    """The pictures directly in a folder, by name; numbers in names count as numbers.

    Raises:
      FileNotFoundError: no such folder, or no picture in it.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no such folder: {folder}")
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]
    if not found:
        raise FileNotFoundError(
            f"no pictures in {folder}: expected files that end in {', '.join(SUFFIXES)}"
        )
    return sorted(found, key=lambda path: natural_order(path.name))


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Sorts "frame 9" before "frame 10"."""
    parts = re.split(r"([0-9]+)", name)
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part.lower())
        for part in parts
        if part
    ] + [(2, 0, name)]


def _open(path: pathlib.Path) -> Any:
    """The picture, of which only the header has been read."""
    from PIL import Image, JpegImagePlugin, UnidentifiedImageError

    with open(path, "rb") as file:
        start = file.read(1024)
    if not start:
        raise PictureError("the file is empty")
    if start.startswith(_JPEG):
        # Not through Image.open, which refuses large ones that can yet be reduced.
        image = JpegImagePlugin.JpegImageFile(path)
        if image.width * image.height > _MOST_PER_BYTE * path.stat().st_size:
            raise PictureError(
                f"damaged: {path.stat().st_size} bytes cannot hold the {image.width} x "
                f"{image.height} pixels that it promises"
            )
        return image
    try:
        Image.init()
        there = [name for name in _FORMATS if name in Image.OPEN]
        with _unlimited(Image):
            return Image.open(path, formats=there)
    except UnidentifiedImageError as error:
        text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if text.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"svg" in text:
            raise PictureError(
                "an SVG drawing, whatever its name says; expected pixels: a JPEG or PNG"
            ) from error
        raise PictureError(
            f"expected a picture ({', '.join(['JPEG', *_FORMATS])}); it is none of them"
        ) from error


@contextlib.contextmanager
def _unlimited(image: Any) -> Iterator[None]:
    """Without Pillow's own limit, where the header alone is read: ours comes next."""
    with _LIMIT:
        before, image.MAX_IMAGE_PIXELS = image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            image.MAX_IMAGE_PIXELS = before


def _check_small(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise PictureError(
            f"{width} x {height} pixels; expected at least {MIN_SIDE} x {MIN_SIDE}, or "
            "nobody can be seen"
        )


def _reduce(image: Any, megapixels: float) -> int:
    """Has a JPEG decoded at a part of its size if need be: the divisor."""
    width, height = image.size
    size = f"{width} x {height} pixels, {width * height / 1e6:.0f} megapixels"
    if width * height <= megapixels * 1e6:
        return 1
    if image.format != "JPEG":
        raise PictureError(
            f"{size}, too large: a {image.format} must be decoded whole and the limit "
            f"is {megapixels:g}; make it smaller or raise the limit"
        )
    if image.info.get("progressive"):
        raise PictureError(
            f"{size}, too large: a progressive JPEG must be held whole and the limit "
            f"is {megapixels:g}; make it smaller or raise the limit"
        )
    for step in _REDUCTIONS:
        if -(-width // step) * -(-height // step) <= megapixels * 1e6:
            image.draft(None, (width // step, height // step))
            return step
    raise PictureError(
        f"{size}, too large: at an eighth it still exceeds the limit of {megapixels:g}"
    )


def _orientation(image: Any) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where the data are damaged."""
    try:
        turn = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data raise errors of many kinds
        return 1
    return turn if turn in range(1, 9) else 1


def _rgb(image: Any) -> np.ndarray:
    """Decodes to (H, W, 3) uint8."""
    whole = image.mode == "I" and image.format in ("PNG", "PPM")
    if image.mode.startswith("I;16") or whole:
        return np.repeat(_grey(image)[..., None], 3, axis=-1)
    if image.mode in ("I", "F"):
        raise PictureError(
            "pixels of 32 bits, which say nothing about what is white; expected 8 or 16"
        )
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or (
        "transparency" in image.info and image.mode in ("1", "L", "P", "RGB")
    ):
        from PIL import Image

        above = image.convert("RGBA")
        white = Image.new("RGBA", above.size, "white")
        image = Image.alpha_composite(white, above)
    deep = image.mode == "RGB" and any(_is_deep(tile) for tile in image.tile)
    pixels = np.asarray(image.convert("RGB"))
    if deep and pixels.max() < 16:  # Pillow keeps the upper 8 bits
        raise PictureError(
            "colours of 16 bits of which the upper four are empty, so nearly black; "
            "expected them scaled to 16 bits, or 8"
        )
    return pixels


def _grey(image: Any) -> np.ndarray:
    """Grey of up to 16 bits as (H, W) uint8, black 0.

    Cameras of 9 to 12 bits write them into 16: so few that a picture whose brightest
    pixel is below 1/16 of white has fewer bits rather than no light.
    """
    values = np.asarray(image, np.float32)
    most = int(values.max())
    white = 2.0**16 - 1 if most >= 2**12 else 2.0 ** max(8, most.bit_length()) - 1
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = white - values
    return np.rint(values * (255 / white)).astype(np.uint8)


def _is_deep(tile: Any) -> bool:
    """Whether a part of a file holds 16 bits a colour."""
    mode = tile[3] if isinstance(tile[3], str) else (tile[3] or [""])[0]
    return "16" in str(mode)


def _upright(
    pixels: np.ndarray, width: int, height: int, step: int, turn: int
) -> Picture:
    """Turns and mirrors as EXIF orientation ``turn`` asks.

    The last column and row of a reduced picture may stand for fewer pixels than the
    others; where mirroring brings them to the front the offset is less.
    """
    rows, columns = pixels.shape[:2]
    x = y = middle = (step - 1) / 2
    if turn in (2, 3, 7, 8):
        pixels, x = pixels[:, ::-1], width - 1 - middle - step * (columns - 1)
    if turn in (3, 4, 6, 7):
        pixels, y = pixels[::-1], height - 1 - middle - step * (rows - 1)
    if turn >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
        width, height, x, y = height, width, y, x
    return Picture(np.ascontiguousarray(pixels), width, height, step, (x, y))
