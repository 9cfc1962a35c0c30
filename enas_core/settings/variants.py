"""Variants of an experiment: searches that differ from a preset in one setting, to see which setting matters.

They are made from what the two presets say of the section `search`, on top of the experiment that has a section
`ablation`. A variant is an experiment of its own, called `NAME/variants/VARIANT`, so that every rule of the workflow
makes its parts in the folder of that name. It has no random networks: those of the experiment serve all variants.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from enas_core.fields import Settings
from enas_core.settings.experiment import Experiment, experiment_model
from enas_core.settings.merging import merged
from enas_core.settings.presets import preset_values
from enas_core.settings.search import SearchSection

ORIGINAL, CORRECTED = "original", "corrected"
"""The two presets between which variants lie."""

FOLDER = "/variants/"
"""What stands between the names of an experiment and of its variant."""

EXPERIMENT_PATTERN = rf"[A-Za-z][A-Za-z0-9_-]*(?:{FOLDER}[a-z]+(?:[+-][a-z0-9_.]+)?)?"
"""Names of experiments, those of variants included."""

ExperimentName = Annotated[str, Field(pattern=f"^{EXPERIMENT_PATTERN}$")]


class Variant(Settings):
    """The search of an experiment under a preset, one setting changed."""

    preset: str
    """The preset under which it searches."""
    key: str | None = None
    """The setting that has the other preset's value; null: none."""

    @property
    def name(self) -> str:
        """`original`, `original+KEY` (with this correction alone), `corrected`, `corrected-KEY` (without this one)."""
        if self.key is None:
            return self.preset
        return f"{self.preset}{'+' if self.preset == ORIGINAL else '-'}{self.key}"

    def of(self, experiment: str) -> str:
        """Its name among all experiments."""
        return f"{experiment}{FOLDER}{self.name}"


def home_of(name: str) -> str:
    """The experiment of config.yaml that a variant belongs to; an experiment belongs to itself."""
    return name.partition(FOLDER)[0]


def search_under(preset: str, space: str) -> SearchSection:
    """The section `search` in which nothing is set but the preset."""
    nothing_set = experiment_model(space).model_fields["search"].default
    values = merged(nothing_set.model_dump(), preset_values(preset, space).get("search", {}))
    return type(nothing_set).model_validate(values)


def differing_settings(space: str) -> dict[str, dict[str, Any]]:
    """Search settings in which the presets differ, by dotted key: their value under each preset."""
    original, corrected = (_flat(search_under(preset, space)) for preset in (ORIGINAL, CORRECTED))
    return {
        key: {ORIGINAL: value, CORRECTED: corrected[key]} for key, value in original.items() if value != corrected[key]
    }


def _flat(section: Settings, prefix: str = "") -> dict[str, Any]:
    """Values by dotted key."""
    values: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Settings):
            values |= _flat(value, f"{prefix}{name}.")
        else:
            values[prefix + name] = value
    return values


def chosen_settings(experiment: Experiment) -> list[str]:
    """Keys that the section `ablation` asks for."""
    ablation = experiment.ablation
    if ablation.seeds is None:
        return []
    keys = list(differing_settings(experiment.space))
    return keys if ablation.settings is None else [key for key in keys if key in ablation.settings]


def left_out(experiment: Experiment) -> dict[str, str]:
    """Of the chosen settings those that have no variant, with the reason why each would change nothing."""
    own, preset = _flat(experiment.search), _flat(search_under(experiment.preset, experiment.space))
    reasons = {}
    for key in chosen_settings(experiment):
        if own[key] != preset[key]:
            reasons[key] = f"the experiment itself sets it to {own[key]}"
        elif reason := why_it_changes_nothing(key, experiment.search):
            reasons[key] = reason
    return reasons


def why_it_changes_nothing(key: str, search: SearchSection) -> str | None:
    """Why a search with these settings, and the choice of an arc after it, do not depend on the one called `key`; None:
    they may."""
    learns = search.policy == "controller"
    if key == "train_aux_head" and not search.aux_head:
        return "there is no auxiliary head"
    if key == "restart_first_step_mean" and search.num_epochs <= search.lr_t_0:
        return "the learning rate does not restart"
    if key == "apply_drop_path" and search.drop_path_keep_prob == 1:
        return "drop_path_keep_prob is 1"
    if key == "reward_dropout" and search.keep_prob == 1:
        return "keep_prob is 1"
    if (key == "reward_dropout" or key.startswith("controller.")) and not learns:
        return f"the policy {search.policy} does not learn"
    return None


def variants_of(experiment: Experiment) -> list[Variant]:
    """All variants of an experiment; none where its section `ablation` has no seeds."""
    if experiment.ablation.seeds is None:
        return []
    without = left_out(experiment)
    keys = [None, *(key for key in chosen_settings(experiment) if key not in without)]
    return [Variant(preset=preset, key=key) for preset in (ORIGINAL, CORRECTED) for key in keys]


def variant_settings(name: str, experiment: Experiment, variant: Variant) -> Experiment:
    """The settings of a variant of the experiment called `name`, whose training of single networks it shares."""
    other = CORRECTED if variant.preset == ORIGINAL else ORIGINAL
    own, preset = _flat(experiment.search), _flat(search_under(experiment.preset, experiment.space))
    search = experiment.search.model_dump()
    for key, values in differing_settings(experiment.space).items():
        if own[key] == preset[key]:
            _put(search, key, values[other if key == variant.key else variant.preset])
    search["seeds"] = experiment.ablation.seeds
    baseline = experiment.baseline.model_dump(by_alias=True)
    baseline["from"] = baseline["from"] or name
    changes = {"search": search, "baseline": baseline, "arcs": {}, "ablation": {}}
    return type(experiment).model_validate(experiment.model_dump(by_alias=True) | changes)


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set the value at a dotted key."""
    *sections, name = key.split(".")
    for section in sections:
        values = values[section]
    values[name] = value
