"""How large networks are: trainable values and multiply-accumulates.

Networks are measured on torch's meta device, where they take no memory and compute nothing.
"""

from __future__ import annotations

from typing import Any

import numpy  # noqa: F401  # before torch: see `enas_core/__init__.py`
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from enas_core.spaces.networks import Network, Supernet
from enas_core.spaces.space import Arc, NetworkShape, SearchSpace, Size


def count_parameters(module: nn.Module | None) -> int:
    """Trainable values; 0 for None."""
    return 0 if module is None else sum(p.numel() for p in module.parameters())


def count_macs(module: nn.Module, in_channels: int, image_size: int, *arguments: Any) -> int:
    """Multiply-accumulates of convolutions and matrix products for one image, without auxiliary head. `module` is on
    the meta device; `arguments` are passed on to it behind the images."""
    training = module.training
    module.eval()
    images = torch.empty(2, in_channels, image_size, image_size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(images, *arguments)
    module.train(training)
    return counter.get_total_flops() // 4  # two images, two FLOPs a multiply-accumulate


def network_size(network: Network) -> Size:
    """Of a stand-alone network on the meta device, such as `saved.load_untrained` gives."""
    aux_params = count_parameters(network.aux_head)
    macs = count_macs(network, network.shape.in_channels, network.shape.image_size)
    return Size(count_parameters(network) - aux_params, aux_params, macs)


def arc_size(space: SearchSpace, arc: Arc, shape: NetworkShape) -> Size:
    """Of the stand-alone network that an arc would have."""
    with torch.device("meta"):
        network = space.network(arc, shape)
    return network_size(network)


def child_size(supernet: Supernet, arc: Arc) -> Size:
    """Of the path that an arc takes through a supernet on the meta device."""
    macs = count_macs(supernet, supernet.shape.in_channels, supernet.shape.image_size, arc)
    return Size(supernet.path_parameters(arc), count_parameters(supernet.aux_head), macs)
