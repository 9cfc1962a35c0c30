"""What speed is measured against: both networks and their optimiser, written in the straightforward way.

Maps are NCHW, every node reads from a stack of its cell's states, every operation applies its own ReLU, only
the sampled path is computed, and an ordinary SGD updates every weight, those off the path with zero gradients.
The mathematics, and the names of the weights, are those of `enas_core`: `load_state_dict` takes its state.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enas_core.spaces.micro.arc import CellNodes, MicroArc, loose_ids

EPSILON = 1e-5


def same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """TensorFlow's "SAME" padding."""
    size = x.shape[-1]
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return F.pad(x, (total // 2, total - total // 2) * 2, value=value)


class Conv(nn.Conv2d):
    """Convolution without bias, SAME padding."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        self.pads_itself = stride == 1 and kernel % 2 == 1
        padding = kernel // 2 if self.pads_itself else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.pads_itself else same(x, self.kernel_size[0], self.stride[0]))


class BatchNorm(nn.BatchNorm2d):
    """Batch norm over batch statistics; with `tracking`, it also keeps moving statistics."""

    def __init__(self, channels: int, tracking: bool) -> None:
        super().__init__(channels, eps=EPSILON, track_running_stats=tracking)


class ReLUConvBN(nn.Module):
    def __init__(self, inputs: int, outputs: int, tracking: bool) -> None:
        super().__init__()
        self.conv, self.bn = Conv(inputs, outputs, 1), BatchNorm(outputs, tracking)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(F.relu(x)))


class FactorizedReduction(nn.Module):
    def __init__(self, inputs: int, outputs: int, tracking: bool, relu: bool) -> None:
        super().__init__()
        self.relu = relu
        self.path_1, self.path_2 = Conv(inputs, outputs // 2, 1), Conv(inputs, outputs // 2, 1)
        self.bn = BatchNorm(outputs, tracking)

    def forward(self, x: Tensor) -> Tensor:
        if self.relu:
            x = F.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.bn(torch.cat([self.path_1(x[:, :, ::2, ::2]), self.path_2(shifted[:, :, ::2, ::2])], 1))


class SepConv(nn.Module):
    def __init__(self, channels: int, kernel: int, stride: int, tracking: bool) -> None:
        super().__init__()
        self.depthwise_1 = Conv(channels, channels, kernel, stride, groups=channels)
        self.pointwise_1, self.bn_1 = Conv(channels, channels, 1), BatchNorm(channels, tracking)
        self.depthwise_2 = Conv(channels, channels, kernel, groups=channels)
        self.pointwise_2, self.bn_2 = Conv(channels, channels, 1), BatchNorm(channels, tracking)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn_1(self.pointwise_1(self.depthwise_1(F.relu(x))))
        return self.bn_2(self.pointwise_2(self.depthwise_2(F.relu(x))))


class AvgPool(nn.Module):
    """The padding is not counted."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            return F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)
        counted = same(torch.ones_like(x[:1, :1]), 3, self.stride)
        return F.avg_pool2d(same(x, 3, self.stride), 3, self.stride) / F.avg_pool2d(counted, 3, self.stride)


class MaxPool(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            return F.max_pool2d(x, 3, 1, padding=1)
        return F.max_pool2d(same(x, 3, 2, -math.inf), 3, 2)


def operation(op: int, channels: int, stride: int, tracking: bool) -> nn.Module:
    """Operation number `op`."""
    if op < 2:
        return SepConv(channels, (3, 5)[op], stride, tracking)
    if op < 4:
        return (AvgPool, MaxPool)[op - 2](stride)
    return nn.Identity() if stride == 1 else FactorizedReduction(channels, channels, tracking, relu=False)


def calibration(inputs: int, halve: bool, channels: int, tracking: bool) -> nn.Module:
    """Brings a cell's input to `channels` channels and to the size of the other one."""
    if halve:
        return FactorizedReduction(inputs, channels, tracking, relu=True)
    return ReLUConvBN(inputs, channels, tracking) if inputs != channels else nn.Identity()


class AuxHead(nn.Module):
    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__()
        self.conv_1, self.bn_1 = Conv(channels, 128, 1), BatchNorm(128, False)
        self.conv_2, self.bn_2 = Conv(128, 768, (size - 5) // 3 + 1), BatchNorm(768, False)
        self.fc = nn.Linear(768, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn_1(self.conv_1(F.avg_pool2d(F.relu(x), 5, 3))))
        return self.fc(F.relu(self.bn_2(self.conv_2(x))).mean((2, 3)))


class FinalConv(nn.Module):
    """1x1 convolution of a concatenation of states; each state has its block of weights."""

    def __init__(self, blocks: int, channels: int) -> None:
        super().__init__()
        self.blocks = nn.ParameterList(torch.empty(channels, channels, 1, 1) for _ in range(blocks))

    def forward(self, x: Tensor, ids: list[int]) -> Tensor:
        return F.conv2d(x, torch.cat([self.blocks[i] for i in ids], 1))


def run_nodes(states: Tensor, nodes: CellNodes, ops: list[tuple[nn.Module, nn.Module]]) -> Tensor:
    """All states of a cell, stacked, from its two inputs."""
    for node, (op_1, op_2) in zip(nodes, ops, strict=True):
        output = op_1(states[node.index_1]) + op_2(states[node.index_2])
        states = torch.cat([states, output[None]])
    return states


class SharedCell(nn.Module):
    def __init__(self, num_nodes: int, older: int, newer: int, halve: bool, channels: int) -> None:
        super().__init__()
        self.calibrate_older = calibration(older, halve, channels, tracking=False)
        self.calibrate_newer = calibration(newer, False, channels, tracking=False)
        # By node, slot, operation and input. For torch's annotations the elements of a list are no lists.
        self.ops: Any = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(
                    nn.ModuleList(operation(op, channels, 1, tracking=False) for _ in range(i + 2)) for op in range(5)
                )
                for _ in range(2)
            )
            for i in range(num_nodes)
        )
        self.final_conv, self.final_bn = FinalConv(num_nodes + 2, channels), BatchNorm(channels, False)

    def forward(self, older: Tensor, newer: Tensor, nodes: CellNodes) -> Tensor:
        ops = [
            (slots[0][node.op_1][node.index_1], slots[1][node.op_2][node.index_2])
            for slots, node in zip(self.ops, nodes, strict=True)
        ]
        states = run_nodes(torch.stack([self.calibrate_older(older), self.calibrate_newer(newer)]), nodes, ops)
        ids = loose_ids(nodes)
        return self.final_bn(self.final_conv(F.relu(torch.cat([states[i] for i in ids], 1)), ids))


class PlainSupernet(nn.Module):
    """The supernet with the reduction inputs and the auxiliary head of the original."""

    def __init__(self, *, num_nodes: int, num_layers: int, num_filters: int, num_classes: int) -> None:
        super().__init__()
        first = num_layers // 3
        self.reductions = (first, 2 * first + 1)
        self.stem = nn.Sequential(Conv(3, 3 * num_filters, 3), BatchNorm(3 * num_filters, False))
        self.cells, self.reduce = nn.ModuleList(), nn.ModuleDict()
        channels, older, newer = num_filters, 3 * num_filters, 3 * num_filters
        for layer in range(num_layers + 2):
            if layer in self.reductions:
                channels *= 2
                self.reduce[str(layer)] = FactorizedReduction(newer, channels, False, relu=False)
                older, newer = newer, channels
            self.cells.append(SharedCell(num_nodes, older, newer, layer in self.reductions, channels))
            older, newer = newer, channels
        self.aux_head = AuxHead(channels, 8, num_classes)
        self.fc = nn.Linear(channels, num_classes, bias=False)

    def forward(self, images: Tensor, arc: MicroArc) -> tuple[Tensor, Tensor | None]:
        """Logits and, in training mode, the auxiliary head's."""
        older = newer = self.stem(images.contiguous())
        aux_logits = None
        for layer, cell in enumerate(self.cells):
            if layer in self.reductions:
                older, newer = newer, self.reduce[str(layer)](newer)
            older, newer = newer, cell(older, newer, arc.cells[layer in self.reductions])
            if self.training and layer == self.reductions[1] + 1:
                aux_logits = self.aux_head(newer)
        return self.fc(F.relu(newer).mean((2, 3))), aux_logits


class PlainCell(nn.Module):
    def __init__(self, nodes: CellNodes, older: int, newer: int, halve: bool, channels: int, reduction: bool) -> None:
        super().__init__()
        self.nodes, self.loose = nodes, loose_ids(nodes)
        self.calibrate_older = calibration(older, halve, channels, tracking=True)
        self.calibrate_newer = calibration(newer, False, channels, tracking=True)
        self.base = ReLUConvBN(channels, channels, tracking=True)
        self.ops = nn.ModuleList(
            operation(op, channels, 2 if reduction and index < 2 else 1, tracking=True)
            for node in nodes
            for index, op in ((node.index_1, node.op_1), (node.index_2, node.op_2))
        )
        self.reduce_loose = nn.ModuleDict(
            {
                str(i): FactorizedReduction(channels, channels, True, relu=False)
                for i in self.loose
                if reduction and i < 2
            }
        )

    def forward(self, older: Tensor, newer: Tensor, drop_path: Tensor) -> Tensor:
        states = [self.calibrate_older(older), self.base(self.calibrate_newer(newer))]
        for i, node in enumerate(self.nodes):
            outputs = []
            for slot, (index, op) in enumerate(((node.index_1, node.op_1), (node.index_2, node.op_2))):
                y = self.ops[2 * i + slot](states[index])
                outputs.append(y if op == 4 else y * drop_path[:, 2 * i + slot, None, None, None])
            states.append(outputs[0] + outputs[1])
        for name, reduce in self.reduce_loose.items():
            states[int(name)] = reduce(states[int(name)])
        return torch.cat([states[i] for i in self.loose], 1)


class PlainNetwork(nn.Module):
    """The stand-alone network of an arc. Cell inputs and nodes differ in size in its reduction cells, so that
    states are kept in a list."""

    def __init__(self, arc: MicroArc, *, num_layers: int, num_filters: int, num_classes: int) -> None:
        super().__init__()
        first = num_layers // 3
        self.reductions = (first, 2 * first + 1)
        self.stem = nn.Sequential(Conv(3, 3 * num_filters, 3), BatchNorm(3 * num_filters, True))
        self.cells = nn.ModuleList()
        channels, older, newer, halve = num_filters, 3 * num_filters, 3 * num_filters, False
        for layer in range(num_layers + 2):
            reduction = layer in self.reductions
            channels *= 2 if reduction else 1
            cell = PlainCell(arc.cells[reduction], older, newer, halve, channels, reduction)
            older, newer, halve = newer, channels * len(cell.loose), reduction
            self.cells.append(cell)
            if layer == self.reductions[1] + 1:
                self.aux_head = AuxHead(newer, 8, num_classes)
        self.fc = nn.Linear(newer, num_classes, bias=False)

    def forward(self, images: Tensor, drop_path: Tensor, dropout: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits and, in training mode, the auxiliary head's; factors as `noise_factors` draws them."""
        older = newer = self.stem(images.contiguous())
        aux_logits = None
        for layer, cell in enumerate(self.cells):
            older, newer = newer, cell(older, newer, drop_path[:, layer])
            if self.training and layer == self.reductions[1] + 1:
                aux_logits = self.aux_head(newer)
        return self.fc(F.relu(newer).mean((2, 3)) * dropout), aux_logits


def optimizer(network: nn.Module, learning_rate: float, l2: float) -> torch.optim.SGD:
    """SGD with Nesterov momentum over all weights but the auxiliary head's, which have gradients from the start."""
    parameters = [p for name, p in network.named_parameters() if not name.startswith("aux_head.")]
    for p in parameters:
        p.grad = torch.zeros_like(p)
    return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9, nesterov=True, weight_decay=2 * l2)


def train_step(
    optimizer: torch.optim.SGD, outputs: tuple[Tensor, Tensor | None], labels: Tensor, aux_weight: float
) -> Tensor:
    """One step from a forward pass; returns the cross-entropy."""
    logits, aux_logits = outputs
    cross_entropy = F.cross_entropy(logits, labels)
    loss = cross_entropy if aux_logits is None else cross_entropy + aux_weight * F.cross_entropy(aux_logits, labels)
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    return cross_entropy.detach()
