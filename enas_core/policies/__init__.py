"""Policies: what proposes the arcs of a search, and learns from how well they do; and strategies: what chooses an arc
after it.

Start reading in `policy.py`, the interface; `uniform.py` is the simplest one, `reinforce.py` with the LSTM of
`controller.py` is the paper's. `strategy.py` is the interface of the strategies, `sampling.py` has the simplest ones.
May import `settings`, `spaces`, `files` and `console`. A policy is a class and a line in `POLICIES`, a strategy a
function and a line in `STRATEGIES`; no other room compares their names with anything.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enas_core.policies.policy import Policy
    from enas_core.policies.strategy import Strategy
    from enas_core.settings.search import PolicyName
    from enas_core.settings.select import StrategyName

POLICIES: dict[PolicyName, str] = {
    "controller": "enas_core.policies.reinforce:Reinforce",
    "uniform": "enas_core.policies.uniform:Uniform",
}
"""Where the class of each policy is, by what `search.policy` says; imported when it is asked for."""


def policy_class(name: PolicyName) -> type[Policy]:
    """The class of the policy called `name`."""
    module, _, attribute = POLICIES[name].partition(":")
    found: type[Policy] = getattr(importlib.import_module(module), attribute)
    return found


STRATEGIES: dict[StrategyName, str] = {
    "policy": "enas_core.policies.sampling:policy_samples",
    "random": "enas_core.policies.sampling:uniform_arcs",
    "evolution": "enas_core.policies.evolution:evolution",
    "local_search": "enas_core.policies.local_search:local_search",
}
"""Where the function of each strategy is, by what `select.strategy` says; imported when it is asked for."""


def strategy_function(name: StrategyName) -> Strategy:
    """The strategy of this name."""
    module, _, attribute = STRATEGIES[name].partition(":")
    found: Strategy = getattr(importlib.import_module(module), attribute)
    return found
