"""What training asks of a space's networks, whatever they look like inside, and what they all do alike.

Shapes: B images in a batch, C channels, S pixels a side, K classes, L layers, P droppable paths a layer, F features.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enas_core.spaces.layers import BN_DECAY, BatchNorm, Classifier, Reducer
from enas_core.spaces.predicting import Predicting
from enas_core.spaces.space import Arc, NetworkShape

Outputs = tuple[Tensor, Tensor | None]
"""Logits [B, K] of the classifier and, where there is an auxiliary head, of that [B, K]."""


TORCH = "torch"
"""Torch's own operators."""


class _Trainable(nn.Module):
    """What the two kinds of network have in common."""

    space: ClassVar[str]
    """Name of the space."""
    compiled_blocks: ClassVar[tuple[type[nn.Module], ...]] = ()
    """Kinds of module that are worth compiling one by one, since few of them in few shapes make every arc. None: the
    network is worth compiling as a whole."""

    operators: str = TORCH
    """Whose operators compute it. A training that is interrupted goes on with the same, and the tables name them."""
    shape: NetworkShape
    depth: int
    """L: layers in which paths can be dropped."""
    paths: int
    """P: paths of a layer that can be dropped."""
    num_features: int
    """F: channels before the classifier, which dropout acts on."""
    aux_head: nn.Module | None
    fc: Classifier

    def train_on_parts(self, reducer: Reducer, whole_batches: bool) -> None:
        """From now on each process of `reducer` trains on its part of a batch. Statistics of batch norm are those of
        the whole batch or, with `whole_batches` false, of the part alone."""
        for module in self.modules():
            if isinstance(module, BatchNorm):
                module.reduce_over(reducer if whole_batches else None)

    def finish(self, maps: Tensor, aux_logits: Tensor | None, dropout: Tensor | None) -> Tensor | Outputs:
        """What a call returns, from the last layer's maps [B, F, S, S]."""
        features = F.relu(maps).mean((2, 3))
        logits = self.fc(features if dropout is None else features * dropout)
        return (logits, aux_logits) if self.training else logits


class Supernet(_Trainable):
    """The shared weights of all arcs. In training mode calls return `Outputs`, in evaluation mode the logits alone."""

    @abstractmethod
    def forward(self, images: Tensor, arc: Arc, drop_path: Tensor | None = None, dropout: Tensor | None = None) -> Any:
        """Of normalised images [B, C, S, S] by the child `arc`. `drop_path` [B, L, P] and `dropout` [B, F] are factors:
        0, or 1 / keep probability."""

    @abstractmethod
    def path_parameters(self, arc: Arc) -> int:
        """Values of the weights that the child `arc` uses, without auxiliary head."""


class Network(_Trainable, Predicting):
    """One arc's own network. A loaded one also has the facts of `Predicting`. Calls as those of `Supernet`, without an
    arc.

    A subclass calls `follow_norms` when it is built, and ends its calls with `finish`, which moves the averages."""

    arc: Arc
    bn_zero_debias: bool
    num_updates: Tensor

    def __init__(self, arc: Arc, shape: NetworkShape, bn_zero_debias: bool) -> None:
        super().__init__()
        self.arc = arc
        self.shape = shape
        self.bn_zero_debias = bn_zero_debias
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64))
        self._norms: tuple[BatchNorm, ...] = ()
        self._averaged_over: Reducer | None = None

    @abstractmethod
    def forward(self, images: Tensor, drop_path: Tensor | None = None, dropout: Tensor | None = None) -> Any:
        """Of normalised images [B, C, S, S]; factors as for a supernet."""

    def train_on_parts(self, reducer: Reducer, whole_batches: bool) -> None:
        """As of every network; moving averages are the same in all processes either way."""
        super().train_on_parts(reducer, whole_batches)
        self._averaged_over = None if whole_batches else reducer

    def follow_norms(self) -> None:
        """Remember the batch norms whose moving statistics `move_averages` moves: it has no time to look for them."""
        self._norms = tuple(m for m in self.modules() if isinstance(m, BatchNorm) and m.tracking)

    def finish(self, maps: Tensor, aux_logits: Tensor | None, dropout: Tensor | None) -> Tensor | Outputs:
        """As of every network; in training mode the moving statistics are moved."""
        outputs = super().finish(maps, aux_logits, dropout)
        if self.training:
            self.move_averages()
        return outputs

    @torch.no_grad()
    def move_averages(self) -> None:
        """Moving statistics of all batch norms. Zero-debiased, they weigh the n-th batch by
        0.1 / (1 - 0.9^n), so that the initial values have no part."""
        self.num_updates += 1
        weight: Tensor | float = 1 - BN_DECAY
        if self.bn_zero_debias:
            weight = weight / (1 - BN_DECAY ** self.num_updates.to(self.fc.weight.dtype))
        moving = [t for bn in self._norms for t in (bn.running_mean, bn.running_var)]
        batch = [t for bn in self._norms for t in (bn.batch_mean, bn.batch_var)]
        if self._averaged_over is not None:
            batch = self._averaged_over.mean(batch)
        change = torch._foreach_sub(batch, moving)
        torch._foreach_mul_(change, weight)
        torch._foreach_add_(moving, change)
