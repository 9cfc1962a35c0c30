"""How large networks are: trainable values and multiply-accumulates.

A supernet is measured on torch's meta device, where it takes no memory and computes nothing. Every training measures
its own network when it ends, which must cost next to nothing even where a training takes seconds: one forward pass of
the stand-alone network on the CPU takes milliseconds, while the first one on the meta device imports for a second. So
does torch's own counter of operations, which is why there is one here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy  # noqa: F401  # before torch: see `enas_core/__init__.py`
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from enas_core.spaces.networks import Network, Supernet
from enas_core.spaces.space import Arc, NetworkShape, SearchSpace, Size

COUNTED = (F.conv1d, F.conv2d, F.conv3d, F.linear)
"""Functions of images and weights whose first weight index is that of the output: each output is the sum of as many
products as that output has weights."""
NOT_COUNTED = frozenset(
    "addbmm addmm baddbmm bmm chain_matmul einsum matmul __matmul__ __rmatmul__ mm tensordot bilinear"
    " conv_transpose1d conv_transpose2d conv_transpose3d scaled_dot_product_attention".split()
)
"""Names of the other functions that compute sums of products, which no network here uses."""


class MacCounter(TorchFunctionMode):
    """Counts the multiply-accumulates of what torch computes while it is active (`with MacCounter() as counter`)."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in COUNTED:
            _, weights = args[:2]
            self.macs += result.numel() * weights[0].numel()
        elif getattr(func, "__name__", "") in NOT_COUNTED:
            raise NotImplementedError(f"{__name__} does not know how to count {func.__name__}")
        return result


def count_parameters(module: nn.Module | None) -> int:
    """Trainable values; 0 for None."""
    return 0 if module is None else sum(p.numel() for p in module.parameters())


def count_macs(module: nn.Module, in_channels: int, image_size: int, *arguments: Any) -> int:
    """Multiply-accumulates of convolutions and linear layers for one image, without auxiliary head. `arguments` are
    passed on to the module behind the images."""
    training = module.training
    module.eval()
    images = torch.zeros(2, in_channels, image_size, image_size, device=next(module.parameters()).device)
    with MacCounter() as counter, torch.no_grad():
        module(images, *arguments)
    module.train(training)
    return counter.macs // len(images)


def network_size(network: Network) -> Size:
    """Of a stand-alone network."""
    aux_params = count_parameters(network.aux_head)
    macs = count_macs(network, network.shape.in_channels, network.shape.image_size)
    return Size(count_parameters(network) - aux_params, aux_params, macs)


def arc_size(space: SearchSpace, arc: Arc, shape: NetworkShape) -> Size:
    """Of the stand-alone network that an arc would have."""
    return network_size(space.network(arc, shape))


def child_size(supernet: Supernet, arc: Arc) -> Size:
    """Of the path that an arc takes through a supernet on the meta device."""
    macs = count_macs(supernet, supernet.shape.in_channels, supernet.shape.image_size, arc)
    return Size(supernet.path_parameters(arc), count_parameters(supernet.aux_head), macs)
