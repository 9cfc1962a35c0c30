"""`select` in config.yaml: choice of one arc after the search, its limits, and other ways to choose."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from enas_core.fields import LATER, Count, Settings, all_defaults
from enas_core.settings.training import Training
from enas_core.spaces.space import NetworkShape, StemName

StrategyName = Literal["policy", "random", "evolution", "local_search"]

Most = Annotated[int, Field(ge=1, le=2**63 - 1)]


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is there twice")
    return names


class Limits(Settings):
    """How large the network may be that is trained from a selected or a random arc. Arcs of larger ones are neither
    selected nor drawn."""

    max_params: Most | None = None
    """Most trainable values, without auxiliary head; null: any number."""
    max_macs: Most | None = None
    """Most multiply-accumulates for one image, without auxiliary head; null: any number."""


class SizeLimit(Limits):
    """Limits, and of which networks: what a stage knows of the section `augment` where there are any."""

    num_layers: Count
    """As in the section augment."""
    num_filters: Count
    """As in the section augment."""
    stem: StemName = "plain"
    """As in the section augment."""

    def shape(self, image_size: int, in_channels: int, num_classes: int) -> NetworkShape:
        """Of the networks that are trained on such images, without auxiliary head."""
        return NetworkShape(
            num_layers=self.num_layers,
            num_filters=self.num_filters,
            image_size=image_size,
            in_channels=in_channels,
            num_classes=num_classes,
            aux_head=False,
            stem=self.stem,
        )


class Evolution(Settings):
    """Regularised evolution (Real et al. 2019), for those strategies that are called `evolution`."""

    population: Annotated[int, Field(ge=2, le=1_000_000)] = 20
    """So many of the latest arcs live; as many random ones come first."""
    sample_size: Count = 5
    """The best of so many, drawn from the population with replacement, is the parent of the next arc."""


class Evaluations(Settings):
    """What every strategy depends on."""

    num_candidates: Count = 100
    """Distinct arcs that a strategy proposes and that are scored on the validation images."""
    evolution: Annotated[Evolution, LATER] = all_defaults(Evolution)


class Selection(Evaluations):
    """What the choice of the arc depends on that the search is said to have found."""

    strategy: Annotated[StrategyName, LATER] = "policy"
    """How arcs are proposed. `policy`: samples of the search's policy. `random`: every choice equally likely.
    `evolution`: the best of some recent arcs, with one decision changed. `local_search`: all arcs that differ from the
    best one in one decision (White et al. 2020)."""


class Select(Selection):
    """Choice of one arc after the search."""

    compare: Annotated[tuple[StrategyName, ...], Field(strict=False), AfterValidator(_different)] = ()
    """Further strategies, for the record: each chooses an arc at the same cost, whose network is trained as well."""
    limits: Limits = all_defaults(Limits)

    @model_validator(mode="after")
    def _check(self) -> Select:
        if self.strategy in self.compare:
            raise ValueError(f"compare: {self.strategy!r} is select.strategy already; allowed are the others")
        return self

    @property
    def own(self) -> Selection:
        """What the choice depends on: not on the settings of a strategy that it does not use."""
        evolution = self.evolution if self.strategy == "evolution" else Evolution()
        return Selection(num_candidates=self.num_candidates, strategy=self.strategy, evolution=evolution)

    def size_limit(self, augment: Training) -> SizeLimit | None:
        """The limits with the size of the networks that `augment` trains; None where there are none."""
        if self.limits == Limits():
            return None
        size = {name: getattr(augment, name) for name in ("num_layers", "num_filters", "stem")}
        return SizeLimit(**self.limits.model_dump(), **size)
