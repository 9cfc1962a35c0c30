"""The sizes of feature maps before the first layer. Needs no torch."""

from __future__ import annotations

from typing import NamedTuple

from enas_core.spaces.space import NetworkShape


class FeatureMap(NamedTuple):
    """Channels and side of a square feature map."""

    channels: int
    size: int


def halved(size: int) -> int:
    """Side of a map after a reduction, or after a convolution of stride 2."""
    return -(-size // 2)


def stem_maps(shape: NetworkShape) -> tuple[FeatureMap, FeatureMap]:
    """The older and the newer map that the first layer reads."""
    if shape.stem == "plain":
        both = FeatureMap(3 * shape.num_filters, shape.image_size)
        return both, both
    quarter = halved(halved(shape.image_size))
    return FeatureMap(shape.num_filters, quarter), FeatureMap(shape.num_filters, halved(quarter))
