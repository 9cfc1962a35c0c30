"""What each stage of an experiment has done so far: its searches, the choices of arcs, the trainings of networks."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from enas_core.console import UserError
from enas_core.files.progress import PROGRESS, read_progress
from enas_core.files.reading import read_text
from enas_core.files.tables import read_table
from enas_core.settings.experiment import Experiment
from enas_core.settings.networks import networks_of, trainer_of
from enas_core.settings.variants import home_of

Rule = Literal["search", "select_arc", "augment"]

State = Literal["running", "silent", "failed", "interrupted", "finished", "waiting"]
"""`silent`: it was running, and has said nothing for longer than `SILENCE`: killed, or busy with one long step."""

SILENCE = 120.0
"""Seconds. A training gives a sign of life every 15 seconds, but not while it is compiled or takes one long step."""

RECENT = 5
"""Epochs whose mean is the pace of a training."""


@dataclass(frozen=True)
class Stage:
    """One search, choice or training, as far as its files tell. Accuracies are fractions, times seconds."""

    rule: Rule
    seed: int
    network: str = ""
    """That is trained; empty for other stages."""
    state: State = "waiting"
    accuracies: Sequence[float] = ()
    """Of each complete epoch: of proposed arcs on the validation images (search), of the network on the test images
    (augment). Of the selected arc alone (select_arc)."""
    epochs: int | None = None
    """That it trains."""
    chance: float | None = None
    """Accuracy of always answering the commonest class of these images."""
    spent: float = 0.0
    """That it has computed so far."""
    begun: float = 0.0
    """Of these, those of the epoch under way."""
    pace: float | None = None
    """Seconds of one of its epochs."""
    memory: float | None = None
    """Bytes at most."""
    age: float | None = None
    """Since its last sign of life; None once it is finished, or before it has given one."""
    where: str = ""
    """Machine and device."""

    @property
    def own_left(self) -> float | None:
        """Seconds that the rest takes at its own pace; None where it has none."""
        if self.state == "finished":
            return 0.0
        if self.pace is None or self.epochs is None:
            return None
        return max(0.0, self.pace * (self.epochs - len(self.accuracies)) - self.begun)

    @property
    def name(self) -> str:
        """As its files are called."""
        return f"{self.network} seed {self.seed}" if self.network else f"s{self.seed}"


@dataclass(frozen=True)
class Overview:
    """An experiment."""

    name: str
    stages: Sequence[Stage]
    outputs: Sequence[str] = field(default=())
    """Which of its results are there."""

    @property
    def seeds(self) -> list[int]:
        """Of its searches."""
        return [stage.seed for stage in self.stages if stage.rule == "search"]

    def count(self, *states: State) -> int:
        """Stages that are in one of these states."""
        return sum(stage.state in states for stage in self.stages)


def read_experiment(folder: Path, name: str, experiment: Experiment | None, now: float) -> Overview:
    """What the files in an experiment's folder tell. `experiment`: its settings, which say what is still to come; where
    they are not known, only what has begun is told. `now`: seconds since 1970."""
    files = _Files(folder, folder.parents[1] if home_of(name) != name else folder, experiment, now)
    seeds = dict.fromkeys(experiment.search.seeds if experiment is not None else ())
    seeds |= dict.fromkeys(seed for _, seed in _numbered(folder, "search/s*", "_state/search/s*"))
    trainings = dict.fromkeys(_expected_trainings(name, experiment))
    for path, seed in _numbered(folder, "networks/*/seed*", "_state/augment/*/seed*"):
        trainings[path.parent.name, seed] = None
    stages = [files.search(seed) for seed in seeds]
    stages += [files.select_arc(seed) for seed in seeds]
    stages += [files.augment(network, seed) for network, seed in trainings]
    outputs = [file for file in ("final.pt", "comparison.parquet", "ablation.parquet") if (folder / file).exists()]
    return Overview(name, stages, outputs)


def _expected_trainings(name: str, experiment: Experiment | None) -> Iterator[tuple[str, int]]:
    """Network and seed of what the experiment trains; a variant is searched only."""
    if experiment is None or home_of(name) != name:
        return
    for network in networks_of(experiment):
        if trainer_of(network, name, experiment) == name:
            for seed in experiment.augment.seeds:
                yield network.name, seed


def _numbered(folder: Path, *patterns: str) -> Iterator[tuple[Path, int]]:
    """Folders whose names end with a seed, and the seed."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if found := re.fullmatch(r"s(?:eed)?([0-9]{1,19})", path.name):
                yield path, int(found[1])


