"""Settings: the one source of names, defaults, bounds and units.

`config.yaml` holds experiments on top of the defaults below. Values are taken, in this order of
precedence, from the experiment itself, from the experiment that it `extends`, from its preset,
and from the defaults, which are those of the original program (preset `original`).

Each stage sees only the settings that it depends on (`stage_settings`), so that editing one
section re-runs only the stages that read it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from enas_core.console import UserError
from enas_core.fields import Float, Name, Settings
from enas_core.settings.experiment import Experiment, Transfer
from enas_core.settings.mistakes import _explain, _one_line
from enas_core.settings.presets import PRESETS


class Workflow(Settings):
    """The whole of config.yaml, with what may be given on the command line (`--config KEY=VALUE`)."""

    experiments: dict[Name, Experiment] = Field(min_length=1)
    """Experiments by name."""
    data_path: str | None = None
    """Folder of existing data files (a location, so no result depends on it); null: download."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: the GPU if there is one."""
    save_every: Annotated[Float, Field(gt=0)] = 5.0
    """Minutes between two saves of the training state."""
    tensorboard: Annotated[bool, Field(strict=False)] = False  # the command line gives it as text
    """Whether running trainings write TensorBoard event files (`tensorboard --logdir results`)."""

    @model_validator(mode="after")
    def _check_transfers(self) -> Workflow:
        for name, experiment in self.experiments.items():
            for arc_name, arc in experiment.arcs.items():
                if isinstance(arc, Transfer):
                    self._check_transfer(f"experiments.{name}.arcs.{arc_name}.from", name, arc.source)
        return self

    def _check_transfer(self, key: str, name: str, source: str) -> None:
        others = sorted(set(self.experiments) - {name})
        if source not in others:
            raise UserError(f"{key}: {source!r} is not another experiment; allowed: {', '.join(others) or 'none'}")
        if self.experiments[source].num_nodes != self.experiments[name].num_nodes:
            raise UserError(f"{key}: arcs of {source!r} have another num_nodes than {name!r}")
        if name in self._sources(source):
            raise UserError(f"{key}: {source!r} itself takes an arc from {name!r}, so neither could come first")

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


def _merged(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`base` overridden by `top`, section by section (a null section overrides nothing)."""
    result = dict(base)
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], value)
        elif not (value is None and isinstance(result.get(key), dict)):
            result[key] = value
    return result


def _inherited(experiments: dict[str, Any], name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """The raw entry of `name` on top of those that it extends."""
    raw = experiments[name]
    if not isinstance(raw, dict):
        raise UserError(f"experiments.{name}: {raw!r} is not a mapping of settings")
    if "extends" not in raw:
        return raw
    own, parent = {key: value for key, value in raw.items() if key != "extends"}, raw["extends"]
    if not isinstance(parent, str) or parent not in experiments or parent in (*seen, name):
        allowed = sorted(str(other) for other in experiments if other not in (*seen, name))
        raise UserError(
            f"experiments.{name}.extends: {parent!r} is not another experiment; allowed: {', '.join(allowed) or 'none'}"
        )
    return _merged(_inherited(experiments, parent, (*seen, name)), own)


def parse_workflow(raw: Any, where: str = "config.yaml") -> Workflow:
    """Validate the content of config.yaml. Raises UserError, one line, on the user's mistakes."""
    if not isinstance(raw, dict) or not isinstance(raw.get("experiments"), dict):
        raise UserError(f"{where}: experiments: missing or not a mapping of names to settings")
    try:
        merged = {str(name): _inherited(raw["experiments"], name) for name in raw["experiments"]}
    except ValueError as error:
        raise UserError(_one_line(f"{where}: {error}")) from None
    except RecursionError:
        raise UserError(f"{where}: a section contains itself") from None
    for name, experiment in merged.items():
        preset = experiment.get("preset", "original")
        if isinstance(preset, str) and preset in PRESETS:
            merged[name] = _merged(PRESETS[preset], experiment)
    try:
        return Workflow.model_validate({**raw, "experiments": merged})
    except ValidationError as error:
        raise UserError(_explain(where, Workflow, error)) from None


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, of which plain YAML takes the last."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := [name for name, count in names.items() if count > 1]:
            raise UserError(f"{twice[0]!r} is there twice in what begins in line {node.start_mark.line + 1}")
        return node


def read_yaml(path: Path) -> Any:
    """Content of config.yaml, not validated. Raises UserError, one line, when it is not such a file."""
    try:
        return _Loader(path.read_text()).get_single_data()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(_one_line(f"{path}: not valid YAML: {error}")) from None


def load_workflow(path: Path) -> Workflow:
    """Read and validate config.yaml. Raises UserError, one line, on the user's mistakes."""
    return parse_workflow(read_yaml(path), str(path))
