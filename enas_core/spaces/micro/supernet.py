"""The supernet of the micro space: one set of shared weights for all arcs. A child is the path that one arc takes.

Its cells differ from the stand-alone network's: every operation has stride 1, the states that no node
reads go through a 1x1 convolution, reduction happens before a reduction cell, and batch norm always uses
batch statistics (Pham et al. 2018, section 2.3; `_enas_layer` and `_enas_cell` of `micro_child.py`).

Shapes: B images in a batch, L = num_layers + 2 layers, P = 2 * nodes droppable paths of a layer.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from enas_core.spaces.layers import AuxHead, BatchNorm, BlockConv, Classifier, Fused, Packed, concatenate
from enas_core.spaces.micro.arc import OPS, CellNodes, MicroArc, loose_ids
from enas_core.spaces.micro.cell import build_stem, edges_of, enter, match_inputs, reduction_layers, run_nodes
from enas_core.spaces.micro.operations import BLOCKS, FactorizedReduction, build_op
from enas_core.spaces.micro.stem import FeatureMap, halved, stem_maps
from enas_core.spaces.networks import Outputs, Supernet
from enas_core.spaces.space import Arc, NetworkShape


class SharedCell(Fused):
    """One layer. `ops[i][slot][op][index]` is the operation of node i that reads state `index`: each has
    weights of its own."""

    def __init__(self, num_nodes: int, older: FeatureMap, newer: FeatureMap, channels: int) -> None:
        super().__init__()
        self.calibrate_older, self.calibrate_newer = match_inputs(older, newer, channels, tracking=False)
        nodes = [[self._choices(i + 2, channels) for _ in range(2)] for i in range(num_nodes)]
        self.ops = nn.ModuleList(nn.ModuleList(nn.ModuleList(slot) for slot in node) for node in nodes)
        # The same in plain lists: a lookup in a ModuleList takes as long as a small operation.
        self._ops = [[[list(packed) for packed in slot] for slot in node] for node in nodes]
        self.final_conv = BlockConv(num_nodes + 2, channels)
        self.final_bn = BatchNorm(channels, tracking=False)

    @staticmethod
    def _choices(indices: int, channels: int) -> list[Packed]:
        """Every operation of each of so many states."""
        return [Packed(build_op(op, channels, 1, tracking=False) for _ in range(indices)) for op in range(len(OPS))]

    def path(self, nodes: CellNodes) -> list[nn.Module]:
        """The operations of a child, two a node."""
        edges = enumerate(edges_of(nodes))
        return [self._ops[position // 2][position % 2][op][index] for position, (index, op) in edges]

    def forward(self, older: Tensor, newer: Tensor, nodes: CellNodes, drop_path: Tensor | None) -> Tensor:
        inputs = [self.calibrate_older(older), self.calibrate_newer(newer)]
        states = run_nodes(inputs, edges_of(nodes), self.path(nodes), drop_path)
        loose = loose_ids(nodes)
        maps = [states[i] for i in loose]
        if self.kernels is not None:
            blocks = [self.final_conv.blocks[i] for i in loose]
            return self.kernels.conv_norm(maps, blocks, self.final_bn.weight, self.final_bn.bias, [])
        return self.final_bn(self.final_conv(F.relu(concatenate(maps)), loose))


class MicroSupernet(Supernet):
    """Stem, num_layers normal and two reduction layers, classifier, optional auxiliary head.

    `reduction_inputs` as in `MicroSettings`."""

    space = "micro"
    compiled_blocks = BLOCKS

    def __init__(self, shape: NetworkShape, num_nodes: int, reduction_inputs: str) -> None:
        super().__init__()
        self.shape = shape
        self.depth = shape.num_layers + 2
        self.paths = 2 * num_nodes
        self.reductions = reduction_layers(shape.num_layers)
        self.reduction_inputs = reduction_inputs
        self.stem = build_stem(shape, tracking=False)
        older, newer = stem_maps(shape)
        channels = shape.num_filters
        self.cells = nn.ModuleList()
        self.reduce = nn.ModuleDict()
        for layer in range(self.depth):
            if layer in self.reductions:
                channels *= 2
                self.reduce[str(layer)] = FactorizedReduction(newer.channels, channels, tracking=False, relu=False)
                reduced = FeatureMap(channels, halved(newer.size))
                older, newer = newer if reduction_inputs == "previous" else older, reduced
            self.cells.append(SharedCell(num_nodes, older, newer, channels))
            older, newer = newer, FeatureMap(channels, newer.size)
        self.aux_layer = self.reductions[1] + 1
        self.aux_head = AuxHead(*newer, shape.num_classes) if shape.aux_head else None  # no reduction follows its layer
        self.num_features = channels
        self.fc = Classifier(channels, shape.num_classes)

    def train(self, mode: bool = True) -> MicroSupernet:
        """Switch the auxiliary head on or off. No layer inside depends on the mode, and to tell thousands of them
        would take as long as a few layers' forward pass."""
        self.training = mode
        return self

    def nodes(self, arc: MicroArc, layer: int) -> CellNodes:
        """The cell of `arc` that a layer is."""
        return arc.reduction if layer in self.reductions else arc.normal

    def forward(
        self, images: Tensor, arc: Arc, drop_path: Tensor | None = None, dropout: Tensor | None = None
    ) -> Tensor | Outputs:
        """See `Supernet`."""
        assert isinstance(arc, MicroArc)
        older, newer = enter(self.stem, images)
        aux_logits = None
        for layer, cell in enumerate(self.cells):
            if layer in self.reductions:
                reduced = self.reduce[str(layer)](newer)
                older, newer = newer if self.reduction_inputs == "previous" else older, reduced
            factors = None if drop_path is None else drop_path[:, layer]
            older, newer = newer, cell(older, newer, self.nodes(arc, layer), factors)
            if self.training and self.aux_head is not None and layer == self.aux_layer:
                aux_logits = self.aux_head(newer)
        return self.finish(newer, aux_logits, dropout)

    def path_parameters(self, arc: Arc) -> int:
        """See `Supernet`."""
        assert isinstance(arc, MicroArc)
        aside = set() if self.aux_head is None else set(self.aux_head.parameters())
        used: list[nn.Parameter] = []
        for layer, cell in enumerate(self.cells):
            assert isinstance(cell, SharedCell)
            nodes = self.nodes(arc, layer)
            for op in cell.path(nodes):
                used += op.parameters()
            used += [cell.final_conv.blocks[i] for i in loose_ids(nodes)]
            aside.update(cell.ops.parameters(), cell.final_conv.parameters())
        used += [p for p in self.parameters() if p not in aside]
        return sum(p.numel() for p in used)
