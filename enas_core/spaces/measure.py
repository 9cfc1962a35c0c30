"""The stand-alone network of one arc: what augment trains and what users load.

`load("results/cifar10/final.pt")` gives a trained network in evaluation mode.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(module: nn.Module | None) -> int:
    """Trainable values; 0 for None."""
    return 0 if module is None else sum(p.numel() for p in module.parameters())


def count_macs(module: nn.Module, in_channels: int, image_size: int, *arguments: Any) -> int:
    """Multiply-accumulates of convolutions and matrix products for one image, on the meta device, without
    auxiliary head; `arguments` are passed on to `module` behind the images."""
    training = module.training
    module.eval()
    images = torch.empty(2, in_channels, image_size, image_size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(images, *arguments)
    module.train(training)
    return counter.get_total_flops() // 4  # two images, two FLOPs a multiply-accumulate
