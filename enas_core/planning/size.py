"""What the network of an arc costs: its parameters and the multiply-accumulates for one image."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from enas_core.fields import Settings
from enas_core.settings.augment import Augment
from enas_core.settings.dataset import DATASETS
from enas_core.spaces.space import Arc, NetworkShape, SearchSpace, StemName

_CIFAR = DATASETS["cifar10"]


class NetworkSize(Settings, strict=False):
    """The stand-alone network whose parameters and multiply-accumulates are counted. Not strict, since the command line
    gives text."""

    layers: Annotated[int, Augment.model_fields["num_layers"]]
    """Layers; those in which the network halves its feature maps come on top."""
    filters: Annotated[int, Augment.model_fields["num_filters"]]
    """Channels of the first layers."""
    image_size: Annotated[int, Field(ge=4, le=4096)] = _CIFAR.size
    """Side of the square images, pixels."""
    channels: Annotated[int, Field(ge=1, le=1024)] = _CIFAR.channels
    """Channels of the images."""
    stem: StemName = "plain"
    """What comes before the first layer."""
    classes: Annotated[int, Field(ge=2, le=1_000_000)] = _CIFAR.classes
    """Number of classes."""


def describe(space: SearchSpace, arc: Arc, size: NetworkSize) -> list[str]:
    """Lines for a terminal: the forms of the arc, and what its network costs."""
    from enas_core.spaces.measure import arc_size

    shape = NetworkShape(
        num_layers=size.layers,
        num_filters=size.filters,
        image_size=size.image_size,
        in_channels=size.channels,
        num_classes=size.classes,
        aux_head=True,
        stem=size.stem,
    )
    smallest = space.smallest_image(shape)
    if size.image_size < smallest:
        shape = replace(shape, aux_head=False)
    params, aux, macs = arc_size(space, arc, shape)
    if shape.aux_head:
        head = f"{aux:,} more, in training only ({params + aux:,} together)"
    else:
        head = f"none, it needs images of at least {smallest}x{smallest}"
    stem = f", {size.stem} stem" if size.stem != "plain" else ""
    images = f"images {size.image_size}x{size.image_size}x{size.channels}, {size.classes} classes"
    facts = {
        "arc": str(arc),
        **space.forms(arc),
        "network": f"{size.layers} + 2 layers, {size.filters} filters{stem}, {images}",
        "parameters": f"{params:,}",
        "auxiliary head": head,
        "MACs": f"{macs:,} for one image",
    }
    return [f"{name:14}  {value}" for name, value in facts.items()]
