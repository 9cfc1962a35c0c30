"""The stand-alone network of one arc of the micro space: what augment trains and what users load.

Shapes: B images in a batch, L = num_layers + 2 layers, P = 2 * nodes droppable paths of a layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from enas_core.spaces.layers import AuxHead, Classifier
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.cell import Cell, build_stem, enter, reduction_layers
from enas_core.spaces.micro.stem import stem_maps
from enas_core.spaces.networks import Network, Outputs
from enas_core.spaces.space import NetworkShape


class MicroNetwork(Network):
    """Stem, num_layers normal and two reduction cells, classifier, optional auxiliary head."""

    space = "micro"

    def __init__(self, arc: MicroArc, shape: NetworkShape, bn_zero_debias: bool = False) -> None:
        super().__init__(arc, shape, bn_zero_debias)
        self.depth = shape.num_layers + 2
        self.paths = 2 * arc.num_nodes
        reductions = reduction_layers(shape.num_layers)
        self.aux_layer = reductions[1] + 1
        self.stem = build_stem(shape, tracking=True)
        older, newer = stem_maps(shape)
        channels = shape.num_filters
        self.cells = nn.ModuleList()
        for layer in range(self.depth):
            reduction = layer in reductions
            channels *= 2 if reduction else 1
            cell = Cell(arc.reduction if reduction else arc.normal, older, newer, channels, reduction)
            older, newer = newer, cell.output
            self.cells.append(cell)
            if layer == self.aux_layer:
                aux_input = cell.output
        self.aux_head = AuxHead(*aux_input, shape.num_classes) if shape.aux_head else None
        self.num_features = newer.channels
        self.fc = Classifier(newer.channels, shape.num_classes)
        self.follow_norms()

    def forward(
        self, images: Tensor, drop_path: Tensor | None = None, dropout: Tensor | None = None
    ) -> Tensor | Outputs:
        """See `Network`."""
        older, newer = enter(self.stem, images)
        aux_logits = None
        for layer, cell in enumerate(self.cells):
            older, newer = newer, cell(older, newer, None if drop_path is None else drop_path[:, layer])
            if self.training and self.aux_head is not None and layer == self.aux_layer:
                aux_logits = self.aux_head(newer)
        return self.finish(newer, aux_logits, dropout)
