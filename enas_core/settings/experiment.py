"""Settings: the one source of names, defaults, bounds and units.

`config.yaml` holds experiments on top of the defaults below. Values are taken, in this order of
precedence, from the experiment itself, from the experiment that it `extends`, from its preset,
and from the defaults, which are those of the original program (preset `original`).

Each stage sees only the settings that it depends on (`stage_settings`), so that editing one
section re-runs only the stages that read it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from enas_core.console import UserError
from enas_core.fields import Compile, Count, Name, Precision, Settings, Threads
from enas_core.settings.dataset import DATASETS, Dataset
from enas_core.settings.training import AugmentSection, SearchSection, check_training
from enas_core.spaces.micro.arc import MicroArc as Arc
from enas_core.spaces.micro.settings import Nodes

RESERVED_NETWORKS = re.compile(r"^(searched-s\d+|random-\d+)$")


class Select(Settings):
    """Choice of one arc after the search."""

    num_candidates: Count = 100
    """Distinct arcs that are sampled from the controller and scored on the validation images."""


class RandomArcs(Settings):
    """Where random arcs come from; arc i depends on these values and i alone."""

    sampler: Literal["uniform", "reference"] = "uniform"
    """`uniform`: every valid index and operation equally likely. `reference`: the generator of Yang et
    al. 2020, in which every node of an arc reads the same two cell inputs."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1_000_000)] = 0
    """Arc i uses seed + i."""


class Baseline(RandomArcs):
    """Random arcs, augmented in the same way as the found one."""

    num_arcs: Annotated[int, Field(ge=0, le=1_000_000)] = 8
    """How many."""


class Transfer(Settings):
    """An arc that another experiment has found."""

    source: Name = Field(alias="from")
    """Name of that experiment."""


def _kind_of_arc(value: Any) -> str | None:
    """Which model of `ArcSource` describes `value`."""
    return "[text]" if isinstance(value, str) else "[transfer]" if isinstance(value, dict | Transfer) else None


ArcSource = Annotated[
    Annotated[str, Tag("[text]")] | Annotated[Transfer, Tag("[transfer]")],
    Discriminator(_kind_of_arc, "arc_source", "allowed is an arc in quotes or {from: EXPERIMENT}"),
]


class Experiment(Settings):
    """One named entry of config.yaml."""

    preset: Literal["original", "corrected"] = "original"
    """`original`: the authors' program as it is. `corrected`: each of its surprises as it should be."""
    num_nodes: Nodes = 5
    """Nodes of a cell."""
    cpu_threads: Threads = 2
    """Threads of each training on a CPU. A setting, since results on a CPU depend on it."""
    precision: Precision = "fp32"
    """Of feature maps and convolutions. `bf16`: bfloat16, for GPUs; weights, statistics of batch norm, logits, loss
    and optimiser stay in float32."""
    compile: Compile = "auto"
    """`auto`: on a GPU, networks are compiled (minutes at the start, faster steps, results equal but for rounding);
    on a CPU, where that does not pay, never. `off`: never."""
    dataset: Dataset
    search: SearchSection = SearchSection()
    select: Select = Select()
    augment: AugmentSection = AugmentSection()
    baseline: Baseline = Baseline()
    arcs: dict[Name, ArcSource] = Field(default={})
    """Further networks to augment: an arc in its integer form, or `{from: EXPERIMENT}`."""

    @model_validator(mode="after")
    def _check(self) -> Experiment:
        data, size = self.dataset, DATASETS[self.dataset.name].size
        if self.search.valid_images >= data.num_train:
            raise UserError(
                f"search.valid_images: {self.search.valid_images} is out of range 1..{data.num_train - 1}"
                f" ({data.num_train} training images)"
            )
        check_training("search", self.search, data.num_train - self.search.valid_images, size)
        check_training("augment", self.augment, data.num_train, size)
        if data.augmentation.cutout > size:
            raise UserError(f"dataset.augmentation.cutout: {data.augmentation.cutout} is out of range 0..{size}")
        if self.baseline.sampler == "reference" and self.num_nodes != 5:
            raise UserError(f"baseline.sampler: 'reference' makes arcs of 5 nodes, num_nodes is {self.num_nodes}")
        for name, value in self.arcs.items():
            self._check_arc(name, value)
        return self

    def _check_arc(self, name: str, value: str | Transfer) -> None:
        if RESERVED_NETWORKS.match(name):
            raise UserError(f"arcs.{name}: names like searched-s1 and random-00 are taken by the workflow")
        if isinstance(value, str):
            try:
                Arc.parse(value, num_nodes=self.num_nodes)
            except ValueError as error:
                raise UserError(f"arcs.{name}: {error}") from None
