"""The policy that changes one choice of the best arc so far."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from enas_core.policies.policy import Draw, Policy, UpdatePlan
from enas_core.settings.search import Search
from enas_core.spaces.space import Arc, SearchSpace

if TYPE_CHECKING:
    from torch import Generator


class Climb(Policy):
    """Knows arcs of any space by their choices."""

    columns = ("controller_reward",)

    @classmethod
    def plan(cls, search: Search) -> UpdatePlan:
        """As often as a controller would learn."""
        return UpdatePlan(search.controller.updates_per_epoch, search.controller.arcs_per_update)

    def __init__(self, space: SearchSpace, search: Search, generator: Generator) -> None:
        self.space = space
        self.best, self.accuracy = space.uniform(generator.initial_seed()), 0.0

    def propose(self, count: int, draw: Draw) -> list[Arc]:
        """Arc number i is drawn from the seed `draw(i)`."""
        return [self._neighbour(random.Random(draw(i))) for i in range(count)]

    def _neighbour(self, drawn: random.Random) -> Arc:
        choices = list(self.space.choices(self.best))
        position = drawn.randrange(len(choices))
        choices[position] = drawn.randrange(self.space.decisions[position].choices)
        return self.space.from_choices(choices)

    def update(self, arcs: Sequence[Arc], accuracies: Sequence[float]) -> Mapping[str, float]:
        """Remember the best."""
        if not all(map(math.isfinite, accuracies)):
            raise FloatingPointError("accuracy not finite")
        for arc, accuracy in zip(arcs, accuracies, strict=True):
            if accuracy > self.accuracy:
                self.best, self.accuracy = arc, accuracy
        return {"controller_reward": sum(accuracies) / len(accuracies)}

    def row(self, updates: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        """The mean accuracy of what was proposed."""
        rewards = [update["controller_reward"] for update in updates]
        return {"controller_reward": sum(rewards) / len(rewards)} if rewards else {}

    def state_dict(self) -> dict[str, Any]:
        """The best arc."""
        return {"best": str(self.best), "accuracy": self.accuracy}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.best, self.accuracy = self.space.parse(state["best"]), state["accuracy"]
