"""`baseline` in config.yaml: random arcs, trained in the same way as the found one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from enas_core.fields import Settings


class RandomArcs(Settings):
    """Where random arcs come from; arc i depends on these values and i alone."""

    sampler: Literal["uniform", "reference"] = "uniform"
    """`uniform`: every choice equally likely. `reference`: the generator of Yang et al. 2020 for the micro space, which
    lets an arc read nothing but the two previous layers."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1_000_000)] = 0
    """Arc i uses seed + i."""


class Baseline(RandomArcs):
    """Random arcs, trained in the same way as the found one."""

    num_arcs: Annotated[int, Field(ge=0, le=1_000_000)] = 8
    """How many."""
