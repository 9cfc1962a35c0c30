"""Generated photographs for tests: classes of stripes that differ in direction and colour, in files of every kind that
people have: JPEG and PNG, of many sizes, grey, with a palette, with alpha, for print, of 16 bits, lying on the side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = {"checked": 60, "level": 90, "upright": 170}
"""How many images there are of each class."""

KINDS = ("RGB", "RGB", "RGB", "L", "P", "RGBA", "CMYK", "I;16", "turned")


def stripes(name: str, generator: np.random.Generator) -> np.ndarray:
    """One image, uint8 [height, width, 3], of 40 to 400 pixels a side."""
    height, width = generator.integers(40, 401, 2)
    y, x = np.mgrid[:height, :width] / min(height, width)
    frequency, phase = generator.uniform(15, 30), generator.uniform(0, 6)
    lines = {"level": np.sin(frequency * y + phase), "upright": np.sin(frequency * x + phase)}
    pattern = lines[name] if name in lines else np.sin(frequency * y + phase) * np.sin(frequency * x + phase)
    colour = generator.uniform(60, 110, 3) + {"level": (40, 0, 0), "upright": (0, 40, 0)}.get(name, (0, 0, 40))
    noise = generator.normal(0, 12, (height, width, 3))
    return (colour * (1.2 + 0.8 * pattern[..., None]) + noise).clip(0, 255).astype(np.uint8)


def save(pixels: np.ndarray, kind: str, stem: Path, jpeg: bool) -> Path:
    """One file of a kind, JPEG where the kind can be and `jpeg` asks for it."""
    image = Image.fromarray(pixels)
    path = stem.with_suffix(".jpg" if (jpeg and kind not in ("P", "RGBA", "I;16")) or kind == "CMYK" else ".png")
    options = {}
    if kind == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256)
    elif kind == "turned":
        image = image.transpose(Image.Transpose.ROTATE_90)  # the camera was; a viewer turns it back
        exif = image.getexif()
        exif[0x0112] = 6
        options["exif"] = exif
    elif kind == "RGBA":
        image.putalpha(255)
    elif kind != "RGB":
        image = image.convert(kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def write_photographs(folder: Path, part: str, classes: dict[str, int] = CLASSES, seed: int = 0) -> None:
    """So many files of each class below `folder/part`."""
    generator = np.random.default_rng([seed, *part.encode()])
    for name, count in classes.items():
        for i in range(count):
            kind = KINDS[i % len(KINDS)]
            save(stripes(name, generator), kind, folder / part / name / f"{i:04}", jpeg=bool(generator.integers(2)))
