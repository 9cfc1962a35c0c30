"""How many images an experiment has, and of which kind: known from its settings, or once they have been prepared."""

from __future__ import annotations

from pathlib import Path

from enas_core.console import UserError
from enas_core.data.manifest import MANIFEST, read_manifest
from enas_core.settings.dataset import DatasetFacts
from enas_core.settings.experiment import Experiment


def images_of(name: str, experiment: Experiment, results: Path) -> DatasetFacts:
    """Of the experiment called `name`. Raises UserError for images of the user's own that are not prepared yet."""
    known = experiment.dataset.used
    if known is not None:
        return known
    path = results / name / "data" / MANIFEST
    if not path.exists():
        raise UserError(
            f"{name}: how many images {experiment.dataset.name} has is known when they are prepared:"
            f" snakemake --cores 2 {path}"
        )
    found = read_manifest(path)
    return DatasetFacts(found.images.train, found.images.test, found.image_size, found.in_channels, found.num_classes)