@dataclass(frozen=True)
class _Files:
    """The files of one experiment; `home`: the folder of the experiment that its images are in."""

    folder: Path
    home: Path
    experiment: Experiment | None
    now: float

    def search(self, seed: int) -> Stage:
        """The search with this seed."""
        held_out = self.experiment.search.valid_images if self.experiment is not None else None
        held_out = held_out or self._setting("search", "valid_images")
        stage = Stage(
            "search",
            seed,
            epochs=self._epochs("search"),
            chance=_chance(self.home / "data/train_labels.npy", held_out) if held_out else None,
        )
        table = self.folder / f"search/s{seed}/epochs.parquet"
        return self._training(stage, table, "search_epochs", "valid_accuracy", f"search/s{seed}", f"search-s{seed}")

    def augment(self, network: str, seed: int) -> Stage:
        """The training of a network with this seed."""
        place = f"{network}/seed{seed}"
        stage = Stage(
            "augment",
            seed,
            network,
            epochs=self._epochs("augment"),
            chance=_chance(self.home / "data/test_labels.npy", None),
        )
        table = self.folder / "networks" / place / "epochs.parquet"
        job = f"augment-{network}-seed{seed}"
        return self._training(stage, table, "augment_epochs", "test_accuracy", f"augment/{place}", job)

    def select_arc(self, seed: int) -> Stage:
        """The choice of an arc after the search with this seed. It says nothing but its log while it computes."""
        stage = Stage("select_arc", seed, chance=self.search(seed).chance)
        job = f"select_arc-s{seed}"
        selected = [
            row["valid_accuracy"]
            for row in _rows(self.folder / f"search/s{seed}/own/candidates.parquet", "candidates")
            if row["selected"]
        ]
        seconds, memory = self._benchmark(job)
        if selected:
            return replace(stage, state="finished", accuracies=selected, spent=seconds or 0.0, memory=memory)
        age = self._age(self.folder / f"logs/{job}.log")
        if age is None or self._age(self.folder / f"search/s{seed}/supernet.pt") is None:
            return stage
        return replace(stage, state="running" if age < SILENCE else "silent", age=age)

    def _training(self, stage: Stage, table: Path, kind: str, score: str, state: str, job: str) -> Stage:
        """`stage` with what its table says, or else its last sign of life."""
        path = self.folder / "_state" / state / PROGRESS
        told, age, written = read_progress(path), self._age(path), self._age(table)
        _, memory = self._benchmark(job)
        where = f"{told.host}, {told.device}" if told is not None else ""
        begun_again = told is not None and told.state == "running" and written is not None and (age or 0.0) < written
        rows = _rows(table, kind) if written is not None and not begun_again else []
        if rows:
            spent = sum(row["seconds"] for row in rows)
            memory = told.memory if told is not None and told.memory is not None else memory
            accuracies = [row[score] for row in rows]
            done = replace(stage, state="finished", accuracies=accuracies, epochs=len(rows), spent=spent, where=where)
            return replace(done, pace=spent / len(rows), memory=memory)
        if told is None or told.state == "finished":
            return stage
        complete = sum(row.seconds for row in told.rows)
        recent = [row.seconds for row in told.rows[-RECENT:]]
        pace = sum(recent) / len(recent) if recent else _pace(told.seconds, told.step, told.steps)
        silent = told.state == "running" and age is not None and age >= SILENCE
        return replace(
            stage,
            state="silent" if silent else told.state,
            accuracies=[row.accuracy for row in told.rows],
            epochs=told.epochs,
            spent=complete + told.seconds,
            begun=told.seconds,
            pace=pace,
            memory=told.memory,
            age=age,
            where=where,
        )

    def _epochs(self, section: Literal["search", "augment"]) -> int | None:
        """That a training has."""
        if self.experiment is not None:
            training = self.experiment.search if section == "search" else self.experiment.augment
            return training.num_epochs
        return self._setting(section, "num_epochs")

    def _setting(self, section: str, key: str) -> int | None:
        """A setting of the stage of the same name as its section, from the file that the workflow has written."""
        try:
            value = json.loads(read_text(self.folder / f"config/{section}.json"))[section][key]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return value if isinstance(value, int) else None

    def _age(self, path: Path) -> float | None:
        """Seconds since a file was written; None where there is none. Machines' clocks may differ by seconds."""
        try:
            return max(0.0, self.now - path.stat().st_mtime)
        except OSError:
            return None

    def _benchmark(self, job: str) -> tuple[float | None, float | None]:
        """Seconds and most bytes of a finished job, as Snakemake has measured them."""
        try:
            names, values = read_text(self.folder / f"benchmarks/{job}.tsv").splitlines()[:2]
            measured = dict(zip(names.split("\t"), values.split("\t"), strict=True))
            return float(measured["s"]), float(measured["max_rss"]) * 2**20
        except (OSError, ValueError, KeyError):
            return None, None


def _pace(seconds: float, step: int, steps: int) -> float | None:
    """Of the first epoch, of which so many steps are done."""
    return seconds * steps / step if step else None


def _rows(path: Path, kind: str) -> list[dict[str, Any]]:
    """Rows of a table; none where it is not there, or not such a table."""
    try:
        return _rows_of(path, kind, path.stat().st_mtime_ns)
    except (OSError, UserError):
        return []


@functools.lru_cache(maxsize=10_000)
def _rows_of(path: Path, kind: str, stamp: int) -> list[dict[str, Any]]:
    """Read once, as long as the file has this time stamp."""
    return read_table(path, kind, required=("selected",) if kind == "candidates" else ("epoch", "seconds"))


def _chance(path: Path, last: int | None) -> float | None:
    """Accuracy of always answering the commonest class of the last so many labels in a file, or of all."""
    try:
        return _chance_of(path, last, path.stat().st_mtime_ns)
    except (OSError, ValueError, EOFError):
        return None


@functools.lru_cache(maxsize=1_000)
def _chance_of(path: Path, last: int | None, stamp: int) -> float:
    import numpy as np

    from enas_core.analysis.signal import chance_level

    labels = np.load(path, allow_pickle=False)
    return chance_level(labels[-last:] if last is not None else labels)
