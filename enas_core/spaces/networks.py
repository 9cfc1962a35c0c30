"""What training asks of a space's networks, whatever they look like inside.

Shapes: B images in a batch, C channels, S pixels a side, K classes, L layers, P droppable paths a layer, F features.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn

from enas_core.spaces.space import Arc, NetworkShape

Outputs = tuple[Tensor, Tensor | None]
"""Logits [B, K] of the classifier and, where there is an auxiliary head, of that [B, K]."""


class _Trainable(nn.Module):
    """What the two kinds of network have in common."""

    space: str
    """Name of the space."""
    shape: NetworkShape
    depth: int
    """L: layers in which paths can be dropped."""
    paths: int
    """P: paths of a layer that can be dropped."""
    num_features: int
    """F: channels before the classifier, which dropout acts on."""
    aux_head: nn.Module | None
    compiled_blocks: tuple[type[nn.Module], ...]
    """Kinds of module that are worth compiling one by one, since few of them in few shapes make every arc."""


class Supernet(_Trainable):
    """The shared weights of all arcs. In training mode calls return `Outputs`, in evaluation mode the logits alone."""

    @abstractmethod
    def forward(self, images: Tensor, arc: Arc, drop_path: Tensor | None = None, dropout: Tensor | None = None) -> Any:
        """Of normalised images [B, C, S, S] by the child `arc`. `drop_path` [B, L, P] and `dropout` [B, F] are factors:
        0, or 1 / keep probability."""

    @abstractmethod
    def path_parameters(self, arc: Arc) -> int:
        """Values of the weights that the child `arc` uses, without auxiliary head."""


class Network(_Trainable):
    """One arc's own network. A loaded one also has the facts below. Calls as those of `Supernet`, without an arc."""

    arc: Arc
    bn_zero_debias: bool

    classes: list[str]
    mean: list[float]
    """Of each channel, of pixels in 0..1."""
    std: list[float]
    experiment: str
    test_accuracy: float

    @abstractmethod
    def forward(self, images: Tensor, drop_path: Tensor | None = None, dropout: Tensor | None = None) -> Any:
        """Of normalised images [B, C, S, S]; factors as for a supernet."""
