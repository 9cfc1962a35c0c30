"""The operations of a cell and the blocks that bring its inputs to one size.

Source of every shape: `cifar10/micro_child.py` and `common_ops.py` of the original.

Maps are [B, C, S, S]: B images in a batch, C channels, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enas_core.spaces.layers import BatchNorm, Fused, conv, pad_same
from enas_core.spaces.micro.arc import OPS


class ReLUConvBN(Fused):
    """ReLU, 1x1 convolution, batch norm."""

    def __init__(self, in_channels: int, out_channels: int, tracking: bool) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels, 1)
        self.bn = BatchNorm(out_channels, tracking)

    def forward(self, x: Tensor) -> Tensor:
        if self.kernels is not None and self.bn.takes_batch_statistics:
            return self.kernels.conv_norm([x], [self.conv.weight], self.bn.weight, self.bn.bias, self.bn.kept())
        return self.bn(self.conv(F.relu(x)))


class FactorizedReduction(Fused):
    """Halves the map: two 1x1 convolutions of every other pixel, the second shifted by one pixel down and
    right (zeros beyond the border), concatenated; batch norm. `relu`: ReLU first."""

    def __init__(self, in_channels: int, out_channels: int, tracking: bool, relu: bool) -> None:
        super().__init__()
        self.relu = relu
        self.path_1 = conv(in_channels, out_channels // 2, 1)
        self.path_2 = conv(in_channels, out_channels // 2, 1)
        self.bn = BatchNorm(out_channels, tracking)

    def forward(self, x: Tensor) -> Tensor:
        if self.kernels is not None and self.bn.takes_batch_statistics:
            weights = [self.path_1.weight, self.path_2.weight]
            return self.kernels.halve(x, weights, self.bn.weight, self.bn.bias, self.relu, self.bn.kept())
        if self.relu:
            x = F.relu(x)
        shifted = x if x.shape[-1] % 2 == 0 else F.pad(x, (0, 1, 0, 1))
        return self.bn(torch.cat([self.path_1(x[:, :, ::2, ::2]), self.path_2(shifted[:, :, 1::2, 1::2])], 1))


class SepConv(Fused):
    """Separable convolution: twice (ReLU, depthwise, pointwise, batch norm); the stride in the first only."""

    def __init__(self, channels: int, kernel: int, stride: int, tracking: bool) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.depthwise_1 = conv(channels, channels, kernel, stride, groups=channels)
        self.pointwise_1 = conv(channels, channels, 1)
        self.bn_1 = BatchNorm(channels, tracking)
        self.depthwise_2 = conv(channels, channels, kernel, groups=channels)
        self.pointwise_2 = conv(channels, channels, 1)
        self.bn_2 = BatchNorm(channels, tracking)

    def weights(self) -> list[Tensor]:
        """In the order in which they act."""
        first = [self.depthwise_1.weight, self.pointwise_1.weight, self.bn_1.weight, self.bn_1.bias]
        return [*first, self.depthwise_2.weight, self.pointwise_2.weight, self.bn_2.weight, self.bn_2.bias]

    def forward(self, x: Tensor) -> Tensor:
        if self.kernels is not None and self.bn_1.takes_batch_statistics:
            return self.kernels.sep_conv(x, self.weights(), self.stride, self.bn_1.kept() + self.bn_2.kept())
        x = F.relu(x)
        if self.stride > 1:
            x = pad_same(x, self.kernel, self.stride)
        x = self.bn_1(self.pointwise_1(self.depthwise_1(x)))
        return self.bn_2(self.pointwise_2(self.depthwise_2(F.relu(x, inplace=True))))


class AvgPool(Fused):
    """Average pooling 3x3; pixels of the padding are not counted."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        if self.kernels is not None and self.stride == 1:
            return self.kernels.avg_pool(x)
        if self.stride == 2 and x.shape[-1] % 2 == 0:  # SAME pads after the last pixel only
            return F.avg_pool2d(x, 3, 2, ceil_mode=True, count_include_pad=False)
        return F.avg_pool2d(x, 3, self.stride, padding=1, count_include_pad=False)


class MaxPool(Fused):
    """Max pooling 3x3."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        if self.kernels is not None and self.stride == 1:
            return self.kernels.max_pool(x)
        if self.stride == 2 and x.shape[-1] % 2 == 0:
            return F.max_pool2d(x, 3, 2, ceil_mode=True)
        return F.max_pool2d(x, 3, self.stride, padding=1)


BLOCKS = (SepConv, ReLUConvBN, FactorizedReduction)
"""The kinds of module that have weights: what is compiled of a supernet."""


def _identity(channels: int, stride: int, tracking: bool) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduction(channels, channels, tracking, relu=False)


BUILDERS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    "sep_conv_3x3": lambda channels, stride, tracking: SepConv(channels, 3, stride, tracking),
    "sep_conv_5x5": lambda channels, stride, tracking: SepConv(channels, 5, stride, tracking),
    "avg_pool_3x3": lambda channels, stride, tracking: AvgPool(stride),
    "max_pool_3x3": lambda channels, stride, tracking: MaxPool(stride),
    "identity": _identity,
}
"""How each operation is built: channels, stride, moving statistics or not."""


def build_op(op: int, channels: int, stride: int, tracking: bool) -> nn.Module:
    """Operation number `op`; channels in and out are the same."""
    return BUILDERS[OPS[op]](channels, stride, tracking)
