"""Building blocks that networks of any space may use: convolutions, batch norm, classifiers, initial weights.

Convolutions have no bias and TensorFlow's "SAME" padding. Source of every shape: `cifar10/micro_child.py` and
`common_ops.py` of the original.

Shapes: B images in a batch, C channels, S pixels a side of a (square) feature map, K classes, F features.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy  # noqa: F401  # before torch: see `enas_core/__init__.py`
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enas_core.spaces.kernels import Kernels
from enas_core.spaces.space import AUX_POOL, AUX_STRIDE, pooled_by_aux_head

BN_EPSILON = 1e-5
BN_DECAY = 0.9


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a dimension of `size` so that the output has ceil(size / stride) values."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """`x` padded on all sides for a SAME convolution or pooling without padding of its own."""
    before, after = same_padding(x.shape[-1], kernel, stride)
    return F.pad(x, (before, after, before, after), value=value) if before or after else x


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution; at stride 1 with an odd kernel it pads itself, else its caller does (`pad_same`)."""
    padding = kernel // 2 if stride == 1 and kernel % 2 else 0
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)


class Packed(nn.ModuleList):
    """Modules of one kind whose weights the original packs in one variable, a row for each module. Its initialisation
    takes the number of rows for the fan-in (`initialise`)."""


def initialise(network: nn.Module, fan_in: str, generator: torch.Generator) -> None:
    """He-normal weights, truncated at two standard deviations; `fan_in` as in `Training.init_fan_in`.

    Batch norms are left as they are built: scale 1, offset 0."""
    rows: dict[nn.Module, int] = {}
    for packed in network.modules():
        if isinstance(packed, Packed):
            rows |= dict.fromkeys(packed.modules(), len(packed))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | BlockConv):
            exact = fan_in == "exact"
            inputs = _exact_fan_in(module) if exact else rows.get(module) or _tensorflow_fan_in(module)
            std = math.sqrt(1.3 * 2 / inputs)
            for weight in module.parameters():
                values = torch.empty(weight.shape)
                nn.init.trunc_normal_(values, std=std, a=-2 * std, b=2 * std, generator=generator)
                with torch.no_grad():
                    weight.copy_(values)


def _exact_fan_in(module: nn.Conv2d | nn.Linear | BlockConv) -> int:
    """Inputs that each output really sums over; of a block convolution, those of one block."""
    weight = module.blocks[0] if isinstance(module, BlockConv) else module.weight
    return weight[0].numel()


def _tensorflow_fan_in(module: nn.Conv2d | nn.Linear | BlockConv) -> int:
    """What TensorFlow takes for it, going by the shape of the variable: the depthwise convolution's [k, k, C, 1] looks
    like one over all C channels, the blocks' [blocks, C * C] like a matrix of as many rows."""
    if isinstance(module, BlockConv):
        return len(module.blocks)
    if isinstance(module, nn.Conv2d):
        return module.kernel_size[0] * module.kernel_size[1] * module.in_channels
    return module.in_features


class Reducer(Protocol):
    """The processes of one training, each of which has a part of every batch."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""

    @property
    def count(self) -> int:
        """How many there are."""

    def sum(self, tensor: Tensor) -> Tensor:
        """`tensor` summed over the processes, in place."""

    def mean(self, tensors: list[Tensor]) -> list[Tensor]:
        """`tensors` averaged over the processes."""


class BatchNorm(nn.Module):
    """Batch norm over batch statistics; with `tracking`, over moving statistics in evaluation mode.

    In training each call leaves its batch's statistics (unbiased variance) in `batch_mean` and
    `batch_var`; the network that owns the layer moves the averages, all layers at once."""

    running_mean: Tensor
    running_var: Tensor
    batch_mean: Tensor
    batch_var: Tensor

    def __init__(self, channels: int, tracking: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.tracking = tracking
        self.reducer: Reducer | None = None
        if tracking:
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_var", torch.ones(channels))
            self.register_buffer("batch_mean", torch.zeros(channels), persistent=False)
            self.register_buffer("batch_var", torch.ones(channels), persistent=False)

    def reduce_over(self, reducer: Reducer | None) -> None:
        """Where gradients are computed, take the statistics of all processes' parts of a batch together (None: of this
        process's part alone)."""
        self.reducer = reducer

    @property
    def takes_batch_statistics(self) -> bool:
        """Whether the next call normalises by the statistics of its batch."""
        return self.training or not self.tracking

    def kept(self) -> list[Tensor]:
        """Where a call leaves its batch's statistics."""
        return [self.batch_mean, self.batch_var] if self.tracking else []

    def forward(self, x: Tensor) -> Tensor:
        if not self.takes_batch_statistics:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, BN_EPSILON)
        if self.reducer is not None and torch.is_grad_enabled():
            y, mean, var = SyncedBatchNorm.apply(x, self.weight, self.bias, self.reducer)
            if self.tracking:
                self.batch_mean.copy_(mean)
                self.batch_var.copy_(var)
            return y
        if not self.tracking:
            return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, BN_EPSILON)
        return F.batch_norm(x, self.batch_mean, self.batch_var, self.weight, self.bias, True, 1.0, BN_EPSILON)


