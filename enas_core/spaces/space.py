"""The interface of a search space: everything that the rest of the project needs to know of its arcs and networks.

A space is a folder beside this file (`micro/` is the only one) and a line in `spaces.SPACES`. What a policy proposes
and a mutation changes are its `decisions`; everything else goes through an arc's text form or through an arc object
that only the space looks into.

Shapes: B images in a batch, C channels, S pixels a side, K classes, L layers, P droppable paths a layer, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from enas_core.fields import Settings

if TYPE_CHECKING:
    from enas_core.spaces.networks import Network, Supernet


class Arc(ABC):
    """An architecture: immutable, hashable, and equal to another of the same text form."""

    @abstractmethod
    def __str__(self) -> str:
        """The text form, which `SearchSpace.parse` reads."""


class Decision(NamedTuple):
    """One of the choices that make an arc: which of `choices` alternatives, counted from 0."""

    name: str
    choices: int


@dataclass(frozen=True)
class NetworkShape:
    """What both kinds of network need to know besides the arc: the images they take and their own size."""

    num_layers: int
    num_filters: int
    image_size: int
    in_channels: int
    num_classes: int
    aux_head: bool


class Size(NamedTuple):
    """Trainable values and multiply-accumulates for one image, both without the auxiliary head."""

    params: int
    macs: int


class SearchSpace(ABC):
    """A search space with its settings, which are plain values: two spaces with equal settings are equal.

    Building one never imports torch; building networks does."""

    name: ClassVar[str]
    """What `space` in config.yaml says."""
    Settings: ClassVar[type[Settings]]
    """The space's keys in an experiment, each in the section that its `Section` names."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    """What a preset puts on top of the defaults of those keys, in the form of an experiment."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    # --- arcs

    @property
    @abstractmethod
    def decisions(self) -> Sequence[Decision]:
        """The decisions that make an arc, in the order of its text form."""

    @abstractmethod
    def from_choices(self, choices: Sequence[int]) -> Arc:
        """The arc that so many choices, one a decision, make. Raises ValueError when one is out of range."""

    @abstractmethod
    def choices(self, arc: Arc) -> tuple[int, ...]:
        """The choices that make `arc`: the inverse of `from_choices`."""

    @abstractmethod
    def parse(self, text: str) -> Arc:
        """The arc of a text form. Raises UserError, one line that names the position, when it is not one."""

    @classmethod
    @abstractmethod
    def of_text(cls, text: str) -> tuple[SearchSpace, Arc]:
        """An arc and its space, whose other settings are at their defaults. Raises UserError as `parse` does."""

    @property
    @abstractmethod
    def samplers(self) -> Mapping[str, Callable[[int], Arc]]:
        """Ways to draw an arc at random from a seed; `uniform`, every choice equally likely, is in every space."""

    @abstractmethod
    def forms(self, arc: Arc) -> Mapping[str, str]:
        """Further ways to write an arc, by name, for people and other programs."""

    @abstractmethod
    def draw(self, arc: Arc) -> str:
        """An SVG picture of an arc. Equal arcs give equal text."""

    # --- networks

    @abstractmethod
    def supernet(self, shape: NetworkShape) -> Supernet:
        """The network that holds the shared weights of all arcs, its weights not initialised."""

    @abstractmethod
    def network(self, arc: Arc, shape: NetworkShape, bn_zero_debias: bool = False) -> Network:
        """The stand-alone network of one arc, not initialised. `bn_zero_debias` as in `settings.Augment`."""

    @abstractmethod
    def smallest_image(self, shape: NetworkShape) -> int:
        """Side of the smallest images, pixels, with which both networks of `shape` can be trained."""
