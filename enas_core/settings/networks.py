"""The networks of an experiment: their names, which are made here, and where each of them comes from.

A name is a folder below `results/{experiment}/networks/`. What it stands for is looked up in this list and handed on
as data (`enas_core.augment --role --search-seed`); no code reads it out of the name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from enas_core.settings.select import StrategyName

if TYPE_CHECKING:
    from enas_core.settings.experiment import Experiment

RESULTS = Path("results")
"""Where the workflow's rules write, in the working folder: a folder for each experiment."""

Role = Literal["searched", "random", "named", "strategy"]
"""Where a network's arc comes from: found by a search, drawn at random, listed under `arcs` in config.yaml, or chosen
after a search by a strategy of `select.compare`, for the record."""

ROLES: tuple[Role, ...] = get_args(Role)

STRATEGY_PATTERN = "|".join(get_args(StrategyName))

RESERVED = rf"(?:(?:searched-s|random-|(?:{STRATEGY_PATTERN})-s)[0-9]+|best-random)"
"""Pattern of the names that networks, and pictures of some, get by themselves, so that no arc of config.yaml may have
one."""


class NamedNetwork(NamedTuple):
    """A network that an experiment trains."""

    name: str
    role: Role
    search_seed: int | None = None
    """Seed of the search that found it, or over whose shared weights it was chosen; None for the other roles."""
    strategy: StrategyName | None = None
    """The strategy that has chosen it for the record; None for the other roles."""


def searched_network(seed: int) -> NamedNetwork:
    """The network of the arc that is selected after the search with this seed."""
    return NamedNetwork(f"searched-s{seed}", "searched", seed)


def random_network(index: int) -> NamedNetwork:
    """The network of random arc number `index`."""
    return NamedNetwork(f"random-{index:02}", "random")


def strategy_network(strategy: StrategyName, seed: int) -> NamedNetwork:
    """The network of the arc that a strategy chooses after the search with this seed."""
    return NamedNetwork(f"{strategy}-s{seed}", "strategy", seed, strategy)


def networks_of(experiment: Experiment) -> list[NamedNetwork]:
    """All networks of an experiment: found, random, named in `arcs`, and chosen by the strategies of `compare`."""
    searched = [searched_network(seed) for seed in experiment.search.seeds]
    random = [random_network(index) for index in range(experiment.baseline.num_arcs)]
    named = [NamedNetwork(name, "named") for name in experiment.arcs]
    seeds, strategies = experiment.search.seeds, experiment.select.compare
    chosen = [strategy_network(strategy, seed) for strategy in strategies for seed in seeds]
    return searched + random + named + chosen


def trainer_of(network: NamedNetwork, name: str, experiment: Experiment) -> str:
    """The experiment that trains a network of the one called `name`: another one for random networks that are taken
    from there."""
    source = experiment.baseline.source if network.role == "random" else None
    return source or name
