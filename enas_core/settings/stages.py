"""Settings: the one source of names, defaults, bounds and units.

`config.yaml` holds experiments on top of the defaults below. Values are taken, in this order of
precedence, from the experiment itself, from the experiment that it `extends`, from its preset,
and from the defaults, which are those of the original program (preset `original`).

Each stage sees only the settings that it depends on (`stage_settings`), so that editing one
section re-runs only the stages that read it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from enas_core.console import UserError
from enas_core.fields import Compile, Name, Precision, Settings, Threads
from enas_core.settings.dataset import Augmentation, DatasetName, Source
from enas_core.settings.experiment import Experiment, RandomArcs, Select
from enas_core.settings.mistakes import _explain
from enas_core.settings.training import Augment, Search
from enas_core.spaces.micro.settings import Nodes


class PrepareDataSettings(Settings):
    """What prepare_data depends on."""

    experiment: Name
    dataset: Source


class RandomArcsSettings(Settings):
    """What random_arcs depends on (how many is not part of it: more arcs leave the first ones alone)."""

    experiment: Name
    num_nodes: Nodes
    random_arcs: RandomArcs


class SearchSettings(Settings):
    """What search depends on."""

    experiment: Name
    dataset: DatasetName
    num_nodes: Nodes
    cpu_threads: Threads
    precision: Precision
    compile: Compile
    augmentation: Augmentation
    search: Search


class SelectArcSettings(SearchSettings):
    """What select_arc depends on."""

    select: Select


class AugmentSettings(Settings):
    """What augment depends on."""

    experiment: Name
    dataset: DatasetName
    num_nodes: Nodes
    cpu_threads: Threads
    precision: Precision
    compile: Compile
    augmentation: Augmentation
    augment: Augment


STAGES: dict[str, type[Settings]] = {
    "prepare_data": PrepareDataSettings,
    "random_arcs": RandomArcsSettings,
    "search": SearchSettings,
    "select_arc": SelectArcSettings,
    "augment": AugmentSettings,
}


def _narrow(model: type[Settings], value: Settings) -> Settings:
    """The fields of `model` (a base of `value`'s type) taken from `value`."""
    return model(**{name: getattr(value, name) for name in model.model_fields})


def stage_settings(name: str, experiment: Experiment, stage: str) -> Settings:
    """The settings of one stage of the experiment called `name`."""
    values: dict[str, Any] = {
        "experiment": name,
        "num_nodes": experiment.num_nodes,
        "cpu_threads": experiment.cpu_threads,
        "precision": experiment.precision,
        "compile": experiment.compile,
        "dataset": experiment.dataset.name,
        "augmentation": experiment.dataset.augmentation,
        "search": _narrow(Search, experiment.search),
        "select": experiment.select,
        "augment": _narrow(Augment, experiment.augment),
        "random_arcs": _narrow(RandomArcs, experiment.baseline),
    }
    if stage == "prepare_data":
        values["dataset"] = _narrow(Source, experiment.dataset)
    model = STAGES[stage]
    return model(**{field: values[field] for field in model.model_fields})


def to_json(settings: Settings) -> str:
    """Canonical text of `settings`: equal settings give equal text."""
    return json.dumps(settings.model_dump(mode="json", by_alias=True), sort_keys=True, indent=1) + "\n"


def fingerprint(settings: Settings) -> str:
    """sha256 of the canonical text."""
    return hashlib.sha256(to_json(settings).encode()).hexdigest()


S = TypeVar("S", bound=Settings)


def load_stage_settings(path: Path, model: type[S]) -> S:
    """Read `config/{stage}.json`. Raises UserError, one line, when it is not such a file."""
    try:
        return model.model_validate_json(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file") from None
    except ValidationError as error:
        raise UserError(_explain(str(path), model, error)) from None


def from_options(model: type[S], values: dict[str, Any]) -> S:
    """Settings from command-line options. Raises UserError, one line that names the option, on a mistake."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option, message = str(first["loc"][0]).replace("_", "-"), first["msg"].replace("Input should be", "allowed is")
        raise UserError(f"--{option}: {first['input']}: {message}") from None
