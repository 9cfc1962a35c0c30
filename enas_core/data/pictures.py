"""Single images of any common format as pixels: for `predict`, and for images of the user's own as they are prepared.

* The orientation that a camera has recorded (EXIF) is obeyed. Of several frames the first one counts.
* Palette, CMYK, YCbCr and the like become RGB; transparent parts become white.
* Of 16 bits the upper eight are kept. Numbers beyond 16 bits and floating-point ones, whose range nobody knows, are
  refused.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from enas_core.console import UserError

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode for a network's number of channels."""


FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow reads some others with external programs, PostScript, a programming language, among them."""

MOST_PIXELS = 100_000_000
"""A file that claims to hold more is not decoded."""


class Picture(NamedTuple):
    """`pixels` uint8 [size, size, channels]; `changes`: what was done to the file's image to make them."""

    pixels: np.ndarray
    changes: list[str]


class Form(NamedTuple):
    """How images of the user's own are prepared, those to train on and those to evaluate."""

    channels: int
    resize_to: int | None
    """Side to which the middle square of an image is resized; None: it is `size` already."""
    size: int
    """Side of the middle of that which is kept."""


def read_image(path: Path, size: int, channels: int) -> Picture:
    """An image file as the network needs it. Raises UserError, one line, when it is not a readable one."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: not a readable image: {error.strerror}") from None
    with warnings.catch_warnings(action="ignore"):
        mode, upright = decode(str(path), content)
    changes = []
    if (converted := in_mode(upright, MODES[channels])).mode != mode:
        white = ", transparency on white" if upright.has_transparency_data else ""
        changes.append(f"converted from {mode} to {MODES[channels]}{white}")
    if converted.size != (size, size):
        changes.append(f"resized from {converted.width}x{converted.height} to {size}x{size}")
        converted = converted.resize((size, size), Image.Resampling.BILINEAR)
    return Picture(np.asarray(converted).reshape(size, size, channels), changes)


def decode(where: str, content: bytes) -> tuple[str, Image.Image]:
    """Mode and upright image of an image file's content; warnings are the caller's. Raises UserError, one line that
    begins with `where`, when it is not readable, or not to be read."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            problem = _problem(image)
            if problem is None:
                image.load()
                mode = image.mode
                upright = ImageOps.exif_transpose(image)
                problem = _problem_of_values(upright)
    except Exception as error:  # Pillow's decoders raise many kinds of errors on damaged files
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())[:150]
        raise UserError(f"{where}: not a readable image: {reason}") from None
    if problem is not None:
        raise UserError(f"{where}: {problem}")
    return mode, upright


def _problem(image: Image.Image) -> str | None:
    """Why an image is not decoded, whatever its pixels are."""
    if image.width * image.height > MOST_PIXELS:
        return f"an image of {image.width}x{image.height} pixels; at most {MOST_PIXELS} are decoded"
    if image.mode == "F":
        return "an image of floating-point numbers, whose range is unknown; 8 or 16 bits are needed"
    return None


def _problem_of_values(image: Image.Image) -> str | None:
    """Why pixels cannot be converted."""
    if image.mode == "I":
        values = np.asarray(image)
        low, high = int(values.min()), int(values.max())
        if not 0 <= low <= high < 2**16:
            return f"an image of numbers from {low} to {high}; 8 or 16 bits are needed"
    return None


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Grey or RGB, transparent parts on white, 16 bits reduced to 8 (Pillow would clip them)."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def formed(where: str, content: bytes, form: Form) -> np.ndarray:
    """Pixels (uint8, [size, size, channels]) of an image file's content. Raises UserError as `decode` does, and where
    nothing is to be resized but must be."""
    image = in_mode(decode(where, content)[1], MODES[form.channels])
    side = form.resize_to
    if side is None:
        if image.size != (form.size, form.size):
            raise UserError(
                f"{where}: is {image.width}x{image.height}, expected {form.size}x{form.size};"
                " dataset.image_size says to which size images are brought"
            )
    elif image.size != (side, side):
        shorter = min(image.size)
        left, top = (image.width - shorter) / 2, (image.height - shorter) / 2
        box = (left, top, left + shorter, top + shorter)
        image = image.resize((side, side), Image.Resampling.BILINEAR, box)
    margin = (image.width - form.size) // 2
    middle = slice(margin, margin + form.size)
    pixels = np.asarray(image).reshape(image.height, image.width, form.channels)
    return np.ascontiguousarray(pixels[middle, middle])
