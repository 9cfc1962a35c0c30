"""The stand-alone network of one arc: what augment trains and what users load.

`load("results/cifar10/final.pt")` gives a trained network in evaluation mode.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enas_core.spaces.layers import BN_DECAY, AuxHead, BatchNorm, Classifier, conv
from enas_core.spaces.micro.arc import Arc
from enas_core.spaces.micro.cell import Cell, Shape, reduction_layers


class Network(nn.Module):
    """Stem, num_layers normal and two reduction cells, classifier, optional auxiliary head.

    A loaded network also has `classes`, `mean`, `std` (per channel, of pixels in 0..1), `experiment` and
    `test_accuracy`."""

    classes: list[str]
    mean: list[float]
    std: list[float]
    experiment: str
    test_accuracy: float

    def __init__(
        self,
        arc: Arc,
        *,
        num_layers: int,
        num_filters: int,
        image_size: int,
        in_channels: int,
        num_classes: int,
        aux_head: bool,
        bn_zero_debias: bool = False,
    ) -> None:
        super().__init__()
        self.arc, self.num_nodes, self.bn_zero_debias = arc, arc.num_nodes, bn_zero_debias
        self.settings = {
            "num_layers": num_layers,
            "num_filters": num_filters,
            "image_size": image_size,
            "in_channels": in_channels,
            "num_classes": num_classes,
            "aux_head": aux_head,
            "bn_zero_debias": bn_zero_debias,
        }
        self.stem = nn.Sequential(conv(in_channels, 3 * num_filters, 3), BatchNorm(3 * num_filters, tracking=True))
        reductions, channels = reduction_layers(num_layers), num_filters
        older = newer = Shape(3 * num_filters, image_size)
        self.cells = nn.ModuleList()
        for layer in range(num_layers + 2):
            reduction = layer in reductions
            channels *= 2 if reduction else 1
            cell = Cell(arc.reduction if reduction else arc.normal, older, newer, channels, reduction)
            older, newer = newer, cell.shape
            self.cells.append(cell)
        self.aux_layer = reductions[1] + 1
        aux_shape = self.cells[self.aux_layer].shape
        self.aux_head = AuxHead(*aux_shape, num_classes) if aux_head else None
        self.num_features = newer.channels
        self.fc = Classifier(newer.channels, num_classes)
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64))
        self._norms = tuple(m for m in self.modules() if isinstance(m, BatchNorm) and m.tracking)

    def forward(
        self, images: Tensor, drop_path: Tensor | None = None, dropout: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """Logits [batch, classes] of normalised images [batch, channels, size, size]; in training mode also
        the auxiliary logits, or None without the head.

        `drop_path` [batch, num_layers + 2, nodes, 2] and `dropout` [batch, num_features] are factors: 0, or
        1 / keep probability."""
        older = newer = self.stem(images)
        aux_logits = None
        for layer, cell in enumerate(self.cells):
            older, newer = newer, cell(older, newer, None if drop_path is None else drop_path[:, layer])
            if self.training and self.aux_head is not None and layer == self.aux_layer:
                aux_logits = self.aux_head(newer)
        features = F.relu(newer).mean((2, 3))
        logits = self.fc(features if dropout is None else features * dropout)
        if not self.training:
            return logits
        self._move_averages()
        return logits, aux_logits

    @torch.no_grad()
    def _move_averages(self) -> None:
        """Moving statistics of all batch norms. Zero-debiased, they weigh the n-th batch by
        0.1 / (1 - 0.9^n), so that the initial values have no part."""
        self.num_updates += 1
        weight: Tensor | float = 1 - BN_DECAY
        if self.bn_zero_debias:
            weight = weight / (1 - BN_DECAY ** self.num_updates.to(self.fc.weight.dtype))
        moving = [t for bn in self._norms for t in (bn.running_mean, bn.running_var)]
        batch = [t for bn in self._norms for t in (bn.batch_mean, bn.batch_var)]
        if not self._norms[0].synced:
            batch = self._norms[0].processes.mean(batch)
        change = torch._foreach_sub(batch, moving)
        torch._foreach_mul_(change, weight)
        torch._foreach_add_(moving, change)
