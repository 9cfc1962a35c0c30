"""The interface of whatever proposes arcs and learns from how well they do.

Two verbs, `propose` and `update`; one class a file; `tests/policies` puts every one of them through the same tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from enas_core.spaces.space import Arc, SearchSpace

Draw = Callable[..., int]
"""Seed of a random draw, told apart from others by counters: `draw()`, `draw(3)`. The same call gives the same seed
whenever it is made, so that nothing depends on interruptions."""


class Policy(ABC):
    """What chooses the arcs of a search. All it knows of arcs, it knows from the space."""

    name: ClassVar[str]
    """What `search.policy` in config.yaml says."""
    columns: ClassVar[tuple[str, ...]] = ()
    """Columns of the search's epochs that this policy fills; the others' stay empty."""

    space: SearchSpace
    updates_per_epoch: int
    """How often an epoch `update` wants to be called; 0: this policy does not learn."""
    arcs_per_update: int
    """From how many proposed arcs."""

    @abstractmethod
    def propose(self, count: int, draw: Draw) -> list[Arc]:
        """`count` arcs, not necessarily distinct, that depend on nothing but the policy's state and `draw`."""

    @abstractmethod
    def update(self, arcs: Sequence[Arc], accuracies: Sequence[float]) -> Mapping[str, float]:
        """Learn from the validation accuracies (0..1) of `arcs`. Returns what an epoch's row shows the mean of."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, in a form that `torch.load(..., weights_only=True)` reads."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""

    def summary(self) -> Mapping[str, float]:
        """Values of `columns` that are a state, not a mean over an epoch's updates."""
        return {}
