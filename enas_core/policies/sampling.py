"""The strategies that learn nothing from what arcs score: samples of the search's policy, and uniform arcs."""

from __future__ import annotations

import itertools
from functools import partial

from enas_core.policies.strategy import MAX_IDLE, Proposals, Task
from enas_core.spaces.space import Arc


def policy_samples(task: Task) -> Proposals:
    """Distinct arcs of the search's policy, which is asked for `num_candidates` at a time, in the order in which they
    are first proposed. Ends when it has been asked `MAX_IDLE` times in a row without a new one."""
    seen: set[Arc] = set()
    batch = idle = 0
    while idle < MAX_IDLE:
        draw = partial(task.draw, "candidates") if batch == 0 else partial(task.draw, "more candidates", batch)
        proposed = task.policy.propose(task.settings.num_candidates, draw)
        new = [arc for arc in dict.fromkeys(proposed) if arc not in seen]
        yield from (arc for arc in new)  # a generator, since a list cannot be sent the accuracies
        seen.update(new)
        batch += 1
        idle = 0 if new else idle + 1


def uniform_arcs(task: Task) -> Proposals:
    """Every choice equally likely: number i is drawn from `draw("random strategy", i)`."""
    for i in itertools.count():
        yield task.space.uniform(task.draw("random strategy", i))
