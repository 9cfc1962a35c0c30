"""scikit-learn's handwritten digits, which come with the library."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from enas_core.data.sources import Chunk


def read_digits(test_images: int, seed: int, digests: dict[str, str]) -> dict[str, Iterable[Chunk]]:
    """scikit-learn's digits: `test_images` drawn at random are the test part, the rest the training part."""
    import importlib.resources

    from sklearn.datasets import load_digits

    content = importlib.resources.files("sklearn.datasets.data").joinpath("digits.csv.gz").read_bytes()
    digests["digits.csv.gz"] = hashlib.sha256(content).hexdigest()
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    labels = bunch.target.astype(np.int64)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(labels))
    train, test = order[:-test_images], order[-test_images:]
    return {"train": [(images[train], labels[train])], "test": [(images[test], labels[test])]}
