"""What the network of an arc costs: its parameters and the multiply-accumulates for one image."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from enas_core.fields import Settings
from enas_core.settings.dataset import DATASETS
from enas_core.settings.training import Augment
from enas_core.spaces.micro.arc import Arc

_CIFAR = DATASETS["cifar10"]


class NetworkSize(Settings, strict=False):
    """The stand-alone network whose parameters and multiply-accumulates are counted. Not strict, since the command line
    gives text."""

    layers: Annotated[int, Augment.model_fields["num_layers"]]
    """Normal cells; two reduction cells come on top."""
    filters: Annotated[int, Augment.model_fields["num_filters"]]
    """Channels of the first cells' nodes."""
    image_size: Annotated[int, Field(ge=4, le=4096)] = _CIFAR.size
    """Side of the square images, pixels."""
    channels: Annotated[int, Field(ge=1, le=1024)] = _CIFAR.channels
    """Channels of the images."""
    classes: Annotated[int, Field(ge=2, le=1_000_000)] = _CIFAR.classes
    """Number of classes."""


def count(arc: Arc, size: NetworkSize) -> tuple[int, int | None, int]:
    """Parameters without the auxiliary head, the head's own (None where images are too small for one), and
    multiply-accumulates for one image, of the network built without memory on torch's meta device."""
    import torch

    from enas_core.spaces.measure import count_macs, count_parameters
    from enas_core.spaces.micro.network import Network

    aux_head = size.image_size // 4 >= 5
    with torch.device("meta"):
        network = Network(
            arc,
            num_layers=size.layers,
            num_filters=size.filters,
            image_size=size.image_size,
            in_channels=size.channels,
            num_classes=size.classes,
            aux_head=aux_head,
        )
    aux = count_parameters(network.aux_head)
    macs = count_macs(network, size.channels, size.image_size)
    return count_parameters(network) - aux, aux if aux_head else None, macs


def describe(arc: Arc, size: NetworkSize) -> list[str]:
    """Lines for a terminal: the forms of the arc, and what its network costs."""
    params, aux, macs = count(arc, size)
    if aux is None:
        head = "none, it needs images of at least 20x20"
    else:
        head = f"{aux:,} more, in training only ({params + aux:,} together)"
    images = f"images {size.image_size}x{size.image_size}x{size.channels}, {size.classes} classes"
    return [
        f"arc             {arc}",
        f"genotype        {arc.genotype()}",
        f"json            {arc.to_json()}",
        f"network         {size.layers} + 2 layers, {size.filters} filters, {images}",
        f"parameters      {params:,}",
        f"auxiliary head  {head}",
        f"MACs            {macs:,} for one image",
    ]
