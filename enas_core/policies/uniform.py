"""The policy that learns nothing: every choice equally likely (random search with weight sharing, Li & Talwalkar
2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from enas_core.policies.policy import Draw, Policy, UpdatePlan
from enas_core.settings.search import Search
from enas_core.spaces.space import Arc, SearchSpace

if TYPE_CHECKING:
    from torch import Generator


class Uniform(Policy):
    """Draws arcs of any space."""

    @classmethod
    def plan(cls, search: Search) -> UpdatePlan:
        """It does not learn."""
        return UpdatePlan(updates=0, arcs=1)

    def __init__(self, space: SearchSpace, search: Search, generator: Generator) -> None:
        self.space = space

    def propose(self, count: int, draw: Draw) -> list[Arc]:
        """Arc number i is drawn from the seed `draw(i)`."""
        return [self.space.uniform(draw(i)) for i in range(count)]

    def update(self, arcs: Sequence[Arc], accuracies: Sequence[float]) -> Mapping[str, float]:
        """Nothing is learned."""
        return {}

    def row(self, updates: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        """There is nothing to say of an epoch."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Nothing changes."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing changes."""
