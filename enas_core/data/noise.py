"""Noise that makes images harder, added once when they are prepared.

Shapes: N images, H and W their sides, C channels.
"""

from __future__ import annotations

import numpy as np

from enas_core.data.sources import CHUNK
from enas_core.settings.dataset import Noise

PARTS = ("train", "test")


def add_noise(arrays: dict[str, np.ndarray], noise: Noise) -> dict[str, np.ndarray]:
    """The arrays of `collect_arrays`, their images harder, and each test image as often as `noise` says. The copies of
    an image follow each other. Each part has a generator of its own, so that more images of one leave the other
    alone."""
    result = {}
    for number, part in enumerate(PARTS):
        copies = noise.test_copies if part == "test" else 1
        images = arrays[f"{part}_images.npy"].repeat(copies, axis=0)
        generator = np.random.Generator(np.random.PCG64([noise.seed, number]))
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            images[start : start + CHUNK] = _noisy(chunk, noise, generator)
        result[f"{part}_images.npy"] = images
        result[f"{part}_labels.npy"] = arrays[f"{part}_labels.npy"].repeat(copies)
    return result


def _noisy(images: np.ndarray, noise: Noise, generator: np.random.Generator) -> np.ndarray:
    """uint8 [N, H, W, C] from such images."""
    deviates = generator.normal(0.0, noise.deviation, images.shape)
    pixels = noise.contrast * (images / 255) + noise.brightness + deviates
    return np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
