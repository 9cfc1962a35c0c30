"""Classes and probabilities of image files, by a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from enas_core.console import UserError

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode for a network's number of channels."""


FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow reads some others with external programs, PostScript, a programming language, among them."""


class Picture(NamedTuple):
    """`pixels` uint8 [size, size, channels]; `changes`: what was done to the file's image to make them."""

    pixels: np.ndarray
    changes: list[str]


def read_image(path: Path, size: int, channels: int) -> Picture:
    """An image file as the network needs it. Raises UserError, one line, when it is not a readable one."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            mode = image.mode
            upright = ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except Exception as error:  # Pillow's decoders raise many kinds of errors on damaged files
        raise UserError(f"{path}: not a readable image: {' '.join(str(error).split())[:150]}") from None
    if mode == "F":
        raise UserError(f"{path}: an image of floating-point numbers, whose range is unknown; 8 or 16 bits are needed")
    changes = []
    if (converted := _convert(upright, MODES[channels])).mode != mode:
        white = ", transparency on white" if upright.has_transparency_data else ""
        changes.append(f"converted from {mode} to {MODES[channels]}{white}")
    if converted.size != (size, size):
        changes.append(f"resized from {converted.width}x{converted.height} to {size}x{size}")
        converted = converted.resize((size, size), Image.Resampling.BILINEAR)
    return Picture(np.asarray(converted).reshape(size, size, channels), changes)


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """Grey or RGB, transparent parts on white, 16 bits reduced to 8 (Pillow would clip them)."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)
