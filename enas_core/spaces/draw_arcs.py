"""Draw random arcs: printed one a line, or, as a stage, the table of them all or the text file of one."""

from __future__ import annotations

from enas_core.settings.experiment import RandomArcs
from enas_core.spaces.micro.arc import Arc
from enas_core.spaces.micro.sampling import SAMPLERS


def draw_arcs(settings: RandomArcs, num_nodes: int, count: int) -> list[Arc]:
    """Arcs 0..count-1; arc i uses seed + i."""
    return [SAMPLERS[settings.sampler](settings.seed + i, num_nodes) for i in range(count)]
