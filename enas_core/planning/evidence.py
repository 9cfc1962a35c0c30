"""What a comparison will be able to show, before it is paid for: which differences its numbers of networks can find."""

from __future__ import annotations

from pathlib import Path

from enas_core.analysis.comparison import accuracies
from enas_core.analysis.power import PUBLISHED, measured_spread, what_shows
from enas_core.analysis.results import finished_trainings
from enas_core.settings.experiment import Experiment
from enas_core.settings.stages import fingerprint, stage_settings


def describe_evidence(name: str, experiment: Experiment, results: Path) -> str:
    """One line, with the spread of the networks in `results` that are trained already, or else a published one."""
    trained = finished_trainings(results / name, fingerprint(stage_settings(name, experiment, "augment")))
    measured = measured_spread(accuracies(trained, "searched"), accuracies(trained, "random"))
    spread = measured or PUBLISHED.get(experiment.dataset.name)
    return f"{name}: {what_shows(len(experiment.search.seeds), experiment.baseline.num_arcs, spread)}"
