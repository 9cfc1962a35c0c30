"""What each stage sees of an experiment: `config/{stage}.json`.

A stage sees only the settings that it depends on, so that editing one section runs only the stages again that read it.
Settings are compared by their canonical text, and `fingerprint` is its hash. Both outlive versions of this project: a
setting that a later one adds is `LATER`, a change of what the code computes is an entry in `revisions.py`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import SerializeAsAny, ValidationError, ValidationInfo, field_serializer, field_validator

from enas_core.console import UserError
from enas_core.fields import LATER, Count, Settings
from enas_core.files.reading import read_text
from enas_core.settings.augment import Augment
from enas_core.settings.baseline import RandomArcs
from enas_core.settings.dataset import Augmentation, DatasetName, Source
from enas_core.settings.experiment import Computation, Experiment, SpaceChoice
from enas_core.settings.mistakes import explain, first_mistake
from enas_core.settings.revisions import revision_of
from enas_core.settings.search import Search
from enas_core.settings.select import Evaluations, Selection, SizeLimit
from enas_core.settings.variants import ExperimentName, Variant, left_out, variants_of
from enas_core.spaces import space_class
from enas_core.spaces.space import SearchSpace

ARC_SECTIONS = ("",)
"""Where the space's settings stand that say which arcs there are: at the top of the experiment."""
SEARCH_SECTIONS = ("", "search", "search.controller")
"""And those that the search depends on besides."""


class Stage(Settings):
    """What every stage depends on."""

    experiment: ExperimentName
    revision: Annotated[Count, LATER] = 1
    """Of the stage's results. A version of this project that computes other results from the same settings counts one
    further, so that they are made again (`revisions.py`)."""


class PrepareDataStage(Stage):
    """What prepare_data depends on."""

    dataset: Source


class ArcStage(Stage, SpaceChoice):
    """What every stage depends on that handles arcs."""

    space_settings: SerializeAsAny[Settings]
    """Those of the space's own settings that the stage depends on; the others have their defaults here."""

    @field_validator("space_settings", mode="before")
    @classmethod
    def _of_that_space(cls, values: Any, info: ValidationInfo) -> Settings:
        try:
            return space_class(info.data.get("space", "")).Settings.model_validate(values)
        except ValidationError as error:
            raise UserError(first_mistake(error)) from None

    @field_serializer("space_settings")
    def _given_ones(self, settings: Settings) -> dict[str, Any]:
        return settings.model_dump(mode="json", exclude_unset=True)

    @property
    def search_space(self) -> SearchSpace:
        """The space with these settings."""
        return space_class(self.space)(self.space_settings)


class LimitedStage(ArcStage):
    """What every stage depends on that draws or proposes the arcs of networks."""

    size_limit: Annotated[SizeLimit | None, LATER] = None
    """How large the networks may be that are trained from them; null: of any size."""


class RandomArcsStage(LimitedStage):
    """What random_arcs depends on (how many is not part of it: more arcs leave the first ones alone)."""

    random_arcs: RandomArcs


class TrainingStage(ArcStage, Computation):
    """What every stage depends on that computes with networks."""

    dataset: DatasetName
    augmentation: Augmentation


class SearchStage(TrainingStage):
    """What search depends on."""

    search: Search


class SelectArcStage(SearchStage, LimitedStage):
    """What select_arc depends on."""

    select: Selection


class StrategiesStage(SearchStage, LimitedStage):
    """What the strategies of `select.compare` depend on. Which ones there are is not part of it: one more leaves the
    others alone."""

    select: Evaluations


class AugmentStage(TrainingStage):
    """What augment depends on."""

    augment: Augment


class CompareStage(Stage):
    """What compare depends on besides the tables that it reads."""


class AblationStage(Stage):
    """What ablation depends on."""

    variants: tuple[Variant, ...]
    """Variants of the search that are compared."""
    left_out: dict[str, str]
    """Search settings without a variant, with the reason why each would change nothing."""


