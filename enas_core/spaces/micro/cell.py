"""The cell of the stand-alone network, and what it has in common with the supernet's.

Shapes: B images in a batch, C channels, S pixels a side, P = 2 * nodes droppable paths of a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from enas_core.spaces.layers import PlainStem, StridedStem, concatenate
from enas_core.spaces.micro.arc import OPS, CellNodes, loose_ids
from enas_core.spaces.micro.operations import FactorizedReduction, ReLUConvBN, build_op
from enas_core.spaces.micro.stem import FeatureMap, halved
from enas_core.spaces.space import NetworkShape

Edge = tuple[int, int]
"""What an operation of a node reads, and its number: index and operation."""


def reduction_layers(num_layers: int) -> tuple[int, int]:
    """Positions of the two reduction cells among the num_layers + 2 layers."""
    return num_layers // 3, 2 * (num_layers // 3) + 1


def build_stem(shape: NetworkShape, tracking: bool) -> nn.Module:
    """What comes before the first layer; `enter` calls it."""
    if shape.stem == "plain":
        return PlainStem(shape.in_channels, 3 * shape.num_filters, tracking)
    return StridedStem(shape.in_channels, shape.num_filters, tracking)


def enter(before: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The older and the newer input of the first layer."""
    maps = before(images)
    return maps if isinstance(maps, tuple) else (maps, maps)


def match_inputs(older: FeatureMap, newer: FeatureMap, channels: int, tracking: bool) -> tuple[nn.Module, nn.Module]:
    """What brings a cell's two inputs to one size and to `channels` channels."""
    first: nn.Module = nn.Identity()
    if older.size != newer.size:
        first = FactorizedReduction(older.channels, channels, tracking, relu=True)
        if halved(older.size) != newer.size:  # a strided stem's older map, before a reduction
            first = nn.Sequential(first, FactorizedReduction(channels, channels, tracking, relu=True))
    elif older.channels != channels:
        first = ReLUConvBN(older.channels, channels, tracking)
    second = ReLUConvBN(newer.channels, channels, tracking) if newer.channels != channels else nn.Identity()
    return first, second


def edges_of(nodes: CellNodes) -> list[Edge]:
    """Two for each node, in order."""
    return [edge for node in nodes for edge in node.edges]


def run_nodes(
    inputs: Sequence[Tensor], edges: Sequence[Edge], ops: Iterable[nn.Module], drop_path: Tensor | None
) -> list[Tensor]:
    """The states of a cell by index: its two inputs, then its nodes. `ops` are the operations of `edges`.

    `drop_path` [B, P] is multiplied to the outputs of all operations but identities."""
    states = list(inputs)
    outputs: list[Tensor] = []
    for path, ((index, op), module) in enumerate(zip(edges, ops, strict=True)):
        y = module(states[index])
        if drop_path is not None and OPS[op] != "identity":
            y = y * drop_path[:, path, None, None, None].to(y.dtype)
        outputs.append(y)
        if path % 2:
            states.append(outputs[path - 1] + outputs[path])
    return states


class Cell(nn.Module):
    """One layer: the nodes of a cell and the concatenation of the states that no node reads."""

    def __init__(self, nodes: CellNodes, older: FeatureMap, newer: FeatureMap, channels: int, reduction: bool) -> None:
        super().__init__()
        self.edges = edges_of(nodes)
        self.loose = loose_ids(nodes)
        self.calibrate_older, self.calibrate_newer = match_inputs(older, newer, channels, tracking=True)
        self.base = ReLUConvBN(channels, channels, tracking=True)
        self.ops = nn.ModuleList()
        for index, op in self.edges:
            stride = 2 if reduction and index < 2 else 1
            self.ops.append(build_op(op, channels, stride, tracking=True))
        self.reduce_loose = nn.ModuleDict()
        for index in self.loose:
            if reduction and index < 2:
                self.reduce_loose[str(index)] = FactorizedReduction(channels, channels, tracking=True, relu=False)
        self.output = FeatureMap(channels * len(self.loose), halved(newer.size) if reduction else newer.size)

    def forward(self, older: Tensor, newer: Tensor, drop_path: Tensor | None) -> Tensor:
        inputs = [self.calibrate_older(older), self.base(self.calibrate_newer(newer))]
        states = run_nodes(inputs, self.edges, self.ops, drop_path)
        loose = []
        for index in self.loose:
            reduced = str(index) in self.reduce_loose
            loose.append(self.reduce_loose[str(index)](states[index]) if reduced else states[index])
        return concatenate(loose)
