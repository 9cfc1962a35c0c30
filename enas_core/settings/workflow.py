"""The whole of config.yaml: read, merged, validated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from enas_core.console import UserError, check_all, shown
from enas_core.fields import Float, Name, Settings
from enas_core.settings.arcs import Transfer
from enas_core.settings.baseline import disagreement
from enas_core.settings.experiment import DEFAULT_SPACE, Experiment, experiment_model
from enas_core.settings.merging import inherited, merged, with_baseline
from enas_core.settings.mistakes import explain, one_line
from enas_core.settings.presets import PRESETS, preset_values
from enas_core.settings.variants import FOLDER, differing_settings, home_of, variant_settings, variants_of
from enas_core.settings.yaml_file import read_yaml
from enas_core.spaces import SPACES


def _space_of(entry: Any) -> str:
    """The space that an entry names; the default where it names none, or none that exists."""
    space = entry.get("space", DEFAULT_SPACE) if isinstance(entry, dict) else DEFAULT_SPACE
    return space if isinstance(space, str) and space in SPACES else DEFAULT_SPACE


def _of_its_space(entry: Any) -> Any:
    """An entry of `experiments` on top of its preset, validated by the model that its space gives it."""
    if not isinstance(entry, dict):
        return entry
    space, preset = _space_of(entry), entry.get("preset", "original")
    if isinstance(preset, str) and preset in PRESETS:
        entry = merged(preset_values(preset, space), entry)
    return experiment_model(space).model_validate(entry)


RESERVED_EXPERIMENTS = ("report",)
"""Their folders would lie where the workflow puts what is about several experiments."""


def _one_line_path(path: str) -> str:
    if not path.strip() or not path.isprintable():
        raise UserError("empty, or with line breaks or other control characters; allowed: a folder, or null")
    return path


class Workflow(Settings):
    """The whole of config.yaml, with what may be given on the command line (`--config KEY=VALUE`)."""

    experiments: dict[Name, Annotated[Experiment, BeforeValidator(_of_its_space)]] = Field(min_length=1)
    """Experiments by name."""
    data_path: Annotated[str, AfterValidator(_one_line_path)] | None = None
    """Folder of existing data files (a location, so no result depends on it); null: download."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: the GPU if there is one."""
    save_every: Annotated[Float, Field(gt=0)] = 5.0
    """Minutes between two saves of the training state."""
    tensorboard: Annotated[bool, Field(strict=False)] = False  # the command line gives it as text
    """Whether running trainings write TensorBoard event files (`tensorboard --logdir results`)."""
    data_on_device: Literal["auto", "always", "never"] = "auto"
    """Where the prepared images are while networks are trained, which changes no result. `always`: on the device, or in
    the files that a CPU reads as its memory; `never`: they come batch by batch, fetched ahead; `auto`: on the device if
    they take no more than half of what is free there."""

    @model_validator(mode="after")
    def _check(self) -> Workflow:
        check_all(self._checks())
        return self

    def _checks(self) -> Iterator[Callable[[], None]]:
        """What experiments say of each other."""
        for name, experiment in self.experiments.items():
            for arc_name, arc in experiment.arcs.items():
                if isinstance(arc, Transfer):
                    yield partial(self._check_transfer, f"experiments.{name}.arcs.{arc_name}.from", name, arc.source)
            if experiment.baseline.source is not None:
                yield partial(
                    self._check_baseline, f"experiments.{name}.baseline.from", name, experiment.baseline.source
                )
            yield partial(self._check_ablation, name, experiment)

    def _check_transfer(self, key: str, name: str, source: str) -> None:
        self._require_other(key, name, source)
        here, there = self.experiments[name], self.experiments[source]
        if there.space != here.space:
            raise UserError(f"{key}: arcs of {source!r} are of another space than those of {name!r}")
        for setting, value in there.space_values(sections=("",)).items():
            if value != here.space_values(sections=("",))[setting]:
                raise UserError(f"{key}: arcs of {source!r} have another {setting} than {name!r}")
        if name in self._sources(source):
            raise UserError(f"{key}: {source!r} itself takes an arc from {name!r}, so neither could come first")

    def _check_baseline(self, key: str, name: str, source: str) -> None:
        self._require_other(key, name, source)
        here, there = self.experiments[name], self.experiments[source]
        if there.baseline.source is not None:
            raise UserError(f"{key}: {source!r} trains none itself, it takes those of {there.baseline.source!r}")
        found = disagreement(here, there)
        if found is not None:
            raise UserError(
                f"{key}: random networks of {source!r} are trained with {found.key} = {found.there},"
                f" those of {name!r} with {found.here}"
            )

    @staticmethod
    def _check_ablation(name: str, experiment: Experiment) -> None:
        allowed = differing_settings(experiment.space)
        for key in experiment.ablation.settings or ():
            if key not in allowed:
                raise UserError(
                    f"experiments.{name}.ablation.settings: {key!r} is not a search setting in which the presets"
                    f" differ; allowed: {', '.join(allowed)}"
                )

    def settings_of(self, name: str) -> Experiment:
        """The settings of an experiment, or of a variant of one. Raises UserError where there is none of that name."""
        home = home_of(name)
        if home not in self.experiments:
            raise UserError(f"experiments: {home!r} is not there; allowed: {', '.join(self.experiments)}")
        experiment = self.experiments[home]
        if home == name:
            return experiment
        variants = {variant.of(home): variant for variant in variants_of(experiment)}
        if name not in variants:
            allowed = ", ".join(variant.name for variant in variants.values())
            raise UserError(
                f"experiments.{home}.ablation: {name.partition(FOLDER)[2]!r} is none of its variants;"
                f" allowed: {allowed or 'none'}"
            )
        return variant_settings(home, experiment, variants[name])

    def _require_other(self, key: str, name: str, source: str) -> None:
        """Raise UserError unless `source` is another experiment than `name`."""
        others = sorted(set(self.experiments) - {name})
        if source not in others:
            raise UserError(f"{key}: {source!r} is not another experiment; allowed: {', '.join(others) or 'none'}")

    def _sources(self, name: str) -> set[str]:
        """All experiments that `name` takes arcs from, directly or not."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            experiment = self.experiments.get(waiting.pop())
            arcs = experiment.arcs.values() if experiment else ()
            new = {arc.source for arc in arcs if isinstance(arc, Transfer)} - found
            found |= new
            waiting += new
        return found


def _check_name(name: Any) -> None:
    """Raise UserError where the key of an experiment is no name that it can have. What a name consists of is checked
    later."""
    if not isinstance(name, str):
        raise UserError(f"experiments: {shown(name)}: a name is a text that begins with a letter")
    if name in RESERVED_EXPERIMENTS:
        raise UserError(f"experiments.{name}: the name is taken by the workflow")


def parse_workflow(raw: Any, where: str = "config.yaml") -> Workflow:
    """Validate the content of config.yaml. Raises UserError, one line each, on the user's mistakes."""
    if not isinstance(raw, dict) or not isinstance(raw.get("experiments"), dict):
        raise UserError(f"{where}: experiments: missing or not a mapping of names to settings")
    try:
        check_all(partial(_check_entry, raw["experiments"], name) for name in raw["experiments"])
        entries = {name: inherited(raw["experiments"], name) for name in raw["experiments"]}
        entries = {name: with_baseline(entries, name) for name in entries}
    except UserError as error:
        raise UserError(*[one_line(f"{where}: {line}") for line in error.lines]) from None
    except RecursionError:
        raise UserError(f"{where}: a section contains itself") from None
    try:
        return Workflow.model_validate({**raw, "experiments": entries})
    except ValidationError as error:
        keys: dict[str, Any] = {name: field.annotation for name, field in Workflow.model_fields.items()}
        keys["experiments"] = {name: experiment_model(_space_of(entry)) for name, entry in entries.items()}
        raise UserError(*_without_inherited(explain(where, keys, error), raw["experiments"])) from None


def _without_inherited(lines: list[str], experiments: dict[str, Any]) -> list[str]:
    """Mistakes without those that an experiment has from the one that it extends, where they are told already."""
    extended = {name: entry["extends"] for name, entry in experiments.items() if entry and "extends" in entry}

    def is_inherited(line: str) -> bool:
        found = re.search(r": experiments\.([\w-]+)", line)
        if found is None or found[1] not in extended:
            return False
        start, end = found.span(1)
        return f"{line[:start]}{extended[found[1]]}{line[end:]}" in lines

    return [line for line in lines if not is_inherited(line)]


def _check_entry(experiments: dict[Any, Any], name: Any) -> None:
    """Raise UserError when an entry has no name that it can have, or cannot be put on top of another one."""
    _check_name(name)
    try:
        inherited(experiments, name)
    except UserError as error:
        if str(error).startswith((f"experiments.{name}.", f"experiments.{name}:")):  # others are told of by themselves
            raise


def load_workflow(path: Path) -> Workflow:
    """Read and validate config.yaml. Raises UserError, one line each, on the user's mistakes."""
    return parse_workflow(read_yaml(path), str(path))
