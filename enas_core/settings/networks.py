"""The networks of an experiment: their names, which are made here, and where each of them comes from.

A name is a folder below `results/{experiment}/networks/`. What it stands for is looked up in this list and handed on
as data (`enas_core.augment --role --search-seed`); no code reads it out of the name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from enas_core.settings.experiment import Experiment

RESULTS = Path("results")
"""Where the workflow's rules write, in the working folder: a folder for each experiment."""

Role = Literal["searched", "random", "named"]
"""Where a network's arc comes from: found by a search, drawn at random, or listed under `arcs` in config.yaml."""

ROLES: tuple[Role, ...] = get_args(Role)

RESERVED = r"(?:searched-s|random-)[0-9]+"
"""Pattern of the names that networks get by themselves, so that no arc of config.yaml may have one."""


class NamedNetwork(NamedTuple):
    """A network that an experiment trains."""

    name: str
    role: Role
    search_seed: int | None = None
    """Seed of the search that found it; None for the other roles."""


def searched_network(seed: int) -> NamedNetwork:
    """The network of the arc that is selected after the search with this seed."""
    return NamedNetwork(f"searched-s{seed}", "searched", seed)


def random_network(index: int) -> NamedNetwork:
    """The network of random arc number `index`."""
    return NamedNetwork(f"random-{index:02}", "random")


def networks_of(experiment: Experiment) -> list[NamedNetwork]:
    """All networks of an experiment: found, random, and named in `arcs`."""
    searched = [searched_network(seed) for seed in experiment.search.seeds]
    random = [random_network(index) for index in range(experiment.baseline.num_arcs)]
    named = [NamedNetwork(name, "named") for name in experiment.arcs]
    return searched + random + named


def trainer_of(network: NamedNetwork, name: str, experiment: Experiment) -> str:
    """The experiment that trains a network of the one called `name`: another one for random networks that are taken
    from there."""
    source = experiment.baseline.source if network.role == "random" else None
    return source or name
