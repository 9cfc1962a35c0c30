"""A made-up experiment that is under way, for the tests of `enas status`."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from rows import row_of

from enas_core import status
from enas_core.files.progress import PROGRESS, EpochSoFar, Progress, write_progress
from enas_core.files.tables import write_table
from enas_core.monitor.stages import Overview, Stage, read_experiment
from enas_core.settings.workflow import load_workflow

CONFIG = {
    "dataset": {"name": "digits", "source": "digits", "split_test_images": 597},
    "search": {"num_epochs": 4, "valid_images": 100, "aux_head": False, "seeds": [1, 2]},
    "augment": {"num_epochs": 10, "aux_head": False},
    "baseline": {"num_arcs": 2},
}


class MadeUp:
    """The results of an experiment, file by file."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump({"experiments": {"mine": CONFIG}}))
        self.results = folder / "results"
        self.folder = self.results / "mine"
        (self.folder / "config").mkdir(parents=True)
        (self.folder / "data").mkdir()
        np.save(self.folder / "data/train_labels.npy", np.array([0] * 900 + [1] * 75 + [2] * 25))
        np.save(self.folder / "data/test_labels.npy", np.arange(100) % 4)

    def tell(self, place: str, state: str = "running", rows: object = 2, age: float = 3.0, **changes: object) -> None:
        """A sign of life: so many epochs of 100 seconds are done, and half of the next one."""
        epochs = 4 if place.startswith("search") else 10
        facts = {
            "state": state,
            "epochs": epochs,
            "rows": [EpochSoFar(train_accuracy=0.5, accuracy=0.5 + i / 100, seconds=100.0) for i in range(rows)]
            if isinstance(rows, int)
            else rows,
            "step": 5,
            "steps": 10,
            "seconds": 50.0,
            "memory": 2 * 10**9,
            "device": "cpu (1 threads)",
            "host": "node7",
        }
        path = self.folder / "_state" / place / PROGRESS
        write_progress(path, Progress.model_validate(facts | changes))
        self.set_age(path, age)

    def set_age(self, path: Path, age: float) -> None:
        """Let a file have been written so many seconds ago."""
        os.utime(path, (time.time() - age, time.time() - age))

    def finish(self, place: str, accuracies: list[float], seconds: float = 100.0) -> None:
        """The table of a finished training."""
        kind, score = ("search", "valid") if place.startswith("search") else ("augment", "test")
        empty = row_of(f"{kind}_epochs")
        rows = [
            empty | {"epoch": i, f"{score}_accuracy": value, "seconds": seconds} for i, value in enumerate(accuracies)
        ]
        write_table(self.folder / place / "epochs.parquet", f"{kind}_epochs", rows, {})

    def select(self, seed: int, accuracy: float, place: str = "own", source: str = "policy", others: int = 0) -> None:
        """The table of a choice among so many others."""
        rows = [
            row_of("candidates", source=source, selected=i == 0, valid_accuracy=accuracy) for i in range(others + 1)
        ]
        write_table(self.folder / f"search/s{seed}" / place / "candidates.parquet", "candidates", rows, {})

    def score(self, seed: int) -> None:
        """The table of arcs that are scored for the record."""
        write_table(self.folder / f"search/s{seed}/candidates.parquet", "candidates", [row_of("candidates")], {})

    def prepare(self) -> None:
        """The images."""
        (self.folder / "data/manifest.json").touch()

    def compare(self, *strategies: str) -> None:
        """Let other strategies be settings."""
        settings = CONFIG | {"select": {"num_candidates": 20, "compare": list(strategies)}}
        self.config.write_text(yaml.safe_dump({"experiments": {"mine": settings}}))

    def overview(self) -> Overview:
        """What is read of it."""
        experiment = load_workflow(self.config).experiments["mine"]
        return read_experiment(self.folder, "mine", experiment, time.time())

    def stage(self, rule: str, name: str) -> Stage:
        """One of its stages."""
        (found,) = [stage for stage in self.overview().stages if (stage.rule, stage.name) == (rule, name)]
        return found


def printed(capsys: pytest.CaptureFixture[str], made_up: MadeUp, *options: str) -> list[str]:
    """Lines of the command."""
    assert status.main([str(made_up.results), "--configfile", str(made_up.config), *options]) == 0
    return capsys.readouterr().out.splitlines()
