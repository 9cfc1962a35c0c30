"""Stripes that run across or along, with noise: two classes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from enas_core.data.sources import Chunk


def read_stripes(digests: dict[str, str]) -> dict[str, Iterable[Chunk]]:
    """The training and the test part, always the same images."""
    digests["stripes"] = "made"
    draw = np.random.Generator(np.random.PCG64(0))
    return {"train": [_stripes(400, draw)], "test": [_stripes(100, draw)]}


def _stripes(count: int, draw: np.random.Generator) -> Chunk:
    labels = draw.integers(2, size=count)
    pattern = np.tile(np.array([[200], [50]], np.int64), (4, 8))
    images = np.where(labels[:, None, None] == 0, pattern, pattern.T) + draw.integers(-50, 51, (count, 8, 8))
    return images.astype(np.uint8)[..., np.newaxis], labels.astype(np.int64)