class SyncedBatchNorm(torch.autograd.Function):
    """Batch norm with the statistics of the parts of a batch that several processes have, on any device (torch's
    refuses CPUs). A part may be empty. Also returns the batch's mean and unbiased variance. The gradients of scale
    and offset are those of this process's part."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, reducer: Reducer) -> tuple[Tensor, Tensor, Tensor]:
        channels = len(weight)
        parts = weight.new_zeros(reducer.count, 2 * channels + 1)
        if len(x):
            var, mean = torch.var_mean(x.to(weight.dtype), (0, 2, 3), correction=0)
            parts[reducer.rank] = torch.cat([mean, var, mean.new_full((1,), x.numel() // channels)])
        means, variances, counts = reducer.sum(parts).split([channels, channels, 1], 1)
        total = counts.sum()
        mean = (counts * means).sum(0) / total
        var = (counts * (variances + (means - mean).square())).sum(0) / total
        ctx.reducer, ctx.deviation = reducer, torch.sqrt(var + BN_EPSILON)
        ctx.save_for_backward(x, weight, mean, total)
        y = F.batch_norm(x, mean, var, weight, bias, False, 0.0, BN_EPSILON)
        return y, mean, var * total / (total - 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, total = ctx.saved_tensors
        shape = (1, -1, 1, 1)
        normed = (x.to(weight.dtype) - mean.view(shape)) / ctx.deviation.view(shape)
        sums = torch.stack([grad.sum((0, 2, 3), dtype=weight.dtype), (grad * normed).sum((0, 2, 3))])
        grad_bias, grad_weight = sums.clone()
        of_offset, of_scale = (ctx.reducer.sum(sums) / total).view(2, *shape)
        grad_x = (grad - of_offset - normed * of_scale) * (weight / ctx.deviation).view(shape)
        return grad_x.to(x.dtype), grad_weight, grad_bias, None


class Fused(nn.Module):
    """Layers that one operator of `kernels.cpp` computes together, where that is built and can be used; where not, they
    compute the same one by one."""

    kernels: Kernels | None = None
    """The operators; None: not to be used. See `use_kernels`."""


def use_kernels(network: nn.Module, kernels: Kernels | None) -> None:
    """From now on compute a network on a CPU with these operators, or with torch's alone."""
    for module in network.modules():
        if isinstance(module, Fused):
            module.kernels = kernels


class Concatenation(torch.autograd.Function):
    """`torch.cat` of feature maps over channels, with contiguous gradients. Those of `torch.cat` are slices, for
    which the backward pass of batch norm on a CPU is some 15 times slower."""

    @staticmethod
    def forward(ctx: Any, *maps: Tensor) -> Tensor:
        ctx.channels = [x.shape[1] for x in maps]
        return torch.cat(maps, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        return tuple(part.contiguous(memory_format=torch.channels_last) for part in grad.split(ctx.channels, 1))


def concatenate(maps: list[Tensor]) -> Tensor:
    """Feature maps behind each other along the channels; a single one is returned as it is."""
    return Concatenation.apply(*maps) if len(maps) > 1 else maps[0]


class BlockConv(nn.Module):
    """1x1 convolution of the concatenation of any of `blocks` inputs of `channels` each: every input has
    its own block of weights, and the blocks of the inputs present are put together."""

    def __init__(self, blocks: int, channels: int) -> None:
        super().__init__()
        self.blocks = nn.ParameterList(torch.empty(channels, channels, 1, 1) for _ in range(blocks))

    def forward(self, x: Tensor, ids: list[int]) -> Tensor:
        return F.conv2d(x, torch.cat([self.blocks[i] for i in ids], 1))


class Classifier(nn.Linear):
    """The last layer: logits of features, in the precision of the weights whatever that of the features."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__(features, num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype))


class PlainStem(nn.Sequential, Fused):
    """What comes before the first layer: 3x3 convolution, batch norm."""

    def __init__(self, in_channels: int, out_channels: int, tracking: bool) -> None:
        super().__init__(conv(in_channels, out_channels, 3), BatchNorm(out_channels, tracking))

    def forward(self, images: Tensor) -> Tensor:
        convolution, norm = self
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, BatchNorm)
        if self.kernels is not None and norm.takes_batch_statistics and not images.requires_grad:
            return self.kernels.stem(images, convolution.weight, norm.weight, norm.bias, norm.kept())
        return norm(convolution(images))


class StridedStem(nn.Module):
    """What comes before the first layer for large images: three convolutions of stride 2, so that the maps are 8 times
    smaller. The first layer reads the last two maps, [B, C, S/4, S/4] and [B, C, S/8, S/8]."""

    def __init__(self, in_channels: int, out_channels: int, tracking: bool) -> None:
        super().__init__()
        half = out_channels // 2
        self.convs = nn.ModuleList()
        self.norms = nn.ModuleList()
        for before, after in ((in_channels, half), (half, out_channels), (out_channels, out_channels)):
            self.convs.append(conv(before, after, 3, stride=2))
            self.norms.append(BatchNorm(after, tracking))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norms[0](self.convs[0](pad_same(images, 3, 2)))
        older = self.norms[1](self.convs[1](pad_same(F.relu(x), 3, 2)))
        newer = self.norms[2](self.convs[2](pad_same(F.relu(older), 3, 2)))
        return older, newer


class AuxHead(nn.Module):
    """Auxiliary classifier: ReLU, average pool 5x5 stride 3 (of a smaller map the mean), 1x1 convolution to 128,
    convolution over the whole map to 768, global average, linear. Its batch norm always uses batch statistics."""

    def __init__(self, channels: int, size: int, num_classes: int) -> None:
        super().__init__()
        self.pool = min(AUX_POOL, size)
        self.size = pooled_by_aux_head(size)
        self.conv_1 = conv(channels, 128, 1)
        self.bn_1 = BatchNorm(128, tracking=False)
        self.conv_2 = conv(128, 768, self.size)
        self.bn_2 = BatchNorm(768, tracking=False)
        self.fc = Classifier(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(F.relu(x), self.pool, AUX_STRIDE)
        x = F.relu(self.bn_1(self.conv_1(x)), inplace=True)
        if self.size % 2 == 0:
            x = pad_same(x, self.size, 1)
        x = F.relu(self.bn_2(self.conv_2(x)), inplace=True)
        return self.fc(x.mean((2, 3)))
