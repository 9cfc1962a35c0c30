"""The interface of whatever chooses an arc after a search, by what arcs score with the shared weights.

A strategy is a generator: it yields the arc that is to be scored next and is sent its accuracy. All it knows of arcs,
it knows from the space, and all that it draws comes from `Task.draw`, so that equal accuracies give equal proposals: an
interrupted selection runs its strategy again from the start and looks up what has been scored. One file each, and a
line in `STRATEGIES`; `tests/policies` puts every one of them through the same tests.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from enas_core.policies.policy import Draw, Policy
from enas_core.settings.select import Evaluations
from enas_core.spaces.space import Arc, SearchSpace

Proposals = Generator[Arc, float | None, None]
"""Yields arcs, not necessarily distinct. Is sent the accuracy (0..1) of the last one, or None where it was not scored,
since it is above a limit. Ends when there is nothing more to propose."""


class Task(NamedTuple):
    """What a strategy works with."""

    space: SearchSpace
    policy: Policy
    """The one that the search has trained."""
    settings: Evaluations
    draw: Draw
    """Gives the seed of a random draw by its purpose and further counters: `draw("evolution", 3)`."""


Strategy = Callable[[Task], Proposals]


def distinct(
    proposals: Proposals, count: int, allowed: Callable[[Arc], bool], score: Callable[[Arc], float], max_refused: int
) -> Iterator[Arc]:
    """Score distinct arcs that are `allowed`, in the order in which they are proposed, and yield each when it is
    scored: up to `count` of them, fewer where so many in a row are not allowed, or nothing new is proposed."""
    scored: dict[Arc, float] = {}
    refused = repeated = 0
    arc = _next(proposals, None)
    while arc is not None:
        if arc in scored:
            repeated += 1
        elif not allowed(arc):
            refused += 1
        else:
            scored[arc] = score(arc)
            refused = repeated = 0
            yield arc
        if len(scored) == count or refused == max_refused or repeated == (MAX_IDLE + 1) * count:
            return
        arc = _next(proposals, scored.get(arc))


MAX_IDLE = 100
"""So many times the wanted number of arcs are proposed without a new one, and the strategy counts as exhausted."""


def _next(proposals: Proposals, accuracy: float | None) -> Arc | None:
    """The next proposal, after the last one has had this accuracy; None at the end."""
    try:
        return proposals.send(accuracy)
    except StopIteration:
        return None
