"""Single images of any common format as pixels: images of the user's own as they are prepared, and what a trained
network is asked about, which goes the same way.

* The orientation that a camera has recorded (EXIF) is obeyed. Of several frames the first one counts.
* Palette, CMYK, YCbCr, CIELAB and the like become RGB; transparent parts become white.
* Of 16 bits the upper eight are kept. Numbers beyond 16 bits and floating-point ones, whose range nobody knows, are
  refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from enas_core.console import UserError
from enas_core.files.reading import read_bytes

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode for a network's number of channels."""


FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow reads some others with external programs, PostScript, a programming language, among them."""

MOST_PIXELS = 100_000_000
"""A file that claims to hold more is not decoded."""


MOST_BYTES = 2**29
"""Nor is a longer file read."""


class Picture(NamedTuple):
    """`pixels` uint8 [size, size, channels]; `changes`: what was done to the file's image to make them."""

    pixels: np.ndarray
    changes: list[str]


class Form(NamedTuple):
    """How images are prepared, those to train on and those to evaluate."""

    channels: int
    resize_to: int | None
    """Side to which the middle square of an image is resized; None: it is `size` already."""
    size: int
    """Side of the middle of that which is kept."""


def read_image(path: Path, form: Form) -> Picture:
    """An image file as a network needs it; warnings are the caller's. Raises UserError, one line, when it is not a
    readable one."""
    try:
        content = read_bytes(path, MOST_BYTES)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: not a readable image: {error.strerror}") from None
    mode, image = decode(str(path), content)
    changes = []
    if (converted := MODES[form.channels]) != mode:
        white = ", transparency on white" if image.has_transparency_data else ""
        changes.append(f"converted from {mode} to {converted}{white}")
    side = form.resize_to or form.size
    if image.size != (side, side):
        found = f"{image.width}x{image.height}"
        resized = f"resized from {found}" if image.width == image.height else f"the middle of {found} resized"
        changes.append(f"{resized} to {side}x{side}")
    with _readable(str(path)):
        return Picture(pixels_of(image, form), changes)


def decode(where: str, content: bytes) -> tuple[str, Image.Image]:
    """`upright` of an image file's content."""
    with _readable(where), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return upright(where, image)


def upright(where: str, image: Image.Image) -> tuple[str, Image.Image]:
    """Mode of an opened image, and what it shows when it is held as the camera was; warnings are the caller's. Raises
    UserError, one line that begins with `where`, when it is not readable, or not to be read."""
    with _readable(where):
        _require_decodable(where, image)
        image.load()
        mode = image.mode
        turned = ImageOps.exif_transpose(image)
        _require_range(where, turned)
    return mode, turned


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Turn what Pillow raises on damaged files, which is of many kinds, into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())[:150]
        raise UserError(f"{where}: not a readable image: {reason}") from None


def _require_decodable(where: str, image: Image.Image) -> None:
    """Raise UserError for what is not decoded, whatever its pixels are."""
    if image.width * image.height > MOST_PIXELS:
        raise UserError(f"{where}: an image of {image.width}x{image.height} pixels; at most {MOST_PIXELS} are decoded")
    if image.mode == "F":
        raise UserError(f"{where}: an image of floating-point numbers, whose range is unknown; 8 or 16 bits are needed")


def _require_range(where: str, image: Image.Image) -> None:
    """Raise UserError where pixels cannot be converted."""
    if image.mode == "I":
        values = np.asarray(image)
        low, high = int(values.min()), int(values.max())
        if not 0 <= low <= high < 2**16:
            raise UserError(f"{where}: an image of numbers from {low} to {high}; 8 or 16 bits are needed")


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Grey or RGB, transparent parts on white, 16 bits reduced to 8 (Pillow would clip them)."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8))
    if image.mode == "LAB":
        image = image.convert("RGB")  # which Pillow cannot turn into grey at once
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def pixels_of(image: Image.Image, form: Form) -> np.ndarray:
    """Pixels (uint8, [size, size, channels]) of an upright image: its middle square resized, and the middle of that."""
    image = in_mode(image, MODES[form.channels])
    side = form.resize_to or form.size
    if image.size != (side, side):
        shorter = min(image.size)
        left, top = (image.width - shorter) / 2, (image.height - shorter) / 2
        box = (left, top, left + shorter, top + shorter)
        image = image.resize((side, side), Image.Resampling.BILINEAR, box)
    margin = (side - form.size) // 2
    middle = slice(margin, margin + form.size)
    pixels = np.asarray(image).reshape(side, side, form.channels)
    return np.ascontiguousarray(pixels[middle, middle])


def formed(where: str, content: bytes, form: Form) -> np.ndarray:
    """Pixels (uint8, [size, size, channels]) of an image file's content. Raises UserError as `decode` does, and where
    nothing is to be resized but must be."""
    image = decode(where, content)[1]
    if form.resize_to is None and image.size != (form.size, form.size):
        raise UserError(
            f"{where}: is {image.width}x{image.height}, expected {form.size}x{form.size};"
            " dataset.image_size says to which size images are brought"
        )
    with _readable(where):
        return pixels_of(image, form)
