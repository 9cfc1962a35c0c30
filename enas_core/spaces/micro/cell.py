"""The stand-alone network of one arc: what augment trains and what users load.

`load("results/cifar10/final.pt")` gives a trained network in evaluation mode.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from enas_core.spaces.layers import concatenate
from enas_core.spaces.micro.arc import OPS, CellNodes, loose_ids
from enas_core.spaces.micro.operations import FactorizedReduction, ReLUConvBN, SepConv, build_op


class Shape(NamedTuple):
    """Channels and side of a square feature map."""

    channels: int
    size: int


def reduction_layers(num_layers: int) -> tuple[int, int]:
    """Positions of the two reduction cells among the num_layers + 2 layers."""
    return num_layers // 3, 2 * (num_layers // 3) + 1


def calibration(older: Shape, newer: Shape, channels: int, tracking: bool) -> tuple[nn.Module, nn.Module]:
    """What brings a cell's two inputs to one size and to `channels` channels."""
    first: nn.Module = nn.Identity()
    if older.size != newer.size:
        first = FactorizedReduction(older.channels, channels, tracking, relu=True)
    elif older.channels != channels:
        first = ReLUConvBN(older.channels, channels, tracking)
    second = ReLUConvBN(newer.channels, channels, tracking) if newer.channels != channels else nn.Identity()
    return first, second


class Cell(nn.Module):
    """One layer: the nodes of a cell and the concatenation of the states that no node reads."""

    def __init__(self, nodes: CellNodes, older: Shape, newer: Shape, channels: int, reduction: bool) -> None:
        super().__init__()
        self.nodes, self.loose = nodes, loose_ids(nodes)
        self.calibrate_older, self.calibrate_newer = calibration(older, newer, channels, tracking=True)
        self.base = ReLUConvBN(channels, channels, tracking=True)
        self.ops = nn.ModuleList()
        for node in nodes:
            for index, op in ((node.index_1, node.op_1), (node.index_2, node.op_2)):
                self.ops.append(build_op(op, channels, 2 if reduction and index < 2 else 1, tracking=True))
        self.reduce_loose = nn.ModuleDict(
            {
                str(i): FactorizedReduction(channels, channels, tracking=True, relu=False)
                for i in self.loose
                if reduction and i < 2
            }
        )
        self.shape = Shape(channels * len(self.loose), -(-newer.size // 2) if reduction else newer.size)

    def forward(self, older: Tensor, newer: Tensor, drop_path: Tensor | None) -> Tensor:
        states = States([self.calibrate_older(older), self.base(self.calibrate_newer(newer))])
        for i, node in enumerate(self.nodes):
            outputs = []
            for slot, (index, op) in enumerate(((node.index_1, node.op_1), (node.index_2, node.op_2))):
                y = states.apply(self.ops[2 * i + slot], index)
                if drop_path is not None and OPS[op] != "identity":
                    y = y * drop_path[:, i, slot, None, None, None].to(y.dtype)
                outputs.append(y)
            states.append(outputs[0] + outputs[1])
        loose = [self.reduce_loose[str(i)](states[i]) if str(i) in self.reduce_loose else states[i] for i in self.loose]
        return concatenate(loose)


class States(list[Tensor]):
    """A cell's states by id, and the ReLU of those that a separable convolution reads, made once."""

    def __init__(self, inputs: list[Tensor]) -> None:
        super().__init__(inputs)
        self._relu: dict[int, Tensor] = {}

    def apply(self, op: nn.Module, index: int) -> Tensor:
        """`op` of state `index`."""
        if not isinstance(op, SepConv):
            return op(self[index])
        if index not in self._relu:
            self._relu[index] = F.relu(self[index])
        return op(self._relu[index])