STAGES: dict[str, type[Stage]] = {
    "prepare_data": PrepareDataStage,
    "random_arcs": RandomArcsStage,
    "search": SearchStage,
    "select_arc": SelectArcStage,
    "strategies": StrategiesStage,
    "augment": AugmentStage,
    "compare": CompareStage,
    "ablation": AblationStage,
}

S = TypeVar("S", bound=Settings)
StageModel = TypeVar("StageModel", bound=Stage)


def _narrow(model: type[S], value: Settings) -> S:
    """The fields of `model` (a base of `value`'s type) taken from `value`, and of its sections likewise."""
    fields = {}
    for name, field in model.model_fields.items():
        part = getattr(value, name)
        kind: Any = field.annotation
        is_section = isinstance(kind, type) and issubclass(kind, Settings)
        fields[name] = _narrow(kind, part) if is_section else part
    return model(**fields)


def stage_settings(name: str, experiment: Experiment, stage: str) -> Stage:
    """The settings of one stage of the experiment called `name`."""
    model = STAGES[stage]
    searches = issubclass(model, SearchStage)
    values: dict[str, Any] = {
        "experiment": name,
        "revision": revision_of(stage),
        "space": experiment.space,
        "space_settings": experiment.space_values(SEARCH_SECTIONS if searches else ARC_SECTIONS),
        "cpu_threads": experiment.cpu_threads,
        "precision": experiment.precision,
        "compile": experiment.compile,
        "deterministic": experiment.deterministic,
        "dataset": experiment.dataset.name,
        "augmentation": experiment.dataset.augmentation,
        "search": _narrow(Search, experiment.search),
        "select": experiment.select.own,
        "size_limit": experiment.select.size_limit(experiment.augment),
        "augment": _narrow(Augment, experiment.augment),
        "random_arcs": _narrow(RandomArcs, experiment.baseline),
        "variants": tuple(variants_of(experiment)),
        "left_out": left_out(experiment),
    }
    if stage == "prepare_data":
        values["dataset"] = _narrow(Source, experiment.dataset)
    if stage == "strategies":
        values["select"] = _narrow(Evaluations, experiment.select)
    return model(**{field: values[field] for field in model.model_fields})


def to_json(settings: Settings) -> str:
    """Canonical text of `settings`: equal settings give equal text, in all versions that know them."""
    return json.dumps(plain(settings), sort_keys=True, indent=1) + "\n"


def plain(settings: Settings) -> dict[str, Any]:
    """What that text holds."""
    written = settings.model_dump(mode="json", by_alias=True)
    _leave_out_later(settings, written)
    return written


def _leave_out_later(settings: Settings, written: dict[str, Any]) -> None:
    """Remove from what is `written` of `settings`, and of its sections, what is `LATER` and has its default."""
    for name, field in type(settings).model_fields.items():
        key, value = field.alias or name, getattr(settings, name)
        if key not in written:
            continue
        if LATER in field.metadata and value == field.default:
            del written[key]
        elif isinstance(value, Settings):
            _leave_out_later(value, written[key])
        elif isinstance(value, tuple):
            for item, its_own in zip(value, written[key], strict=True):
                if isinstance(item, Settings):
                    _leave_out_later(item, its_own)


def fingerprint(settings: Settings) -> str:
    """sha256 of the canonical text."""
    return hashlib.sha256(to_json(settings).encode()).hexdigest()


def read_stage(path: Path, model: type[StageModel]) -> StageModel:
    """Read `config/{stage}.json`. Raises UserError, one line, when it is not such a file, or asks for results that this
    version does not compute."""
    try:
        settings = model.model_validate_json(read_text(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file") from None
    except ValidationError as error:
        mistakes = UserError(*explain(str(path), model, error))
        raise UserError(str(mistakes)) from None  # in one line: no person writes such a file
    (stage,) = [stage for stage, kind in STAGES.items() if kind is model]
    if settings.revision != revision_of(stage):
        raise UserError(
            f"{path}: revision: {settings.revision}: this version computes revision {revision_of(stage)} of {stage};"
            " let snakemake write this file again"
        )
    return settings
