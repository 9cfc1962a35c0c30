"""Policies: what proposes the arcs of a search, and learns from how well they do.

Start reading in `policy.py`, the interface; `uniform.py` is the simplest one, `reinforce.py` with the LSTM of
`controller.py` is the paper's. May import `settings`, `spaces`, `files` and `console`. A policy is a class and a line
in `POLICIES`; no other room compares a policy's name with anything.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enas_core.policies.policy import Policy
    from enas_core.settings.search import PolicyName

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
