"""The Pareto front: what costs least for what it is worth (select_arc, the report)."""

from __future__ import annotations

from collections.abc import Sequence


def on_front(costs: Sequence[float], values: Sequence[float]) -> list[bool]:
    """Of each pair whether no other costs as little and is worth more, or costs less and is worth as much. Equal pairs
    are on the front together."""
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -values[i]))
    found = [False] * len(costs)
    front: tuple[float, float] | None = None
    for i in order:
        pair = (costs[i], values[i])
        if front is None or values[i] > front[1] or pair == front:
            found[i] = True
            front = pair
    return found
