"""`baseline` in config.yaml: random arcs, trained in the same way as the found one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field

from enas_core.fields import Name, Settings
from enas_core.settings.describe import describe

if TYPE_CHECKING:
    from enas_core.settings.experiment import Experiment


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
    source: Name | None = Field(default=None, alias="from")
    """Another experiment, whose trained random networks serve this one as well: nothing is trained twice. Both must
    agree in everything that the training of a random network depends on. Sampler, seed and number are that one's.
    null: this experiment trains its own."""


NOT_SEEN_BY_RANDOM_NETWORKS = {"preset", "search", "select", "arcs", "ablation"}
"""Keys and sections of an experiment on which the training of a random network does not depend, but for the limits of
`select`. All others count, so that a setting that is new here is not forgotten."""


class Disagreement(NamedTuple):
    """A setting in which two experiments differ; values as JSON, null also where its whole section is null."""

    key: str
    here: str
    there: str


def seen_by_random_networks(key: str) -> bool:
    """Whether the training of a random network depends on the setting of this dotted key."""
    return key.split(".")[0] not in NOT_SEEN_BY_RANDOM_NETWORKS or key.startswith("select.limits.")


def disagreement(here: Experiment, there: Experiment) -> Disagreement | None:
    """The first setting because of which `here` cannot take the trained random networks of `there`."""
    if here.space != there.space:
        return Disagreement("space", here.space, there.space)
    own, others = ({row.key: row.value for row in describe(experiment)} for experiment in (here, there))
    for key in own | others:
        if seen_by_random_networks(key) and key != "baseline.from" and own.get(key, "null") != others.get(key, "null"):
            return Disagreement(key, own.get(key, "null"), others.get(key, "null"))
    return None
