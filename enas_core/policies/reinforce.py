"""The paper's policy: the controller, trained by REINFORCE with a moving baseline and Adam (Pham et al. 2018, section
2.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Generator

from enas_core.console import UserError
from enas_core.policies.controller import Controller
from enas_core.policies.policy import Draw, Policy, UpdatePlan
from enas_core.settings.search import Search
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.space import Micro
from enas_core.spaces.space import Arc, SearchSpace

FACTS = ("loss", "reward", "entropy", "grad_norm")
"""What each update tells: the loss, the mean reward and entropy of its arcs, and the gradient's global norm."""


class Reinforce(Policy):
    """One update averages the gradients of several arcs."""

    columns = (*(f"controller_{fact}" for fact in FACTS), "controller_baseline")

    @classmethod
    def plan(cls, search: Search) -> UpdatePlan:
        """As the settings of the controller say."""
        return UpdatePlan(search.controller.updates_per_epoch, search.controller.arcs_per_update)

    def __init__(self, space: SearchSpace, search: Search, generator: Generator) -> None:
        if not isinstance(space, Micro):
            raise UserError(
                f"search.policy: 'controller' knows the space micro only, not {space.name}; allowed: uniform"
            )
        settings = search.controller
        self.settings = settings
        self.controller = Controller(space, settings, generator)
        self.baseline = 0.0
        self.steps = 0
        self.optimizer = torch.optim.Adam(
            self.controller.parameters(),
            lr=settings.learning_rate,
            betas=(settings.adam_beta1, settings.adam_beta2),
            eps=settings.adam_epsilon,
        )

    def propose(self, count: int, draw: Draw) -> list[Arc]:
        """Samples of the controller as it is."""
        generator = torch.Generator().manual_seed(draw())
        with torch.no_grad():
            return list(self.controller.sample(count, generator).arcs)

    def update(self, arcs: Sequence[Arc], accuracies: Sequence[float]) -> Mapping[str, float]:
        """One step; a reward is an accuracy plus a little of the arc's entropy."""
        sample = self.controller.score([cast(MicroArc, arc) for arc in arcs])
        rewards = [
            accuracy + self.settings.entropy_weight * entropy
            for accuracy, entropy in zip(accuracies, sample.entropy.tolist(), strict=True)
        ]
        advantages = sample.log_prob.new_tensor([self._advantage(reward) for reward in rewards])
        loss = -(sample.log_prob * advantages).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        gradients = [p.grad for p in self.controller.parameters() if p.grad is not None]
        grad_norm = torch.nn.utils.get_total_norm(gradients).item()
        self._adam_step()
        facts = (loss.item(), sum(rewards) / len(rewards), sample.entropy.mean().item(), grad_norm)
        self._check(facts)
        return dict(zip(FACTS, facts, strict=True))

    def _check(self, facts: Sequence[float]) -> None:
        weights_are_finite = all(bool(p.isfinite().all()) for p in self.controller.parameters())
        if not weights_are_finite or not all(map(math.isfinite, facts)):
            raise FloatingPointError("the controller's loss, gradient or weights not finite")

    def _advantage(self, reward: float) -> float:
        previous = self.baseline
        self.baseline += (1 - self.settings.baseline_decay) * (reward - self.baseline)
        return reward - (self.baseline if self.settings.advantage_baseline == "updated" else previous)

    def _adam_step(self) -> None:
        """torch adds epsilon after the bias correction; dividing it by the correction's factor is the same
        as TensorFlow's adding it before."""
        self.steps += 1
        if self.settings.adam_epsilon_placement == "tensorflow":
            correction = math.sqrt(1 - self.settings.adam_beta2**self.steps)
            self.optimizer.param_groups[0]["eps"] = self.settings.adam_epsilon / correction
        self.optimizer.step()

    def row(self, updates: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        """Means over the updates, and the baseline after them."""
        values = {"controller_baseline": self.baseline}
        if updates:
            for fact in FACTS:
                values[f"controller_{fact}"] = sum(update[fact] for update in updates) / len(updates)
        return values

    def state_dict(self) -> dict[str, Any]:
        """The controller's weights, and what its next update depends on."""
        return {
            "controller": self.controller.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "baseline": self.baseline,
            "steps": self.steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.controller.load_state_dict(state["controller"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.baseline, self.steps = float(state["baseline"]), int(state["steps"])
