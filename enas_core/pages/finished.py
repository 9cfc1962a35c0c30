"""What an experiment has left, as the report's sections read it: each file when it is asked for.

Of an experiment whose folder was copied from elsewhere, or that an earlier version has made, files may be missing: then
there is nothing in their place, and a section leaves out what it would show of them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from enas_core.analysis.comparison import network_means, summarise
from enas_core.analysis.results import Row, read_checked
from enas_core.analysis.statistics import Estimate, binomial_interval
from enas_core.console import UserError, log
from enas_core.data.manifest import read_manifest
from enas_core.files.tables import read_provenance, read_table
from enas_core.pages.figures import inline
from enas_core.settings.describe import Described, describe
from enas_core.settings.stages import STAGES, read_stage


class Setting(NamedTuple):
    """A setting, and the stages that see it."""

    described: Described
    stages: list[str]


class Finished:
    """An experiment that was compared.

    `folder` is the one that metrics.parquet is in, `metrics` its rows, and `anchor` a name that no other experiment on
    the page has."""

    def __init__(self, folder: Path, metrics: list[Row], anchor: str = "x") -> None:
        self.folder = folder
        self.metrics = metrics
        self.anchor = anchor
        self.name: str = metrics[0]["experiment"] or folder.name
        self.dataset: str | None = metrics[0]["dataset"]

    @functools.cached_property
    def summary(self) -> tuple[Row, Mapping[str, str]]:
        """The row of its comparison, and why some of it is not known."""
        return summarise(self.metrics, read_checked(self.folder))

    @functools.cached_property
    def found(self) -> Row | None:
        """The training that `final.pt` is a copy of: of the best selected arc by shared accuracy, as the
        stage `final` chooses it."""
        searched = [row for row in self.metrics if row["role"] == "searched" and row["shared_accuracy"] is not None]
        return max(searched, key=lambda row: row["shared_accuracy"], default=None)

    @functools.cached_property
    def best_random(self) -> Row | None:
        """A training of the best random network by test accuracy."""
        random = [network for network in network_means(self.metrics) if network.role == "random"]
        if not random:
            return None
        best = max(random, key=lambda network: network.test_accuracy).network
        return self.training_of(best)

    def training_of(self, network: str) -> Row:
        """The first training of a network."""
        return next(row for row in self.metrics if row["network"] == network)

    @property
    def search_seeds(self) -> list[int]:
        """In the order of the settings."""
        return list(dict.fromkeys(row["search_seed"] for row in self.metrics if row["search_seed"] is not None))

    def seeds_of(self, role: str) -> list[int]:
        """Seeds with which the networks of a role are trained."""
        return sorted({row["seed"] for row in self.metrics if row["role"] == role and row["seed"] is not None})

    @functools.cached_property
    def signals(self) -> list[Row]:
        """The signal check of each search."""
        paths = [self.folder / f"search/s{seed}/signal.parquet" for seed in self.search_seeds]
        return [row for path in paths if path.exists() for row in read_table(path, "signal")]

    @functools.cached_property
    def classes(self) -> list[Row]:
        """A row a class of the final network; empty where its answers are not known."""
        path = self.folder / "classes.parquet"
        return read_table(path, "classes") if path.exists() else []

    @functools.cached_property
    def accuracy(self) -> Estimate:
        """Test accuracy of the final network with its binomial interval."""
        if self.found is None:
            return Estimate(reason="no found network is trained")
        accuracy = self.found["test_accuracy"]
        if self.test_images is None:
            return Estimate(accuracy, reason="the number of test images is not known")
        return binomial_interval(round(accuracy * self.test_images), self.test_images)

    @functools.cached_property
    def test_images(self) -> int | None:
        """How many there are; None where neither the images' manifest nor the table of classes says so."""
        if self.classes:
            return sum(row["test_images"] for row in self.classes)
        manifest = self.folder / "data/manifest.json"
        return read_manifest(manifest).images.test if manifest.exists() else None

    @functools.cached_property
    def settings(self) -> list[Setting]:
        """All settings of the experiment's stages."""
        return settings_of(sorted((self.folder / "config").glob("*.json")))

    def setting(self, key: str) -> str | None:
        """The value of one of them, as JSON; None where it is not known."""
        return next((row.described.value for row in self.settings if row.described.key == key), None)

    @property
    def tables(self) -> list[Path]:
        """What was made before the comparison, but for the trainings."""
        searches = [self.folder / f"search/s{seed}" for seed in self.search_seeds]
        names = ("epochs.parquet", "candidates.parquet", "signal.parquet")
        paths = [self.folder / "random_arcs.parquet"]
        paths += [search / name for search in searches for name in names]
        return [path for path in [*paths, self.folder / "metrics.parquet"] if path.exists()]

    @property
    def trainings(self) -> list[Path]:
        """Their tables. Random networks may be another experiment's, which lies beside this one."""
        paths = []
        for row in self.metrics:
            elsewhere = row["trained_by"] not in (None, row["experiment"])
            folder = self.folder.parent / row["trained_by"] if elsewhere else self.folder
            paths.append(folder / f"networks/{row['network']}/seed{row['seed']}/epochs.parquet")
        return [path for path in paths if path.exists()]

    @functools.cached_property
    def provenance(self) -> dict[str, Any]:
        """What made metrics.parquet; empty where that is not recorded."""
        path = self.folder / "metrics.parquet"
        return read_provenance(path) if path.exists() else {}

    def figure(self, name: str, label: str) -> Markup | None:
        """A figure of its report, as a part of the page; None where there is no `report/{name}.svg`."""
        path = self.folder / f"report/{name}.svg"
        return inline(path.read_text(), f"{self.anchor}-{name}", label) if path.exists() else None


IDENTITY = ("experiment", "revision")
"""What stands in the settings of a stage and is none of the user's."""


def settings_of(stages: Sequence[Path]) -> list[Setting]:
    """All settings as stages have seen them; `stages` are their files, `config/{stage}.json`. Equal ones come once."""
    found: dict[tuple[str, str], Setting] = {}
    for path in stages:
        try:
            stage = read_stage(path, STAGES[path.stem])
        except UserError as error:  # an earlier version has written it
            log.info("left out: %s", error)
            continue
        for row in describe(stage):
            if row.key not in IDENTITY:
                found.setdefault((row.key, row.value), Setting(row, [])).stages.append(path.stem)
    return list(found.values())
