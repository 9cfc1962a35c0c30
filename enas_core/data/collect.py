"""From chunks of images to whole arrays, which must be what the settings count on, and their statistics.

Shapes: N images, H and W their sides, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from enas_core.console import UserError
from enas_core.data.sources import CHUNK, Chunk
from enas_core.settings.dataset import CLASSES, DATASETS, DatasetFacts, Source


def collect_arrays(source: Source, parts: Mapping[str, Iterable[Chunk]], where: str) -> dict[str, np.ndarray]:
    """All images and labels by output file. Raises UserError unless they are what the settings count on."""
    facts, moved = DATASETS[source.name], source.split_test_images or 0
    arrays: dict[str, np.ndarray] = {}
    for part, limit, available in (
        ("train", source.max_train_images, facts.train_images - moved),
        ("test", source.max_test_images, facts.test_images + moved),
    ):
        key = f"dataset.max_{part}_images"
        if limit is not None and limit > available:
            raise UserError(f"{key}: {limit} is out of range 1..{available} ({source.name})")
        images, labels, found = _collect(parts[part], facts, limit or available, stop=limit is not None)
        if found != len(labels):
            raise UserError(f"{where}: {found} {part} images found, {len(labels)} expected ({key}: {limit or 'all'})")
        arrays |= {f"{part}_images.npy": images, f"{part}_labels.npy": labels}
    train_labels, classes = arrays["train_labels.npy"], CLASSES[source.name]
    absent = np.flatnonzero(np.bincount(train_labels, minlength=len(classes)) == 0)
    if len(absent):
        raise UserError(
            f"{where}: class {classes[absent[0]]!r} (label {absent[0]}) is absent from the {len(train_labels)} training"
            f" images ({len(absent)} of {len(classes)} classes are absent)"
        )
    return arrays


def _collect(
    chunks: Iterable[Chunk], facts: DatasetFacts, expected: int, stop: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    """The first `expected` images and labels, and how many were found; with `stop`, no more are looked for."""
    images = np.empty((expected, facts.size, facts.size, facts.channels), np.uint8)
    labels = np.empty(expected, np.int64)
    found = 0
    for chunk_images, chunk_labels in chunks:
        room = max(0, expected - found)
        taken = slice(found, found + min(room, len(chunk_labels)))
        images[taken], labels[taken] = chunk_images[:room], chunk_labels[:room]
        found += len(chunk_labels)
        if stop and found >= expected:
            return images, labels, expected
    return images, labels, found


def mean_and_std(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation of each channel of uint8 `images` [N, H, W, C], divided by
    255. Computed from integer sums, so exact to the last rounding."""
    values = Values(images.shape[-1])
    for start in range(0, len(images), CHUNK):  # bincount makes 8 bytes of each
        values.count(images[start : start + CHUNK])
    return values.mean_and_std()


class Values:
    """How often each value of 0..255 occurs in each channel of images that are counted some at a time."""

    def __init__(self, channels: int) -> None:
        self.counts = np.zeros((channels, 256), np.int64)

    def count(self, images: np.ndarray) -> None:
        """Count uint8 images [..., C]."""
        for channel, counts in enumerate(self.counts):
            counts += np.bincount(images[..., channel].ravel(), minlength=256)

    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """See the function of this name."""
        mean, std = [], []
        for channel, histogram in enumerate(self.counts.tolist()):
            number = sum(histogram)
            total = sum(value * count for value, count in enumerate(histogram))
            squares = sum(value * value * count for value, count in enumerate(histogram))
            mean.append(total / (255 * number))
            std.append(math.sqrt((number * squares - total * total) / (255 * number) ** 2))
            if std[-1] == 0:
                raise UserError(f"channel {channel} has the same value in every pixel of the training images")
        return mean, std
