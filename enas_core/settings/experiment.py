"""One named entry of config.yaml, with all its sections.

A space's own settings stand in the same sections as everybody's. So the model of an experiment is made for its space:
`experiment_model("micro")` is `Experiment` with the fields of the micro space added.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, Field, create_model, model_validator

from enas_core.console import UserError, check_all
from enas_core.fields import LATER, Compile, Name, Precision, Settings, Threads, all_defaults, section_of
from enas_core.settings.ablation import Ablation
from enas_core.settings.arcs import ArcSource, Transfer
from enas_core.settings.augment import AugmentSection
from enas_core.settings.baseline import Baseline
from enas_core.settings.checks import check_augmentation, check_training
from enas_core.settings.dataset import Dataset
from enas_core.settings.networks import RESERVED
from enas_core.settings.search import Controller, SearchSection
from enas_core.settings.select import Select
from enas_core.spaces import space_class
from enas_core.spaces.space import SearchSpace

DEFAULT_SPACE = "micro"


def _known_space(name: str) -> str:
    space_class(name)
    return name


class PresetChoice(Settings):
    """The first line of an experiment."""

    preset: Literal["original", "corrected"] = "original"
    """`original`: the authors' program as it is. `corrected`: each of its surprises as it should be."""


class SpaceChoice(Settings):
    """Which arcs there are, in an experiment and in each stage that has arcs."""

    space: Annotated[str, AfterValidator(_known_space)] = DEFAULT_SPACE
    """The search space."""


class Computation(Settings):
    """How networks are computed, in an experiment and in each stage that has networks."""

    cpu_threads: Threads = 1
    """Threads of each training on a CPU. A setting, since results on a CPU depend on it. Small networks are fastest on
    one thread, with another training beside them on the next core."""
    precision: Precision = "fp32"
    """Of feature maps and convolutions. `bf16`: bfloat16, for GPUs; weights, statistics of batch norm, logits, loss
    and optimiser stay in float32."""
    compile: Compile = "auto"
    """`auto`: faster code for networks, results equal but for rounding. On a GPU they are compiled (minutes at the
    start); on a CPU the project's own operators compute them, built once a machine where there is a C++ compiler (half
    a minute). `off`: torch's own operators."""
    deterministic: Annotated[bool, LATER] = False
    """Of GPUs: algorithms that add in the same order each time, so that the same training gives the same results again;
    slower. What has no such algorithm is named in a warning. On a CPU results repeat without it."""


class Experiment(Computation, SpaceChoice, PresetChoice):
    """One named entry of config.yaml, without what its space adds."""

    dataset: Dataset
    search: SearchSection = all_defaults(SearchSection)
    select: Select = all_defaults(Select)
    augment: AugmentSection = all_defaults(AugmentSection)
    baseline: Baseline = all_defaults(Baseline)
    ablation: Ablation = all_defaults(Ablation)
    arcs: dict[Name, ArcSource] = Field(default={})
    """Further networks to augment: an arc in its text form, or `{from: EXPERIMENT}`."""

    @model_validator(mode="after")
    def _check(self) -> Experiment:
        check_all(self._checks())
        return self

    def _checks(self) -> Iterator[Callable[[], None]]:
        """What the sections say of each other and of the images."""
        facts = self.dataset.used
        if facts is not None:  # of other images the job check_images does it
            for section, training in (("search", self.search), ("augment", self.augment)):
                shape = training.shape(facts.size, facts.channels, facts.classes)
                yield partial(check_training, section, training, self.search_space, shape, facts.train_images)
            yield partial(check_augmentation, self.dataset.augmentation, facts.size, facts.channels)
        yield self._check_sampler
        for name, arc in self.arcs.items():
            yield partial(self._check_arc, name, arc)

    def _check_sampler(self) -> None:
        try:
            self.search_space.check_sampler(self.baseline.sampler)
        except UserError as error:
            raise UserError(f"baseline.sampler: {error}") from None

    def _check_arc(self, name: str, arc: str | Transfer) -> None:
        if re.fullmatch(RESERVED, name):
            names = "searched-s1, random-00, random-s1 and best-random"
            raise UserError(f"arcs.{name}: names like {names} are taken by the workflow")
        if isinstance(arc, str):
            try:
                self.search_space.parse(arc)
            except UserError as error:
                raise UserError(f"arcs.{name}: {error}") from None

    @property
    def search_space(self) -> SearchSpace:
        """The space with the settings that this experiment gives it."""
        kind = space_class(self.space)
        return kind(kind.Settings.model_validate(self.space_values()))

    def space_values(self, sections: tuple[str, ...] | None = None) -> dict[str, Any]:
        """The space's own settings by name: all, or those that stand in one of `sections`."""
        model = space_class(self.space).Settings
        values = {}
        for name in model.model_fields:
            section = section_of(model, name)
            if sections is None or section in sections:
                owner: Any = functools.reduce(getattr, filter(None, section.split(".")), self)
                values[name] = getattr(owner, name)
        return values


@functools.cache
def experiment_model(space: str) -> type[Experiment]:
    """`Experiment` with the settings of a space, each in its section. Raises UserError for an unknown space."""
    own = space_class(space).Settings
    controller = extended(Controller, own, "search.controller")
    search = extended(SearchSection, own, "search", controller=(controller, all_defaults(controller)))
    bases: Any = (Experiment, extended(PresetChoice, own, ""))  # in this order, `preset` and the space's come first
    sections: Any = {"search": (search, Field(default=all_defaults(search), description=search.__doc__))}
    model = create_model("Experiment", __base__=bases, __doc__=Experiment.__doc__, **sections)
    return cast(type[Experiment], model)


S = TypeVar("S", bound=Settings)


def extended(base: type[S], own: type[Settings], section: str, **others: Any) -> type[S]:
    """`base` with those fields of a space's own settings that stand in `section`, and with `others`."""
    added: dict[str, Any] = {}
    for name, field in own.model_fields.items():
        if section_of(own, name) == section:
            added[name] = (field.rebuild_annotation(), Field(default=field.default, description=field.description))
    return create_model(base.__name__, __base__=base, __doc__=base.__doc__, **added, **others)
