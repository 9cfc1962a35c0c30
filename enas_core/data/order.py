"""The order of a user's own images, and their division where there is no test part: drawn with a seed, class by class.

Files come class by class, but an experiment takes the first so many images to train on and the last so many to hold
out. So they are put into an order, once, of which every beginning and every end is a fair draw from each class.

Shapes: N images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


def stratified_order(labels: NDArray[np.int64], seed: int, stream: int) -> Positions:
    """Positions 0..N-1 in an order of which the first k, and the last k, hold k / N of each class, to within one image.
    Which images those are is drawn. `stream` tells the draws of one `seed` apart."""
    generator = np.random.Generator(np.random.PCG64([seed, stream]))
    places = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        evenly = (np.arange(len(members)) + generator.random()) / len(members)
        places[generator.permutation(members)] = evenly
    return np.argsort(places, kind="stable")


def divide(labels: NDArray[np.int64], share: float, seed: int, stream: int) -> tuple[Positions, Positions]:
    """Positions 0..N-1 in two parts, the second with `share` of each class: at least one image, and not all of them.
    A class needs two images."""
    generator = np.random.Generator(np.random.PCG64([seed, stream]))
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        number = min(max(round(share * len(members)), 1), len(members) - 1)
        chosen[generator.permutation(members)[:number]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
