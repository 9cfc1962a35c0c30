"""The interface of whatever proposes arcs and learns from how well they do.

Two verbs, `propose` and `update`; one class a file; `tests/policies` puts every one of them through the same tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from enas_core.settings.search import Search
from enas_core.spaces.space import Arc, SearchSpace

if TYPE_CHECKING:
    from torch import Generator

Draw = Callable[..., int]
"""Gives the seed of a random draw. Counters tell draws apart, as in `draw(3)`; the same call gives the same seed
whenever it is made, so that interruptions change nothing."""


class UpdatePlan(NamedTuple):
    """How a policy learns in an epoch."""

    updates: int
    """How often `Policy.update` is called; 0: it does not learn."""
    arcs: int
    """From how many proposed arcs each time."""


class Policy(ABC):
    """What chooses the arcs of a search. All it knows of arcs, it knows from the space."""

    columns: ClassVar[tuple[str, ...]] = ()
    """Columns of the search's epochs that this policy fills, besides those that are the same for all."""

    @classmethod
    @abstractmethod
    def plan(cls, search: Search) -> UpdatePlan:
        """How it learns under these settings."""

    @abstractmethod
    def __init__(self, space: SearchSpace, search: Search, generator: Generator) -> None:
        """`generator` draws what the policy starts with. Raises UserError when it cannot propose arcs of `space`."""

    @abstractmethod
    def propose(self, count: int, draw: Draw) -> list[Arc]:
        """`count` arcs, not necessarily distinct, that depend on nothing but the policy's state and `draw`."""

    @abstractmethod
    def update(self, arcs: Sequence[Arc], accuracies: Sequence[float]) -> Mapping[str, float]:
        """Learn from the validation accuracies (0..1) of `arcs`. Returns facts about this update, by name. Raises
        FloatingPointError when the policy has diverged: a NaN would choose arcs silently."""

    @abstractmethod
    def row(self, updates: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        """Values of `columns` after an epoch with such updates; those that cannot be said are left out."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, in a form that `torch.load(..., weights_only=True)` reads."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
