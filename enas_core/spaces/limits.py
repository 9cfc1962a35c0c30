"""Limits on the size of the networks that are trained from arcs: which arcs keep to them.

select_arc scores no others, and the random arcs of the baseline are drawn until as many as are wanted keep to them.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from enas_core.console import UserError
from enas_core.spaces.space import Arc, NetworkShape, SearchSpace, Size

MAX_REFUSED = 1_000
"""So many arcs in a row that are too large, and no more are drawn: the limits leave next to none of the space."""


class ArcLimits:
    """Which arcs of a space make networks of `shape` that are no larger than some limits; None: any size."""

    def __init__(self, space: SearchSpace, shape: NetworkShape, max_params: int | None, max_macs: int | None) -> None:
        self.space, self.shape = space, shape
        self.most = {"params": max_params, "macs": max_macs}
        self.sizes: dict[Arc, Size] = {}
        """Of all arcs that have been looked at."""

    def allow(self, arc: Arc) -> bool:
        """Whether the network of `arc` keeps to all limits."""
        if arc not in self.sizes:
            self.sizes[arc] = self._size(arc)
        size = self.sizes[arc]
        return all(most is None or getattr(size, name) <= most for name, most in self.most.items())

    def first(self, count: int, arcs: Iterable[Arc]) -> list[Arc]:
        """The first so many of `arcs` that keep to the limits, in their order. Raises UserError, one line, when too
        few of them do."""
        kept: list[Arc] = []
        refused = 0
        drawn = iter(arcs)
        while len(kept) < count:
            arc = next(drawn)
            if self.allow(arc):
                kept.append(arc)
                refused = 0
            else:
                refused += 1
            if refused == MAX_REFUSED:
                raise UserError(f"{self.how_few()}; {count} random arcs are wanted")
        return kept

    def how_few(self) -> str:
        """One line that says how few of the arcs that have been looked at keep to the limits, and how large those
        are."""
        within = sum(self.allow(arc) for arc in self.sizes)
        costs = []
        for name, most in self.most.items():
            if most is not None:
                values = [getattr(size, name) for size in self.sizes.values()]
                median = statistics.median_low(values)
                costs.append(f"max_{name} is {most}, the smallest has {min(values)} {name} and the median {median}")
        return f"select.limits: {within} of {len(self.sizes)} arcs are small enough: {'; '.join(costs)}"

    def _size(self, arc: Arc) -> Size:
        import torch  # which whoever has no limits need not wait for

        from enas_core.spaces.measure import arc_size

        with torch.device("meta"):  # a large network takes neither memory nor time
            return arc_size(self.space, arc, self.shape)
