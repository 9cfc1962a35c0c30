"""The supernet: one set of shared weights for all arcs. A child is the path that one arc takes.

Its cells differ from the stand-alone network's: every operation has stride 1, the states that no node
reads go through a 1x1 convolution, reduction happens before a reduction cell, and batch norm always uses
batch statistics (Pham et al. 2018, section 2.3; `_enas_layer` and `_enas_cell` of `micro_child.py`).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from enas_core.spaces.layers import AuxHead, BatchNorm, BlockConv, Classifier, concatenate, conv
from enas_core.spaces.micro.arc import OPS, Arc, CellNodes, loose_ids
from enas_core.spaces.micro.cell import Shape, States, calibration, reduction_layers
from enas_core.spaces.micro.operations import FactorizedReduction, build_op


class SharedCell(nn.Module):
    """One layer. `ops[i][slot][op][index]` is the operation of node i that reads state `index`: each has
    weights of its own."""

    def __init__(self, num_nodes: int, older: Shape, newer: Shape, channels: int) -> None:
        super().__init__()
        self.calibrate_older, self.calibrate_newer = calibration(older, newer, channels, tracking=False)
        self.ops = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(
                    nn.ModuleList(build_op(op, channels, 1, tracking=False, rows=i + 2) for _ in range(i + 2))
                    for op in range(len(OPS))
                )
                for _ in range(2)
            )
            for i in range(num_nodes)
        )
        self.final_conv = BlockConv(num_nodes + 2, channels)
        self.final_bn = BatchNorm(channels, tracking=False)

    def forward(self, older: Tensor, newer: Tensor, nodes: CellNodes, drop_path: Tensor | None) -> Tensor:
        states = States([self.calibrate_older(older), self.calibrate_newer(newer)])
        for i, node in enumerate(nodes):
            outputs = []
            for slot, (index, op) in enumerate(((node.index_1, node.op_1), (node.index_2, node.op_2))):
                y = states.apply(self.ops[i][slot][op][index], index)
                if drop_path is not None and OPS[op] != "identity":
                    y = y * drop_path[:, i, slot, None, None, None].to(y.dtype)
                outputs.append(y)
            states.append(outputs[0] + outputs[1])
        loose = loose_ids(nodes)
        x = F.relu(concatenate([states[i] for i in loose]))
        return self.final_bn(self.final_conv(x, loose))


class Supernet(nn.Module):
    """Stem, num_layers normal and two reduction layers, classifier, optional auxiliary head.

    `reduction_inputs` as in `Search.reduction_inputs`."""

    def __init__(
        self,
        *,
        num_nodes: int,
        num_layers: int,
        num_filters: int,
        image_size: int,
        in_channels: int,
        num_classes: int,
        aux_head: bool,
        reduction_inputs: str,
    ) -> None:
        super().__init__()
        self.num_nodes, self.image_size, self.in_channels = num_nodes, image_size, in_channels
        self.reductions, self.reduction_inputs = reduction_layers(num_layers), reduction_inputs
        self.stem = nn.Sequential(conv(in_channels, 3 * num_filters, 3), BatchNorm(3 * num_filters, tracking=False))
        channels = num_filters
        older = newer = Shape(3 * num_filters, image_size)
        self.cells, self.reduce = nn.ModuleList(), nn.ModuleDict()
        for layer in range(num_layers + 2):
            if layer in self.reductions:
                channels *= 2
                self.reduce[str(layer)] = FactorizedReduction(newer.channels, channels, tracking=False, relu=False)
                older, newer = self._reduced(older, newer, Shape(channels, -(-newer.size // 2)))
            self.cells.append(SharedCell(num_nodes, older, newer, channels))
            older, newer = newer, Shape(channels, newer.size)
        self.aux_layer = self.reductions[1] + 1
        aux_size = newer.size  # no reduction follows
        self.aux_head = AuxHead(channels, aux_size, num_classes) if aux_head else None
        self.num_features = channels
        self.fc = Classifier(channels, num_classes)

    def train(self, mode: bool = True) -> Supernet:
        """Switch the auxiliary head on or off. No layer inside depends on the mode, and to tell thousands of them
        would take as long as a few layers' forward pass."""
        self.training = mode
        return self

    def _reduced(self, older: Shape, newer: Shape, reduced: Shape) -> tuple[Shape, Shape]:
        return (newer if self.reduction_inputs == "previous" else older), reduced

    def forward(
        self, images: Tensor, arc: Arc, drop_path: Tensor | None = None, dropout: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """Logits [batch, classes] of the child `arc`; in training mode also the auxiliary logits, or None
        without the head. Images and factors as in `Network.forward`."""
        older = newer = self.stem(images)
        aux_logits = None
        for layer, cell in enumerate(self.cells):
            nodes = arc.normal
            if layer in self.reductions:
                nodes, reduced = arc.reduction, self.reduce[str(layer)](newer)
                older, newer = newer if self.reduction_inputs == "previous" else older, reduced
            older, newer = newer, cell(older, newer, nodes, None if drop_path is None else drop_path[:, layer])
            if self.training and self.aux_head is not None and layer == self.aux_layer:
                aux_logits = self.aux_head(newer)
        features = F.relu(newer).mean((2, 3))
        logits = self.fc(features if dropout is None else features * dropout)
        return (logits, aux_logits) if self.training else logits

    def path_parameters(self, arc: Arc) -> int:
        """Values of the weights that the child `arc` uses, without auxiliary head."""
        shared = {id(p) for cell in self.cells for p in (*cell.ops.parameters(), *cell.final_conv.parameters())}
        aux = {id(p) for p in self.aux_head.parameters()} if self.aux_head else set()
        count = sum(p.numel() for p in self.parameters() if id(p) not in shared | aux)
        for layer, cell in enumerate(self.cells):
            nodes = arc.reduction if layer in self.reductions else arc.normal
            used = [cell.ops[i][0][n.op_1][n.index_1] for i, n in enumerate(nodes)]
            used += [cell.ops[i][1][n.op_2][n.index_2] for i, n in enumerate(nodes)]
            count += sum(p.numel() for op in used for p in op.parameters())
            count += sum(cell.final_conv.blocks[i].numel() for i in loose_ids(nodes))
        return count
